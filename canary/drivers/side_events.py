"""Events of a program that has no standard output to print them on: JSON lines in a file of its home.

Its path is in the program's environment as SWARM_EVENTS. Appending a line and flushing is all that a program does.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from canary.drivers.lines import Lines, event_of

VARIABLE = "SWARM_EVENTS"
NAME = "swarm-events.jsonl"
READ_BYTES = 1_000_000
"""Of one look."""


class SideEvents:
    """Reads on from where it read last. The file is the program's: a link, a pipe or a device in its place is never
    opened for longer than a look, and nothing is read from it."""

    def __init__(self, path: Path) -> None:
        self.read_bytes = 0
        self._path = path
        self._lines = Lines()

    def new(self, most: int = READ_BYTES) -> list[dict[str, Any]]:
        """The events whose lines are complete now."""
        try:
            opened = os.open(self._path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return []
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return []
            os.lseek(opened, self.read_bytes, os.SEEK_SET)
            chunk = os.read(opened, most)
        except OSError:
            return []
        finally:
            os.close(opened)
        self.read_bytes += len(chunk)
        return [event for line in self._lines.feed(chunk) if (event := event_of(line)) is not None]
