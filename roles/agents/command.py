"""An agent that is a program: started in the workspace, told by files, believed in nothing but that it failed.

Any headless coding agent will do. The argv may hold `{prompt_file}`, `{workspace}` and `{task_file}`. Its environment:
SWARM_TASK: the task (JSON). SWARM_HANDOFF: where its handoff goes. SWARM_ASK: where an operation goes that a person has
to allow; the program then ends with 75. SWARM_USAGE: where it may write `{"tokens": n, "cost": x}` as it goes.
What it prints is read along by a reader of its format (`roles.agents.streams`).
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.masks import masked_files
from engine.models.handoffs import MAX_BYTES
from engine.models.settings import AgentSettings
from engine.models.task import Operation
from engine.models.usage import Usage, count, dollars, told
from engine.ports import AgentEnd, AgentResult, AgentRun, Executor, ProcessResult, ProcessSpec, SandboxPolicy
from engine.process.environment import Environment, allowed_environment
from engine.process.programs import Programs
from engine.text.redact import Redactor
from roles.agents.streams import Ended, Stream, stream_for
from roles.agents.streams.follow import Follower
from roles.agents.usage_file import UsageFile

EXIT_ASKED = 75
NOTHING_KNOWN = Redactor({})
"""Hides what looks like a token."""
ASK_MAX_BYTES = 65_536
USAGE_MAX_BYTES = 4_096
_ENDS: dict[str, AgentEnd] = {
    "wall_timeout": "timeout",
    "idle_timeout": "idle",
    "quota": "quota",
    "cancelled": "cancelled",
    "lost": "lost",
    "not_started": "failed",
}


@dataclass(frozen=True)
class Command:
    """What to run: an argv with its program resolved, and what its sandbox must let it read beside the run's own."""

    argv: tuple[str, ...]
    readable: tuple[Path, ...] = ()


class CommandAgent:
    """Implements `engine.ports.Agent` for `kind = "command"`. Its process tree dies with the engine."""

    def __init__(self, executor: Executor, programs: Programs, redactor: Redactor = NOTHING_KNOWN) -> None:
        self._executor = executor
        self._programs = programs
        self._redactor = redactor

    async def perform(self, run: AgentRun) -> AgentResult:
        """Run the program of the settings. Raises UserError when it is missing or its environment cannot be made."""
        program = await asyncio.to_thread(self._programs.resolve, run.settings.run[0])
        command = Command((str(program.path), *run.settings.run[1:]), program.roots)
        return await perform(self._executor, run, command, self._redactor)


async def perform(
    executor: Executor,
    run: AgentRun,
    command: Command,
    redactor: Redactor = NOTHING_KNOWN,
    stream: Stream | None = None,
) -> AgentResult:
    """Run one command as the agent of `run`, and read what it left. Raises UserError for an unset `$NAME` in env.

    redactor: what it is told, and what it hands in, holds none of these secrets; its own are hidden in its log too.
    stream: reads what it prints; None: as the settings say, or its program's name.
    """
    side = SideFolder(run.side)
    await asyncio.to_thread(side.prepare, run, redactor)
    environment = environment_of(run.settings, side)
    spec = await asyncio.to_thread(spec_of, run, command, side, environment)
    stream = stream or stream_for(run.settings.stream, run.settings.run)
    redactors = (Redactor(environment.secrets), redactor)
    used = UsageFile(run.folder)
    follower = Follower(run.folder / "log", run.folder / "progress.jsonl", stream, redactors, used=used)
    ended = await follower.follow(executor.run(spec))
    return await asyncio.to_thread(_result, ended, run, side, stream, redactors)


