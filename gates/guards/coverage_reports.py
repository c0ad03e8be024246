"""Coverage reports: Cobertura XML and lcov, as lines of files and whether they were run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from xml.parsers import expat

MAX_BYTES = 200_000_000
_DRIVE = re.compile(r"^[A-Za-z]:")


class UnreadableReport(ValueError):
    """The report is neither Cobertura XML nor lcov, or it is broken."""


Lines = Mapping[str, Mapping[int, bool]]
"""For each file, as the report names it, the lines that hold code: whether each was run."""


def read_report(content: bytes) -> Lines:
    """Raises UnreadableReport, and nothing else."""
    if len(content) > MAX_BYTES:
        raise UnreadableReport(f"it is larger than {MAX_BYTES} bytes")
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    return _cobertura(content) if start.startswith(b"<") else _lcov(content)


def files_of(report: Lines, changed: Iterable[str]) -> dict[str, str]:
    """The report's name of each changed path that is in it. A report's path may be absolute, or start at a folder
    within the tree; of several paths that fit, the longest is meant."""
    names = {name: _plain(name) for name in report}
    by_last: dict[str, list[str]] = {}
    for path in changed:
        by_last.setdefault(path.rpartition("/")[2], []).append(path)
    found: dict[str, str] = {}
    for name, plain in names.items():
        fitting = [p for p in by_last.get(plain.rpartition("/")[2], ()) if plain == p or plain.endswith(f"/{p}")]
        if fitting:
            found[max(fitting, key=len)] = name
    return found


def _plain(name: str) -> str:
    return posixpath.normpath(_DRIVE.sub("", name.replace("\\", "/")))


class _Cobertura:
    """The handlers of one parse."""

    def __init__(self) -> None:
        self.found: dict[str, dict[int, bool]] = {}
        self.sources: list[str] = []
        self.root = ""
        self._file: dict[int, bool] | None = None
        self._source: list[str] | None = None

    def start(self, name: str, given: dict[str, str]) -> None:
        self.root = self.root or name
        if name == "class":
            self._file = self.found.setdefault(given.get("filename", ""), {})
        elif name == "line" and self._file is not None:
            number = int(given["number"])
            self._file[number] = self._file.get(number, False) or float(given["hits"]) > 0
        elif name == "source":
            self._source = []

    def text(self, data: str) -> None:
        if self._source is not None:
            self._source.append(data)

    def end(self, name: str) -> None:
        if name == "class":
            self._file = None
        elif name == "source" and self._source is not None:
            self.sources.append("".join(self._source).strip())
            self._source = None

    def doctype(self, name: str, system: str | None, public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise UnreadableReport("it has a document type of its own")

    def refuse(self, *_: object) -> None:
        raise UnreadableReport("it defines entities")


def _cobertura(content: bytes) -> Lines:
    seen = _Cobertura()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = seen.start, seen.end
    parser.CharacterDataHandler = seen.text
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = seen.doctype, seen.refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, KeyError, ValueError, OverflowError, LookupError) as error:
        if isinstance(error, UnreadableReport):
            raise
        raise UnreadableReport("it is not Cobertura XML") from error
    if seen.root != "coverage":
        raise UnreadableReport("it is not Cobertura XML")
    found: dict[str, dict[int, bool]] = {}
    for name, lines in seen.found.items():
        for path in {posixpath.join(source, name) for source in seen.sources} or {name}:
            found.setdefault(path, {}).update(lines)
    return found


def _lcov(content: bytes) -> Lines:
    found: dict[str, dict[int, bool]] = {}
    lines: dict[int, bool] | None = None
    for raw in content.decode("utf-8", "replace").splitlines():
        key, _, value = raw.strip().partition(":")
        try:
            if key == "SF":
                lines = found.setdefault(value, {})
            elif key == "DA" and lines is not None:
                number, hits, *_ = value.split(",")
                lines[int(number)] = lines.get(int(number), False) or float(hits) > 0
            elif key == "end_of_record":
                lines = None
        except ValueError as error:
            raise UnreadableReport("it has a line that is not lcov") from error
    if not found:
        raise UnreadableReport("it is neither Cobertura XML nor lcov")
    return found
