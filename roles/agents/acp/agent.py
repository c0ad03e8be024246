"""The adapter for `kind = "acp"`: starts the agent in its sandbox, talks to it, and says how it ended."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from engine.approvals.broker import Policy
from engine.masks import masked_files
from engine.models.handoffs import HANDOFFS, MAX_BYTES, HandoffError, parse_handoff
from engine.models.task import Operation
from engine.ports import AgentEnd, AgentResult, AgentRun, Executor, ProcessResult, Talk
from engine.process.programs import Programs
from engine.text.redact import Redactor
from roles.agents import handoff_server
from roles.agents.acp.client import Client
from roles.agents.acp.files import SERVED, WorkspaceFiles
from roles.agents.acp.known import environment_for, has_own_files
from roles.agents.acp.rows import ToolRows
from roles.agents.acp.session import Outcome, Session
from roles.agents.acp.spent import finite
from roles.agents.acp.transcript import Transcript
from roles.agents.command import (
    ASK_MAX_BYTES,
    NOTHING_KNOWN,
    Command,
    SideFolder,
    below_workspace,
    environment_of,
    spec_of,
    taken,
)
from roles.agents.progress_file import ProgressFile
from roles.agents.streams.limits import resets_at
from roles.agents.usage_file import UsageFile

SERVER = Path(handoff_server.__file__)
HOW = """

# In this session

