"""Our side of the protocol: what an agent tells and asks, answered by rules alone.

Updates are read as they come: an unknown one is passed over, so that a newer agent can be used. A question is put to
nobody here: what needs a person ends the run, like the question of any other agent, and its work goes on when he has
answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from engine.approvals.broker import Decision, Policy, decide, option_for
from engine.models.task import Operation
from engine.text.sanitise import sanitise_line
from roles.agents.acp.calls import Call, Calls, command_of, folder_of, request_of
from roles.agents.acp.files import FileRefused, WorkspaceFiles
from roles.agents.acp.rows import ToolRows
from roles.agents.acp.spent import Spent
from roles.agents.acp.transcript import Transcript

OUR_TOOLS = ("submit_handoff", "report_progress", "ask_human")
OUTSIDE = ("execute", "fetch", "edit", "delete", "move")
"""Kinds that none of our tools is of."""
LOOKS = ("read", "search", "think")
DENIED_MAX = 50
"""Requests that were denied, until the run ends: it gets nowhere."""
SAME_MAX = 50
"""Calls in a row that do the same, until the run ends."""
WORDS = 300
REFUSED_CODE, UNKNOWN_CODE, INVALID_CODE, INTERNAL_CODE = -32001, -32601, -32602, -32603
NO_TERMINAL = "terminals are not offered: run commands with your own tools, inside your sandbox"


@dataclass
class Client:
    """Answers one session. `stopped` is set when it should go no further, with `why`; `asked`: what it waits for.

    answered: commands that a person has answered already. own: files beside the workspace that it may write.
    """

    policy: Policy
    files: WorkspaceFiles
    transcript: Transcript
    answered: Collection[tuple[str, ...]] = ()
    own: Collection[Path] = ()
    spent: Spent = field(default_factory=Spent)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    asked: Operation | None = None
    title_is_command: bool = False
    """Of a call to execute something that names no command."""
    permissions: int = 0
    rows: ToolRows | None = None
    """Where its tool calls are told to who watches the run."""
    _calls: Calls = field(default_factory=Calls)
    _denied: int = 0
    _last: tuple[object, ...] = ()
    _same: int = 0

    async def handle(self, method: str, params: Any, notification: bool) -> Any:
        """The handler of the SDK's connection. Raises RequestError for what is refused."""
        said = cast("dict[str, Any]", params) if isinstance(params, dict) else {}
        if notification:
            if method == "session/update":
                self._update(said)
            return None
        handlers: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "session/request_permission": self._permission,
            "fs/read_text_file": self._read,
            "fs/write_text_file": self._write,
        }
        if method.startswith("terminal/"):
            raise _error(UNKNOWN_CODE, NO_TERMINAL)
        if method not in handlers:
            raise _error(UNKNOWN_CODE, f"{method[:WORDS]} is not offered")
        try:
            return await handlers[method](said)
        except (OSError, ValueError, RuntimeError) as error:
            # Anything but its own errors the SDK writes to the root logger, and so onto somebody's terminal.
            raise _error(INTERNAL_CODE, f"it could not be answered: {type(error).__name__}") from error

    def stop(self, why: str) -> None:
        """Let it go no further; the first reason counts."""
        self.why = self.why or why
        self.stopped.set()

    # ---- updates

    def _update(self, params: dict[str, Any]) -> None:
        found = params.get("update")
        update = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        kind = update.get("sessionUpdate")
        if kind in ("agent_message_chunk", "agent_thought_chunk"):
            content = update.get("content")
            text = cast("dict[str, Any]", content).get("text") if isinstance(content, dict) else None
            if isinstance(text, str):
                self.transcript.say("" if kind == "agent_message_chunk" else "~ ", text)
        elif kind in ("tool_call", "tool_call_update"):
            first = kind == "tool_call"
            call = self._calls.merge(update, first=first)
            self._tool_call(call, first=first)
            if self.rows is not None:
                self.rows.look(call, update.get("rawInput"), first=first)
        elif kind == "usage_update":
            self.spent.update(update)

    def _tool_call(self, call: Call, *, first: bool) -> None:
        if first or call.status in ("completed", "failed"):
            words = call.title or call.command or call.ident
            self.transcript.line(f"▸ {words[:WORDS]} [{call.kind or 'other'}] {call.status}")
        if first:
            self._same = self._same + 1 if call.signature == self._last else 1
            self._last = call.signature
            if self._same > SAME_MAX:
                self.stop(
                    f"it made the same tool call {self._same} times in a row: {sanitise_line(call.title[:WORDS])}"
                )

    # ---- questions

    async def _permission(self, params: dict[str, Any]) -> dict[str, Any]:
        self.permissions += 1
        found = params.get("toolCall")
        part = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        call = self._calls.merge(part)
        if self.rows is not None:
            self.rows.look(call, part.get("rawInput"))
        if self.title_is_command and call.kind == "execute" and not (call.command or call.argv):
            call = replace(call, command=call.title)
        decision = await asyncio.to_thread(self._decide, call)
        self.transcript.line(f"? {(call.title or call.command)[:WORDS]}: {decision.verdict} ({decision.reason})")
        if decision.verdict == "ask":
            self._ask(call, decision)
        elif decision.verdict == "deny":
            self._denied += 1
            if self._denied > DENIED_MAX:
                self.stop(f"it asked {self._denied} times for what it may not do; the last was denied because "
                          f"{sanitise_line(decision.reason)}")  # fmt: skip
        option = option_for(decision.verdict, _options(params.get("options")))
        if option is None:
            return {"outcome": {"outcome": "cancelled"}}
        return {"outcome": {"outcome": "selected", "optionId": option}}

    def _decide(self, call: Call) -> Decision:
        does = call.command or call.argv or call.paths or call.url
        # A name may be in anything that a model says, such as a path: it counts for what does nothing else.
        ours = any(tool in call.title or tool in call.ident for tool in OUR_TOOLS)
        if ours and not does and call.kind not in OUTSIDE:
            return Decision("allow", "a tool of this session")
        if call.kind in LOOKS and (call.argv or " " in call.command.strip()):
            # It runs something, whatever it is called. One word is what text editors call their own actions.
            found = [self._ruled(replace(call, kind="execute")), self._ruled(call)]
            return min(found, key=lambda one: ("deny", "ask", "allow").index(one.verdict))
        return self._ruled(call)

    def _ruled(self, call: Call) -> Decision:
        request = request_of(call, self.policy.workspace)
        if request.kind == "edit" and request.paths and all(self._is_own(path) for path in request.paths):
            return Decision("allow", "its own handoff")
        return decide(request, self.policy)

    def _is_own(self, path: str) -> bool:
        real = self.policy.resolve(path)
        return real is not None and any(real == self.policy.resolve(str(each)) for each in self.own)

    def _ask(self, call: Call, decision: Decision) -> None:
        """Park it behind the question, if there is a command that a person can be asked about."""
        if call.command or call.argv:
            argv = command_of(call)
        elif call.kind == "delete" and call.paths:
            argv = ["rm", "-r", "--", *(self._relative(path) for path in call.paths)]
        else:
            return  # a host: what the proxy refuses is shown to a person anyway
        if tuple(argv) in self.answered:
            return
        why = f"{call.title[:WORDS]} ({decision.reason})" if call.title else decision.reason
        cwd = folder_of(call, self.policy.workspace)
        if self.asked is None and not any("\0" in part for part in argv):
            self.asked = Operation(argv=argv, cwd=cwd, why=why, danger=decision.danger or "unknown")
            self.stop("it waits for an approval")

    def _relative(self, path: str) -> str:
        full = self.policy.workspace / path
        return (
            full.relative_to(self.policy.workspace).as_posix() if full.is_relative_to(self.policy.workspace) else path
        )

    async def _read(self, params: dict[str, Any]) -> dict[str, Any]:
        path, line, limit = params.get("path"), params.get("line"), params.get("limit")
        if not isinstance(path, str) or not isinstance(line, int | None) or not isinstance(limit, int | None):
            raise _error(INVALID_CODE, "path has to be a text, line and limit numbers")
        try:
            return {"content": await asyncio.to_thread(self.files.read, path, line, limit)}
        except FileRefused as error:
            raise self._refused("read", path, error) from error

    async def _write(self, params: dict[str, Any]) -> dict[str, Any]:
        path, content = params.get("path"), params.get("content")
        if not isinstance(path, str) or not isinstance(content, str):
            raise _error(INVALID_CODE, "path and content have to be texts")
        try:
            await asyncio.to_thread(self.files.write, path, content)
        except FileRefused as error:
            raise self._refused("written", path, error) from error
        self.transcript.line(f"▸ wrote {path[:WORDS]}")
        return {}

    def _refused(self, done: str, path: str, error: FileRefused) -> Exception:
        self.transcript.line(f"? {path[:WORDS]} is not {done}: {error}")
        return _error(REFUSED_CODE, f"{path[:WORDS]} is not {done}: {error}")


def _options(value: Any) -> list[tuple[str, str]]:
    """(id, kind) of what is offered."""
    rows = [cast("dict[str, Any]", row) for row in cast("list[Any]", value) if isinstance(row, dict)] if isinstance(
        value, list
    ) else []  # fmt: skip
    return [(str(row.get("optionId", "")), str(row.get("kind", ""))) for row in rows]


def _error(code: int, text: str) -> Exception:
    from acp.exceptions import RequestError

    return RequestError(code, text)
