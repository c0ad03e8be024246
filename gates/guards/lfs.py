"""Guard "lfs": where git's attributes say `filter=lfs`, the tree holds a pointer and not the content."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from engine.models.report import GuardResult
from gates.guards.globs import compiled
from gates.guards.guard import GITLINK, SYMLINK, Judged, Row, verdict

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:[0-9a-f]{64}\nsize \d+\n"
)
_MAX_POINTER = 1024
_ATTRIBUTES = ".gitattributes"


class LfsGuard:
    """Only added and changed files count. An empty file is its own pointer."""

    name = "lfs"

    def judge(self, change: Judged) -> GuardResult:
        wrong = [row.path for row in change.rows if _should_point(change, row) and not _points(change.new(row.path))]
        return verdict(
            self.name, wrong, "{} must hold an LFS pointer: run `git lfs track` and add it with LFS installed."
        )


def _points(content: bytes | None) -> bool:
    return not content or (len(content) <= _MAX_POINTER and _POINTER.fullmatch(content) is not None)


def _should_point(change: Judged, row: Row) -> bool:
    if row.gone or row.new_mode in (SYMLINK, GITLINK):
        return False
    said = ""
    for folder in _folders(row.path):
        content = change.new(posixpath.join(folder, _ATTRIBUTES))
        if content:
            said = _filter(content.decode("utf-8", "replace"), row.path[len(folder) + 1 if folder else 0 :], said)
    return said == "lfs"


def _folders(path: str) -> Iterator[str]:
    """The folders above a path, the root first."""
    parts = path.split("/")[:-1]
    for count in range(len(parts) + 1):
        yield "/".join(parts[:count])


def _filter(text: str, path: str, said: str) -> str:
    """What the lines of one file make of the attribute `filter` of a path below its folder."""
    macros = {"binary": ["-diff", "-merge", "-text"]}
    for line in text.splitlines():
        pattern, *attributes = line.split()[:50] or [""]
        if pattern.startswith("[attr]"):
            macros[pattern.removeprefix("[attr]")] = attributes
            continue
        if not pattern or pattern.startswith(("#", "!")) or not _fits(pattern.strip('"'), path):
            continue
        for attribute in [part for one in attributes for part in (one, *macros.get(one, ()))]:
            name, _, value = attribute.partition("=")
            if name.lstrip("-!") == "filter":
                said = value if name == "filter" else ""
    return said


def _fits(pattern: str, path: str) -> bool:
    glob = pattern.lstrip("/") if "/" in pattern.rstrip("/") else f"**/{pattern}"
    return not pattern.endswith("/") and compiled((glob,)).fullmatch(path) is not None
