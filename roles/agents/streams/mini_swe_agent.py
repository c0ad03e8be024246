"""mini-swe-agent's text (`mini -t … -y --exit-immediately`), recorded with mini-swe-agent 2.4.6."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from engine.models.usage import Usage, dollars, told
from engine.text.sanitise import sanitise_line
from roles.agents.streams.limits import is_limit, resets_at
from roles.agents.streams.stream import Ended, Row, row

_STEP = re.compile(r"^mini-swe-agent \(step (\d{1,9}), \$(\d{1,9}(?:\.\d{1,9})?)\):")
_RETRY = re.compile(r"^Retrying \S+ in [\d.]+ seconds as it raised (.*)$")
_ERROR = re.compile(r"^litellm\.\w*(?:Error|Exceeded): ")
_FAILED = frozenset({"LimitsExceeded", "TimeExceeded", "RepeatedFormatError", "UserInterruption"})


class MiniSweAgent:
    """Implements `Stream`. It tells its cost so far with each step, and no tokens. Why it ended is the line after
    `Exit:`: one of _FAILED, at which it exits with 0; an error of litellm, at which it exits with 1; or what it was
    told to hand in, if anything."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._cost: float | None = None
        self._stalled: Ended | None = None
        self._exit = False
        self._ended = Ended()

    def feed(self, line: str) -> list[Row]:
        line = line.strip()[:2_000]
        if found := _STEP.match(line):
            self._stalled, self._exit, self._ended = None, False, Ended()
            self._cost = dollars(float(found[2]))
            return [row("message", f"step {found[1]}")]
        if (found := _RETRY.match(line)) and is_limit(found[1]):
            self._stalled = Ended("limit", sanitise_line(found[1]), resets_at(found[1], self.now()))
            return [row("notice", line)]
        if line == "Exit:":
            self._exit, self._ended = True, Ended("success")
        elif self._exit and line:
            self._exit = False
            if line in _FAILED:
                self._ended = Ended("error", f"it ended with {line}")
            elif _ERROR.match(line):
                limit = is_limit(line)
                until = resets_at(line, self.now()) if limit else None
                self._ended = Ended("limit" if limit else "error", sanitise_line(line), until, sure=False)
        return []

    def usage(self) -> Usage:
        return told(cost=self._cost, source="mini-swe-agent steps", scope="step")

    def ended(self) -> Ended:
        return self._stalled or self._ended
