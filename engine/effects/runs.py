"""One run: workspace, agent, harvest. Whatever the end, the tree is kept before the workspace goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.actions import StartRun
from engine.effects import spending
from engine.effects.handoffs import NotTaken, about_of, contract_of, given_tree, proposal, said_of
from engine.effects.leavings import clear_all_leavings, clear_leavings
from engine.effects.operations import ask, execute_granted, why_in_vain
from engine.effects.run_words import denied, network_words, why_of
from engine.effects.watching import watched
from engine.effects.world import KEEP_WORDS, World, quota
from engine.errors import SwarmError, UserError
from engine.git.workspaces import Harvest, Workspace, Workspaces
from engine.models.event import NewEvent
from engine.models.handoffs import Abort, Changing, Handoff, HandoffError
from engine.models.settings import RoleName
from engine.models.task import GrantedOperation, Operation
from engine.models.usage import added
from engine.planner.budgets import rest
from engine.planner.roles import role_of
from engine.ports import AgentResult, AgentRun, TaskRequest
from engine.state import Order
from engine.text.sanitise import sanitise, sanitise_line

RETURNED_MAX = 2
"""How often an invalid handoff is returned to its agent, with what is wrong."""


@dataclass(frozen=True)
class _Taken:
    """What was handed in: `said`, and the events that it causes; or, with None, why it could not be taken. `harvest`:
    what was there then."""

    role: RoleName
    agent: str
    said: Handoff | None = None
    events: list[NewEvent] = field(default_factory=list[NewEvent])
    why: str = ""
    harvest: Harvest | None = None


async def start_run(world: World, action: StartRun) -> None:
    """Run one attempt and end in a defined state: proposed, rejected, parked, or interrupted (engine's own doing)."""
    state, settings = world.state(), world.settings()
    order = state.orders[action.order]
    role = role_of(order.spec, settings.roles)
    base = order.resume.base if order.resume else state.main
    held = spending.started(spending.reserve(world, order, role))
    fields = {"attempt": order.attempts + 1, "role": role, "base": base, **held}
    workspace: Workspace | None = None
    try:
        await world.emit(NewEvent("run_started", fields, work_order=action.order, run=action.run))
        _require_sandbox(world, order)
        over = order.resume.tree if order.resume else await asyncio.to_thread(given_tree, world.hub, state, order, base)
        workspace = await asyncio.to_thread(world.workspaces.create, action.run, base, over)
        granted = await execute_granted(world, order, workspace, action.run)
        result, taken = await _handed(world, order, workspace, action.run, granted)
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
    await _to_the_end(_conclude(world, order, action.run, workspace, result, taken))


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


async def _handed(
    world: World, order: Order, workspace: Workspace, run: str, granted: list[GrantedOperation]
) -> tuple[AgentResult, _Taken]:
    """Let the agent work until it hands in what can be taken: an invalid handoff is returned to it, in the same
    workspace and within the run's wall time, at most RETURNED_MAX times."""
    settings = world.settings()
    role = role_of(order.spec, settings.roles)
    taken = _Taken(role, spending.agent_of(world, run))
    result: AgentResult | None = None
    for returned in range(RETURNED_MAX + 1):
        left = settings.limits.run_wall - (result.duration_s if result else 0.0)
        ended = await _perform(world, order, workspace, run, granted, taken, returned, left)
        result = _both(result, ended) if result is not None else ended
        if result.end != "done":
            if taken.why:
                note = f"{result.note}; before that {taken.why}" if result.note else f"before that {taken.why}"
                result = replace(result, note=note)
            break
        taken, final = await asyncio.to_thread(_take, world, order, workspace, result, taken)
        if taken.said is not None or final or result.duration_s >= settings.limits.run_wall:
            break
    assert result is not None
    return result, taken


def _both(first: AgentResult, then: AgentResult) -> AgentResult:
    """The end of a run whose agent was started again, with what all of it took."""
    return replace(
        then,
        tokens=first.tokens + then.tokens,
        cost=first.cost + then.cost,
        duration_s=first.duration_s + then.duration_s,
        refused=(*first.refused, *then.refused),
        usage=first.usage.plus(then.usage),
        turns=added(first.turns, then.turns),
    )


def _take(world: World, order: Order, workspace: Workspace, result: AgentResult, before: _Taken) -> tuple[_Taken, bool]:
    """What was handed in, and whether there is no use in returning it."""
    try:
        harvest = world.workspaces.harvest(workspace)
    except SwarmError:
        return before, True  # the end of the run says so
    try:
        said, events = said_of(world, order, before.role, result.handoff, harvest)
    except NotTaken as error:
        return replace(before, why=sanitise_line(str(error)), harvest=harvest), True
    except HandoffError as error:
        why = f"the handoff was not valid: {sanitise_line(str(error))}"
        agent = world.settings().agents.get(before.agent)
        # A session with an agent goes on until its handoff can be read, so it has been told already.
        told = agent is not None and agent.kind == "acp" and "returned" in result.note
        return replace(before, why=why, harvest=harvest), told
    return replace(before, said=said, events=events, why="", harvest=harvest), True


async def _perform(
    world: World,
    order: Order,
    workspace: Workspace,
    run: str,
    granted: Sequence[GrantedOperation],
    taken: _Taken,
    returned: int,
    wall_s: float,
) -> AgentResult:
    settings = world.settings()
    agent = settings.agents.get(taken.agent)
    if agent is None:
        raise UserError(f"no agent does the role {taken.role}: name one under [roles] in swarm.toml")
    folder = world.folders.runs / run
    if returned:
        folder /= f"returned-{returned}"
    side = folder / "side"
    await asyncio.to_thread(side.mkdir, parents=True, exist_ok=True)
    again = [f"{taken.why}; mend it and hand in again: your files are as you left them"] if returned else []
    request = TaskRequest(
        role=taken.role,
        order=order.spec,
        attempt=order.attempts + 1,
        feedback=[*again, *order.feedback, *network_words(order)],
        granted=granted,
        contract=await asyncio.to_thread(contract_of, world, order),
        about=await asyncio.to_thread(about_of, world, order),
    )
    most = rest(world.state(), settings, order)
    one = AgentRun(
        run_id=f"{run}.returned{returned}" if returned else run,
        agent=taken.agent,
        settings=agent,
        task=await asyncio.to_thread(world.ports.roles.task, request),
        workspace=workspace.path,
        side=side,
        folder=folder,
        readable=(world.folders.base / "objects",),
        wall_s=min(wall_s, most.wall or wall_s),
        idle_s=settings.limits.run_idle,
        hosts=tuple(order.hosts),
        quota=quota(settings.limits),
        most=most,
        without=settings.sandbox.without,
    )
    work = world.ports.agents(agent.kind).perform(one)
    return await watched(work, one, settings.limits.repeats, settings.limits.run_stuck)


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
    charged = await asyncio.to_thread(spending.interrupted, world, action.run)
    await asyncio.to_thread(clear_leavings, world.folders.runs / action.run)
    await world.emit(
        *charged,
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
    world: World, order: Order, run: str, workspace: Workspace, result: AgentResult, taken: _Taken
) -> None:
    try:
        harvest = taken.harvest if result.end == "done" else None
        harvest = harvest or await asyncio.to_thread(world.workspaces.harvest, workspace)
    except SwarmError as error:
        fields = {"change": "", "reasons": [f"the workspace could not be harvested: {error}"]}
        ended = NewEvent(
            "run_finished", _finished("failed", True, str(error), "", result), work_order=order.spec.id, run=run
        )
        await world.emit(ended, NewEvent("change_rejected", fields, work_order=order.spec.id, run=run))
        await asyncio.to_thread(clear_leavings, world.folders.runs / run)
        return  # the workspace stays: what could not be harvested is not deleted
    charge = spending.charge(world, run, result)
    drafts = [*charge.events, *denied(result)]
    if result.end == "asked" and result.asked is not None:
        drafts += await _asked(world, order, run, result, result.asked, harvest)
    elif result.end == "done":
        drafts += [*_handed_in(order, run, result, harvest, taken), *charge.parked(order)]
    elif result.end == "limit":
        drafts.append(NewEvent("run_finished", _finished("limit", False, why_of(result), harvest.commit, result)))
        drafts += spending.limited(world, order, run, why_of(result), result)
    else:
        why = why_of(result)
        drafts.append(
            NewEvent("run_finished", _finished(_RESULTS[result.end], True, why, harvest.commit, result), run=run)
        )
        drafts.append(NewEvent("change_rejected", {"change": "", "reasons": [why], "kept": harvest.commit}, run=run))
        drafts += charge.parked(order)
    await world.emit(*(NewEvent(d.kind, d.fields, work_order=d.work_order or order.spec.id, run=run) for d in drafts))
    await asyncio.to_thread(_manifest, world, run)
    await asyncio.to_thread(clear_leavings, world.folders.runs / run)
    await asyncio.to_thread(world.workspaces.remove, workspace)


_RESULTS = {
    "failed": "failed",
    "timeout": "timeout",
    "idle": "idle",
    "stuck": "idle",
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


def _handed_in(order: Order, run: str, result: AgentResult, harvest: Harvest, taken: _Taken) -> list[NewEvent]:
    said = taken.said
    if said is None:
        return [
            NewEvent("run_finished", _finished("failed", True, taken.why, harvest.commit, result)),
            NewEvent("change_rejected", {"change": "", "reasons": [taken.why], "kept": harvest.commit}),
        ]
    if isinstance(said, Abort):
        why = sanitise(said.abort)[:KEEP_WORDS]
        return [
            NewEvent("run_finished", _finished("aborted", True, why, harvest.commit, result)),
            NewEvent(
                "work_order_parked",
                {"why": f"its agent gave it back: {why}", "do": f"mend the order, then: swarm retry {order.spec.id}"},
            ),
        ]
    events = [NewEvent("run_finished", _finished("done", True, "", harvest.commit, result)), *taken.events]
    if isinstance(said, Changing) and not any(event.kind == "work_order_done" for event in events):
        events.append(NewEvent("change_proposed", proposal(run, harvest, said, taken.agent)))
    return events


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
    found = [folder / "log", folder / "result.json", *sorted(folder.glob("returned-*/log"))]
    entries = {path.relative_to(folder).as_posix(): world.artifacts.put_file(path) for path in found if path.is_file()}
    world.artifacts.write_manifest(folder, entries)
