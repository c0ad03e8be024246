"""What an agent says and does, as lines of its run's log: clean, without secrets, bounded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line

CAP = 16_000_000
LINE = 4_000
PENDING_MAX = 64_000
"""Characters of a line that is still being said."""


class Transcript:
    """Appends to the file in which the shim puts what the agent prints. Never raises: a full disk is the run's
    quota's affair."""

    def __init__(self, path: Path, redactors: Sequence[Redactor]) -> None:
        self._redactors = redactors
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        self._written = 0
        self._pending, self._speaker = "", ""

    def say(self, speaker: str, text: str) -> None:
        """A piece of text that comes in pieces; whole lines of it are written."""
        if speaker != self._speaker:
            self.flush()
            self._speaker = speaker
        *lines, self._pending = (self._pending + text).split("\n")
        if len(self._pending) > PENDING_MAX:
            lines.append(self._pending)
            self._pending = ""
        for line in lines:
            self._write(f"{speaker}{line}")

    def line(self, text: str) -> None:
        """One line of its own."""
        self.flush()
        self._write(text)

    def flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, ""
            self._write(f"{self._speaker}{pending}")

    def close(self) -> None:
        self.flush()
        os.close(self._file)

    def _write(self, line: str) -> None:
        if self._written > CAP:
            return
        for redactor in self._redactors:
            line = redactor.redact(line)
        data = sanitise_line(line, line_cap=LINE).encode("utf-8") + b"\n"
        self._written += len(data)
        if self._written > CAP:
            data = b"[the conversation goes on; no more of it is kept]\n"
        try:
            os.write(self._file, data)
        except OSError:
            self._written = CAP + 1
