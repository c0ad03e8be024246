"""`claude -p --output-format stream-json --verbose`, recorded with Claude Code 2.1.197."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from engine.models.usage import Usage, added, count, dollars, told
from roles.agents.streams.json_lines import JsonLines, entries, entry, text, whole
from roles.agents.streams.limits import plausible

_EDITS = frozenset({"Edit", "MultiEdit", "Write", "NotebookEdit"})
_MESSAGES_MAX = 2_000
_PARTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
_MODEL_PARTS = ("inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens", "outputTokens")


class Claude(JsonLines):
    """The API counts cached tokens beside `input_tokens`; here they are part of them. `modelUsage` of the result has
    subagents and small models too, unlike `usage`. Before there is a result, messages are counted, each once: it is
    repeated for each part of its content."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        super().__init__(now)
        self._seen: dict[str, tuple[int | None, ...]] = {}
        self._sums: list[int | None] = [None] * len(_PARTS)
        self._result: Usage | None = None
        self._until: float | None = None

    def event(self, kind: str, event: dict[str, Any]) -> None:
        match kind:
            case "assistant":
                self._message(event)
            case "user":
                if entries(entry(event.get("message")).get("content")):
                    self.go_on()
            case "system" if event.get("subtype") == "api_retry":
                self._retry(event)
            case "rate_limit_event":
                # Not recorded: as in https://github.com/anthropics/claude-code/issues/49640 and programs that read it.
                info = entry(event.get("rate_limit_info"))
                if info.get("status") == "rejected" and info.get("isUsingOverage") is not True:
                    self._until = plausible(info.get("resetsAt"), self.now())
            case "result":
                self._end(event)
            case _:
                pass

    def usage(self) -> Usage:
        if self._result is not None:
            return self._result
        return _usage(self._sums, None, "claude messages", "step")

    def _message(self, event: dict[str, Any]) -> None:
        message = entry(event.get("message"))
        if message.get("model") == "<synthetic>":  # its own words, such as an error; its result follows
            return
        self.go_on()
        self._count(text(message.get("id")), entry(message.get("usage")))
        for part in entries(message.get("content")):
            if part.get("type") == "text":
                self.say(text(part.get("text")))
            elif part.get("type") == "tool_use":
                name, given = text(part.get("name")), part.get("input")
                self.call(name, given)
                if name in _EDITS:
                    self.changed(text(entry(given).get("file_path")) or text(entry(given).get("notebook_path")))

    def _count(self, ident: str, usage: dict[str, Any]) -> None:
        seen = list(self._seen.get(ident, (None,) * len(_PARTS)))
        for index, name in enumerate(_PARTS):
            new = count(usage.get(name))
            if new is not None:
                self._sums[index] = added((self._sums[index] or 0) - (seen[index] or 0), new)
                seen[index] = new
        if ident:
            self._seen[ident] = tuple(seen)
            if len(self._seen) > _MESSAGES_MAX:
                del self._seen[next(iter(self._seen))]

    def _retry(self, event: dict[str, Any]) -> None:
        error, status = text(event.get("error")), whole(event.get("error_status"))
        if status in (429, 529) or error in ("rate_limit", "overloaded"):
            self.stall(f"the API answered {status or ''} {error} and is asked again", self._until)
        else:
            self.note(f"the API answered {status or ''} {error} and is asked again")

    def _end(self, event: dict[str, Any]) -> None:
        models = [entry(each) for each in entry(event.get("modelUsage")).values()]
        cost = dollars(event.get("total_cost_usd"))
        if models:
            sums = [added(*(count(model.get(name)) for model in models)) for name in _MODEL_PARTS]
        else:
            sums = [count(entry(event.get("usage")).get(name)) for name in _PARTS]
        said = _usage(sums, cost, "claude result", "run")
        if said.known:
            self._result = said
        if event.get("is_error") is True or text(event.get("subtype")).startswith("error"):
            why = text(event.get("result")) or text(event.get("subtype"))
            self.fail(why, whole(event.get("api_error_status")), self._until)
        else:
            self.succeed()


def _usage(sums: list[int | None], cost: float | None, source: str, scope: Any) -> Usage:
    plain, created, cached, out = sums
    given = added(plain, created, cached)
    return told(tokens_in=given, tokens_out=count(out), tokens_cached=cached, cost=cost, source=source, scope=scope)
