"""One run: workspace, agent, harvest. Whatever the end, the tree is kept before the workspace goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any

from engine.actions import StartRun
from engine.effects.leavings import clear_all_leavings, clear_leavings
from engine.effects.operations import ask, execute_granted, why_in_vain
from engine.effects.world import KEEP_WORDS, World, quota
from engine.errors import SwarmError, UserError
from engine.git.workspaces import Harvest, Workspace, Workspaces
from engine.models.event import NewEvent
from engine.models.handoffs import Abort, ChangeSummary, HandoffError
from engine.models.settings import Limits
from engine.models.task import GrantedOperation, Operation
from engine.ports import AgentResult, AgentRun
from engine.state import Order
from engine.text.sanitise import sanitise, sanitise_line

PATHS_CAP_CHARACTERS = 200_000
"""Of the changed paths as JSON: they go into events whole, and an event has its limit."""
SKIPPED_CAP = 50
HOSTS_CAP, SHOWN_HOSTS, HOST_CHARS = 20, 5, 300
ASK_CHARS = 60


async def start_run(world: World, action: StartRun) -> None:
    """Run one attempt and end in a defined state: proposed, rejected, parked, or interrupted (engine's own doing)."""
    state, settings = world.state(), world.settings()
    order = state.orders[action.order]
    name = settings.roles.get("implementer", "")
    base = order.resume.base if order.resume else state.main
    fields = {"attempt": order.attempts + 1, "role": "implementer", "agent": name, "base": base}
    workspace: Workspace | None = None
    try:
        await world.emit(NewEvent("run_started", fields, work_order=action.order, run=action.run))
        _require_sandbox(world, order)
        over = order.resume.tree if order.resume else None
        workspace = await asyncio.to_thread(world.workspaces.create, action.run, base, over)
        granted = await execute_granted(world, order, workspace, action.run)
        result = await _perform(world, order, workspace, action.run, granted)
    except asyncio.CancelledError:
        await asyncio.shield(_interrupted(world, action, workspace))
        raise
    except UserError as error:
        # No attempt would end otherwise until a person has mended it.
        parked = {"why": str(error), "do": f"mend that, then: swarm retry {action.order}"}
        await _interrupted(world, action, workspace, str(error), parked)
        return
    except Exception as error:
        why = str(error) if isinstance(error, SwarmError) else f"{type(error).__name__}: {error}"
        # Once it is told, nobody desires this run any more, and it is cancelled; its failure has to count all the same,
        # or the next one would follow at once, for ever.
        with contextlib.suppress(asyncio.CancelledError):
            await _to_the_end(_interrupted(world, action, workspace, why))
        raise
    await _to_the_end(_conclude(world, order, action.run, workspace, result, name))


def _require_sandbox(world: World, order: Order) -> None:
    sandbox = world.ports.sandbox
    if missing := [name for name in order.spec.needs_sandbox if not sandbox.guarantees.get(name, False)]:
        raise UserError(f"it needs a sandbox that guarantees {', '.join(missing)}, and {sandbox.name} does not")


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` even when cancelled: once its outcome is journalled nobody desires it, and there is tidying left."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _perform(
    world: World, order: Order, workspace: Workspace, run: str, granted: list[GrantedOperation]
) -> AgentResult:
    settings = world.settings()
    name = settings.roles.get("implementer", "")
    agent = settings.agents.get(name)
    if agent is None:
        raise UserError("no agent does the role implementer: name one under [roles] in swarm.toml")
    side = world.folders.runs / run / "side"
    await asyncio.to_thread(side.mkdir, parents=True, exist_ok=True)
    feedback = [*order.feedback, *_network_words(order)]
    task = world.ports.implementer.task(order.spec, order.attempts + 1, feedback, granted)
    return await world.ports.agents(agent.kind).perform(
        AgentRun(
            run_id=run,
            agent=name,
            settings=agent,
            task=task,
            workspace=workspace.path,
            side=side,
            folder=world.folders.runs / run,
            readable=(world.folders.base / "objects",),
            wall_s=settings.limits.run_wall,
            idle_s=settings.limits.run_idle,
            hosts=tuple(order.hosts),
            quota=quota(settings.limits),
            without=settings.sandbox.without,
        )
    )


async def _interrupted(
    world: World,
    action: StartRun,
    workspace: Workspace | None,
    why: str = "the engine stopped it",
    parked: dict[str, Any] | None = None,
) -> None:
    """Not the agent's doing: the attempt is not counted, the files are kept. `parked`: it waits for a person."""
    # Without a workspace: an engine may have died between keeping its files and saying so.
    kept = await asyncio.to_thread(world.hub.kept, action.run) or ""
    if workspace is not None:
        try:
            kept = (await asyncio.to_thread(world.workspaces.harvest, workspace)).commit
            await asyncio.to_thread(world.workspaces.remove, workspace)
        except SwarmError as error:
            # The workspace stays where it is: what could not be harvested is not deleted.
            world.log.error("run", f"workspace kept in place: {error}", run=action.run)
    await asyncio.to_thread(clear_leavings, world.folders.runs / action.run)
    await world.emit(
        NewEvent(
            "run_finished", _finished("interrupted", False, why, kept, None), work_order=action.order, run=action.run
        ),
        NewEvent("run_interrupted", {"why": why}, work_order=action.order, run=action.run),
        *([NewEvent("work_order_parked", parked, work_order=action.order)] if parked else []),
    )


async def recover_runs(world: World) -> None:
    """At start: runs that were under way when the engine died. Their files are kept, their orders go back to ready, and
    workspaces that were not yet removed, or only half made, go."""
    for order in list(world.state().orders.values()):
        if order.phase == "running" and order.run:
            workspace = await asyncio.to_thread(world.workspaces.open, order.run)
            action = StartRun(f"run:{order.run}", f"dispatch:{order.spec.id}", order.spec.id, order.run)
            await _interrupted(world, action, workspace, "the engine was not running")
        elif order.phase == "running":
            await world.emit(
                NewEvent("run_interrupted", {"why": "the engine was not running"}, work_order=order.spec.id)
            )
    await asyncio.to_thread(_tidy, world.workspaces)
    await asyncio.to_thread(clear_all_leavings, world.folders.runs)


def _tidy(workspaces: Workspaces) -> None:
    for run in workspaces.names():
        if (workspace := workspaces.open(run)) is not None:
            workspaces.remove(workspace)
    workspaces.sweep()


async def _conclude(
    world: World, order: Order, run: str, workspace: Workspace, result: AgentResult, agent: str
) -> None:
    try:
        harvest = await asyncio.to_thread(world.workspaces.harvest, workspace)
    except SwarmError as error:
        fields = {"change": "", "reasons": [f"the workspace could not be harvested: {error}"]}
        ended = NewEvent(
            "run_finished", _finished("failed", True, str(error), "", result), work_order=order.spec.id, run=run
        )
        await world.emit(ended, NewEvent("change_rejected", fields, work_order=order.spec.id, run=run))
        await asyncio.to_thread(clear_leavings, world.folders.runs / run)
        return  # the workspace stays: what could not be harvested is not deleted
    drafts = (
        [
            NewEvent(
                "budget_spent",
                {"tokens": result.tokens, "cost": result.cost, "agent": agent, "role": "implementer"},
                run=run,
            )
        ]
        if result.tokens or result.cost
        else []
    )
    drafts += _denied(result)
    if result.end == "asked" and result.asked is not None:
        drafts += await _asked(world, order, run, result, result.asked, harvest)
    elif result.end == "done":
        drafts += _handed_in(world, order, run, result, harvest, agent)
    else:
        why = _why(result)
        drafts.append(
            NewEvent("run_finished", _finished(_RESULTS[result.end], True, why, harvest.commit, result), run=run)
        )
        drafts.append(NewEvent("change_rejected", {"change": "", "reasons": [why], "kept": harvest.commit}, run=run))
    await world.emit(*(NewEvent(d.kind, d.fields, work_order=order.spec.id, run=run) for d in drafts))
    await asyncio.to_thread(_manifest, world, run)
    await asyncio.to_thread(clear_leavings, world.folders.runs / run)
    await asyncio.to_thread(world.workspaces.remove, workspace)


_RESULTS = {
    "failed": "failed",
    "timeout": "timeout",
    "idle": "idle",
    "quota": "quota",
    "cancelled": "failed",
    "lost": "failed",
    "asked": "failed",
    "limit": "failed",
}


async def _asked(
    world: World, order: Order, run: str, result: AgentResult, operation: Operation, harvest: Harvest
) -> list[NewEvent]:
    rule, why = await why_in_vain(world, order, operation, harvest)
    if not rule:
        waits = _finished("asked", False, "it waits for an approval", harvest.commit, result)
        return [NewEvent("run_finished", waits), *await ask(world, order, run, operation, harvest)]
    return [
        NewEvent("guardrail_denied", {"rule": rule, "reason": why}),
        NewEvent("run_finished", _finished("failed", True, why, harvest.commit, result)),
        NewEvent("change_rejected", {"change": "", "reasons": [why], "kept": harvest.commit}),
    ]


def _denied(result: AgentResult) -> list[NewEvent]:
    """What the run was kept from: a quota that ended it, hosts that it was not let reach."""
    found: list[NewEvent] = []
    if result.end == "quota":
        fields = {"rule": f"quota-{result.quota or 'unknown'}", "reason": f"it was stopped at {_quota_words(result)}"}
        found.append(NewEvent("guardrail_denied", fields))
    if result.refused:
        hosts = [host for host in dict.fromkeys(result.refused) if len(host) <= HOST_CHARS][:HOSTS_CAP]
        shown = ", ".join(sanitise_line(host) for host in hosts[:SHOWN_HOSTS])
        more = f" and {len(result.refused) - SHOWN_HOSTS} more" if len(result.refused) > SHOWN_HOSTS else ""
        reason = f"it wanted to reach {shown}{more}, which neither its agent's network nor a person allows"
        found.append(NewEvent("guardrail_denied", {"rule": "network", "reason": reason, "hosts": hosts}))
    return found


def _quota_words(result: AgentResult) -> str:
    """Which quota ended the run, by its key in the settings where it has one, and what it used."""
    key = f"limits.{result.quota}" if result.quota in Limits.model_fields else result.quota or "its quota"
    return f"{key}: {sanitise_line(result.note) or 'it used more'}"


def _network_words(order: Order) -> list[str]:
    """What an agent is told of hosts: which it was refused, and which a person has allowed since."""
    refused = [sanitise_line(host) for host in order.refused if host not in order.hosts]
    found = [f"A person lets you reach {sanitise_line(host)} now." for host in order.hosts]
    if refused:
        found.append(f"You were not let reach {', '.join(refused)}; do without, unless that changes.")
    return found


def _handed_in(
    world: World, order: Order, run: str, result: AgentResult, harvest: Harvest, agent: str
) -> list[NewEvent]:
    def rejected(why: str) -> list[NewEvent]:
        return [
            NewEvent("run_finished", _finished("failed", True, why, harvest.commit, result)),
            NewEvent("change_rejected", {"change": "", "reasons": [why], "kept": harvest.commit}),
        ]

    try:
        said = world.ports.implementer.summary(result.handoff, harvest.changed_paths)
    except HandoffError as error:
        return rejected(f"the handoff was not valid: {sanitise_line(str(error))}")
    if isinstance(said, Abort):
        why = sanitise(said.abort)[:KEEP_WORDS]
        return [
            NewEvent("run_finished", _finished("aborted", True, why, harvest.commit, result)),
            NewEvent(
                "work_order_parked",
                {"why": f"its agent gave it back: {why}", "do": f"mend the order, then: swarm retry {order.spec.id}"},
            ),
        ]
    if not harvest.changed_paths:
        return rejected("nothing was changed")
    if len(json.dumps(harvest.changed_paths)) > PATHS_CAP_CHARACTERS:
        count = len(harvest.changed_paths)
        return rejected(f"it changes {count} paths, more than one change can name: hand in less, or shorter names")
    return [
        NewEvent("run_finished", _finished("done", True, "", harvest.commit, result)),
        NewEvent(
            "handoff_received",
            {
                "role": "implementer",
                "digest": world.artifacts.put_json(said.model_dump()),
                "summary": sanitise(said.summary)[:KEEP_WORDS],
            },
        ),
        NewEvent("change_proposed", _proposal(run, harvest, said, agent)),
    ]


def _proposal(run: str, harvest: Harvest, said: ChangeSummary, agent: str) -> dict[str, Any]:
    order, number = run.rsplit(".", 1)
    return {
        "change": f"agent/{order}/{number}-{harvest.tree[:8]}",
        "base": harvest.base_commit,
        "head": harvest.commit,
        "tree": harvest.tree,
        "paths": [sanitise_line(path) for path in harvest.changed_paths],
        "summary": sanitise(said.summary)[:KEEP_WORDS],
        "risk": sanitise(said.risk)[:KEEP_WORDS],
        "rollback": sanitise(said.rollback)[:KEEP_WORDS],
        "agent": agent,
        "skipped": _skipped(harvest.skipped),
        "asks": [sanitise_line(ask)[:ASK_CHARS] for ask in said.asks],
    }


def _skipped(lines: list[str]) -> list[str]:
    more = len(lines) - SKIPPED_CAP
    return [*lines[:SKIPPED_CAP], *([f"… and {more} more"] if more > 0 else [])]


def _why(result: AgentResult) -> str:
    said = {
        "failed": f"the agent ended with exit code {result.exit_code}",
        "timeout": "the agent ran into its wall time and was stopped",
        "idle": "the agent did nothing for too long and was stopped",
        "lost": "the agent's process was lost",
        "limit": "its provider let it do no more",
        "quota": f"the agent was stopped at {_quota_words(result)}",
    }.get(result.end, f"the agent ended as {result.end}")
    return f"{said}; {sanitise_line(result.note)}" if result.note and result.end != "quota" else said


def _finished(result: str, counted: bool, why: str, kept: str, ended: AgentResult | None) -> dict[str, Any]:
    return {
        "result": result,
        "counted": counted,
        "reason": why,
        "kept": kept,
        "exit_code": ended.exit_code if ended else None,
        "duration_s": round(ended.duration_s, 3) if ended else 0.0,
    }


def _manifest(world: World, run: str) -> None:
    folder = world.folders.runs / run
    entries = {
        name: world.artifacts.put_file(folder / name) for name in ("log", "result.json") if (folder / name).is_file()
    }
    world.artifacts.write_manifest(folder, entries)
