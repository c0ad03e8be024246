"""`pi --mode json`, recorded with pi 0.73.1 (docs/json.md of its package).

It exits with 0 whatever became of its model, so that its own word is all there is. Each piece of a message is printed
with all that came before: long answers make a long log.
"""

from __future__ import annotations

from typing import Any

from engine.models.usage import Usage, added, count, dollars, told
from roles.agents.streams.json_lines import JsonLines, entries, entry, text

_EDITS = frozenset({"edit", "write"})


class Pi(JsonLines):
    """`usage` of a message counts one call of the model; its input leaves out what was cached. After an error
    `agent_end` may be followed by `auto_retry_start`."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._in: int | None = None
        self._out: int | None = None
        self._cached: int | None = None
        self._cost = 0.0

    def event(self, kind: str, event: dict[str, Any]) -> None:
        match kind:
            case "message_end":
                self._message(entry(event.get("message")))
            case "tool_execution_start":
                name, given = text(event.get("toolName")), event.get("args")
                self.call(name, given)
                if name in _EDITS:
                    self.changed(text(entry(given).get("path")))
            case "auto_retry_start":
                self.note(f"it is asked again after {text(event.get('errorMessage'))}")
            case "auto_retry_end" if event.get("success") is False:
                self.fail(text(event.get("finalError")))
            case "agent_end":
                if self.ended().reason not in ("error", "limit"):
                    self.succeed()
            case _:
                pass

    def usage(self) -> Usage:
        return told(
            tokens_in=self._in,
            tokens_out=self._out,
            tokens_cached=self._cached,
            cost=dollars(self._cost),
            source="pi messages",
            scope="step",
        )

    def _message(self, message: dict[str, Any]) -> None:
        if message.get("role") != "assistant":
            return
        self._used(entry(message.get("usage")))
        for part in entries(message.get("content")):
            if part.get("type") == "text":
                self.say(text(part.get("text")))
        if message.get("stopReason") in ("error", "aborted"):
            self.fail(text(message.get("errorMessage")) or f"it was {text(message.get('stopReason'))}")
        else:
            self.go_on()

    def _used(self, usage: dict[str, Any]) -> None:
        read = count(usage.get("cacheRead"))
        given = added(count(usage.get("input")), read, count(usage.get("cacheWrite")))
        self._in, self._out = added(self._in, given), added(self._out, count(usage.get("output")))
        self._cached = added(self._cached, read)
        self._cost += dollars(entry(usage.get("cost")).get("total")) or 0.0
