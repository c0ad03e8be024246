"""Shakes hands with each agent of the settings: started in its sandbox as in a run, asked what it can, told nothing.

| kind | what is done |
|---|---|
| acp | started; `initialize` and `session/new`, then it is let go; no prompt, so its model is not asked |
| command | a known one is asked for its version; another one is not started, since nobody knows what that would do |
| model | its server is asked which models it has |
| script | nothing: it is the player of scripts |
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from engine.egress.way_out import Egress, enforces_hosts
from engine.errors import SwarmError
from engine.executors.local import LocalExecutor
from engine.folders import StateFolder
from engine.git.removal import remove_tree
from engine.models.problem import Problem
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Settings
from engine.models.task import Task
from engine.ports import AgentRun, Executor, ProcessSpec, Sandbox, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.process.interpreter import interpreter
from engine.process.programs import Programs
from engine.text.known import known_secrets
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line
from swarm_tui.finding_agents import usage_of, version_of
from swarm_tui.wanted import needed_agents

WALL_S = 60.0
"""How long one agent may take; they are asked side by side. Those on Node took 10 seconds, and 40 on a busy machine."""
LIST_S = 5.0
NOBODY = "nobody.invalid"
"""Named where an agent may reach nothing, so that there is a proxy which tells what it wanted (RFC 6761: no such
host)."""
SAID_MAX = 2_000
WORDS = 300
NESTING = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    os._exit(0 if libc.unshare(0x10000000) == 0 else 1)
print(json.dumps({"namespaces": os.waitpid(child, 0)[1] == 0, "landlock": libc.syscall(444, None, 0, 1) > 0}))
"""
"""What an agent's own sandbox would find in ours: CLONE_NEWUSER, and the version of landlock_create_ruleset."""


@dataclass(frozen=True)
class Handshake:
    """What is known of an agent. None: it was not found out.

    answers: it is there and said what it had to. agent: name and version by its own word. asks: before it acts, in the
    mode that is used. mcp: it started the server that it was offered. usage: what its figures count: run, turn, step,
    or "" when that is not known before it has worked. resume: it can go on with an earlier session. network: the hosts
    of its settings; wants: others that it wanted to reach. why: one clause when it does not answer.
    """

    name: str
    kind: str
    answers: bool | None
    agent: str = ""
    asks: bool | None = None
    mcp: bool | None = None
    usage: str = ""
    resume: bool | None = None
    network: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    why: str = ""

    @property
    def sandboxed(self) -> bool:
        """It was started, as a program of somebody else's."""
        return self.kind in ("acp", "command") and self.answers is not None


@dataclass(frozen=True)
class Handshakes:
    """All of them, and whether an agent's own sandbox could work inside ours, by what it is made of (Linux; else
    empty)."""

    agents: list[Handshake] = field(default_factory=list[Handshake])
    nests: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def as_json(self) -> list[dict[str, Any]]:
        """One object an agent; `nests` is empty for one that has no use for it."""
        return [asdict(each) | {"nests": dict(self.nests) if each.sandboxed else {}} for each in self.agents]

    def lines(self) -> list[str]:
        """A line an agent, and one about sandboxes inside ours."""
        said = [_line(each) for each in self.agents]
        if self.nests:
            parts = ", ".join(f"{name} {'yes' if works else 'no'}" for name, works in self.nests.items())
            said.append(f"  a sandbox of an agent's own inside ours: {parts}")
        return said

    def problems(self, settings: Settings) -> list[Problem]:
        """Agents that do not answer: an error where a role is theirs, or they stand in for one whose it is."""
        found: list[Problem] = []
        needed = needed_agents(settings)
        for each in self.agents:
            where = f"agent {each.name}"
            if each.answers is False:
                level = "error" if each.name in needed else "warning"
                do = "start it by hand, log in if it wants that, and look at its env, home and network"
                found.append(Problem(where=where, what=f"it does not answer: {each.why}", do=do, level=level))
        return found


def shake_hands(settings: Settings, folders: StateFolder, repository: Path, sandbox: Sandbox) -> Handshakes:
    """With every agent of the settings, side by side; no longer than `WALL_S`. Blocks; raises nothing that an agent
    could be the cause of."""
    if not settings.agents:
        return Handshakes()
    return asyncio.run(_shake(settings, folders, repository, sandbox))