@dataclass(frozen=True)
class SideFolder:
    """The folder beside the workspace through which a program is told its task and gives its answers."""

    folder: Path

    @property
    def task(self) -> Path:
        return self.folder / "task.json"

    @property
    def prompt(self) -> Path:
        return self.folder / "prompt.md"

    @property
    def handoff(self) -> Path:
        return self.folder / "handoff.json"

    @property
    def ask(self) -> Path:
        return self.folder / "ask.json"

    @property
    def usage(self) -> Path:
        return self.folder / "usage.json"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def prepare(self, run: AgentRun, redactor: Redactor) -> None:
        """Make the folder and write the task and its prompt, both without secrets."""
        for folder in (self.folder, self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self.task.write_bytes(redactor.redact_bytes(run.task.model_dump_json(by_alias=True).encode("utf-8")))
        self.prompt.write_bytes(redactor.redact_bytes(run.task.prompt.encode("utf-8")))


def environment_of(settings: AgentSettings, side: SideFolder) -> Environment:
    """The user's own home only where the settings name something in it; the sandbox shows no more than that of it."""
    home = Path.home() if settings.home or settings.home_rw else side.home
    own = {
        "HOME": home,
        "TMPDIR": side.temporary,
        "TEMP": side.temporary,
        "TMP": side.temporary,
        "SWARM_TASK": side.task,
        "SWARM_HANDOFF": side.handoff,
        "SWARM_ASK": side.ask,
        "SWARM_USAGE": side.usage,
    }
    return allowed_environment({**settings.env, **{name: str(path) for name, path in own.items()}})


def spec_of(run: AgentRun, command: Command, side: SideFolder, environment: Environment) -> ProcessSpec:
    """The process of a run, under its limits and in its sandbox."""
    return ProcessSpec(
        run_id=run.run_id,
        argv=tuple(filled(part, run, side) for part in command.argv),
        cwd=run.workspace,
        env=environment.values,
        folder=run.folder,
        wall_s=run.wall_s,
        idle_s=run.idle_s,
        policy=policy_of(run, command),
        quota=run.quota,
        secrets=environment.secrets,
    )


def policy_of(run: AgentRun, command: Command) -> SandboxPolicy:
    home = Path.home()
    return SandboxPolicy(
        writable=(run.workspace, run.side, *(home / name for name in run.settings.home_rw)),
        readable=(*run.readable, *command.readable, *(home / name for name in run.settings.home)),
        masked=masked_files(run.workspace, run.task.work_order.allow),
        hosts=(*run.settings.network, *run.hosts),
    )


def filled(part: str, run: AgentRun, side: SideFolder) -> str:
    """One argument with its placeholders filled in; other braces stand for themselves."""
    for name, path in (("prompt_file", side.prompt), ("task_file", side.task), ("workspace", run.workspace)):
        part = part.replace(f"{{{name}}}", str(path))
    return part


def _result(
    ended: ProcessResult, run: AgentRun, side: SideFolder, stream: Stream, redactors: Sequence[Redactor]
) -> AgentResult:
    """What became of it. All files are read as what they are: written by somebody whom nobody trusts."""
    handoff = taken(side.handoff, MAX_BYTES)
    for redactor in redactors:
        handoff = handoff and redactor.redact_bytes(handoff)
    wrote = taken(side.usage, USAGE_MAX_BYTES)
    usage = stream.usage().completed(_told(wrote, "SWARM_USAGE") if wrote else _told(handoff, "handoff"))
    UsageFile(run.folder).write(usage.model_dump())
    result = AgentResult(
        "failed",
        ended.exit_code,
        ended.duration_s,
        handoff,
        tokens=usage.tokens or 0,
        cost=usage.cost or 0.0,
        note=ended.note,
        quota=ended.quota,
        refused=ended.refused,
        usage=usage,
    )
    if ended.exit_code == EXIT_ASKED:
        return _asked(result, taken(side.ask, ASK_MAX_BYTES))
    return _as_told(result, ended, stream.ended(), redactors)


def _as_told(result: AgentResult, ended: ProcessResult, said: Ended, redactors: Sequence[Redactor]) -> AgentResult:
    """Its end, with what it printed of it. That it succeeded is never believed; that it did not, is: an agent
    may exit with 0 when its provider refused (pi 0.73). One that handed in and exited with 0 is done.
    """
    well = said.reason in ("", "success") or not said.sure
    if ended.exit_code == 0 and (well or result.handoff is not None):
        return replace(result, end="done")
    why = said.why
    for redactor in redactors:
        why = redactor.redact(why)
    if said.reason == "limit" and ended.end in ("exited", "idle_timeout", "wall_timeout"):
        return replace(result, end="limit", note=_joined(why, ended.note), resets_at=said.resets_at)
    if ended.end != "exited":
        return replace(result, end=_ENDS[ended.end])
    return replace(result, note=_joined(why, ended.note))


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _asked(result: AgentResult, raw: bytes | None) -> AgentResult:
    if raw is None:
        return replace(result, note="it asked for an approval, but left no question in SWARM_ASK")
    if len(raw) > ASK_MAX_BYTES:
        return replace(result, note=f"its question has more than {ASK_MAX_BYTES} bytes")
    try:
        operation = Operation.model_validate_json(raw)
    except ValidationError as error:
        return replace(result, note=f"its question cannot be read: {error.errors()[0]['msg']}")
    if not operation.argv or not below_workspace(operation.cwd):
        return replace(result, note="its question names no command, or a folder outside the workspace")
    if any("\0" in part for part in operation.argv):
        return replace(result, note="its question has a NUL in its command, which no program can be given")
    return replace(result, end="asked", asked=operation)


def below_workspace(folder: str) -> bool:
    """Whether a relative path stays below the folder that it is relative to, on any operating system."""
    parts = folder.replace("\\", "/").split("/")
    return ".." not in parts and not folder.startswith(("/", "\\")) and ":" not in folder and "\0" not in folder


def taken(path: Path, cap_bytes: int) -> bytes | None:
    """At most `cap_bytes + 1` bytes of a plain file, so that a longer one can be told; None if there is no such file.

    Links, pipes and devices are not followed or waited for: they could lead anywhere, and never end.
    """
    # It may be exchanged while it is looked at, so what was opened counts. Without waiting: a pipe has no end.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | careful), "rb") as file:
            return file.read(cap_bytes + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def _told(raw: bytes | None, source: str) -> Usage:
    """Tokens and cost as the agent gave them, or nothing where they make no sense."""
    try:
        said: Any = json.loads(raw or b"{}")
        return told(total=count(said.get("tokens")), cost=dollars(said.get("cost")), source=source, scope="run")
    except (ValueError, RecursionError, AttributeError):
        return Usage()
