"""`codex exec --json`, recorded with codex-cli 0.169.0."""

from __future__ import annotations

from typing import Any

from engine.models.usage import Usage, count, told
from roles.agents.streams.json_lines import JsonLines, entries, entry, text


class Codex(JsonLines):
    """`usage` of `turn.completed` counts the thread so far: cached tokens are part of its input, and reasoning of its
    output. A turn that failed has none. The reset time of a plan's limit is only in the words of the error, as a time
    of day or a date of this machine."""

    _usage = Usage()

    def event(self, kind: str, event: dict[str, Any]) -> None:
        match kind:
            case "item.started" | "item.completed":
                self._item(kind, entry(event.get("item")))
            case "turn.completed":
                self._used(entry(event.get("usage")))
                self.succeed()
            case "turn.failed":
                self.fail(text(entry(event.get("error")).get("message")))
            case "error":  # also "Reconnecting... 1/5", after which it goes on
                self.fail(text(event.get("message")))
            case _:
                pass

    def usage(self) -> Usage:
        return self._usage

    def _item(self, kind: str, item: dict[str, Any]) -> None:
        match text(item.get("type")), kind:
            case "agent_message", "item.completed":
                self.go_on()
                self.say(text(item.get("text")))
            case "command_execution", "item.started":
                self.go_on()
                self.call("command", {"command": item.get("command")})
            case "mcp_tool_call", "item.started":
                self.go_on()
                self.call(f"{text(item.get('server'))}.{text(item.get('tool'))}", item.get("arguments"))
            case "web_search", "item.completed":
                self.call("web_search", {"query": item.get("query")})
            case "file_change", "item.completed":
                self.go_on()
                for change in entries(item.get("changes")):
                    self.changed(text(change.get("path")))
            case "error", _:  # a warning: the turn goes on
                self.note(text(item.get("message")))
            case _:
                pass

    def _used(self, usage: dict[str, Any]) -> None:
        given, cached, out = (
            count(usage.get(name)) for name in ("input_tokens", "cached_input_tokens", "output_tokens")
        )
        self._usage = told(
            tokens_in=given, tokens_out=out, tokens_cached=cached, source="codex turn.completed", scope="run"
        )
