"""The terminal driver: a program on a pseudo-terminal of its own, as somebody at a keyboard would see it.

What it prints becomes a screen (`canary.drivers.xterm`), and its log without the sequences. Events come as JSON lines
in the file that SWARM_EVENTS names, because on the screen there is no place for them. The program leads its own session
on that terminal also inside a sandbox (`canary.drivers.tty_run`), so ctrl+c and a new size arrive as signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from canary.drivers import tty_run
from canary.drivers.driver import Launch, LogLine, Picture, ProgramFault, SeenEvent, Session
from canary.drivers.keys import click_bytes, key_bytes
from canary.drivers.process import EVENT_CAP, KILL_S, LOG_CAP, OUTPUT_CAP_BYTES, ProcessSession
from canary.drivers.side_events import VARIABLE, SideEvents
from canary.drivers.xterm import Xterm
from canary.drivers.xterm_answers import CELL_H, CELL_W
from canary.verdicts import Miss
from engine.errors import InfrastructureFault
from engine.models.flow import Click
from engine.process.interpreter import interpreter
from engine.process.tree import kill_marked

COLUMNS, ROWS = 80, 24
MOST_COLUMNS, MOST_ROWS = 500, 200
READ_BYTES = 4_096
"""Of one turn: reading sequences takes time, and the loop has others to serve."""
INPUT_CAP_BYTES = 1_000_000
"""What the program has not read of its input; more is lost, as with any terminal."""
ARRIVES_S = 0.01
"""What is written to a terminal is passed on by the kernel a moment later."""
STILL_S, STILL_MOST_S = 0.06, 2.0
"""A picture is taken when nothing new came for so long, and at last in any case."""
EVENTS_EVERY_S = 0.05
VARIABLES = ("TERM=xterm-256color", "COLORTERM=truecolor")
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f]"
)


def on_terminal(argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """The argv that runs `argv` as the leader of its terminal, and what has to be readable for that."""
    python, library = interpreter()
    script = Path(tty_run.__file__).resolve()
    return (str(python), "-I", "-S", str(script), *VARIABLES, "--", *argv), (*library, script)


class TerminalDriver:
    """Implements `canary.drivers.driver.Driver` for programs that draw on a terminal."""

    async def start(self, launch: Launch) -> Session:
        """Start it on a terminal of `launch.size`. Raises InfrastructureFault when the machine cannot."""
        if sys.platform == "win32":
            raise InfrastructureFault("terminal flows need a pseudo-terminal: run them on Linux or macOS")
        import pty

        columns, rows = launch.size or (COLUMNS, ROWS)
        try:
            master, slave = pty.openpty()
        except OSError as error:
            raise InfrastructureFault(f"no terminal could be had for the program: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        session = TerminalSession(loop, launch, master)
        try:
            session.set_size(columns, rows)
            await loop.subprocess_exec(
                lambda: session,
                *launch.argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=launch.cwd,
                env=dict(launch.env),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            session.close()
            said = getattr(error, "strerror", None) or str(error)
            raise InfrastructureFault(f"the program {launch.argv[0]} could not be started: {said}") from error
        except asyncio.CancelledError:
            session.close()
            await asyncio.shield(asyncio.to_thread(kill_marked, launch.marker, timeout_s=KILL_S))
            raise
        finally:
            os.close(slave)
        session.read_on()
        return session


class TerminalSession(ProcessSession):
    """Implements `canary.drivers.driver.Session` and `Screen`. `master`: our end of the terminal; it is closed here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, launch: Launch, master: int) -> None:
        super().__init__(loop, launch)
        self._open = {1}
        self._master: int | None = master
        if sys.platform != "win32":
            os.set_blocking(master, False)
        self._waiting = bytearray()
        self._tail: asyncio.Task[None] | None = None
        self._side = _side_events(launch.env)
        columns, rows = launch.size or (COLUMNS, ROWS)
        self._xterm = Xterm(_within(columns, MOST_COLUMNS), _within(rows, MOST_ROWS), self._write)
        self._chunks = 0

    # ---- what the flow does

    def screen_text(self) -> str:
        return "\n".join(self._xterm.lines())

    async def send(self, text: str) -> None:
        """As if it were typed, character by character."""
        self._alive()
        self._write(text.encode("utf-8"))

    async def press(self, keys: Sequence[str]) -> None:
        for key in keys:
            # A program that answers one key by asking for another mode has to be heard before the next one.
            await self.settle()
            pressed = key_bytes(key, self._xterm.modes)
            if pressed is None:
                raise Miss("INCONCLUSIVE", f'there is no key "{key[:40]}": write text as send = {{ text = "…" }}')
            self._alive()
            self._write(pressed)

    async def type(self, text: str) -> None:
        """In one piece, as a terminal pastes; marked as such when the program asked for that (mode 2004)."""
        self._alive()
        typed = text.replace("\r\n", "\n").replace("\n", "\r")
        if 2004 in self._xterm.modes:
            typed = f"\x1b[200~{typed.replace(chr(27), '')}\x1b[201~"
        self._write(typed.encode("utf-8"))

    async def click(self, click: Click) -> None:
        await self.settle()
        if click.x is None or click.y is None:
            raise ProgramFault("a terminal has no selectors: click on x and y")
        if click.x >= self._xterm.screen.columns or click.y >= self._xterm.screen.lines:
            raise Miss("INCONCLUSIVE", f"there is no column {click.x} in row {click.y}: the terminal is smaller")
        clicked = click_bytes(click.x, click.y, click.button, self._xterm.modes)
        if clicked is None:
            raise ProgramFault("it has not asked for the mouse")
        self._alive()
        self._write(clicked)

    async def resize(self, w: int, h: int) -> None:
        self._alive()
        self.set_size(w, h)

    async def open(self, url: str) -> None:
        raise ProgramFault("a terminal opens no pages")

    async def shot(self) -> Picture:
        """The screen when it has come to rest: nothing new for a moment, and no picture half drawn."""
        deadline = self._loop.time() + STILL_MOST_S
        while not self._ended and not self._overflow and self._loop.time() < deadline:
            before = self._chunks
            await asyncio.sleep(STILL_S)
            await self.settle()
            if self._chunks == before and not self._xterm.updating:
                break
        return Picture("text", (self.screen_text().rstrip("\n") + "\n").encode("utf-8"))

    async def element(self, selector: str) -> bool:
        raise ProgramFault("a terminal has no elements")

    async def settle(self) -> None:
        for _ in range(2):
            await asyncio.sleep(ARRIVES_S)
            for _ in range(256):
                if not self._read():
                    break
                await asyncio.sleep(0)  # a flood is not to keep the loop from others
        self._look_aside()

    async def end_input(self) -> None:
        """The end-of-file character, for a program that reads lines. One that draws is told by a key."""
        if sys.platform != "win32" and self._master is not None and not self._ended:
            import termios

            with contextlib.suppress(termios.error):
                settings = termios.tcgetattr(self._master)
                if settings[3] & termios.ICANON:
                    self._write(settings[6][termios.VEOF])

    async def kill(self) -> int:
        killed = await super().kill()
        self.close()
        return killed

    # ---- the terminal

    def set_size(self, columns: int, rows: int) -> None:
        """Tell the terminal, whose foreground programs get SIGWINCH."""
        columns, rows = _within(columns, MOST_COLUMNS), _within(rows, MOST_ROWS)
        self._xterm.resize(columns, rows)
        if sys.platform != "win32" and self._master is not None:
            import fcntl
            import termios

            size = struct.pack("HHHH", rows, columns, columns * CELL_W, rows * CELL_H)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def read_on(self) -> None:
        if self._master is not None:
            self._loop.add_reader(self._master, self._read)
            if self._side is not None:
                self._tail = self._loop.create_task(self._follow())

    def close(self) -> None:
        """Hang up. Safe to call again."""
        if self._master is not None:
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)
            self._master = None
        if self._tail is not None and self._tail is not asyncio.current_task():
            self._tail.cancel()

    def _read(self) -> bool:
        """One piece of what it printed; whether there was one."""
        if self._master is None or self._overflow:
            return False
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # Linux: nobody has the other end open any more
            data = b""
        if not data:
            self._loop.remove_reader(self._master)
            if 1 in self._open:
                self.pipe_connection_lost(1, None)
            return False
        self._chunks += 1
        self._xterm.feed(data)
        self.pipe_data_received(1, data)
        return True

    def _take(self, fd: int, line: bytes) -> None:
        at = self._loop.time() - self._started
        text = _SEQUENCES.sub("", line.decode("utf-8", errors="replace"))
        self._log.append(LogLine(at, "out", text))
        if len(self._log) > LOG_CAP:
            self._stop_reading(f"it printed more than {LOG_CAP} lines")

    def _stop_reading(self, why: str) -> None:
        super()._stop_reading(why)
        if self._master is not None:
            self._loop.remove_reader(self._master)

    def _write(self, data: bytes) -> None:
        """Never waits for the program to read."""
        if self._master is None or len(self._waiting) > INPUT_CAP_BYTES:
            return
        self._waiting += data
        self._flush()

    def _flush(self) -> None:
        if self._master is None:
            return
        try:
            del self._waiting[: os.write(self._master, self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()
        if self._waiting:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)

    def _alive(self) -> None:
        if self._ended or self._master is None:
            raise ProgramFault("it takes no keys any more: it has ended")

    # ---- events beside the screen

    async def _follow(self) -> None:
        while not self._ended:
            await asyncio.sleep(EVENTS_EVERY_S)
            self._look_aside()

    def _look_aside(self) -> None:
        if self._side is None or self._overflow:
            return
        at = self._loop.time() - self._started
        new = [SeenEvent(at, fields) for fields in self._side.new()]
        self._events += new
        if len(self._events) > EVENT_CAP:
            self._stop_reading(f"it reported more than {EVENT_CAP} events")
        elif self._side.read_bytes > OUTPUT_CAP_BYTES:
            self._stop_reading(f"it reported more than {OUTPUT_CAP_BYTES // 1_000_000} MB of events")
        if new:
            self._changed.set()

    def _end(self) -> None:
        if not self._ended:
            self._look_aside()
        super()._end()


def _side_events(env: Mapping[str, str]) -> SideEvents | None:
    path = env.get(VARIABLE)
    return SideEvents(Path(path)) if path else None


def _within(number: int, most: int) -> int:
    return max(1, min(number, most))
