"""A window on a log of any size: it holds one screenful and finds everything else in the file when it is asked.

A place is a byte offset, so nothing is counted or indexed beforehand. Lines end at LF, CR LF or a CR before another
byte (progress bars). A line without an end is broken into rows at multiples of `block_bytes`: whether a row begins at
an offset can be told from the one block before it, so a window may be opened anywhere without a look at the rest.
No file stays open between two calls: on Windows an open log could be neither rotated nor deleted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple

from engine.text.sanitise import sanitise_bytes

BLOCK_BYTES: Final = 1024
READ_BYTES: Final = 64 * 1024
TAB_COLUMNS: Final = 8

_HEAD_BYTES: Final = 64
_MOST_ROWS: Final = 10_000
_FLAGS: Final[int] = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOINHERIT", "O_NONBLOCK"))
_LINE_END: Final = re.compile(rb"\n|\r(?=[^\n])")

Problem = Literal["", "not there yet", "gone", "not readable"]


class Row(NamedTuple):
    """A line, or a part of a long one. `raw` has no line end; `continued` rows begin in the middle of a line."""

    start: int
    end: int
    raw: bytes
    continued: bool

    @property
    def text(self) -> str:
        """What may be drawn: sanitised, tabs as blanks, at most a few thousand characters."""
        return _shown(self.raw)

    def column(self, offset: int) -> int:
        """The index in `text` of the byte at `offset` of the file, within this row."""
        return len(_shown(self.raw[: max(0, offset - self.start)]))


class LogWindow:
    """`height` rows of the file at `path`, which may grow, shrink, be replaced, vanish, or not be there yet.

    While `following`, the last rows are shown. No call raises for what happens to the file: `problem` tells it, and
    the rows that were read last stay. Calls read a few blocks around what is shown, never more, and never wait for a
    writer.
    """

    def __init__(
        self, path: Path, *, follow: bool = True, block_bytes: int = BLOCK_BYTES, read_bytes: int = READ_BYTES
    ) -> None:
        self.path = path
        self.following = follow
        self.height = 0
        self.rows: tuple[Row, ...] = ()
        self.size_bytes = 0
        self.problem: Problem = "not there yet"
        self._block = block_bytes
        self._read = max(read_bytes, 8 * block_bytes)
        self._top = 0
        self._head = b""
        self._seen: tuple[int, ...] = ()

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def top(self) -> int:
        """The offset of the first row shown."""
        return self._top

    @property
    def bottom(self) -> int:
        """The offset behind the last row shown."""
        return self.rows[-1].end if self.rows else self._top

    @property
    def share(self) -> float:
        """How far down the window is: 0 at the first row, 1 where the last row is shown."""
        hidden = self.size_bytes - (self.bottom - self._top)
        return min(1.0, self._top / hidden) if hidden > 0 else 1.0

    # -- the file changes ----------------------------------------------------------------------------------------

    def resize(self, height: int) -> bool:
        """Show `height` rows. True when what is shown changed."""
        if height == self.height:
            return False
        self.height = max(0, height)
        return self._move(lambda _: self._top)

    def refresh(self) -> bool:
        """Look at the file. True when anything changed: rows, size or problem. One `stat` when nothing did."""
        try:
            seen = _stamp(self.path.stat())
        except OSError as error:
            return self._failed(error)
        if seen == self._seen and not self.problem:
            return False
        return self._move(lambda _: self._top)

    # -- the person moves ----------------------------------------------------------------------------------------

    def scroll(self, rows: int) -> bool:
        """Move by rows; up stops following, and reaching the end follows again. True when what is shown changed."""
        rows = max(-_MOST_ROWS, min(_MOST_ROWS, rows))
        if rows < 0:
            return self._move(lambda file: self._up(file, -rows))
        return not self.following and rows > 0 and self._move(lambda file: self._down(file, rows))

    def to_start(self) -> bool:
        """Show the first rows and stop following."""
        self.following = False
        return self._move(lambda _: 0)

    def to_end(self) -> bool:
        """Show the last rows and follow."""
        self.following = True
        return self._move(lambda _: self._top)

    def to_share(self, share: float) -> bool:
        """Show what lies at this share (0 to 1) of the bytes, and stop following; 1 is the end and follows."""
        if share >= 1:
            return self.to_end()
        self.following = False
        return self._move(lambda file: _row_at(file, int(file.size * max(0.0, share))))

    def reveal(self, offset: int) -> bool:
        """Show the row with this byte, where it is if it is shown already, and stop following."""
        self.following = False
        if self._top <= offset < self.bottom:
            return False
        return self._move(lambda file: _starts_before(file, min(offset, file.size) + 1, 1 + self.height // 3)[0])

    # -- how -----------------------------------------------------------------------------------------------------

    def _up(self, file: LogFile, rows: int) -> int:
        starts = _starts_before(file, self._top, rows)
        if starts:
            self.following = False
        return starts[0] if starts else 0

    def _down(self, file: LogFile, rows: int) -> int:
        found = _rows_from(file, self._top, self.height + rows)
        if len(found) < self.height + rows or found[-1].end >= file.size:
            self.following = True
            return self._top
        return found[rows].start

    def _move(self, where: Callable[[LogFile], int]) -> bool:
        """Open the file, ask `where` the first row is, and read from there."""
        before = (self.rows, self._top, self.size_bytes, self.problem, self.following)
        try:
            with LogFile(self.path, self._block, self._read) as file:
                self._recognise(file)
                if self.height and file.size:
                    self._show(file, where(file))
                else:
                    self.rows, self._top = (), min(self._top, file.size)
        except OSError as error:
            return self._failed(error)
        return before != (self.rows, self._top, self.size_bytes, self.problem, self.following)

    def _recognise(self, file: LogFile) -> None:
        """Begin again if this is not the file that was shown: another one, a shorter one, or one that begins anew."""
        head = file.read(0, _HEAD_BYTES)
        other = self._seen[:2] != file.seen[:2] or file.size < self.size_bytes or not head.startswith(self._head)
        if self._seen and other:
            self._top = 0
        self._head, self._seen, self.size_bytes, self.problem = head, file.seen, file.size, ""

    def _show(self, file: LogFile, top: int) -> None:
        rows: list[Row] = []
        if not self.following:
            top = _row_at(file, top)
            rows = _rows_from(file, top, self.height)
        if self.following or (len(rows) < self.height and top > 0):
            top = _starts_before(file, file.size, self.height)[0]
            rows = _rows_from(file, top, self.height)
        self._top, self.rows = top, tuple(rows)

    def _failed(self, error: OSError) -> bool:
        before = self.problem
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self.problem = "not readable"
        elif self._seen:
            self.problem = "gone"
        else:
            self.problem = "not there yet"
        return self.problem != before


class LogFile:
    """A log, opened for one look: its size stays what it was at the opening. OSError for what is no regular file."""

    def __init__(self, path: Path, block: int = BLOCK_BYTES, most: int = READ_BYTES) -> None:
        self.block, self.most = block, most
        # Not waiting (O_NONBLOCK) matters for a pipe in the place of a log: opening one would wait for its writer.
        self._descriptor = os.open(path, os.O_RDONLY | _FLAGS)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise OSError(f"{path} is no regular file")
        self.seen = _stamp(status)
        self.size = status.st_size

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end."""
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        data = os.read(self._descriptor, count)
        while len(data) < count and (more := os.read(self._descriptor, count - len(data))):
            data += more
        return data


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _shown(raw: bytes) -> str:
    return sanitise_bytes(raw, line_cap=len(raw)).expandtabs(TAB_COLUMNS)


