"""Checks on a change's own tree, gates on the merged tree, and gates on main itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.actions import Action, CheckChange, GateChange, GateMain
from engine.approvals.binding import guard_hash
from engine.effects.world import World
from engine.errors import InfrastructureFault, MergeConflict
from engine.git.names import safe_name
from engine.models.event import NewEvent
from engine.models.report import GuardResult
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate, Guards, Settings
from engine.ports import GateRequest, GuardRequest, SignedReport
from engine.state import Change, State
from engine.text.sanitise import sanitise_line

SOME_GATES = "some-gates"
"""Flag of a report: the work order names the gates that have to be green, and there are more."""
_SCRIPTS = (".py", ".sh", ".js", ".mjs", ".rb", ".pl", ".ps1")


async def check_change(world: World, action: CheckChange) -> None:
    """The guards' word on the tree as it was harvested, before it may stand in the queue."""
    state = world.state()
    change = state.changes[action.change]
    if change.status == "proposed":
        await world.emit(NewEvent("change_verifying", {"change": change.id}, work_order=change.order))
    spec = state.orders[change.order].spec
    base_tree = await asyncio.to_thread(world.hub.tree_of, change.base)
    results = _waived(change, await _guard(world, spec, change.tree, base_tree))
    if not await _denied(world, change, results):
        guards = [result.model_dump() for result in results]
        await world.emit(NewEvent("change_queued", {"change": change.id, "guards": guards}, work_order=change.order))


async def _guard(world: World, spec: WorkOrder, tree: str, base_tree: str) -> tuple[GuardResult, ...]:
    """The guards' word on a tree, under the settings of now."""
    request = GuardRequest(
        tree=tree,
        base_tree=base_tree,
        allow=tuple(spec.allow),
        deny=tuple(spec.deny),
        guards=_with_scripts(world.settings()),
        work_order=spec.id,
        scripts=tuple(s for argv in (*(a.run for a in spec.acceptance), spec.repro) for s in _scripts(argv)),
    )
    return await world.ports.gates.guard(request)


def _waived(change: Change, results: Sequence[GuardResult]) -> tuple[GuardResult, ...]:
    """The guards' word, with what a person allowed for this very change passed: to the letter, and nothing else."""
    return tuple(_pass(change, result) for result in results)


def _pass(change: Change, result: GuardResult) -> GuardResult:
    approval = _waiver(change, result)
    if not approval:
        return result
    return result.model_copy(update={"ok": True, "reason": f"a person allows it ({approval}): {result.reason}"})


def _waiver(change: Change, result: GuardResult) -> str:
    return "" if result.ok else change.waivers.get(guard_hash(result.rule, result.reason, result.paths), "")


def _approved(change: Change, results: Sequence[GuardResult]) -> tuple[str, ...]:
    """The flags of a report that say what a person has let pass, given what the guards said by themselves."""
    passed = [(result.ask or result.rule, _waiver(change, result)) for result in results]
    return tuple(f"approved:{ask}:{approval}" for ask, approval in passed if approval)


async def _denied(world: World, change: Change, results: Sequence[GuardResult]) -> bool:
    """Rejects the change when a guard denies it."""
    denied = [result for result in results if not result.ok]
    drafts: list[NewEvent] = []
    for result in denied:
        fields = {
            "rule": result.rule,
            "reason": result.reason,
            "paths": result.paths,
            "change": change.id,
            "ask": result.ask,
            "facts": result.facts,
        }
        drafts.append(NewEvent("guardrail_denied", fields, work_order=change.order))
    if denied:
        reasons = [result.reason for result in denied]
        drafts.append(NewEvent("change_rejected", {"change": change.id, "reasons": reasons}, work_order=change.order))
        await world.emit(*drafts)
    return bool(denied)


def _with_scripts(settings: Settings) -> Guards:
    """The guards, with the scripts that gates run protected: without results per test, the script is the proof."""
    own = [script for gate in settings.gate if gate.results == "none" for script in _scripts(gate.run)]
    return settings.guards.model_copy(update={"protected": [*settings.guards.protected, *own]})


def _scripts(argv: Sequence[str]) -> list[str]:
    """Files of the tree that a command seems to run."""
    found = [word for word in argv[:1] if "/" in word] + [word for word in argv[1:2] if word.endswith(_SCRIPTS)]
    return [script.removeprefix("./") for script in found if not script.startswith("/")]


