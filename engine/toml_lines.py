"""Where in a TOML text each key stands, so that an error can name its line (parsers of TOML do not say)."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Loc = tuple[str | int, ...]
"""The way to a value: keys of tables and indices of arrays, from the root of the document."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t\r]*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PLAIN = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)


def key_lines(text: str) -> Mapping[Loc, int]:
    """The line, counted from 1, of every key, table and array entry. `text` must be TOML that `tomllib` accepts."""
    return _Scan(text).document()


def line_of(lines: Mapping[Loc, int], loc: Loc) -> int | None:
    """The line of the value at `loc`, or of the nearest thing around it that has one."""
    for length in range(len(loc), 0, -1):
        if (line := lines.get(loc[:length])) is not None:
            return line
    return None


class _Scan:
    """Walks a text that is known to be valid, so it looks only at what divides one value from the next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._lines: dict[Loc, int] = {}
        self._last_index: dict[Loc, int] = {}

    def document(self) -> Mapping[Loc, int]:
        table: Loc = ()
        while self._skip(_BLANK_LINES) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> Loc:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        keys = self._keys()
        self._skip(_BLANK)
        self._at += 2 if is_array else 1
        loc: Loc = ()
        for key in keys[:-1]:
            loc = self._inside((*loc, key))
            self._note(loc, start)
        loc = (*loc, keys[-1])
        if not is_array:
            loc = self._inside(loc)
        else:
            self._note(loc, start)
            self._last_index[loc] = self._last_index.get(loc, -1) + 1
            loc = (*loc, self._last_index[loc])
        self._note(loc, start)
        return loc

    def _inside(self, loc: Loc) -> Loc:
        """A key that names an array of tables means the newest of them."""
        return (*loc, self._last_index[loc]) if loc in self._last_index else loc

    def _pair(self, table: Loc) -> None:
        start = self._at
        loc = table
        for key in self._keys():
            loc = (*loc, key)
            self._note(loc, start)
        self._skip(_BLANK)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(loc)

    def _value(self, loc: Loc) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._array(loc)
        elif opening == "{":
            self._inline_table(loc)
        elif opening in "\"'":
            self._string()
        else:
            self._skip(_PLAIN)

    def _array(self, loc: Loc) -> None:
        self._at += 1
        index = 0
        while self._text[self._skip(_BLANK_LINES)] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            entry = (*loc, index)
            self._note(entry, self._at)
            self._value(entry)
            index += 1
        self._at += 1

    def _inline_table(self, loc: Loc) -> None:
        self._at += 1
        while self._text[self._skip(_BLANK_LINES)] != "}":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._pair(loc)
        self._at += 1

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            if self._text[self._at] in "\"'":
                keys.append(tomllib.loads(f"key = {self._string()}")["key"])
            else:
                start = self._at
                keys.append(self._text[start : self._skip(_BARE)])
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _string(self) -> str:
        start = self._at
        return self._text[start : self._skip(_STRING)]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        if found := pattern.match(self._text, self._at):
            self._at = found.end()
        return self._at

    def _note(self, loc: Loc, at: int) -> None:
        self._lines.setdefault(loc, bisect_right(self._starts, at))
