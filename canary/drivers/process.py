"""The process driver: a program with pipes. Events are JSON lines on its standard output; every line is log.

The pipes are read in the event loop's own callbacks, without a task in between: after two turns of the loop everything
that the program had written is here, which is what makes `no_log` mean something.
"""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar, cast

import psutil

from canary.drivers.driver import Launch, LogLine, ProgramFault, SeenEvent, Session
from canary.drivers.lines import Lines, event_of
from canary.verdicts import Miss
from engine.errors import InfrastructureFault
from engine.process.quotas import Watch
from engine.process.relatives import Relative, family
from engine.process.tree import kill_marked, kill_tree

T = TypeVar("T")

OUTPUT_CAP_BYTES = 16_000_000
EVENT_CAP = 50_000
LOG_CAP = 200_000
"""Lines, events among them."""
STRAGGLERS_S = 0.5
"""How long output may still come after the exit, while a child that was left behind holds the pipe open."""
KILL_S = 5.0
NOT_A_PROGRAM = (errno.EACCES, errno.ENOENT, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP)
"""What a file says to the system that has no right to run, no interpreter, or no program in it."""


class ProcessDriver:
    """Implements `canary.drivers.driver.Driver` for programs with standard streams."""

    async def start(self, launch: Launch) -> Session:
        """Start it in a session of its own. Raises InfrastructureFault when the machine cannot, and Miss when it is the
        commit's own program that cannot be run."""
        loop = asyncio.get_running_loop()
        try:
            _, session = await loop.subprocess_exec(
                lambda: self.session(loop, launch),
                *launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=launch.cwd,
                env=dict(launch.env),
                **_apart(),
            )
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            if launch.brought and getattr(error, "errno", None) in NOT_A_PROGRAM:
                raise Miss("FAIL", f"expected the program {launch.argv[0]} to start, saw: {said}") from error
            raise InfrastructureFault(f"the program {launch.argv[0]} could not be started: {said}") from error
        except asyncio.CancelledError:
            # asyncio kills the program itself, but not what the program may have started by now.
            await asyncio.shield(asyncio.to_thread(kill_marked, launch.marker, timeout_s=KILL_S))
            raise
        return session

    def session(self, loop: asyncio.AbstractEventLoop, launch: Launch) -> ProcessSession:
        return ProcessSession(loop, launch)