async def gate_change(world: World, action: GateChange) -> None:
    """Gate main with the change merged: the tree that would land. A conflict goes back to the order as its input."""
    state = world.state()
    change = state.changes[action.change]
    base_tree = (
        state.main_tree if action.main == state.main else await asyncio.to_thread(world.hub.tree_of, action.main)
    )
    try:
        tree = await asyncio.to_thread(world.hub.merge_tree, action.main, change.head)
    except MergeConflict as conflict:
        paths = ", ".join(sanitise_line(path) for path in conflict.paths[:10])
        reason = f"it does not merge with main ({action.main[:12]}): conflict in {paths}"
        reason += "" if change.person else "; redo it on today's main"
        await world.emit(
            NewEvent("change_rejected", {"change": change.id, "reasons": [reason]}, work_order=change.order)
        )
        return
    if tree == base_tree:
        reason = "main already has everything that this change brings"
        await world.emit(
            NewEvent("change_rejected", {"change": change.id, "reasons": [reason]}, work_order=change.order)
        )
        return
    base = state.base_verdict()
    spec = state.orders[change.order].spec if change.order in state.orders else None
    guards = tuple(GuardResult.model_validate(guard) for guard in change.guards)
    flags: tuple[str, ...] = ()
    if spec is not None and not change.person:
        # What two changes bring together no guard has seen: two names that differ only in case, say.
        said = await _guard(world, spec, tree, base_tree)
        guards, flags = _waived(change, said), _approved(change, said)
        if await _denied(world, change, guards):
            return
    gates = order_gates(world, state, change)
    request = GateRequest(
        key=_change_key(change.id, base_tree, state.policy),
        tree=tree,
        base_tree=base_tree,
        base_commit=action.main,
        repository=state.repository,
        gates=gates,
        policy=state.policy,
        base_report=base.report if base else "",
        kind="land",
        change=change.id,
        work_order=change.order,
        tests_gone=(*spec.tests_changed, *spec.tests_removed) if spec else (),
        order=spec,
        before=await _faulty_tree(world, state, change.order),
        flows=tuple(world.settings().canary.flow),
        coverage=world.settings().guards.coverage,
        nice=action.nice,
        guards=guards,
        flags=((SOME_GATES,) if len(gates) < len(_land_gates(world)) else ()) + flags,
    )
    await _run(world, request)


async def _faulty_tree(world: World, state: State, order: str) -> str:
    """The tree that a regression's bug order has to prove its test on: the version that was taken back."""
    commit = next((r.culprit for r in state.regressions if r.bug == order and r.culprit), "")
    return await asyncio.to_thread(world.hub.tree_of, commit) if order and commit else ""


async def gate_main(world: World, action: GateMain) -> None:
    """Gate main's own tree: the base that changes are compared with, or what a person put there."""
    state = world.state()
    request = GateRequest(
        key=_main_key(action.tree, state.policy),
        tree=action.tree,
        base_tree=action.tree,
        base_commit=action.commit,
        repository=state.repository,
        gates=tuple(_land_gates(world)),
        policy=state.policy,
        kind="gates",
        flows=tuple(world.settings().canary.flow),
    )
    await _run(world, request)


def folders(world: World, actions: Iterable[Action]) -> list[Path]:
    """The run folders of the gates that these actions ask for: what an earlier engine began there is adopted."""
    state = world.state()
    keys = [_main_key(action.tree, state.policy) for action in actions if isinstance(action, GateMain)]
    for action in actions:
        if isinstance(action, GateChange) and action.main == state.main:
            keys.append(_change_key(action.change, state.main_tree, state.policy))
    return [world.folders.runs / safe_name(key) for key in keys]


def _change_key(change: str, base_tree: str, policy: str) -> str:
    return f"{change}@{base_tree[:16]}.{policy[-8:]}"


def _main_key(tree: str, policy: str) -> str:
    return f"main@{tree[:16]}.{policy[-8:]}"


async def _run(world: World, request: GateRequest) -> None:
    async def emit(kind: str, fields: dict[str, Any]) -> None:
        await world.emit(NewEvent(kind, fields, work_order=request.work_order))

    signed: SignedReport = await world.ports.gates.run(request, emit)
    report = signed.report
    if report.result == "error":
        raise InfrastructureFault("; ".join(report.reasons) or "a gate could not run")
    fields = {
        "report_kind": request.kind,
        "result": report.result,
        "report": signed.digest,
        "tree": request.tree,
        "base": request.base_tree,
        "base_commit": request.base_commit,
        "policy": request.policy,
        "change": request.change,
        "reasons": report.reasons,
        "feedback": world.ports.verifier(report),
        "flags": report.flags,
        "fail_to_pass": len(report.proof.fail_to_pass) if report.proof else 0,
    }
    await world.emit(NewEvent("report_signed", fields, work_order=request.work_order))


def _land_gates(world: World) -> list[Gate]:
    return [gate for gate in world.settings().gate if "land" in gate.when]


def order_gates(world: World, state: State, change: Change) -> tuple[Gate, ...]:
    """The gates that the work order names, with what they need; without names all of them."""
    every = {gate.name: gate for gate in _land_gates(world)}
    order = state.orders.get(change.order)
    if order is None or not order.spec.gates:
        return tuple(every.values())
    wanted, stack = set[str](), [name for name in order.spec.gates if name in every]
    while stack:
        name = stack.pop()
        if name not in wanted:
            wanted.add(name)
            stack.extend(need for need in every[name].needs if need in every)
    return tuple(gate for name, gate in every.items() if name in wanted)
