"""Text: nothing is known of it but whether its last words tell of a provider's limit."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable

from engine.models.usage import Usage
from engine.text.sanitise import sanitise_line
from roles.agents.streams.limits import is_limit, resets_at
from roles.agents.streams.stream import Ended, Row

LAST_LINES = 8
_LINE_MAX = 500


class Plain:
    """Implements `Stream`. What it says of the end is a guess."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def feed(self, line: str) -> list[Row]:
        if line.strip():
            self._last.append(line.strip()[:_LINE_MAX])
        return []

    def usage(self) -> Usage:
        return Usage()

    def ended(self) -> Ended:
        for line in reversed(self._last):
            if is_limit(line) and _ERROR.search(line):
                said = " ".join(self._last)
                until = resets_at(line, self.now()) or resets_at(said, self.now())
                return Ended("limit", sanitise_line(line), until, sure=False)
        return Ended()


_ERROR = re.compile(
    r"error|exceeded|exhausted|rejected|reached|hit your|too many requests|overloaded|limited|\b(?:429|529)\b",
    re.IGNORECASE,
)
