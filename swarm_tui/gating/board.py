"""Gates as they run: one line each that moves on a terminal, one line an event anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from swarm_tui.gating import words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FOLLOW_S = 0.1
_STYLES = {"good": "green", "bad": "bold red", "busy": "cyan", "quiet": "dim"}


class Board(Protocol):
    """Told what happens. `started` and `finished` get the fields of the events `gate_started` and `gate_finished`."""

    def started(self, gate: str) -> None: ...
    def progress(self, gate: str, done: int, failed: int, purpose: str) -> None: ...
    def finished(self, gate: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Silent:
    """For --json."""

    def started(self, gate: str) -> None: ...
    def progress(self, gate: str, done: int, failed: int, purpose: str) -> None: ...
    def finished(self, gate: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Lines:
    """For pipes, logs and screen readers: a line when a gate starts, a line when it ends."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = words.width_of(names)

    def started(self, gate: str) -> None:
        self._say(words.started_row(gate, self._width))

    def progress(self, gate: str, done: int, failed: int, purpose: str) -> None: ...

    def finished(self, gate: Mapping[str, Any]) -> None:
        self._say(words.finished_row(gate, self._width))

    def close(self) -> None: ...

    def _say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@dataclass
class _Line:
    """What is known of one gate."""

    since: float | None = None
    done: int = -1
    failed: int = 0
    purpose: str = ""
    gate: Mapping[str, Any] | None = None


class Live:
    """For terminals: all gates at once, from the first moment. What it shows last stays on the screen as the table."""

    def __init__(self, names: Sequence[str], console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as Drawing

        self._lines = {name: _Line() for name in names}
        self._width = words.width_of(names)
        self._drawing = Drawing(
            get_renderable=self._drawn, console=console or Console(highlight=False), refresh_per_second=8,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._drawing.start()

    def started(self, gate: str) -> None:
        self._lines.setdefault(gate, _Line()).since = time.monotonic()

    def progress(self, gate: str, done: int, failed: int, purpose: str) -> None:
        line = self._lines.setdefault(gate, _Line())
        line.done, line.failed, line.purpose = done, failed, purpose

    def finished(self, gate: Mapping[str, Any]) -> None:
        self._lines.setdefault(str(gate["name"]), _Line()).gate = gate

    def close(self) -> None:
        self._drawing.stop()

    def _drawn(self) -> RenderableType:
        from rich.text import Text

        drawn = Text(no_wrap=True, overflow="ellipsis", end="")
        for name, line in self._lines.items():
            result = "" if line.since is not None else "waiting"
            if line.gate is not None:
                text, result = words.finished_row(line.gate, self._width), str(line.gate["result"])
            elif line.since is None:
                text = words.waiting_row(name, self._width)
            else:
                elapsed_s = time.monotonic() - line.since
                text = words.running_row(name, self._width, elapsed_s, line.done, line.failed, line.purpose)
            drawn.append(text + "\n", _STYLES.get(words.sign_of(result).tone, ""))
        return drawn


def board_for(names: Sequence[str], *, as_json: bool) -> Board:
    """The board that fits where standard output goes."""
    if as_json:
        return Silent()
    return Live(names) if moving() else Lines(names)


def moving() -> bool:
    """Whether lines may be drawn over."""
    known = sys.platform == "win32" or os.environ.get("TERM", "") not in ("", "dumb")
    return known and sys.stdout.isatty()


@contextlib.asynccontextmanager
async def followed(progress: Path, board: Board) -> AsyncGenerator[None]:
    """Tells the board what is appended to the JSON lines `{gate, done, failed[, purpose]}` while the body runs."""

    async def follow() -> None:
        offset = 0
        while True:
            await asyncio.sleep(FOLLOW_S)
            rows, offset = await asyncio.to_thread(_appended, progress, offset)
            for row in rows:
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    board.progress(str(row["gate"]), int(row["done"]), int(row["failed"]), str(row.get("purpose", "")))

    follower = asyncio.create_task(follow()) if not isinstance(board, Silent) else None
    try:
        yield
    finally:
        if follower is not None:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower


def _appended(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The whole rows after `offset` bytes, and where they end. A file that is not there yet has none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            piece, _, _ = file.read().rpartition(b"\n")
    except OSError:
        return [], offset
    rows: list[dict[str, Any]] = []
    for line in piece.splitlines():
        with contextlib.suppress(ValueError):
            if isinstance(row := json.loads(line), dict):
                rows.append(cast("dict[str, Any]", row))
    return rows, offset + len(piece) + (1 if piece else 0)
