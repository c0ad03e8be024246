"""What the formats of JSON lines have in common."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

from engine.models.usage import Usage
from engine.text.sanitise import sanitise_line
from roles.agents.streams.limits import is_limit, plausible, resets_at
from roles.agents.streams.stream import Ended, Row, row, tool_row

ROWS_MAX = 20
"""Rows that one line may give."""
WHY_MAX = 500


class JsonLines:
    """Implements `Stream` for programs that print an object a line. A format says what its objects mean in `event`,
    and perhaps in `other` what the rest of its output does.

    Between them they call `say`, `call`, `changed` and `note` for what is shown, `go_on` when the model has answered,
    `stall` for a limit that the program waits out, `succeed` and `fail` for its end.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._rows: list[Row] = []
        self._ended = Ended()
        self._stalled: Ended | None = None

    def feed(self, line: str) -> list[Row]:
        self._rows = []
        event = parsed(line)
        if event is None:
            self.other(line.strip())
        else:
            self.event(text(event.get("type")), event)
        return self._rows[:ROWS_MAX]

    def usage(self) -> Usage:
        return Usage()

    def ended(self) -> Ended:
        """A limit that it did not get out of counts as its end where it said nothing of another one."""
        return self._ended if self._ended.reason or self._stalled is None else self._stalled

    def event(self, kind: str, event: dict[str, Any]) -> None:
        raise NotImplementedError

    def other(self, line: str) -> None:
        """A line that holds no object."""

    def say(self, said: str) -> None:
        if said.strip():
            self._rows.append(row("message", said))

    def call(self, tool: str, given: Any) -> None:
        self._rows.append(tool_row(tool, given))

    def changed(self, path: str) -> None:
        if path:
            self._rows.append(row("file", path))

    def note(self, said: str) -> None:
        if said.strip():
            self._rows.append(row("notice", said))

    def go_on(self) -> None:
        self._stalled = None
        self._ended = Ended()

    def stall(self, why: str, until: float | None = None) -> None:
        self._stalled = Ended("limit", _clean(why), until or resets_at(why, self.now()))
        self.note(why)

    def succeed(self) -> None:
        self._stalled = None
        self._ended = Ended("success")

    def fail(self, why: str, status: int | None = None, until: object = None) -> None:
        """It gave up. until: when a limit ends, where the program says it beside its words."""
        before, clean = self._ended.why, _clean(why)
        if is_limit(why, status):
            now = self.now()
            known = self._stalled.resets_at if self._stalled else None
            self._ended = Ended("limit", clean, plausible(until, now) or resets_at(why, now) or known)
        else:
            self._ended = Ended("error", clean or "it ended with an error")
        if clean != before:
            self.note(why)


def parsed(line: str) -> dict[str, Any] | None:
    """The object of a line; None where there is none.

    Where an event was written into the middle of another one, as Claude Code did, it is the inner one
    (https://github.com/anthropics/claude-code/issues/49640).
    """
    line = line.strip()
    if not line.startswith("{"):
        return None
    found = _loaded(line)
    if found is None and (start := line.rfind('{"type":"')) > 0:
        found = _loaded(line[start:])
    return found


def _loaded(line: str) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def entry(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def entries(value: Any) -> list[dict[str, Any]]:
    return [entry(each) for each in cast("list[Any]", value)] if isinstance(value, list) else []


def whole(value: Any) -> int | None:
    """An HTTP status or the like."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _clean(why: str) -> str:
    return sanitise_line(" ".join(why[: 4 * WHY_MAX].split()), line_cap=WHY_MAX)