def _apart() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class ProcessSession(asyncio.SubprocessProtocol):
    """Implements `canary.drivers.driver.Session`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, launch: Launch) -> None:
        self._loop = loop
        self._marker = launch.marker
        self._quota = asdict(launch.quota)
        folders = [str(path) for path in launch.writable]
        self._watch = Watch(self._quota, self._family, lambda: self._read_bytes, folders)
        self._watching: asyncio.Task[None] | None = None
        self._started = loop.time()
        self._changed = asyncio.Event()
        self._exited = asyncio.Event()
        self._lines = {1: Lines(), 2: Lines()}
        self._open = {1, 2}
        self._events: list[SeenEvent] = []
        self._log: list[LogLine] = []
        self._read_bytes = 0
        self._input_open = True
        self._killed = False
        self._ended = False
        self._overflow = ""
        self._exit_code: int | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._pid = 0
        self._create_time = 0.0

    # ---- what the flow sees

    @property
    def events(self) -> Sequence[SeenEvent]:
        return self._events

    @property
    def log(self) -> Sequence[LogLine]:
        return self._log

    @property
    def exit_code(self) -> int | None:
        return None if self._killed else self._exit_code

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def overflow(self) -> str:
        return self._overflow

    async def send(self, text: str) -> None:
        stdin = self._stdin()
        if stdin is None or stdin.is_closing() or not self._input_open:
            raise ProgramFault("it takes nothing more on its standard input")
        # Never waits for the program to read: a flow sends little, and a program that is stuck shows in the next wait.
        stdin.write(text.encode("utf-8"))

    async def settle(self) -> None:
        # One turn polls and reads each pipe to its end (a pipe holds less than one read); one more for Windows.
        for _ in range(3):
            await asyncio.sleep(0)

    async def until(self, look: Callable[[], T | None], within_s: float) -> T | None:
        deadline = self._loop.time() + within_s
        while True:
            self._changed.clear()
            if (found := look()) is not None:
                return found
            if self._ended or self._overflow:
                return None
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return None

    async def end_input(self) -> None:
        if (stdin := self._stdin()) is not None and not stdin.is_closing():
            stdin.close()

    async def kill(self) -> int:
        if not self._exited.is_set():
            self._killed = True
        killed = await asyncio.to_thread(self._kill_all)
        try:
            async with asyncio.timeout(KILL_S):
                await self._exited.wait()
        except TimeoutError:
            pass  # an unkillable process (in a system call that does not return); the marker finds it at the next start
        self._end()
        if self._transport is not None:
            self._transport.close()
        return killed

    def _kill_all(self) -> int:
        killed = kill_tree(self._pid, self._create_time, KILL_S) if self._pid else 0
        return killed + kill_marked(self._marker, timeout_s=KILL_S)

    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        return cast("asyncio.WriteTransport | None", pipe)

    # ---- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._pid = self._transport.get_pid()
        try:
            self._create_time = psutil.Process(self._pid).create_time()
            self._limit_files()
            if any(self._quota.values()) and sys.platform != "win32":
                self._watching = self._loop.create_task(self._hold_to_quota())
        except psutil.Error:
            self._pid = 0  # it has ended already; what it left behind carries the marker

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._overflow or fd not in self._lines:
            return
        self._read_bytes += len(data)
        for line in self._lines[fd].feed(data):
            self._take(fd, line)
            if self._overflow:
                break
        if self._read_bytes > OUTPUT_CAP_BYTES:
            self._stop_reading(f"it printed more than {OUTPUT_CAP_BYTES // 1_000_000} MB")
        self._changed.set()

    def _take(self, fd: int, line: bytes) -> None:
        at = self._loop.time() - self._started
        self._log.append(LogLine(at, "out" if fd == 1 else "err", line.decode("utf-8", errors="replace")))
        if fd == 1 and (fields := event_of(line)) is not None:
            self._events.append(SeenEvent(at, fields))
        if len(self._events) > EVENT_CAP:
            self._stop_reading(f"it reported more than {EVENT_CAP} events")
        elif len(self._log) > LOG_CAP:
            self._stop_reading(f"it printed more than {LOG_CAP} lines")

    def _stop_reading(self, why: str) -> None:
        """From now on the program blocks on its full pipe, and takes neither memory nor time of ours."""
        self._overflow = why
        for fd in sorted(self._open):
            pipe = self._transport.get_pipe_transport(fd) if self._transport is not None else None
            if isinstance(pipe, asyncio.ReadTransport) and pipe.is_reading():
                pipe.pause_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._input_open = False
            return
        if not self._overflow:
            for line in self._lines[fd].rest():
                self._take(fd, line)
        self._open.discard(fd)
        if not self._open and self._exited.is_set():
            self._end()
        self._changed.set()

    def process_exited(self) -> None:
        self._exit_code = self._transport.get_returncode() if self._transport is not None else None
        self._exited.set()
        if self._open:
            self._loop.call_later(STRAGGLERS_S, self._end)
        else:
            self._end()
        self._changed.set()

    def _limit_files(self) -> None:
        if sys.platform == "linux" and self._quota["file_size"]:
            limit = self._quota["file_size"]
            psutil.Process(self._pid).rlimit(psutil.RLIMIT_FSIZE, (limit, limit))

    def _family(self) -> list[Relative]:
        return family(self._pid) if self._pid and not self._ended else []

    async def _hold_to_quota(self) -> None:
        """When it uses more than it may, it is killed, and nothing more of it is read."""
        while not self._ended:
            await asyncio.sleep(self._watch.rest())
            if (exceeded := await asyncio.to_thread(self._watch.look)) is not None:
                self._stop_reading(exceeded.note)
                self._changed.set()
                await self.kill()

    def _end(self) -> None:
        self._ended = True
        if self._watching is not None and self._watching is not asyncio.current_task():
            self._watching.cancel()
        self._changed.set()
