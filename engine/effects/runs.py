"""One run: workspace, agent, harvest. Whatever the end, the tree is kept before the workspace goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.actions import StartRun
from engine.effects import spending
from engine.effects.going_on import kept_files
from engine.effects.handoffs import NotTaken, about_of, contract_of, given_tree, proposal, refused_tests, said_of
from engine.effects.leavings import clear_all_leavings, clear_leavings
from engine.effects.operations import ask, execute_granted, why_in_vain
from engine.effects.run_words import denied, network_words, why_of
from engine.effects.watching import watched
from engine.effects.world import KEEP_WORDS, World, quota
from engine.errors import SwarmError, UserError
from engine.failures import failure_of, why_failed
from engine.git.workspaces import Harvest, Workspace, Workspaces
from engine.models.event import NewEvent
from engine.models.handoffs import Abort, Changing, Handoff, HandoffError
from engine.models.settings import Budget, RoleName
from engine.models.task import GrantedOperation, Operation
from engine.models.usage import added
from engine.planner.budgets import expected, rest
from engine.planner.roles import role_of
from engine.ports import AgentResult, AgentRun, TaskRequest
from engine.state import Order
from engine.text.sanitise import sanitise, sanitise_line

RETURNED_MAX = 2
"""How often an invalid handoff is returned to its agent, with what is wrong."""
LOG_RATE = 5_000_000
"""Bytes a second, over ten seconds, that an agent may say. No model writes a hundredth of that."""


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
    held = spending.started(expected(state, settings, order, role, action.agent))
    given = await asyncio.to_thread(kept_files, world.hub, order, base)
    fields = {"attempt": order.attempts + 1, "role": role, "base": base, **held}
    fields |= {"goes_on": given.kept, "given": given.said}
    workspace: Workspace | None = None
    try:
        await world.emit(NewEvent("run_started", fields, work_order=action.order, run=action.run))
        _require_sandbox(world, order)
        over = given.tree or (order.resume.tree if order.resume else None)
        over = over or await asyncio.to_thread(given_tree, world.hub, state, order, base)
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
        log = world.log.warning if isinstance(error, SwarmError) else world.log.error
        log("engine", f"effect failed: {action.effect}: {error}", run=action.run)
        # Its failure counts in the moment in which the run is over, or the next one would begin at once.
        failed = failure_of(action, error)
        await _to_the_end(_interrupted(world, action, workspace, why_failed(error), failed=failed))
        return
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
    workspace and within the run's budget, at most RETURNED_MAX times."""
    settings = world.settings()
    role = role_of(order.spec, settings.roles)
    taken = _Taken(role, spending.agent_of(world, run))
    result: AgentResult | None = None
    most = left = _within(rest(world.state(), settings, order), settings.limits.run_wall)
    for returned in range(RETURNED_MAX + 1):
        ended = await _perform(world, order, workspace, run, granted, taken, returned, left)
        result = _both(result, ended) if result is not None else ended
        if result.end != "done":
            if taken.why:
                note = f"{result.note}; before that {taken.why}" if result.note else f"before that {taken.why}"
                result = replace(result, note=note)
            break
        taken, final = await asyncio.to_thread(_take, world, order, workspace, result, taken)
        if why := await refused_tests(world, order, taken.said, taken.harvest):
            taken, final = replace(taken, said=None, events=[], why=why), False
        rest_of_it = _after(most, result)
        if taken.said is not None or final or rest_of_it is None:
            break
        left = rest_of_it
    assert result is not None
    return result, taken


def _within(most: Budget, wall_s: float) -> Budget:
    return most.model_copy(update={"wall": min(wall_s, most.wall or wall_s)})


def _after(most: Budget, used: AgentResult) -> Budget | None:
    """What is left of a run's budget for an agent that is started again; None when a part of it is used up."""
    took = {"tokens": used.usage.tokens or used.tokens, "cost": used.cost, "turns": used.turns, "wall": used.duration_s}
    left = {name: getattr(most, name) - (amount or 0) for name, amount in took.items() if getattr(most, name)}
    return most.model_copy(update=left) if all(each > 0 for each in left.values()) else None


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
    most: Budget,
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
        feedback=[*again, *([order.given] if order.given else []), *order.feedback, *network_words(order)],
        granted=granted,
        contract=await asyncio.to_thread(contract_of, world, order),
        about=await asyncio.to_thread(about_of, world, order),
    )
    one = AgentRun(
        run_id=f"{run}.returned{returned}" if returned else run,
        agent=taken.agent,
        settings=agent,
        task=await asyncio.to_thread(world.ports.roles.task, request),
        workspace=workspace.path,
        side=side,
        folder=folder,
        readable=(world.folders.base / "objects",),
        wall_s=most.wall,
        idle_s=settings.limits.run_idle,
        hosts=tuple(order.hosts),
        quota=replace(quota(settings.limits), log_rate=LOG_RATE),
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
    failed: NewEvent | None = None,
) -> None:
    """Not the agent's doing: the attempt is not counted, the files are kept. `parked`: it waits for a person. `failed`:
    what counts a fault of the machine."""
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
    order = world.state().orders.get(action.order)
    under_way = order is not None and order.phase == "running"  # or parked or cancelled, which stays
    await world.emit(
        *charged,
        NewEvent(
            "run_finished", _finished("interrupted", False, why, kept, None), work_order=action.order, run=action.run
        ),
        *([NewEvent("run_interrupted", {"why": why}, work_order=action.order, run=action.run)] if under_way else []),
        *([NewEvent("work_order_parked", parked, work_order=action.order)] if parked else []),
        *([failed] if failed else []),
    )


async def recover_runs(world: World) -> None:
    """At start: runs that were under way when the engine died. Their files are kept, their orders go back to ready, and
    workspaces that were not yet removed, or only half made, go."""
    why = "the engine was not running"
    state = world.state()
    # What is held for a run is freed by its end alone, also when its order was parked or cancelled meanwhile.
    runs = {run: held.order for run, held in state.spending.held.items()}
    runs |= {order.run: order.spec.id for order in state.orders.values() if order.phase == "running" and order.run}
    for run, ident in runs.items():
        workspace = await asyncio.to_thread(world.workspaces.open, run)
        await _interrupted(world, StartRun(f"run:{run}", f"dispatch:{ident}", ident, run), workspace, why)
    for order in list(state.orders.values()):
        if order.phase == "running" and not order.run:
            await world.emit(NewEvent("run_interrupted", {"why": why}, work_order=order.spec.id))
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
    charge = spending.charge(world, run, result)
    try:
        harvest = taken.harvest if result.end == "done" else None
        harvest = harvest or await asyncio.to_thread(world.workspaces.harvest, workspace)
    except SwarmError as error:
        drafts = [*charge.events, *denied(result)]
        if result.end == "limit":
            drafts.append(NewEvent("run_finished", _finished("limit", False, str(error), "", result)))
            drafts += spending.limited(world, order, run, why_of(result), result)
        else:
            drafts.append(NewEvent("run_finished", _finished("failed", True, str(error), "", result)))
            reasons = [f"the workspace could not be harvested: {error}"]
            drafts += [NewEvent("change_rejected", {"change": "", "reasons": reasons}), *charge.parked(order)]
        await world.emit(*(NewEvent(d.kind, d.fields, work_order=order.spec.id, run=run) for d in drafts))
        await asyncio.to_thread(clear_leavings, world.folders.runs / run)
        return  # the workspace stays: what could not be harvested is not deleted
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
