"""Architecture decision records of the repository: listed, shown, and a new one begun (`swarm adr`).

They stand where the repository keeps them already, see `engine.adr`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from engine.adr import DEFAULT, FOLDERS, adr_folder, number_of
from engine.errors import UserError
from engine.text.sanitise import sanitise, sanitise_line

TITLE_MAX, SLUG_MAX, SIZE_MAX = 200, 60, 1_000_000
_STATUS = re.compile(r"^(?:[*_\s]*status[*_\s]*:[*_\s]*|##\s*status\s*\n+)([^\n]+)", re.IGNORECASE | re.MULTILINE)
_TEMPLATE = """\
# {number}. {title}

## Context

## Decision

## Consequences
"""


@dataclass(frozen=True)
class Record:
    """One record; `path` relative to the repository with `/`, title and status on one clean line each."""

    number: int
    title: str
    status: str
    path: str


def records(root: Path) -> list[Record]:
    """All records, by number and path."""
    folder = root / folder_of(root)
    files = sorted(folder.glob("*.md")) if folder.is_dir() else []
    found = [_record(root, path) for path in files if number_of(path.name) and path.is_file()]
    return sorted(found, key=lambda one: (one.number, one.path))


def folder_of(root: Path) -> str:
    """Where the repository keeps them."""
    paths = [f"{name}/{path.name}" for name in FOLDERS if (root / name).is_dir() for path in (root / name).glob("*.md")]
    return adr_folder(paths)


def show(root: Path, number: str) -> str:
    """The text of a record, clean. number: as it is listed, leading zeros or not. Raises UserError."""
    known = records(root)
    wanted = int(number) if number.isascii() and number.isdigit() else 0
    one = next((each for each in known if each.number == wanted), None)
    if one is None:
        last = f"the last is {known[-1].number}" if known else "there is none"
        raise UserError(f"there is no decision record {sanitise_line(number)[:20]} in {folder_of(root)}: {last}")
    return sanitise(_text(root / one.path))


def new(root: Path, title: str) -> Record:
    """Begin a record under the next number. Raises UserError for a title that says nothing, and where it cannot be
    written."""
    words = " ".join(sanitise_line(title).split())[:TITLE_MAX]
    slug = _slug(words)
    if not slug:
        raise UserError("a decision record needs a title with letters or digits in it")
    known, folder = records(root), folder_of(root)
    width = max(
        (len(Path(each.path).name) - len(Path(each.path).name.lstrip("0123456789")) for each in known), default=4
    )
    number = max((each.number for each in known), default=0) + 1
    path = root / folder / f"{number:0{width}d}-{slug}.md"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_TEMPLATE.format(number=number, title=words))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); mend that and try again") from error
    return _record(root, path)


def _record(root: Path, path: Path) -> Record:
    text = _text(path)
    heading = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), path.stem)
    title = re.sub(r"^(?:ADR[- ]?)?\d+[.:)\s-]+\s*", "", heading, flags=re.IGNORECASE)
    status = _STATUS.search(text)
    return Record(
        number_of(path.name),
        sanitise_line(title or heading, line_cap=TITLE_MAX),
        sanitise_line(status[1], line_cap=40) if status else "",
        path.relative_to(root).as_posix(),
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(SIZE_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend that and try again") from error


def _slug(title: str) -> str:
    """A part of a file name that is the same on every system."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_MAX].rstrip("-")


__all__ = ["DEFAULT", "Record", "folder_of", "new", "records", "show"]
