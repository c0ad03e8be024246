"""A real terminal for tests: a program in a pty, a screen that shows what it draws, and a person's keys. POSIX only.

with Terminal([sys.executable, "-m", "swarm_tui.cli"], cwd=repo, cols=80, rows=24) as terminal:
    terminal.expect("main is green")
    terminal.press("ctrl+p", "j", "enter")
    assert terminal.wait() == 0
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil
from keystrokes import keystroke
from screen import Screen

from engine.process import tree

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

PATIENCE_S = 30.0
POLL_S = 0.01
"""Between two looks, unless the program draws something before."""
AFTER_ESCAPE_S = 0.2
"""A lone ESC and a key right behind it are one keystroke (alt); people are slower than that."""

# The program has to be the leader of a session whose terminal the pty is: else nothing tells it of a hang-up or a new
# size. A small interpreter in between does that without a fork in this process, which may have threads.
_TAKE_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_NOT_INHERITED = ("NO_COLOR", "COLORTERM", "TERM_PROGRAM", "COLUMNS", "LINES", "FORCE_COLOR", "TMUX", "STY")


class Terminal:
    """A program on a terminal of `cols` × `rows`. Leaving the context kills it with all its children.

    env: the program's whole environment (default: ours), to which TERM and COLORTERM are added; "" for `colorterm`
    leaves it out, and `no_color` adds NO_COLOR. Methods that wait fail the test, with the screen, when it never comes.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        cols: int = 80,
        rows: int = 24,
        term: str = "xterm-256color",
        colorterm: str = "truecolor",
        no_color: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._drawn = threading.Condition(self._lock)
        self._screen = Screen(cols, rows, self._answer)
        self._master, slave = _open_pty()
        self._wake_read, self._wake_write = os.pipe()
        self._set_size(cols, rows)
        environment = {name: value for name, value in (env or os.environ).items() if name not in _NOT_INHERITED}
        environment["TERM"] = term
        environment |= {"COLORTERM": colorterm} if colorterm else {}
        environment |= {"NO_COLOR": "1"} if no_color else {}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *argv],
                cwd=cwd,
                env=environment,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        self._seen = psutil.Process(self.process.pid)
        self._created_at = self._seen.create_time()
        self._reading = threading.Event()
        self._reading.set()
        self._over = False
        self._gone = threading.Event()
        self._keys_from = 0.0
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    # -- what a person does --------------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Keys by name: "j", "G", "?", "enter", "escape", "shift+tab", "ctrl+p", "up", "pagedown", "f5" …"""
        for key in keys:
            time.sleep(max(0.0, self._keys_from - time.monotonic()))
            self.send(keystroke(key))
            if key == "escape":
                self._keys_from = time.monotonic() + AFTER_ESCAPE_S

    def type(self, text: str) -> None:
        """Each character as a key of its own."""
        self.press(*text)

    def paste(self, text: str) -> None:
        """As a terminal pastes into a program that asked for brackets around it."""
        self.send(f"\x1b[200~{text}\x1b[201~")

    def click(self, col: int, row: int) -> None:
        """The left button, pressed and released; columns and rows count from 0."""
        self.send(f"\x1b[<0;{col + 1};{row + 1}M\x1b[<0;{col + 1};{row + 1}m")

    def send(self, text: str) -> None:
        """These bytes as they are."""
        raw = text.encode("utf-8")
        while raw:
            raw = raw[os.write(self._master, raw) :]

    def resize(self, cols: int, rows: int) -> None:
        """The program gets SIGWINCH."""
        with self._lock:
            self._screen.resize(rows, cols)
        self._set_size(cols, rows)

    def stall(self) -> None:
        """Read nothing more, as a terminal behind a dead connection does: the program's writes block some KB later."""
        self._reading.clear()
        self._wake()

    def unstall(self) -> None:
        self._reading.set()

    def hang_up(self) -> None:
        """Close the terminal's window: the program gets SIGHUP, and its descriptors are dead."""
        self._stop_reading()
        with suppress(OSError):
            os.close(self._master)
        self._master = -1

    # -- what a person sees --------------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole screen, a line a row, without the blanks at the ends."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def line(self, row: int) -> str:
        """One row; rows count from 0, -1 is the last one."""
        with self._lock:
            return self._screen.display[row].rstrip()

    def find(self, text: str) -> tuple[int, int] | None:
        """Column and row of the first place of this text (within one row), or None."""
        for row, line in enumerate(self.text().split("\n")):
            if (col := line.find(text)) >= 0:
                return col, row
        return None

    @property
    def screen(self) -> Screen:
        """What else is known of it: title, bells, modes, OSC sequences, colours. It changes while you look."""
        return self._screen

    def expect(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Wait until this text is on the screen, within one row."""
        self.until(lambda: text in self.text(), f"{text!r} on the screen", within_s)

    def expect_gone(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Wait until this text is no longer on the screen."""
        self.until(lambda: text not in self.text(), f"{text!r} to leave the screen", within_s)

    def until(self, holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        """Look again until it holds; the failure shows the screen."""
        ends = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > ends:
                code = self.process.poll()
                state = "runs" if code is None else f"ended with {code}"
                raise AssertionError(f"waited {within_s:g} s in vain for {what}; the program {state}\n{self.framed()}")
            with self._drawn:
                self._drawn.wait(POLL_S)

    def framed(self) -> str:
        """The screen with a frame around it, for messages."""
        with self._lock:
            lines, width = list(self._screen.display), self._screen.columns
        return "\n".join([f"┌{'─' * width}┐", *(f"│{line}│" for line in lines), f"└{'─' * width}┘"])

    # -- the program ---------------------------------------------------------------------------------------------

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Its exit code once it has ended (negative: the signal that killed it), with all it wrote on the screen."""
        self.until(lambda: self.process.poll() is not None, "the end of the program", within_s)
        if self._reading.is_set() and not self._over:
            self._gone.wait(1.0)  # at once, unless something else still has the terminal open
        return self.process.wait()

    def released(self) -> bool:
        """Whether no process has the terminal open any more."""
        return self._gone.is_set()

    def signal(self, number: int) -> None:
        """To the program alone."""
        self.process.send_signal(number)

    def freeze(self) -> None:
        """The program alone stands still, wherever it is."""
        self._seen.suspend()

    def thaw(self) -> None:
        self._seen.resume()

    def cpu_s(self) -> float:
        """User and system seconds of the living program, without its children; for a difference of two."""
        times = self._seen.cpu_times()
        return times.user + times.system

    def rss(self) -> int:
        """Resident bytes of the living program, without its children."""
        return self._seen.memory_info().rss

    def close(self) -> None:
        """Kill the program and its children, and give everything back."""
        if self.process.poll() is None:
            tree.kill_tree(self.process.pid, self._created_at)
            self.process.wait(PATIENCE_S)
        self.hang_up()
        for descriptor in (self._wake_read, self._wake_write):
            with suppress(OSError):
                os.close(descriptor)
        self._wake_read = self._wake_write = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- the pty -------------------------------------------------------------------------------------------------

    def _set_size(self, cols: int, rows: int) -> None:
        assert sys.platform != "win32"
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def _answer(self, text: str) -> None:
        """What the screen has to say to a question of the program."""
        with suppress(OSError):
            os.write(self._master, text.encode("ascii"))

    def _read(self) -> None:
        while not self._over:
            if not self._reading.wait(0.05):
                continue
            ready, _, _ = select.select([self._master, self._wake_read], [], [])
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
            elif self._reading.is_set():
                try:
                    raw = os.read(self._master, 65_536)
                except OSError:  # EIO: the last one has closed it
                    raw = b""
                if not raw:
                    self._gone.set()
                    return
                with self._drawn:
                    self._screen.show(raw)
                    self._drawn.notify_all()

    def _wake(self) -> None:
        if self._wake_write >= 0:
            os.write(self._wake_write, b".")

    def _stop_reading(self) -> None:
        self._over = True
        self._wake()
        self._reader.join(PATIENCE_S)


def _open_pty() -> tuple[int, int]:
    assert sys.platform != "win32", "there are no ptys on Windows: skip the test"
    return pty.openpty()
