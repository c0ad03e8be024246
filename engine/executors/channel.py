"""A conversation with a program: the engine's ends of its stdin and stdout.

The bytes go through the run's shim, so a program that talks is held to the same limits as any other. Reading a chunk
makes room for the next: as long as nobody reads, at most ROOM bytes wait here, the shim waits, and so does the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from engine.ports import Talk

ROOM = 1_048_576
"""Bytes that may wait to be read."""
SMALL = 4_096
"""What is written without a thread: a pipe that somebody reads takes it at once."""
LEAVE_S = 2.0
"""How long the program may take to end once its stdin is closed."""
READ_S = 30.0
"""How long the talk may take for what the program has said before it ended."""

PART_S = 1.0
"""How long a cancelled talk may take for its last word."""


class Channel:
    """Implements `engine.ports.Channel`. `feed` is for the thread that listens to the shim, the rest for the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Condition()
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._closed = False
        self._news = asyncio.Event()
        self._began = asyncio.Event()
        self._writing = asyncio.Lock()
        self._type: Callable[[bytes], None] | None = None

    def connect(self, give: Callable[[bytes], None]) -> None:
        """How its stdin is reached. Called again when another shim has to begin."""
        self._type = give

    def feed(self, data: bytes) -> None:
        """What it wrote; b"" says that it runs. Blocks while there is no room and anybody might still read."""
        with self._room:
            while self._waiting > ROOM and not self._closed:
                self._room.wait()
            if self._closed:
                return
            if data:
                self._chunks.append(data)
                self._waiting += len(data)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._began.set()
        self._news.set()

    async def read(self) -> bytes:
        """What it wrote next, all that waits; b"" when there will be no more."""
        while True:
            with self._room:
                data, self._chunks, self._waiting = b"".join(self._chunks), [], 0
                self._room.notify_all()
                self._news.clear()
                if data or self._closed:
                    return data
            await self._news.wait()

    async def write(self, data: bytes) -> None:
        """Give it these bytes once it runs. What it can no longer read is dropped."""
        if data:
            await self._give(data)

    async def end_input(self) -> None:
        """It has read all that there is for it."""
        await self._give(b"")

    async def _give(self, data: bytes) -> None:
        async with self._writing:
            await self._began.wait()
            if self._closed or self._type is None:
                return
            if len(data) <= SMALL:
                self._type(data)
            else:
                await asyncio.to_thread(self._type, data)

    def close(self) -> None:
        """It has ended, or nobody wants to hear it any more. What waits can still be read."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self._wake()


async def converse(run: Coroutine[Any, Any, object], channel: Channel, talk: Talk) -> None:
    """Await the run and the talk, of which neither outlasts the other for long. Cancelling cancels both, and returns
    when the run is over. Raises what either raises."""
    running = asyncio.ensure_future(run)
    running.add_done_callback(lambda _done: channel.close())
    talking = asyncio.ensure_future(talk(channel))
    try:
        await asyncio.wait((running, talking), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await channel.end_input()
                    await asyncio.shield(running)
        else:
            await asyncio.wait((talking,), timeout=READ_S)
    finally:
        if not talking.done():
            talking.cancel()
            await _all_done((talking,), PART_S)  # it may have a last word
        running.cancel()
        channel.close()
        await _all_done((running, talking))
    for task in (talking, running):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _all_done(tasks: tuple[asyncio.Future[Any], ...], most_s: float | None = None) -> None:
    """Wait for them even if this is cancelled again meanwhile: a kill is never left half done."""
    cancelled = False
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks, timeout=most_s)
        except asyncio.CancelledError:
            cancelled = True
            continue
        if most_s is not None:
            break
    if cancelled:
        raise asyncio.CancelledError
