"""JSON-RPC messages, one a line, over a channel: bounded, and with nothing in them that the SDK trips on.

Implements the `Transport` of the official SDK (`acp.connection.Connection`), which neither limits a line nor what is
under way, and writes to the root logger what an agent gets wrong.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from engine.ports import Channel

LINE_MAX = 50_000_000
"""Bytes of one message; the SDK's own 64 kB are less than a file that an agent shows."""
BURST = 32
PAUSE_S = 0.01
"""After BURST messages that were there at once comes a pause: a flood gets 3,200 a second, and the loop its turns."""
OPEN_MAX = 32
"""Requests of the agent that are being answered at once; the next one is not read before."""
BAD_MAX = 100
"""Lines that are no message, until the conversation ends. Some agents print a few words before they begin."""


class ChannelTransport:
    """`trouble`: why nothing more was read, "" for the end of the stream. `bad`: lines that were no message."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._parts: list[bytes] = []
        self._size = 0
        self._lines: list[bytes] = []
        self._in_a_row = 0
        self._open = 0
        self._answered = asyncio.Event()
        self._closed = False
        self.bad = 0
        self.trouble = ""

    async def send(self, message: dict[str, Any]) -> None:
        """Never raises for one that has gone: the end of its output says so."""
        if "method" not in message:
            self._open -= 1
            self._answered.set()
        data = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        if not self._closed:
            await self._channel.write(data)

    async def receive(self) -> dict[str, Any] | None:
        """The next message, or None at the end."""
        while not self._closed:
            while self._open >= OPEN_MAX:
                self._answered.clear()
                await self._answered.wait()
            line = await self._line()
            if line is None:
                return None
            message = _message(line)
            if message is not None:
                self._open += "method" in message and "id" in message
                return message
            self.bad += 1
            if self.bad > BAD_MAX:
                self.trouble = f"it has written {self.bad} lines that are no message of the protocol"
                return None
        return None

    async def close(self) -> None:
        self._closed = True

    async def _line(self) -> bytes | None:
        """The next line that is not empty."""
        while not self._lines:
            self._in_a_row = 0
            if self._size > LINE_MAX:
                self.trouble = f"it has written a message of more than {LINE_MAX} bytes"
                return None
            data = await self._channel.read()
            if not data:
                return None
            self._take(data)
        self._in_a_row += 1
        # Without a pause the messages of one would be the loop's only work.
        await asyncio.sleep(PAUSE_S if self._in_a_row % BURST == 0 else 0)
        return self._lines.pop()

    def _take(self, data: bytes) -> None:
        first, *more = data.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if more:
            whole = [b"".join(self._parts), *more[:-1]]
            self._parts, self._size = [more[-1]], len(more[-1])
            self._lines = [line for line in reversed(whole) if line.strip()]


def _message(line: bytes) -> dict[str, Any] | None:
    """A request, a notification or a response that is well-formed; None for anything else."""
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    message = cast("dict[str, Any]", found)
    ident, method, error = message.get("id"), message.get("method"), message.get("error")
    if isinstance(ident, bool) or not isinstance(ident, int | str | None):
        return None
    if "method" in message:
        return message if isinstance(method, str) else None
    if ident is None or ("result" not in message and "error" not in message):
        return None
    if "result" not in message and not isinstance(error, dict):
        return {"id": ident, "error": {"code": -32603, "message": str(error)[:1_000]}}
    return message
