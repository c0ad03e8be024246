"""`opencode run --format json`, recorded with opencode 1.18.33."""

from __future__ import annotations

import re
from typing import Any

from engine.models.usage import Usage, added, count, dollars, told
from roles.agents.streams.json_lines import JsonLines, entry, text, whole
from roles.agents.streams.limits import is_limit

_LOGGED = re.compile(r'\blevel=ERROR\b.*\berror(?:\.error)?="([^"]{1,1000})')
_EDITS = frozenset({"edit", "write", "patch", "multiedit"})


class Opencode(JsonLines):
    """Each `step_finish` counts one call of the model; titles and subagents are not among them. Its output leaves
    reasoning out, its input what was cached.

    While it waits for its provider it prints nothing at all, but for its log on stderr with `--print-logs`.
    """

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._in: int | None = None
        self._out: int | None = None
        self._cached: int | None = None
        self._total: int | None = None
        self._cost = 0.0

    def event(self, kind: str, event: dict[str, Any]) -> None:
        part = entry(event.get("part"))
        match kind:
            case "text":
                self.go_on()
                self.say(text(part.get("text")))
            case "tool_use":
                self.go_on()
                name, state = text(part.get("tool")), entry(part.get("state"))
                self.call(name, state.get("input"))
                if name in _EDITS and state.get("status") == "completed":
                    self.changed(text(entry(state.get("input")).get("filePath")))
            case "step_finish":
                self._step(part)
                if part.get("reason") == "stop":
                    self.succeed()
            case "error":
                self._error(entry(event.get("error")))
            case _:
                pass

    def other(self, line: str) -> None:
        if (found := _LOGGED.search(line)) and is_limit(found[1]):
            self.stall(found[1])

    def usage(self) -> Usage:
        return told(
            tokens_in=self._in,
            tokens_out=self._out,
            tokens_cached=self._cached,
            total=self._total,
            cost=dollars(self._cost),
            source="opencode step_finish",
            scope="step",
        )

    def _step(self, part: dict[str, Any]) -> None:
        tokens = entry(part.get("tokens"))
        cache = entry(tokens.get("cache"))
        read = count(cache.get("read"))
        given = added(count(tokens.get("input")), read, count(cache.get("write")))
        out = added(count(tokens.get("output")), count(tokens.get("reasoning")))
        self._in, self._out, self._cached = added(self._in, given), added(self._out, out), added(self._cached, read)
        total = count(tokens.get("total"))
        self._total = added(self._total, total if total is not None else added(given, out))
        self._cost += dollars(part.get("cost")) or 0.0

    def _error(self, error: dict[str, Any]) -> None:
        data = entry(error.get("data"))
        headers = {name.lower(): text(value) for name, value in entry(data.get("responseHeaders")).items()}
        wait = f" (retry-after: {headers['retry-after']})" if headers.get("retry-after") else ""
        why = text(data.get("message")) or text(error.get("name")) or "it ended with an error"
        self.fail(why + wait, whole(data.get("statusCode")))
