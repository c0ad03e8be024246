"""What differs between two commits of the hub, for people to read: bounded in files, lines, bytes and time.

Blocks, so it belongs into a thread. Only reads, and never through a work tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from engine.errors import GitError, SwarmError
from engine.git.door import Git
from engine.git.names import decode_path, is_id
from engine.text.sanitise import sanitise_line

LineKind = Literal["same", "added", "removed", "hunk", "note"]

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)")
_SUBMODULE = "160000"


@dataclass(frozen=True)
class Bounds:
    """How much of a difference is read at most. The counts cover all files that are listed."""

    patch_bytes: int = 1_000_000
    list_bytes: int = 2_000_000
    files: int = 500
    lines: int = 6_000
    lines_per_file: int = 2_000
    timeout_s: float = 20.0


BOUNDS = Bounds()


class DiffLine(NamedTuple):
    """`number`: its line in the new file, or in the old one if it was removed; 0 for hunks and notes. Not sanitised."""

    kind: LineKind
    number: int
    text: str


@dataclass(frozen=True)
class FileDiff:
    """One file. `status` is git's letter A, D, M or T. Counts are None when git does not count (binary files).

    `path` and `note` are clean, one line. `cut`: there is more of it than `lines`.
    """

    path: str
    status: str
    added: int | None
    removed: int | None
    lines: tuple[DiffLine, ...] = ()
    note: str = ""
    cut: bool = False


@dataclass(frozen=True)
class Difference:
    """Between two commits. `problem`: why there is nothing, in one sentence. `note`: what was left out, or ""."""

    base: str
    head: str
    files: tuple[FileDiff, ...] = ()
    note: str = ""
    problem: str = ""

    @property
    def added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


def read_difference(hub: Path, base: str, head: str, bounds: Bounds = BOUNDS) -> Difference:
    """From `base` to `head` (full ids of commits or trees). Never raises: what went wrong is the `problem`."""
    if not is_id(base) or not is_id(head):
        return Difference(base, head, problem="it is not known between which commits it lies")
    if not (hub / "HEAD").is_file():
        return Difference(base, head, problem=f"there is no hub at {sanitise_line(str(hub))}, so no diff can be read")
    try:
        return _read(Git(hub, durable=False), base, head, bounds)
    except GitError as error:
        return Difference(base, head, problem=_why(hub, base, head, error))
    except (SwarmError, OSError) as error:
        return Difference(base, head, problem=sanitise_line(str(error)))


def _read(git: Git, base: str, head: str, bounds: Bounds) -> Difference:
    plain = ("diff-tree", "-r", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv", "--no-color")
    asked = ("--ignore-submodules=none", base, head, "--")
    listed, all_listed = git.head(
        *plain, "-z", "--raw", "--numstat", *asked, cap_bytes=bounds.list_bytes, timeout_s=bounds.timeout_s
    )
    files = _files(listed)
    patch, whole = git.head(*plain, "-p", *asked, cap_bytes=bounds.patch_bytes, timeout_s=bounds.timeout_s)
    shown = files[: bounds.files]
    filled, all_lines = _filled(shown, patch.decode("utf-8", "replace"), whole, bounds)
    notes: list[str] = []
    if not all_listed:
        notes.append(f"more files differ than could be counted; {len(shown)} of them are listed")
    elif len(files) > len(shown):
        notes.append(f"{len(files)} files differ; the first {len(shown)} are listed")
    if not whole or not all_lines:
        notes.append("the diff is too big to be shown whole: files marked … are cut")
    return Difference(base, head, tuple(filled), "; ".join(notes))


def _why(hub: Path, base: str, head: str, error: GitError) -> str:
    try:
        git = Git(hub, durable=False)
        for sha in (base, head):
            if git.run("cat-file", "-e", sha, ok=(0, 1, 128), timeout_s=5.0).returncode:
                return f"{sha[:12]} is not in the hub any more, so no diff can be read"
    except SwarmError:
        pass
    return sanitise_line(f"git could not compare them: {error}")


# -- which files ---------------------------------------------------------------------------------------------------


def _files(listed: bytes) -> list[FileDiff]:
    """What `--raw --numstat -z` says: first all raw rows, then all counts. A list that was cut loses its last row."""
    rows: list[tuple[str, bytes, str]] = []
    counts: dict[bytes, tuple[int | None, int | None]] = {}
    parts = iter(listed.split(b"\0")[:-1])
    for part in parts:
        if part.startswith(b":"):
            old_mode, new_mode, _, _, status = part.decode("ascii", "replace").lstrip(":").split()
            path = next(parts, None)
            if path is not None:
                rows.append((status[0], path, _mode_note(status[0], old_mode, new_mode)))
        elif part.count(b"\t") >= 2:
            added, removed, path = part.split(b"\t", 2)
            counts[path] = (_count(added), _count(removed))
    return [
        FileDiff(sanitise_line(decode_path(path)), status, *counts.get(path, (None, None)), note=note)
        for status, path, note in rows
    ]


def _count(raw: bytes) -> int | None:
    return int(raw) if raw.isdigit() else None


def _mode_note(status: str, old_mode: str, new_mode: str) -> str:
    if _SUBMODULE in (old_mode, new_mode):
        return "a submodule"
    if status == "M" and old_mode != new_mode:
        return f"mode {old_mode} becomes {new_mode}"
    if status == "T":
        return f"another kind of file: {old_mode} becomes {new_mode}"
    return {"100755": "executable", "120000": "a symbolic link"}.get(new_mode, "") if status == "A" else ""


# -- their lines ---------------------------------------------------------------------------------------------------


def _filled(files: list[FileDiff], patch: str, whole: bool, bounds: Bounds) -> tuple[list[FileDiff], bool]:
    """The files with their lines, and whether none is missing.

    The patch names files only in quotes that differ from git to git, but in the order of the list; a change of type
    has two parts, one for what went and one for what came.
    """
    parts = _parts(patch)
    left, at, complete = bounds.lines, 0, True
    found: list[FileDiff] = []
    for file in files:
        count = 2 if file.status == "T" else 1
        own, at = parts[at : at + count], at + count
        rows, cut = _lines(own, min(left, bounds.lines_per_file))
        cut = cut or (not whole and at >= len(parts))  # the cut went through the last part
        binary = not rows and file.added is None and not cut
        note = "; ".join(text for text in (file.note, "binary: its content is not shown" if binary else "") if text)
        left, complete = left - len(rows), complete and not cut
        found.append(FileDiff(file.path, file.status, file.added, file.removed, tuple(rows), note, cut))
    return found, complete


def _parts(patch: str) -> list[str]:
    """The parts of a patch, one a file. Lines of content never begin as a part does."""
    starts = [found.start() for found in re.finditer("^diff --git ", patch, re.MULTILINE)]
    return [patch[start:end] for start, end in pairwise([*starts, len(patch)])]


def _lines(parts: list[str], most: int) -> tuple[list[DiffLine], bool]:
    """The lines of a file's parts, and whether some are left out."""
    found: list[DiffLine] = []
    for part in parts:
        old = new = 0
        for text in part.removesuffix("\n").split("\n"):
            if len(found) >= most:
                return found, True
            if hunk := _HUNK.match(text):
                old, new = int(hunk[1]), int(hunk[2])
                found.append(DiffLine("hunk", new, hunk[3].strip()))
            elif not old and not new:
                continue  # headers, which the list has told already
            elif text.startswith("+"):
                found.append(DiffLine("added", new, text[1:]))
                new += 1
            elif text.startswith("-"):
                found.append(DiffLine("removed", old, text[1:]))
                old += 1
            elif text.startswith("\\"):
                found.append(DiffLine("note", 0, text[1:].strip()))
            else:
                found.append(DiffLine("same", new, text[1:]))
                old, new = old + 1, new + 1
    return found, False
