"""The coverage report that a gate leaves in its slot: read as soon as the gate has ended, and kept as an artifact."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 64_000_000
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_inside(report: str) -> bool:
    """Whether the path of a coverage report stays in the tree's folder."""
    parts = report.replace("\\", "/").split("/")
    return bool(report) and not Path(report).is_absolute() and not {"", "..", ".git"} & set(parts)


def remove_coverage(tree: Path, report: str) -> None:
    """Before the gate runs: what an earlier gate of the group left is not this one's."""
    if is_inside(report) and _plain_folders(tree, report):
        (tree / report).unlink(missing_ok=True)


def read_coverage(tree: Path, report: str) -> bytes | None:
    """The report's bytes. None when there is none, or no plain file of a sane size without links on its way."""
    if not is_inside(report) or not _plain_folders(tree, report):
        return None
    try:
        with os.fdopen(os.open(tree / report, _OPEN_FLAGS), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > MOST_BYTES or state.st_nlink > 1:
                return None
            return file.read(MOST_BYTES)
    except OSError:
        return None


def _plain_folders(tree: Path, report: str) -> bool:
    at = tree
    for part in Path(report).parts[:-1]:
        at = at / part
        try:
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                return False
        except OSError:
            return False
    return True
