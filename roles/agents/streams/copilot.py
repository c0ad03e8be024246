"""`copilot -p … --output-format json`, recorded with GitHub Copilot CLI 1.0.102 and a model of one's own.

Its events are those of the Copilot SDK (https://docs.github.com/copilot/how-tos/copilot-sdk, "Streaming events").
`assistant.usage`, `session.shutdown` and `outputTokens` are from there: the recording has none of them.
"""

from __future__ import annotations

from typing import Any

from engine.models.usage import Usage, added, count, told
from roles.agents.streams.json_lines import JsonLines, entries, entry, text, whole


class Copilot(JsonLines):
    """Premium requests are no dollars, so a cost is never known."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._calls = Usage()
        self._answers: int | None = None
        self._shutdown = Usage()

    def event(self, kind: str, event: dict[str, Any]) -> None:
        data = entry(event.get("data"))
        match kind:
            case "assistant.message":
                self.go_on()
                self._answers = added(self._answers, count(data.get("outputTokens")))
                self.say(text(data.get("content")))
            case "tool.execution_start":
                self.go_on()
                self.call(text(data.get("toolName")), data.get("arguments"))
            case "tool.execution_complete":
                for edit in entries(data.get("fileEdits")):
                    self.changed(text(edit.get("path")))
            case "assistant.usage":
                self._used(data)
            case "session.shutdown":
                self._whole(data)
            case "assistant.turn_retry" if data.get("reason") == "rate_limit":
                self.stall("the provider's rate limit is reached, and it is asked again")
            case "session.error":
                self.fail(text(data.get("message")) or text(data.get("errorType")), _status(data))
            case "result":
                self._end(event)
            case _:
                pass

    def usage(self) -> Usage:
        if self._shutdown.known:
            return self._shutdown
        if self._calls.known:
            return self._calls
        return told(tokens_out=self._answers, source="copilot assistant.message", scope="step")

    def _used(self, data: dict[str, Any]) -> None:
        calls = self._calls
        self._calls = told(
            tokens_in=added(calls.tokens_in, count(data.get("inputTokens"))),
            tokens_out=added(calls.tokens_out, count(data.get("outputTokens"))),
            tokens_cached=added(calls.tokens_cached, count(data.get("cacheReadTokens"))),
            source="copilot assistant.usage",
            scope="step",
        )

    def _whole(self, data: dict[str, Any]) -> None:
        models = [entry(entry(each).get("usage")) for each in entry(data.get("modelMetrics")).values()]
        self._shutdown = told(
            tokens_in=added(*(count(model.get("inputTokens")) for model in models)),
            tokens_out=added(*(count(model.get("outputTokens")) for model in models)),
            tokens_cached=added(*(count(model.get("cacheReadTokens")) for model in models)),
            source="copilot session.shutdown",
            scope="run",
        )

    def _end(self, event: dict[str, Any]) -> None:
        code = whole(event.get("exitCode"))
        if code == 0:
            self.succeed()
        elif self.ended().reason not in ("error", "limit"):
            self.fail(f"it ended with exit code {code}")


def _status(data: dict[str, Any]) -> int | None:
    return 429 if data.get("errorType") in ("rate_limit", "quota") else whole(data.get("statusCode"))
