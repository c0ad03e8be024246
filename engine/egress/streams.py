"""Bytes between two sockets, on the event loop, with little in memory: both must be non-blocking.

asyncio's `sock_*` calls return without a pause while there is something to read and room to write. Every loop here
gives way after each piece, so that a fast transfer does not hold up the engine.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Final

from engine.egress.requests import Refusal

CHUNK: Final = 65_536
CHUNK_LINE_MAX: Final = 1_024
TRAILERS_MAX: Final = 8_192
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e]*)?")


class Idle:
    """Ends the `asyncio.timeout` that it is given when nothing has moved for `seconds`."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout, self._seconds = timeout, seconds
        self._loop = asyncio.get_running_loop()
        self._set_at = float("-inf")
        self.moved()

    def moved(self) -> None:
        now = self._loop.time()
        if now - self._set_at >= min(1.0, self._seconds / 10):
            self._set_at = now
            self._timeout.reschedule(now + self._seconds)


class Incoming:
    """What one side sends, with what has been read ahead."""

    def __init__(self, source: socket.socket) -> None:
        self.socket = source
        self._ahead = bytearray()
        self._loop = asyncio.get_running_loop()

    async def until(self, end: bytes, most: int, too_long: Refusal) -> bytes:
        """All up to and with `end`. Raises `too_long` when there are more than `most` bytes of it, EOFError when the
        stream ends before it."""
        searched = 0
        while (at := self._ahead.find(end, searched)) < 0:
            searched = max(0, len(self._ahead) - len(end) + 1)
            if len(self._ahead) > most:
                raise too_long
            if not (data := await self._loop.sock_recv(self.socket, CHUNK)):
                raise EOFError
            self._ahead += data
        size = at + len(end)
        if size > most:
            raise too_long
        found = bytes(self._ahead[:size])
        del self._ahead[:size]
        return found

    async def some(self, most: int = CHUNK) -> bytes:
        """At least one byte; none at the end of the stream."""
        if self._ahead:
            found = bytes(self._ahead[:most])
            del self._ahead[:most]
            return found
        return await self._loop.sock_recv(self.socket, min(most, CHUNK))


async def pump(source: Incoming, sink: socket.socket, idle: Idle) -> None:
    """Everything until the end of the stream, which is passed on."""
    loop = asyncio.get_running_loop()
    while data := await source.some():
        idle.moved()
        await loop.sock_sendall(sink, data)
        await asyncio.sleep(0)
    sink.shutdown(socket.SHUT_WR)


async def pump_body(source: Incoming, sink: socket.socket, length: int | None, idle: Idle) -> None:
    """The body of one request and not a byte more. length: None: it comes in chunks, which are written anew, without
    extensions and trailers. Raises Refusal, EOFError."""
    if length is not None:
        return await _pump_exactly(source, sink, length, idle)
    loop, garbled = asyncio.get_running_loop(), Refusal(400, "the chunks of this request are not understood")
    while True:
        line = await source.until(b"\r\n", CHUNK_LINE_MAX, garbled)
        size = _CHUNK_SIZE.fullmatch(line[:-2])
        if size is None:
            raise garbled
        left = int(size[1], 16)
        if not left:
            break
        await loop.sock_sendall(sink, b"%x\r\n" % left)
        await _pump_exactly(source, sink, left, idle)
        if await source.until(b"\r\n", 2, garbled) != b"\r\n":
            raise garbled
        await loop.sock_sendall(sink, b"\r\n")
    trailers = 0
    while (line := await source.until(b"\r\n", TRAILERS_MAX, garbled)) != b"\r\n":
        if (trailers := trailers + len(line)) > TRAILERS_MAX:
            raise garbled
    return await loop.sock_sendall(sink, b"0\r\n\r\n")


async def _pump_exactly(source: Incoming, sink: socket.socket, length: int, idle: Idle) -> None:
    loop = asyncio.get_running_loop()
    while length:
        if not (data := await source.some(min(length, CHUNK))):
            raise EOFError
        length -= len(data)
        idle.moved()
        await loop.sock_sendall(sink, data)
        await asyncio.sleep(0)
