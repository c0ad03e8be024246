"""aider's text, recorded with aider 0.86.2 (`--no-pretty`)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from engine.models.usage import Usage, added, count, dollars, told
from engine.text.sanitise import sanitise_line
from roles.agents.streams.limits import is_limit, resets_at
from roles.agents.streams.stream import Ended, Row, row

_TOKENS = re.compile(
    r"^Tokens: ([\d.]+k?) sent,(?: ([\d.]+k?) cache write,)?(?: ([\d.]+k?) cache hit,)? ([\d.]+k?) rec"
)
_COST = re.compile(r"Cost: \$([\d.]+) message, \$([\d.]+) session")
_EDIT = re.compile(r"^Applied edit to (.+)$")
_ERROR = re.compile(r"^litellm\.(\w+): ")
_RETRY = re.compile(r"^Retrying in ")
_LINES_OF_ERROR = 4


class Aider:
    """Implements `Stream`. Figures above a thousand are rounded by aider itself. It exits with 0 also when its provider
    refused; an error that it waits out (`Retrying in`) is its end where nothing comes after."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._in: int | None = None
        self._out: int | None = None
        self._cached: int | None = None
        self._cost: float | None = None
        self._error: list[str] = []
        self._ended = False

    def feed(self, line: str) -> list[Row]:
        line = line.rstrip()[:2_000]
        if _ERROR.match(line):
            self._error = [line]
            return [row("notice", line)]
        if self._error and len(self._error) < _LINES_OF_ERROR and not _RETRY.match(line):
            self._error.append(line)
        if found := _TOKENS.match(line):
            self._error, self._ended = [], True
            sent, _, hit, received = (_number(each) for each in found.groups())
            self._in, self._out = added(self._in, sent), added(self._out, received)
            self._cached = added(self._cached, hit)
        if found := _COST.search(line):
            self._cost = dollars(_float(found[2]))
        if found := _EDIT.match(line):
            return [row("file", found[1])]
        return []

    def usage(self) -> Usage:
        return told(
            tokens_in=self._in,
            tokens_out=self._out,
            tokens_cached=self._cached,
            cost=self._cost,
            source="aider tokens",
            scope="turn",
        )

    def ended(self) -> Ended:
        if not self._error:
            return Ended("success") if self._ended else Ended()
        why = " ".join(self._error)
        if is_limit(why):
            return Ended("limit", sanitise_line(why), resets_at(why, self.now()))
        return Ended("error", sanitise_line(why))


def _number(text: str | None) -> int | None:
    if not text:
        return None
    value = _float(text.removesuffix("k"))
    return count(round(value * (1000 if text.endswith("k") else 1))) if value is not None else None


def _float(text: str) -> float | None:
    try:
        value = float(text[:12])
    except ValueError:
        return None
    return value
