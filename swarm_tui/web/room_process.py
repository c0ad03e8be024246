"""A room for one browser window: a process of its own that draws into a pipe instead of a terminal.

Textual's web driver packs what it writes: one byte of kind (D: for the terminal, M: JSON for whoever serves it, P:
other), four bytes of length, most significant first, and the payload. The same packets go in, D with keys and M with
sizes. The first line is a greeting.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from swarm_tui.terminal import WEB_DRIVER

GREETING = b"__GANGLION__\n"
STDERR_BYTES = 8_000
QUIT_S, TERMINATE_S = 3.0, 2.0
"""How long a room may take to end by itself, and then after a signal."""


class RoomProcess:
    """`start`, then `output` until it ends; `end` in any case."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stderr = bytearray()
        self._reading = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(cls, argv: Sequence[str], cols: int, rows: int) -> RoomProcess:
        """Raises OSError when it cannot be started."""
        dropped = ("TEXTUAL", "TEXTUAL_LOG", "COLUMNS", "LINES", "TMUX", "STY")
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment |= {
            "TEXTUAL_DRIVER": WEB_DRIVER,
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "TERM_PROGRAM": "textual",
            "COLUMNS": str(cols),
            "ROWS": str(rows),
        }
        return cls(await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment))

    @property
    def said(self) -> str:
        """What it wrote to stderr, the last of it. Not clean."""
        return self._stderr.decode("utf-8", "replace")

    async def output(self) -> AsyncIterator[bytes]:
        """What the browser's terminal is to show, until the room is left. Nothing if it is no room at all."""
        stdout = self._process.stdout
        assert stdout is not None
        with suppress(asyncio.IncompleteReadError, ConnectionResetError, ValueError):
            if await stdout.readuntil(b"\n") != GREETING:
                return
            while True:
                kind = await stdout.readexactly(1)
                payload = await stdout.readexactly(int.from_bytes(await stdout.readexactly(4), "big"))
                if kind == b"D":
                    yield payload
                elif kind == b"M" and json.loads(payload).get("type") == "exit":
                    return
                # All else would have the browser open addresses or keep files: a room has no need of that.

    async def keys(self, text: str) -> None:
        """What was typed."""
        await self._write(b"D", text.encode("utf-8", "replace"))

    async def resize(self, cols: int, rows: int) -> None:
        await self._tell({"type": "resize", "width": cols, "height": rows})

    async def focus(self, focused: bool) -> None:
        await self._tell({"type": "focus" if focused else "blur"})

    async def end(self) -> None:
        """Ask it to quit, then signal, then kill; waits until it is gone. What it started goes on: an engine is none of
        ours."""
        process = self._process
        await self._tell({"type": "quit"})
        draining = asyncio.create_task(self._drain())
        try:
            for patience_s, then in ((QUIT_S, process.terminate), (TERMINATE_S, process.kill)):
                try:
                    await asyncio.wait_for(process.wait(), patience_s)
                    break
                except TimeoutError:
                    with suppress(ProcessLookupError):
                        then()
            await process.wait()
        finally:
            for task in (draining, self._reading):
                task.cancel()
            await asyncio.gather(draining, self._reading, return_exceptions=True)

    async def _tell(self, data: dict[str, Any]) -> None:
        await self._write(b"M", json.dumps(data).encode("ascii"))

    async def _write(self, kind: bytes, payload: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError, RuntimeError):  # it has ended
            stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await stdin.drain()

    async def _drain(self) -> None:
        """A room that cannot write cannot end."""
        stdout = self._process.stdout
        assert stdout is not None
        while await stdout.read(65_536):
            pass

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while raw := await stderr.read(4_096):
            self._stderr += raw
            del self._stderr[:-STDERR_BYTES]
