"""The shims of one executor: warm ones that wait for an order, and one in reserve.

A fresh interpreter costs 20 ms and an order to a waiting one 1 ms, so a shim that has done one order takes the next.
One order at a time: two runs never share a shim. One that was cancelled, or could not get rid of what it ran, takes no
other. Each carries the marker `<epoch>/shim-<random>` in its environment, so that a sweep finds it; its runs carry
their own. It ends when the engine lets go of it or dies, at the latest after its run.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import secrets
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO, Any, cast

from engine.executors.channel import Channel
from engine.process import tree

IDLE = 4
"""How many wait at most; each holds some 8 MB."""
PIPE_BYTES = 60_000
"""What an empty pipe takes without blocking."""


class Shim:
    """One process. `nice` is None until its first order, and then what it is for good. `gone` is set when it has
    ended. Raises OSError."""

    def __init__(self, epoch: str) -> None:
        self.marker = f"{epoch}/shim-{secrets.token_hex(6)}"
        self.nice: int | None = None
        script = Path(tree.__file__).with_name("shim.py")
        self.process = subprocess.Popen(
            (_interpreter(), "-I", "-S", "-X", "utf8", str(script)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=script.anchor,
            env=_environment(self.marker),
            bufsize=0,
            **_apart(),
        )
        self.gone = threading.Event()
        self._lock, self._speaking = threading.Lock(), threading.Lock()
        self._leaving = False
        self._waiting: asyncio.Future[dict[str, Any] | None] | None = None
        self._saying: asyncio.Future[None] | None = None
        """The order that is on its way, where that takes a thread."""
        self._channel: Channel | None = None
        threading.Thread(target=self._listen, name="shim", daemon=True).start()

    async def carry_out(self, order: dict[str, Any], channel: Channel | None = None) -> dict[str, Any] | None:
        """The fields of its report; None: it ended without one. Cancelling stops the waiting and nothing else.

        channel: gets what a command of an order with `talk` writes; `type` is for what it reads.
        """
        with self._lock:
            if self.gone.is_set():
                return None
            self._waiting = waiting = asyncio.get_running_loop().create_future()
            self._channel = channel
            if channel is not None:
                channel.connect(self.type)
        self.nice, self._saying = order["nice"], None
        payload = marshal.dumps(order)
        frame = b"o" + len(payload).to_bytes(8, "big") + payload
        if len(frame) <= PIPE_BYTES:
            self._say(frame)
        else:
            # An order that is left out because nobody waits for it any more could not be cancelled either.
            self._saying = asyncio.ensure_future(asyncio.to_thread(self._say, frame))
            await asyncio.shield(self._saying)
        return await asyncio.shield(waiting)

    def type(self, data: bytes) -> None:
        """Give the command of the last order bytes to read; b"" is their end. May block for as long as a pipe does."""
        self._say(b"i" + len(data).to_bytes(8, "big") + data)

    async def cancel(self) -> None:
        """Have it kill what it runs, and wait until it has reported or ended, which may be never."""
        waiting = self._waiting
        if self._saying is not None:
            await asyncio.wait([self._saying])
        await asyncio.to_thread(self._say, b"k")
        if waiting is not None:
            await asyncio.shield(waiting)

    def let_go(self) -> None:
        """It ends, at once when it has nothing to do."""
        # Never closed while somebody writes to it: its number could be another file's by then. Who writes closes it.
        self._leaving = True
        if self._speaking.acquire(blocking=False):
            try:
                with contextlib.suppress(OSError):
                    cast("IO[bytes]", self.process.stdin).close()
            finally:
                self._speaking.release()

    def _say(self, data: bytes) -> None:
        # One that has died is seen by the end of its stdout.
        with self._speaking, contextlib.suppress(OSError, ValueError):
            stdin = cast("IO[bytes]", self.process.stdin)
            view = memoryview(data)
            while view:
                view = view[stdin.write(view) :]
        if self._leaving:
            self.let_go()

    def _listen(self) -> None:
        stdout = cast("IO[bytes]", self.process.stdout)
        with stdout:
            while (frame := _frame(stdout)) is not None:
                if "said" not in frame and "began" not in frame:
                    self._deliver(frame)
                elif self._channel is not None:
                    self._channel.feed(frame.get("said", b""))
        self.let_go()
        self.process.wait()
        with self._lock:
            self.gone.set()
        self._deliver(None)

    def _deliver(self, report: dict[str, Any] | None) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return

        def tell() -> None:
            if not waiting.done():
                waiting.set_result(report)

        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            waiting.get_loop().call_soon_threadsafe(tell)


class Shims:
    """All shims of one epoch. May be used from several threads."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._lock = threading.Lock()
        self._idle: list[Shim] = []
        self._closed = False
        self._starting = False

    def take(self, nice: int) -> Shim:
        """One that does nothing, warm if there is one, for this run alone. Sees to a reserve. Raises OSError."""
        with self._lock:
            fit = [shim for shim in self._idle if shim.nice in (None, nice) and not shim.gone.is_set()]
            chosen = max(fit, key=lambda shim: shim.nice is not None, default=None)
            self._idle = [shim for shim in self._idle if shim is not chosen and not shim.gone.is_set()]
        shim = chosen or Shim(self._epoch)
        self.prepare()
        return shim

    def give_back(self, shim: Shim) -> None:
        """It has reported, and nothing of its run is left."""
        with self._lock:
            keep = not self._closed and not shim.gone.is_set() and len(self._idle) < IDLE
            if keep:
                self._idle.append(shim)
        if not keep:
            shim.let_go()

    def prepare(self) -> None:
        """Start one in the background, if none waits for a first order."""
        with self._lock:
            if (
                self._closed
                or self._starting
                or any(shim.nice is None and not shim.gone.is_set() for shim in self._idle)
            ):
                return
            self._starting = True
        threading.Thread(target=self._start_reserve, name="shim-reserve", daemon=True).start()

    def close(self) -> list[Shim]:
        """Let go of all that wait; those that run end after their runs, and no reserve is started any more."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for shim in idle:
            shim.let_go()
        return idle

    def _start_reserve(self) -> None:
        try:
            shim = Shim(self._epoch)
        except OSError:
            self._starting = False
            return  # whoever needs one starts it himself, and hears why it cannot be
        with self._lock:
            self._starting = False
            if not self._closed:
                self._idle.append(shim)
                return
        shim.let_go()


def shims_for(owner: object, epoch: str) -> Shims:
    """Shims that are let go of when their owner is no more."""
    shims = Shims(epoch)
    weakref.finalize(owner, shims.close)
    return shims


def _frame(stdout: IO[bytes]) -> dict[str, Any] | None:
    """One report; None at the end of the stream, also in the middle of a report."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size and (chunk := stdout.read(size - len(data))):
            data += chunk
        return data

    head = exactly(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "big")
    body = exactly(size)
    return marshal.loads(body) if len(body) == size else None


def _interpreter() -> str:
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def _environment(marker: str) -> dict[str, str]:
    """What the interpreter itself needs to start, and the marker."""
    names = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TEMP")
    return {name: os.environ[name] for name in names if name in os.environ} | {tree.MARKER: marker}


def _apart() -> dict[str, Any]:
    """Away from the engine's terminal: Ctrl-C there is the engine's to handle."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
