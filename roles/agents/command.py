"""An agent that is a program: started in the workspace, told by files, believed in nothing but its exit code.

Any headless coding agent will do. The argv may hold `{prompt_file}`, `{workspace}` and `{task_file}`. Its environment:
SWARM_TASK: the task (JSON). SWARM_HANDOFF: where its handoff goes. SWARM_ASK: where an operation goes that a person has
to allow; the program then ends with 75. SWARM_USAGE: where it may write `{"tokens": n, "cost": x}` as it goes.
"""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.masks import masked_files
from engine.models.handoffs import MAX_BYTES, MAX_COST, MAX_TOKENS
from engine.models.settings import AgentSettings
from engine.models.task import Operation
from engine.ports import AgentEnd, AgentResult, AgentRun, Executor, ProcessResult, ProcessSpec, SandboxPolicy
from engine.process.environment import Environment, allowed_environment
from engine.process.programs import Programs
from engine.text.redact import Redactor

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
    executor: Executor, run: AgentRun, command: Command, redactor: Redactor = NOTHING_KNOWN
) -> AgentResult:
    """Run one command as the agent of `run`, and read what it left. Raises UserError for an unset `$NAME` in env.

    redactor: what it is told, and what it hands in, holds none of these secrets; its own are hidden in its log too.
    """
    side = SideFolder(run.side)
    await asyncio.to_thread(side.prepare, run, redactor)
    environment = environment_of(run.settings, side)
    spec = ProcessSpec(
        run_id=run.run_id,
        argv=tuple(filled(part, run, side) for part in command.argv),
        cwd=run.workspace,
        env=environment.values,
        folder=run.folder,
        wall_s=run.wall_s,
        idle_s=run.idle_s,
        policy=await asyncio.to_thread(policy_of, run, command),
        quota=run.quota,
        secrets=environment.secrets,
    )
    ended = await executor.run(spec)
    return await asyncio.to_thread(_result, ended, side, (Redactor(environment.secrets), redactor))


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


def _result(ended: ProcessResult, side: SideFolder, redactors: Sequence[Redactor]) -> AgentResult:
    """What became of it. All files are read as what they are: written by somebody whom nobody trusts."""
    handoff = taken(side.handoff, MAX_BYTES)
    for redactor in redactors:
        handoff = handoff and redactor.redact_bytes(handoff)
    tokens, cost = _usage(taken(side.usage, USAGE_MAX_BYTES) or handoff)
    said = (ended.note, ended.quota, ended.refused)
    result = AgentResult("failed", ended.exit_code, ended.duration_s, handoff, None, tokens, cost, *said)
    if ended.end != "exited":
        return replace(result, end=_ENDS[ended.end])
    if ended.exit_code == 0:
        return replace(result, end="done")
    if ended.exit_code == EXIT_ASKED:
        return _asked(result, taken(side.ask, ASK_MAX_BYTES))
    return result


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
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(cap_bytes + 1)
    except OSError:
        return None


def _usage(raw: bytes | None) -> tuple[int, float]:
    """Tokens and cost as the agent gave them, or nothing where they make no sense."""
    try:
        said: Any = json.loads(raw or b"{}")
        tokens, cost = said.get("tokens", 0), said.get("cost", 0.0)
    except (ValueError, RecursionError, AttributeError):
        return 0, 0.0
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens < MAX_TOKENS:
        tokens = 0
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost <= MAX_COST:
        cost = 0.0
    return tokens, float(cost)