Hand in with the tool `submit_handoff` of the MCP server `swarm`, then end your turn. Ask for a dangerous operation with
its tool `ask_human`, then end your turn. Tell what you are at with `report_progress`. If you cannot see these tools,
write the files instead: SWARM_HANDOFF is {handoff}, SWARM_ASK is {ask}.
Where exit codes are spoken of, end your turn instead.
"""
SEEN = "import runpy,sys;open(sys.argv[1],'w').close();del sys.argv[:2];runpy.run_path(sys.argv[0],run_name='__main__')"
"""Starts the server behind a file that tells that it was started."""
SAID_RATE = 2_000_000
"""Bytes a second, over ten seconds: 3,200 small messages, which is as fast as one is read, are more."""
_UNSAID = AgentResult("failed", None, 0.0, note="it did not answer")
_ENDS: dict[str, AgentEnd] = {
    "wall_timeout": "timeout",
    "idle_timeout": "idle",
    "quota": "quota",
    "lost": "lost",
    "not_started": "failed",
}


@dataclass(frozen=True)
class Greeting:
    """What a handshake showed. agent: name and version by its own word. hello: its answer to `initialize`. mode: the
    one that asks before it acts, "" where none is offered. served: it started the MCP server. why: one clause when it
    failed, else "". refused: hosts that it wanted to reach and was not let."""

    agent: str
    hello: dict[str, Any]
    mode: str
    served: bool
    why: str
    refused: tuple[str, ...]


class AcpAgent:
    """Implements `engine.ports.Agent` for `kind = "acp"`. Its process tree ends with the conversation."""

    def __init__(self, executor: Executor, programs: Programs, redactor: Redactor = NOTHING_KNOWN) -> None:
        self._executor = executor
        self._programs = programs
        self._redactor = redactor

    async def perform(self, run: AgentRun) -> AgentResult:
        """Hold one session about the task. Raises UserError when the program is missing or its environment cannot be
        made."""
        side = SideFolder(run.side)
        ended, session, redactors = await self._converse(run, side, _server(side), lambda session: session.hold)
        return await asyncio.to_thread(_result, ended, session, run, side, redactors)

    async def greet(self, run: AgentRun) -> Greeting:
        """Shake hands and leave: its model is told nothing, so nothing is spent. Raises UserError as `perform` does."""
        side = SideFolder(run.side)
        seen = side.folder / "served"
        server = _server(side)
        server["args"] = ["-I", "-S", "-c", SEEN, str(seen), *server["args"][2:]]

        def talk(session: Session) -> Talk:
            return lambda channel: session.greet(channel, seen.exists)

        ended, session, redactors = await self._converse(run, side, server, talk)
        why = "" if session.outcome.end == "done" else _cut(session.outcome, ended, _UNSAID)
        for redactor in redactors:
            why = redactor.redact(why)
        return Greeting(session.agent, session.hello, session.mode, seen.exists(), why, ended.refused)

    async def _converse(
        self, run: AgentRun, side: SideFolder, server: dict[str, Any], talk: Callable[[Session], Talk]
    ) -> tuple[ProcessResult, Session, tuple[Redactor, Redactor]]:
        program = await asyncio.to_thread(self._programs.resolve, run.settings.run[0])
        prefixes = dict.fromkeys((Path(sys.base_prefix), Path(sys.base_exec_prefix)))
        own = (SERVER, *(prefix for prefix in prefixes if prefix != Path(prefix.anchor)))
        command = Command((str(program.path), *run.settings.run[1:]), (*program.roots, *own))
        await asyncio.to_thread(self._prepare, run, side)
        known = environment_for(run.settings.run[0], run.settings.env)
        environment = environment_of(run.settings.model_copy(update={"env": known}), side)
        redactors = (Redactor(environment.secrets), self._redactor)
        quota = replace(run.quota, log_rate=min(run.quota.log_rate, SAID_RATE))
        spec = await asyncio.to_thread(spec_of, replace(run, quota=quota), command, side, environment)
        transcript, used = Transcript(run.folder / "log", redactors), UsageFile(run.folder)
        session = self._session(run, side, transcript, server)
        rows = session.client.rows = ToolRows(ProgressFile(run.folder / "progress.jsonl", redactors))
        keeping = asyncio.ensure_future(used.follow(session.client.spent.record))
        try:
            return await self._executor.interact(spec, talk(session)), session, redactors
        finally:
            keeping.cancel()
            used.write(session.client.spent.record())
            rows.close()
            transcript.close()

    def _prepare(self, run: AgentRun, side: SideFolder) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        side.prepare(run, self._redactor)
        schema = HANDOFFS[run.task.role].model_json_schema() if run.task.role in HANDOFFS else {}
        for name in ("tokens", "cost"):  # what the agent's own figures say is better than its model's guess
            schema.get("properties", {}).pop(name, None)
        _schema(side).write_text(json.dumps(schema), encoding="utf-8")

    def _session(self, run: AgentRun, side: SideFolder, transcript: Transcript, server: dict[str, Any]) -> Session:
        order, settings = run.task.work_order, run.settings
        client = Client(
            Policy(
                run.workspace,
                self._executor.guarantees,
                run.without,
                hosts=(*settings.network, *run.hosts),
                readable=(run.side, *run.readable),
            ),
            WorkspaceFiles(run.workspace, order.allow, order.deny, masked_files(run.workspace, order.allow)),
            transcript,
            answered=[tuple(one.operation.argv) for one in run.task.granted],
            own=(side.handoff, side.ask),
        )
        prompt = self._redactor.redact(run.task.prompt) + HOW.format(handoff=side.handoff, ask=side.ask)

        def check() -> None:
            _check(side, run.task.role)

        serves = SERVED and not has_own_files(settings.run[0])
        return Session(str(run.workspace), prompt, server, client, check, side.ask.exists, serves)


def _schema(side: SideFolder) -> Path:
    return side.folder / "handoff.schema.json"


def _server(side: SideFolder) -> dict[str, Any]:
    """The MCP server that the session is offered. All in its argv: agents pass on what environment they like."""
    python = str(getattr(sys, "_base_executable", "") or sys.executable)
    files = (side.handoff, side.ask, side.folder / "progress.jsonl", _schema(side))
    return {
        "name": "swarm",
        "command": python,
        "args": ["-I", "-S", str(SERVER), *(str(each) for each in files)],
        "env": [],
    }


def _check(side: SideFolder, role: str) -> None:
    """Raises HandoffError for a handoff that is there and not valid; it is out of the way then."""
    raw = taken(side.handoff, MAX_BYTES)
    if raw is None or role not in HANDOFFS:
        return
    try:
        parse_handoff(raw, cast("Any", role))
    except HandoffError:
        side.handoff.replace(side.folder / "handoff.returned.json")
        raise


def _result(
    ended: ProcessResult, session: Session, run: AgentRun, side: SideFolder, redactors: Sequence[Redactor]
) -> AgentResult:
    """What became of it. What it left is read as what it is: written by somebody whom nobody trusts."""
    spent, outcome = session.client.spent, session.outcome
    record = {**spent.record(), "agent": session.agent, "permissions": session.client.permissions}
    UsageFile(run.folder).write(record)
    handoff = taken(side.handoff, MAX_BYTES) or taken(side.folder / "handoff.returned.json", MAX_BYTES)
    for redactor in redactors:
        handoff = handoff and redactor.redact_bytes(handoff)
    result = AgentResult(
        "failed",
        ended.exit_code,
        ended.duration_s,
        handoff,
        None,
        spent.tokens or 0,
        finite(spent.cost),
        "; ".join(part for part in (outcome.why, ended.note) if part),
        ended.quota,
        ended.refused,
        usage=spent.usage(),
    )
    for redactor in redactors:
        result = replace(result, note=redactor.redact(result.note))
    if outcome.end == "done":
        return replace(result, end="done", note=result.note if outcome.why else "")
    if outcome.end == "asked":
        return _asked(result, session.client.asked, side)
    if outcome.end == "limit":
        return replace(result, end="limit", resets_at=resets_at(outcome.why, time.time()))
    if ended.end in _ENDS and outcome.end == "cut":
        return replace(result, end=_ENDS[ended.end], note=ended.note)
    return replace(result, note=result.note if outcome.end != "cut" else _cut(outcome, ended, result))


def _cut(outcome: Outcome, ended: ProcessResult, result: AgentResult) -> str:
    code = "" if ended.exit_code is None else f" (exit code {ended.exit_code})"
    return f"{outcome.why}{code}{f'; {ended.note}' if ended.note else ''}" or result.note


def _asked(result: AgentResult, operation: Operation | None, side: SideFolder) -> AgentResult:
    """What it asked for by a permission request, or else by a file."""
    if operation is None:
        raw = taken(side.ask, ASK_MAX_BYTES) or b""
        try:
            operation = Operation.model_validate_json(raw) if len(raw) <= ASK_MAX_BYTES else None
        except ValidationError as error:
            return replace(result, note=f"its question cannot be read: {error.errors()[0]['msg']}")
    if operation is None or not operation.argv or any("\0" in part for part in operation.argv):
        return replace(result, note="its question names no command")
    if not below_workspace(operation.cwd):
        return replace(result, note="its question names a folder outside the workspace")
    return replace(result, end="asked", asked=operation)
