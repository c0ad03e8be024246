"""Scope as globs over paths of the repository: what a work order may touch, and which work orders touch the same.

A path is relative, with `/`, as git spells it; a glob is compared segment by segment and case counts:
`*` is any text within a segment, `?` one character of it, a segment `**` any number of folders, and a trailing `/` or
`/**` everything below a folder. Nothing else is special: `[`, `{` and `!` stand for themselves. Pure: no file is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

_ANY_DEPTH = "**"


def matches(path: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs matches the path."""
    parts = tuple(path.split("/"))
    return any(_match(parts, _segments(glob)) for glob in globs)


def in_scope(path: str, allow: Sequence[str], deny: Sequence[str]) -> bool:
    """Whether a change may touch the path. An empty `allow` is the whole repository; `deny` always wins."""
    return (not allow or matches(path, allow)) and not matches(path, deny)


def overlaps(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether some path could match both lists, be there such a file or not. No globs match nothing."""
    return any(_meet(_segments(one), _segments(other)) for one in a for other in b)


def fault(glob: str) -> str | None:
    """Why a glob as a person wrote it cannot mean what it says, as the end of a sentence; None when it is sound."""
    if not glob:
        return "is empty"
    if "\\" in glob:
        return "has a backslash; paths are written with /"
    if glob.startswith("/"):
        return "starts with /; paths are relative to the repository"
    if any(part in (".", "..") for part in glob.split("/")):
        return "has a segment . or ..; paths are relative to the repository"
    if "//" in glob:
        return "has an empty segment"
    if glob.startswith("!"):
        return "starts with !; write what is forbidden under deny"
    if "{" in glob and "," in glob and "}" in glob:
        return "has braces, which stand for themselves; write one glob for each alternative"
    return None


@lru_cache(maxsize=4096)
def _segments(glob: str) -> tuple[str, ...]:
    """The glob's segments; runs of `**` are one, and "everything below" asks for at least one segment below."""
    if glob.endswith("/"):
        glob += _ANY_DEPTH
    parts: list[str] = []
    for part in glob.split("/"):
        if part != _ANY_DEPTH or not parts or parts[-1] != _ANY_DEPTH:
            parts.append(part)
    if parts[-1] == _ANY_DEPTH:
        parts.append("*")
    return tuple(parts)


def _match(path: tuple[str, ...], glob: tuple[str, ...]) -> bool:
    """Greedy with one point of return, so the time is at most len(path) * len(glob), whatever the glob."""
    at = 0
    here = 0
    star = -1
    resume = 0
    while at < len(path):
        if here < len(glob) and glob[here] == _ANY_DEPTH:
            star, resume = here, at
            here += 1
        elif here < len(glob) and _match_segment(path[at], glob[here]):
            at += 1
            here += 1
        elif star >= 0:
            resume += 1
            at, here = resume, star + 1
        else:
            return False
    return here == len(glob)


def _match_segment(text: str, glob: str) -> bool:
    at = 0
    here = 0
    star = -1
    resume = 0
    while at < len(text):
        if here < len(glob) and glob[here] == "*":
            star, resume = here, at
            here += 1
        elif here < len(glob) and glob[here] in ("?", text[at]):
            at += 1
            here += 1
        elif star >= 0:
            resume += 1
            at, here = resume, star + 1
        else:
            return False
    return all(rest == "*" for rest in glob[here:])


@lru_cache(maxsize=65536)
def _meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether two lists of segments have a path in common: reachability over the pairs of positions in both."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        after: list[tuple[int, int]] = []
        deep_a = i < len(a) and a[i] == _ANY_DEPTH
        deep_b = j < len(b) and b[j] == _ANY_DEPTH
        if deep_a:
            after.append((i + 1, j))
        if deep_b:
            after.append((i, j + 1))
        if i < len(a) and j < len(b) and (deep_a or deep_b or _segments_meet(a[i], b[j])):
            after.append((i if deep_a else i + 1, j if deep_b else j + 1))
        for pair in after:
            if pair not in reached:
                reached.add(pair)
                todo.append(pair)
    return False


@lru_cache(maxsize=65536)
def _segments_meet(a: str, b: str) -> bool:
    """Whether two globs of one segment have a name in common."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        after: list[tuple[int, int]] = []
        star_a = i < len(a) and a[i] == "*"
        star_b = j < len(b) and b[j] == "*"
        if star_a:
            after.append((i + 1, j))
        if star_b:
            after.append((i, j + 1))
        if i < len(a) and j < len(b) and (star_a or star_b or "?" in (a[i], b[j]) or a[i] == b[j]):
            after.append((i if star_a else i + 1, j if star_b else j + 1))
        for pair in after:
            if pair not in reached:
                reached.add(pair)
                todo.append(pair)
    return False
