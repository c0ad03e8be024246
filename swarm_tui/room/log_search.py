"""Search in a log of any size, in bounded steps, without holding more of it than a block."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarm_tui.room.log_window import LogFile

BLOCK_BYTES: Final = 128 * 1024
"""Searched in one go. Small, because the interpreter lets no other thread run meanwhile."""
SLICE_BYTES: Final = 8 * 1024 * 1024
BUSY_S: Final = 0.002
PAUSE_S: Final = 0.0005
"""After so long a rest: a thread that only gives the interpreter away and takes it back starves the one that draws."""
NEEDLE_CHARS: Final = 200


class Needle:
    """What is searched for, in any case. Symbols that stand for control characters (␛, ␀) find those as well."""

    def __init__(self, text: str) -> None:
        self.text = text[:NEEDLE_CHARS]
        forms = [_forms(char) for char in self.text]
        self.longest_bytes = sum(max(map(len, each)) for each in forms)
        self._ascii = self.text.lower().encode() if self.text.isascii() else b""
        self._pattern = re.compile(b"".join(b"(?:%s)" % b"|".join(map(re.escape, each)) for each in forms))

    def each(self, data: bytes) -> Iterator[tuple[int, int]]:
        """(start, end) of every match, overlapping ones too. A needle without text is found nowhere."""
        if not self.text:
            return
        if self._ascii:
            data, size = data.lower(), len(self._ascii)
            at = data.find(self._ascii)
            while at >= 0:
                yield at, at + size
                at = data.find(self._ascii, at + 1)
            return
        found = self._pattern.search(data)
        while found:
            yield found.span()
            found = self._pattern.search(data, found.start() + 1)

    def first(self, data: bytes) -> tuple[int, int] | None:
        return next(self.each(data), None)

    def last(self, data: bytes) -> tuple[int, int] | None:
        if self.text and self._ascii:
            at = data.lower().rfind(self._ascii)
            return (at, at + len(self._ascii)) if at >= 0 else None
        found = deque(self.each(data), maxlen=1)
        return found[0] if found else None


class LogSearch:
    """A search through a file from `start` to its end (backwards: to its beginning), then through the rest.

    It goes on by `step`, each bounded, so that a worker thread may run it and whoever waits may leave it. Afterwards
    `hit` is (start, end) in bytes or None. A match begins at or behind `start`; backwards, before it. A file that
    cannot be read has no match.
    """

    def __init__(self, path: Path, needle: Needle, start: int, *, backward: bool = False) -> None:
        self.path, self.needle, self.backward = path, needle, backward
        self.hit: tuple[int, int] | None = None
        self.done = not needle.text
        self.searched_bytes = 0
        self.size_bytes = 0
        self._start = start
        self._ranges: list[tuple[int, int]] | None = None

    def step(self, slice_bytes: int = SLICE_BYTES, block_bytes: int = BLOCK_BYTES) -> bool:
        """Search at least `slice_bytes` more. True when the search is over."""
        try:
            with LogFile(self.path) as file:
                if self._ranges is None:
                    self._ranges = self._plan(file.size)
                until = self.searched_bytes + slice_bytes
                since = time.perf_counter()
                while self._ranges and not self.hit and self.searched_bytes < until:
                    self._search_block(file, self._ranges, block_bytes)
                    if time.perf_counter() - since > BUSY_S:
                        time.sleep(PAUSE_S)
                        since = time.perf_counter()
                self.done = bool(self.hit) or not self._ranges
        except OSError:
            self.done = True
        return self.done

    def _plan(self, size: int) -> list[tuple[int, int]]:
        self.size_bytes = size
        start = max(0, min(self._start, size))
        before, behind = (0, start), (start, size)
        ranges = (before, behind) if self.backward else (behind, before)
        return [each for each in ranges if each[0] < each[1]]

    def _search_block(self, file: LogFile, ranges: list[tuple[int, int]], block_bytes: int) -> None:
        low, high = ranges[0]
        at, stop = (max(low, high - block_bytes), high) if self.backward else (low, min(low + block_bytes, high))
        data = file.read(at, stop - at + self.needle.longest_bytes - 1)
        found = self.needle.last(data) if self.backward else self.needle.first(data)
        while found and at + found[0] >= stop:
            # It begins in bytes that were read for matches across the border only, and belongs to another block.
            found = self.needle.last(data[: found[1] - 1]) if self.backward else None
        if found:
            self.hit = (at + found[0], at + found[1])
        rest = (low, at) if self.backward else (stop, high)
        ranges[:1] = [rest] if rest[0] < rest[1] else []
        self.searched_bytes += stop - at


def _forms(char: str) -> list[bytes]:
    forms = {char, char.lower(), char.upper(), char.casefold()}
    if "\u2400" <= char <= "\u241f":
        forms.add(chr(ord(char) - 0x2400))
    if char == "␡":
        forms.add("\x7f")
    return sorted((form.encode("utf-8", "surrogatepass") for form in forms), reverse=True)