async def _shake(settings: Settings, folders: StateFolder, repository: Path, sandbox: Sandbox) -> Handshakes:
    place = folders.root / "handshakes" / str(os.getpid())
    secrets = known_secrets(settings.agents, os.environ)
    # The state folder's marker: an engine that starts ends what is left of a killed one.
    executor = LocalExecutor(sandbox, f"{folders.marker}-check{os.getpid()}", secrets, egress=Egress())
    programs = Programs(allowed_environment({}).values.get("PATH", ""))
    hands = _Hands(executor, programs, Redactor(secrets), repository, place, enforces_hosts(sandbox))
    try:
        async with asyncio.TaskGroup() as tasks:
            met = [tasks.create_task(hands.meet(name, agent)) for name, agent in settings.agents.items()]
            nests = tasks.create_task(hands.nesting(sandbox, settings))
        agents = [each.result() for each in met]
        return Handshakes(agents, nests.result())
    finally:
        await executor.close()
        await asyncio.to_thread(remove_tree, place)
        with contextlib.suppress(OSError):
            place.parent.rmdir()


@dataclass(frozen=True)
class _Hands:
    executor: Executor
    programs: Programs
    redactor: Redactor
    repository: Path
    place: Path
    tells_hosts: bool

    async def meet(self, name: str, settings: AgentSettings) -> Handshake:
        known = Handshake(name, settings.kind, None, network=tuple(settings.network))
        try:
            if settings.kind == "acp":
                return await self._acp(known, settings)
            if settings.kind == "command":
                return await self._command(known, settings)
            if settings.kind == "model":
                return await asyncio.to_thread(_model, known, settings)
        except (SwarmError, OSError) as error:
            return replace(known, answers=False, why=self._clean(str(error)))
        there = await asyncio.to_thread((self.repository / settings.scripts).is_dir)
        why = "" if there else f"there is no folder {settings.scripts}"
        return replace(known, answers=there, agent="plays scripts", usage="run", why=why)

    async def nesting(self, sandbox: Sandbox, settings: Settings) -> Mapping[str, bool]:
        """What every program is let do in there, and so an agent's own sandbox."""
        started = any(
            agent.kind == "acp" or (agent.kind == "command" and version_of(agent.run))
            for agent in settings.agents.values()
        )
        if sys.platform != "linux" or sandbox.name == "none" or not started:
            return {}
        python, library = interpreter()
        run = self._run("nesting", AgentSettings(kind="command", run=["python"]))
        spec = ProcessSpec(
            run_id=run.run_id,
            argv=(str(python), "-I", "-S", "-c", NESTING),
            cwd=run.workspace,
            env=allowed_environment({}).values,
            folder=run.folder,
            wall_s=WALL_S,
            policy=SandboxPolicy(writable=(run.workspace,), readable=tuple(library)),
        )
        ended = await self.executor.run(spec)
        try:
            said: Any = json.loads(ended.log.read_bytes().splitlines()[-1])
        except (OSError, ValueError, IndexError):
            return {}
        return {str(key): bool(value) for key, value in cast("dict[str, Any]", said).items()}

    async def _acp(self, known: Handshake, settings: AgentSettings) -> Handshake:
        from roles.agents.acp.agent import AcpAgent

        met = await AcpAgent(self.executor, self.programs, self.redactor).greet(self._run(known.name, settings))
        capabilities = _object(met.hello.get("agentCapabilities"))
        resumes = bool(capabilities.get("loadSession")) or "resume" in _object(capabilities.get("sessionCapabilities"))
        return replace(
            known,
            answers=not met.why,
            agent=met.agent,
            asks=True if met.mode else None,
            mcp=met.served or None,  # some start it only when they need it
            usage=usage_of(settings.run, settings.kind),
            resume=resumes if met.hello else None,
            wants=self._wanted(met.refused),
            why=self._clean(met.why),
        )

    async def _command(self, known: Handshake, settings: AgentSettings) -> Handshake:
        from roles.agents.command import Command, SideFolder, environment_of, spec_of

        argv = version_of(settings.run)
        program = await asyncio.to_thread(self.programs.resolve, settings.run[0])
        if argv is None:
            return replace(known, why="not started: how it says its version is not known")
        run = self._run(known.name, settings)
        side = SideFolder(run.side)
        await asyncio.to_thread(side.prepare, run, self.redactor)
        environment = environment_of(settings, side)
        command = Command((str(program.path), *argv[1:]), program.roots)
        ended = await self.executor.run(await asyncio.to_thread(spec_of, run, command, side, environment))
        said = await asyncio.to_thread(_said, ended.log)
        right = ended.end == "exited" and ended.exit_code == 0
        how = f"exit code {ended.exit_code}" if ended.end == "exited" else f"{ended.end} {ended.note}".strip()
        why = "" if right else f"{' '.join(argv)} ended with {how}: {said}"
        return replace(
            known,
            answers=right,
            agent=self._clean(said) if right else "",
            asks=False,  # a headless program has nobody to ask
            usage=usage_of(settings.run, settings.kind),
            wants=self._wanted(ended.refused),
            why=self._clean(why),
        )

    def _run(self, name: str, settings: AgentSettings) -> AgentRun:
        """A run of nothing, in an empty workspace."""
        folder = self.place / name
        for each in (folder / "workspace", folder / "side"):
            each.mkdir(parents=True)
        hosts = (NOBODY,) if self.tells_hosts and not settings.network else ()
        order = WorkOrder(id="handshake", title="A handshake")
        return AgentRun(
            run_id=f"handshake-{name}",
            agent=name,
            settings=settings,
            task=Task(role="implementer", work_order=order, attempt=1),
            workspace=folder / "workspace",
            side=folder / "side",
            folder=folder,
            readable=(),
            wall_s=WALL_S,
            idle_s=WALL_S,
            hosts=hosts,
        )

    def _wanted(self, refused: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._clean(each) for each in refused))

    def _clean(self, text: str) -> str:
        return sanitise_line(self.redactor.redact(text))[:WORDS]


