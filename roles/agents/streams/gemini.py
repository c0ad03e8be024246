"""`gemini -p … --output-format stream-json`, recorded with Gemini CLI 0.61.0."""

from __future__ import annotations

import re
from typing import Any

from engine.models.usage import Usage, count, told
from roles.agents.streams.json_lines import JsonLines, entry, text

_EDITS = frozenset({"replace", "write_file", "edit"})
_RETRY = re.compile(r"^Attempt \d+ failed with status (?:429|503|529)\b")


class Gemini(JsonLines):
    """`stats` of the result are the run's; `total_tokens` has thoughts and tools too. That it waits for its provider
    is only on stderr. Messages come in pieces (`delta`) and are shown when something else follows."""

    _usage = Usage()
    _said = ""

    def event(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "message" and event.get("role") == "assistant":
            self.go_on()
            self._said = (self._said + text(event.get("content")))[-4_000:]
            return
        self.say(self._said)
        self._said = ""
        match kind:
            case "tool_use":
                self.go_on()
                name, given = text(event.get("tool_name")), event.get("parameters")
                self.call(name, given)
                if name in _EDITS:
                    self.changed(text(entry(given).get("file_path")))
            case "tool_result":
                self.go_on()
            case "error":  # a warning: a result follows in any case
                self.note(text(event.get("message")))
            case "result":
                self._end(event)
            case _:
                pass

    def other(self, line: str) -> None:
        if _RETRY.match(line):
            self.stall(line)

    def usage(self) -> Usage:
        return self._usage

    def _end(self, event: dict[str, Any]) -> None:
        stats = entry(event.get("stats"))
        given, out, cached, total = (
            count(stats.get(name)) for name in ("input_tokens", "output_tokens", "cached", "total_tokens")
        )
        self._usage = told(
            tokens_in=given, tokens_out=out, tokens_cached=cached, total=total, source="gemini stats", scope="run"
        )
        if event.get("status") == "success":
            self.succeed()
        else:
            error = entry(event.get("error"))
            self.fail(text(error.get("message")) or text(error.get("type")) or "it ended with an error")
