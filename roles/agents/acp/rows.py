"""The tool calls of a session as rows of its run's progress: one each, once all is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from roles.agents.acp.calls import CALLS_MAX, Call
from roles.agents.progress_file import ProgressFile
from roles.agents.streams.stream import TEXT_MAX, Row, tool_row

OPEN_MAX = 16
"""Calls at once; of more the oldest counts as said. Some agents never say that a call has ended."""


@dataclass
class ToolRows:
    """Agents tell a call in parts, its input often after its name, so that a row waits for the call's end: two rows
    have the same `call` only where all that was said of both is the same."""

    file: ProgressFile
    _open: dict[str, tuple[Call, Any]] = field(default_factory=dict[str, "tuple[Call, Any]"])
    _told: set[str] = field(default_factory=set[str])

    def look(self, call: Call, given: Any, *, first: bool = False) -> None:
        """What is known of a call now. given: its `rawInput` in this part, None where it has none. first: it begins."""
        if first and call.ident in self._open:
            self._tell(call.ident)  # the id is another's now
        if first:
            self._told.discard(call.ident)
        if call.ident in self._told:
            return
        before = self._open.pop(call.ident, (call, None))[1]
        self._open[call.ident] = call, before if given is None else given
        if call.status in ("completed", "failed"):
            self._tell(call.ident)
        while len(self._open) > OPEN_MAX:
            self._tell(next(iter(self._open)))

    def close(self) -> None:
        for ident in list(self._open):
            self._tell(ident)

    def _tell(self, ident: str) -> None:
        call, given = self._open.pop(ident)
        if len(self._told) >= CALLS_MAX:
            self._told.clear()
        self._told.add(ident)
        self.file.write([row_of(call, given)])


def row_of(call: Call, given: Any) -> Row:
    """given: all of its input."""
    about = call.command or " ".join(call.argv) or " ".join(call.paths) or call.url
    what = [call.kind, call.title, list(call.paths), call.command, list(call.argv), call.cwd, call.url, given]
    name = call.title or call.kind or "a tool"
    about = "" if about in name else about
    return Row("tool", tool_row("", about[: 4 * TEXT_MAX]).text, tool_row(name, None).tool, tool_row("", what).call)