def _model(known: Handshake, settings: AgentSettings) -> Handshake:
    """The list of models, as OpenAI-compatible servers and Anthropic's API have it. Costs nothing. Asked as in a run:
    at the same address, with the same key. Raises UserError where a run would."""
    import httpx

    from roles.agents.model import KEYS, address_of, refuse_without_packages

    refuse_without_packages()
    api, base, _ = address_of(settings.base_url, settings.model)
    key = allowed_environment(settings.env).values.get(KEYS[api], "")
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01"} if key else {}
    address = f"{base.rstrip('/')}/{'v1/' if api == 'anthropic' else ''}models"
    try:
        answer = httpx.get(address, headers=headers, timeout=LIST_S, trust_env=False)
        rows: Any = answer.raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        why = sanitise_line(f"{base} does not list its models ({error})")[:WORDS]
        missing = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (404, 405)
        return replace(known, answers=None if missing else False, why=why)
    listed = _object(rows).get("data")
    ids = [str(_object(row).get("id")) for row in cast("list[Any]", listed)] if isinstance(listed, list) else []
    there = settings.model in ids
    why = "" if there else f"its server has no model {settings.model}, only {', '.join(ids[:5]) or 'none at all'}"
    return replace(
        known,
        answers=there,
        agent=settings.model,
        asks=True,
        usage="turn",
        resume=False,
        why=sanitise_line(why)[:WORDS],
    )


def _said(log: Path) -> str:
    """The first line that a program printed."""
    try:
        with log.open("rb") as file:
            text = file.read(SAID_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _line(hand: Handshake) -> str:
    if hand.answers is False:
        return f"  ✘ {hand.name:<11}{hand.why}"
    if hand.answers is None:
        return f"  - {hand.name:<11}{hand.why}"
    resume = {True: "resumes sessions", False: "begins anew each time", None: ""}[hand.resume]
    if hand.kind == "script":
        return f"  ✔ {hand.name:<11}{hand.agent}"
    asks = {True: "asks before it acts", False: "asks nobody", None: "it is not known whether it asks"}[hand.asks]
    mcp = "uses our MCP server" if hand.mcp else "has not started our MCP server yet" if hand.kind == "acp" else ""
    usage = f"tells its usage ({hand.usage})" if hand.usage else "its usage is not known before it has worked"
    hosts = f"reaches {', '.join(hand.network)}" if hand.network else "reaches no host"
    wants = f"wanted {', '.join(hand.wants)} and was not let" if hand.wants else ""
    parts = (hand.agent, asks, mcp, usage, resume, hosts, wants)
    return f"  ✔ {hand.name:<11}{'; '.join(part for part in parts if part)}"