def _row_starts(data: bytes, base: int, block: int) -> list[int]:
    """Offsets behind `base`, a multiple of `block`, where rows begin in `data`, the bytes from there on.

    None is missing, but a break within three bytes behind `base`, and those at the very end of `data`.
    """
    starts: list[int] = []
    line = 0
    for found in _LINE_END.finditer(data):
        end = found.end()
        if end - line > block:
            starts.extend(_breaks(data, base, line, end, block))
        starts.append(base + end)
        line = end
    if len(data) - line > block:
        starts.extend(_breaks(data, base, line, len(data), block))
    return starts


def _breaks(data: bytes, base: int, line: int, end: int, block: int) -> Iterator[int]:
    """Where the line from `line` to `end` is broken: at multiples of `block` that a whole block of it lies before.

    A break moves behind the up to three bytes that belong to a character before it, and there is none before a CR or
    LF, so that neither characters nor line ends are torn.
    """
    first = -(-(base + line) // block) * block + block - base
    for at in range(first, end, block):
        place = at
        while place < end and place < at + 3 and 0x80 <= data[place] <= 0xBF:
            place += 1
        if place < end and data[place] not in b"\r\n":
            yield base + place


def _starts_before(file: LogFile, offset: int, count: int) -> list[int]:
    """The last `count` row starts before `offset`, in order; fewer only where the file begins."""
    starts: list[int] = []
    span = file.block * 5
    while len(starts) < count and offset > 0:
        low = max(0, offset - span)
        low -= low % file.block
        data = file.read(low, offset - low)
        # A break within three bytes behind `low` depends on bytes before it: the next round finds it.
        found = [start for start in _row_starts(data, low, file.block) if start < offset]
        if low == 0:
            found.insert(0, 0)
        starts[:0] = found[-(count - len(starts)) :]
        offset = found[0] if found else low
        span = min(span * 4, file.most)
    return starts


def _row_at(file: LogFile, offset: int) -> int:
    """Where the row with this byte begins."""
    starts = _starts_before(file, min(offset, file.size) + 1, 1)
    return starts[0] if starts else 0


def _rows_from(file: LogFile, top: int, count: int) -> list[Row]:
    """`count` rows from the row start `top` on; fewer only at the end of the file."""
    rows: list[Row] = []
    span = file.block * 8
    while len(rows) < count and top < file.size:
        low = max(0, top - top % file.block - file.block)
        stop = min(low + span, file.size)
        data = file.read(low, stop - low)
        ends = [start for start in _row_starts(data, low, file.block) if top < start < file.size]
        if stop >= file.size:
            ends.append(file.size)
        if not ends or len(data) < stop - low:
            break  # it was truncated while we read
        for end in ends[: count - len(rows)]:
            rows.append(_row(data[top - low : end - low], top, end, data[max(0, top - low - 1) : top - low]))
            top = end
        span = min(span * 4, file.most)
    return rows


def _row(raw: bytes, start: int, end: int, before: bytes) -> Row:
    if raw.endswith(b"\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return Row(start, end, raw, start > 0 and before not in (b"\n", b"\r"))
