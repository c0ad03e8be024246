"""Where a repository keeps its architecture decision records, and how they are numbered. Pure.

The folders and the names `NNNN-title.md` are those of https://adr.github.io and of the tool adr-tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FOLDERS = (
    "docs/adr", "docs/adrs", "docs/decisions", "docs/architecture/decisions", "docs/architecture/adr", "doc/adr",
    "doc/arch", "doc/decisions", "adr", "decisions",
)  # fmt: skip
DEFAULT = FOLDERS[0]
_NAME = re.compile(r"(\d{1,6})[-_.].*\.md")


def adr_folder(paths: Iterable[str]) -> str:
    """The folder with the repository's records: of those that are usual, the first that has one; else the default.

    paths: all files, relative, with `/`.
    """
    found = {path.rpartition("/")[0] for path in paths if number_of(path)}
    return next((folder for folder in FOLDERS if folder in found), DEFAULT)


def number_of(path: str) -> int:
    """The number in the name of a record; 0 for what is none."""
    match = _NAME.fullmatch(path.rpartition("/")[2])
    return int(match[1]) if match else 0
