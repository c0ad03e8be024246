"""Pointers: which signed report has what is known under a key. One file of lines for all of them, appended to.

A pointer proves nothing, so whoever can write the file still cannot make a gate green, and losing it costs time alone:
nothing is hardened, and a torn line is no line.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

KEPT = 8_192
"""How many lines stay when the file is made short, the newest ones. It is made short at twice as many."""
_LINE = re.compile(r"^([0-9a-f]{64}) (sha256:[0-9a-f]{64})$")
_PREFIX = "sha256:"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Pointers:
    """Keys and reports are digests, `sha256:<64 hex>`. Several processes may use one file. From any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._lines = self._read_bytes = self._inode = 0

    def find(self, key: str) -> str | None:
        """The newest report of a key."""
        with self._lock:
            self._catch_up()
            return self._known.get(key.removeprefix(_PREFIX))

    def add(self, keys: Iterable[str], report: str) -> None:
        """Point all these keys to the report, with one write. A disk that cannot take it is no reason to fail."""
        text = "".join(f"{key.removeprefix(_PREFIX)} {report}\n" for key in keys)
        if not text:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, _FLAGS, 0o600)
            try:
                os.write(descriptor, text.encode("ascii"))
            finally:
                os.close(descriptor)
        except OSError:
            return

    def shorten(self) -> None:
        """Drop the oldest lines of a file that has grown long. What another process adds meanwhile may be lost."""
        with self._lock:
            self._catch_up()
            if self._lines < 2 * KEPT:
                return
            newest = list(self._known.items())[-KEPT:]
            fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
            try:
                fresh.write_text("".join(f"{key} {report}\n" for key, report in newest), encoding="ascii")
                fresh.replace(self._path)
            except OSError:
                fresh.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Read what was appended since the last look; all of it when the file is another one now."""
        try:
            with self._path.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_ino != self._inode or state.st_size < self._read_bytes:
                    self._known, self._lines, self._read_bytes, self._inode = {}, 0, 0, state.st_ino
                if state.st_size == self._read_bytes:
                    return
                file.seek(self._read_bytes)
                read = file.read()
        except OSError:
            self._known, self._lines, self._read_bytes, self._inode = {}, 0, 0, 0
            return
        whole = read[: read.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.decode("ascii", "replace").splitlines():
            self._lines += 1
            if match := _LINE.match(line):
                self._known.pop(match[1], None)  # the newest stand last
                self._known[match[1]] = match[2]
