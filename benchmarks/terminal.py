"""A real terminal around a program, as lean as can be: what it prints is read and searched, never drawn. POSIX only."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from engine.errors import SwarmError

PATIENCE_S = 60.0

if sys.platform != "win32":
    import fcntl
    import pty
    import struct
    import termios


class Terminal:
    """A program in a pty of its own. A thread reads all that it prints and remembers when each piece came."""

    _ours: int
    _process: subprocess.Popen[bytes]
    _reader: threading.Thread
    _came: threading.Condition
    _seen: bytes
    read_bytes: int
    started: float
    """When the program was started (perf_counter)."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: dict[str, str], cols: int = 200, rows: int = 50) -> None:
        if sys.platform == "win32":
            raise SwarmError("this benchmark needs a POSIX terminal")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self._ours = ours
        self._came = threading.Condition()
        self._seen = b""
        self.read_bytes = 0
        env = env | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": str(rows), "COLUMNS": str(cols)}
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65_536)
            except OSError:
                piece = b""
            with self._came:
                self.read_bytes += len(piece)
                self._seen = (self._seen + piece)[-400_000:]
                self._came.notify_all()
            if not piece:
                return

    def press_until(self, keys: bytes, shown: bytes) -> float:
        """Seconds from writing `keys` until `shown` was printed."""
        with self._came:
            self._seen = b""
        started = time.perf_counter()
        os.write(self._ours, keys)
        return self.until(shown) - started

    def until(self, shown: bytes) -> float:
        """When `shown` was printed (perf_counter). Raises SwarmError when it does not come."""
        end = time.monotonic() + PATIENCE_S
        with self._came:
            while shown not in self._seen:
                if not self._came.wait(min(1.0, max(0.0, end - time.monotonic()))) and time.monotonic() > end:
                    raise SwarmError(f"{shown!r} was not shown; last: {self._seen[-500:]!r}")
            self._seen = self._seen.split(shown, 1)[1]
        return time.perf_counter()

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def main_thread_s(self) -> float:
        """Processor seconds of the program's main thread; of the whole process where that is not told."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat")
        if path.exists():
            return int(path.read_text(encoding="ascii").split()[0]) / 1e9
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def process_s(self) -> float:
        """Processor seconds of the whole process."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def rss_mb(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 1e6

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5.0)
        os.close(self._ours)
