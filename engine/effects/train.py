"""Checks on a change's own tree, gates on the merged tree, and gates on main itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.actions import Action, CheckChange, GateMain, GateTrial
from engine.approvals.binding import guard_hash
from engine.effects.priority import prioritised
from engine.effects.world import World
from engine.errors import InfrastructureFault, MergeConflict, SwarmError
from engine.failures import failure_of
from engine.flakes import in_quarantine, known_flaky, told_by
from engine.git.hub import Hub
from engine.git.names import safe_name
from engine.goldens import carried
from engine.models.event import NewEvent
from engine.models.report import GuardResult
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate, Guards, Settings
from engine.planner.roles import allowed, named, under_contract
from engine.ports import GateRequest, GuardRequest, Member, SignedReport
from engine.review import review
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
    merge = world.settings().merge
    lines = 0
    if merge.max_lines or merge.ask_if.lines:
        lines = await asyncio.to_thread(world.hub.changed_lines, base_tree, change.tree)
    said = (change.summary, change.risk, change.rollback)
    if wrong := review(*said, len(change.paths), lines, spec, merge):
        fields = {"change": change.id, "reasons": wrong}
        await world.emit(NewEvent("change_rejected", fields, work_order=change.order))
        return
    results = _waived(change, await _guard(world, spec, change, change.tree, base_tree))
    if not await _denied(world, change, results):
        guards = [result.model_dump() for result in results]
        fields = {"change": change.id, "guards": guards, "lines": lines}
        await world.emit(NewEvent("change_queued", fields, work_order=change.order))


async def _guard(world: World, spec: WorkOrder, change: Change, tree: str, base_tree: str) -> tuple[GuardResult, ...]:
    """The guards' word on a tree, under the settings of now and the contract of its item."""
    state = world.state()
    request = GuardRequest(
        tree=tree,
        base_tree=base_tree,
        allow=allowed(state, spec, change),
        named=named(state, spec),
        deny=tuple(spec.deny),
        guards=under_contract(_with_scripts(world.settings()), state, spec),
        work_order=spec.id,
        scripts=tuple(s for argv in (*(a.run for a in spec.acceptance), spec.repro) for s in _scripts(argv)),
        accepted=carried(state),
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


async def gate_trial(world: World, action: GateTrial) -> None:
    """Gate main with the assumed changes and then these merged: the tree that would land."""
    state = world.state()
    main, main_tree, policy = state.main, state.main_tree, state.policy
    changes, assumed = ([state.changes[name] for name in names] for names in (action.test, action.assumed))
    try:
        base, base_tree = await asyncio.to_thread(merged_onto, world.hub, main, assumed)
        trees = await asyncio.to_thread(_trees, world.hub, base, changes)
    except MergeConflict as conflict:
        paths = ", ".join(sanitise_line(path) for path in conflict.paths[:10])
        reason = f"it does not merge with main ({main[:12]}): conflict in {paths}"
        await _not_tried(world, action, main, reason + ("" if changes[0].person else "; redo it on today's main"))
        return
    if trees.whole in (base_tree, *trees.without):
        await _not_tried(world, action, main, "main already has everything that this change brings")
        return
    judged = await _guards(world, main, action, changes, trees, base_tree)
    if judged is None:
        return
    guards, flags = judged
    last = changes[-1]
    begun = NewEvent("trial_started", _begun(action, main, base_tree, trees.whole), work_order=last.order)
    verdict, gates = state.base_verdict(), order_gates(world, state, changes)
    members = [
        Member(
            change.id,
            spec := _spec(state, change),
            without,
            await _faulty_tree(world, state, change.order),
            named(state, spec) if spec is not None else None,
        )
        for change, without in zip(changes, trees.without, strict=True)
    ]
    request = GateRequest(
        key=_trial_key(action.test, base_tree, policy),
        tree=trees.whole,
        base_tree=base_tree,
        base_commit=base,
        repository=state.repository,
        gates=gates,
        policy=policy,
        base_report=verdict.report if verdict else "",
        kind="land",
        change=last.id,
        work_order=last.order,
        tests_gone=tuple(_tests_gone(state, [*assumed, *changes])),
        order=members[-1].order,
        before=members[-1].before,
        named=members[-1].named,
        members=tuple(members) if len(members) > 1 else (),
        flaky=known_flaky(state.flakes),
        quarantined=_in_quarantine(world, state),
        control=main_tree,
        flows=tuple(world.settings().canary.flow),
        coverage=world.settings().guards.coverage,
        nice=action.nice,
        guards=guards,
        flags=((SOME_GATES,) if len(gates) < len(_land_gates(world)) else ()) + flags,
    )
    try:
        await world.emit(begun)
        async with prioritised(world, action.key, request.key, low=action.nice > 0):
            await _run(world, request, action.key)
    except asyncio.CancelledError:
        await asyncio.shield(_ended(world, action, "superseded", ""))
        raise
    except Exception as error:
        log = world.log.warning if isinstance(error, SwarmError) else world.log.error
        log("engine", f"effect failed: {action.effect}: {error}")
        # Its failure counts in the moment in which the trial is over, or the next one would begin at once, for ever.
        await asyncio.shield(_ended(world, action, "superseded", "", failure_of(action, error)))


@dataclass(frozen=True)
class _Trees:
    """whole: all changes merged, in order. without: for each change, all the others."""

    whole: str
    without: tuple[str, ...]


def _trees(hub: Hub, base: str, changes: Sequence[Change]) -> _Trees:
    """Raises MergeConflict."""
    whole = merged_onto(hub, base, changes)[1]
    others = ([other for other in changes if other is not change] for change in changes)
    return _Trees(whole, tuple(merged_onto(hub, base, rest)[1] for rest in others))


def merged_onto(hub: Hub, main: str, changes: Sequence[Change]) -> tuple[str, str]:
    """(commit, tree) of main with these merged, in order. Nothing refers to the commit. Raises MergeConflict."""
    commit, tree = main, hub.tree_of(main)
    for change in changes:
        tree = hub.merge_tree(commit, change.head)
        commit = hub.commit(tree, [commit], f"Assumed: {change.id}", 0.0)
    return commit, tree


async def _guards(
    world: World, main: str, action: GateTrial, changes: list[Change], trees: _Trees, base_tree: str
) -> tuple[tuple[GuardResult, ...], tuple[str, ...]] | None:
    """The guards' word on what each change brings to the merged tree, and flags for what people approved; None when one
    denies it, which has been told.

    What two changes bring together no guard has seen: two names that differ only in case, say.
    """
    state = world.state()
    said: list[GuardResult] = []
    flags: list[str] = []
    for change, without in zip(changes, trees.without, strict=True):
        spec = _spec(state, change)
        if spec is None or change.person:
            said += [GuardResult.model_validate(guard) for guard in change.guards]
            continue
        found = await _guard(world, spec, change, trees.whole, without if len(changes) > 1 else base_tree)
        results = _waived(change, found)
        said += results
        flags += _approved(change, found)
        denied = [result for result in results if not result.ok]
        if denied and (action.assumed or len(changes) > 1):
            await _not_tried(world, action, main, denied[0].reason)
        elif denied and state.main == main:
            await _denied(world, change, results)
        if denied:
            return None
    return tuple(said), tuple(flags)


def _spec(state: State, change: Change) -> WorkOrder | None:
    order = state.orders.get(change.order)
    return order.spec if order is not None else None


def _tests_gone(state: State, changes: Sequence[Change]) -> list[str]:
    """Tests that these changes' orders may change or remove."""
    specs = (_spec(state, change) for change in changes)
    return [test for spec in specs if spec for test in (*spec.tests_changed, *spec.tests_removed)]


async def _not_tried(world: World, action: GateTrial, main: str, reason: str) -> None:
    """The trees do not go together. On main as it is that is the change's end; else only of this trial. Where main has
    moved from `main` meanwhile it is nothing."""
    if world.state().main != main:
        return
    change = world.state().changes[action.test[0]]
    if not action.assumed and len(action.test) == 1:
        fields = {"change": change.id, "reasons": [reason]}
        await world.emit(NewEvent("change_rejected", fields, work_order=change.order))
        return
    ended = {"trial": action.key, "why": "conflict", "reason": reason}
    await world.emit(
        NewEvent("trial_started", _begun(action, main, "", ""), work_order=change.order),
        NewEvent("trial_ended", ended, work_order=change.order),
    )


def _begun(action: GateTrial, main: str, base: str, tree: str) -> dict[str, Any]:
    """The fields of `trial_started`. main: its commit when the trees were merged."""
    tried = {"trial": action.key, "test": list(action.test), "assumed": list(action.assumed)}
    return {**tried, "base": base, "tree": tree, "main": main}


async def _ended(world: World, action: GateTrial, why: str, reason: str, failed: NewEvent | None = None) -> None:
    trial = world.state().trials.get(action.key)
    if trial is not None and trial.verdict is not None:
        return  # it had said what it found, and was told to end a moment later
    order = world.state().changes[action.test[0]].order
    ended = NewEvent("trial_ended", {"trial": action.key, "why": why, "reason": reason}, work_order=order)
    await world.emit(ended, *([failed] if failed is not None else []))


async def _faulty_tree(world: World, state: State, order: str) -> str:
    """The tree that a regression's bug order has to prove its test on: the version that was taken back."""
    red = (each for each in state.regressions if each.bug == order and not each.slower)
    commit = next((each.culprit or each.commit for each in red), "")
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
        flaky=known_flaky(state.flakes),
        quarantined=_in_quarantine(world, state),
        control=action.tree,
        flows=tuple(world.settings().canary.flow),
    )
    await _run(world, request)


def _in_quarantine(world: World, state: State) -> tuple[str, ...]:
    return in_quarantine(state.flakes, world.settings().flakes, world.ports.clock.now())


def folders(world: World, actions: Iterable[Action]) -> list[Path]:
    """The run folders of the gates that these actions ask for: what an earlier engine began there is adopted. Blocks
    while it merges what trials assume."""
    state = world.state()
    keys = [_main_key(action.tree, state.policy) for action in actions if isinstance(action, GateMain)]
    for action in actions:
        if isinstance(action, GateTrial):
            with contextlib.suppress(MergeConflict):
                base = merged_onto(world.hub, state.main, [state.changes[name] for name in action.assumed])[1]
                keys.append(_trial_key(action.test, base, state.policy))
    return [world.folders.runs / safe_name(key) for key in keys]


def _trial_key(test: Sequence[str], base_tree: str, policy: str) -> str:
    return f"{'+'.join(test)}@{base_tree[:16]}.{policy[-8:]}"


def _main_key(tree: str, policy: str) -> str:
    return f"main@{tree[:16]}.{policy[-8:]}"


async def _run(world: World, request: GateRequest, trial: str = "") -> None:
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
        "proved": report.proof.tests_by_order(request.work_order) if report.proof else {},
        "trial": trial,
        **told_by(report),
    }
    await world.emit(NewEvent("report_signed", fields, work_order=request.work_order))


def _land_gates(world: World) -> list[Gate]:
    return [gate for gate in world.settings().gate if "land" in gate.when]


def order_gates(world: World, state: State, changes: Sequence[Change]) -> tuple[Gate, ...]:
    """The gates that the changes' work orders name, with what they need; all of them if one names none."""
    every = {gate.name: gate for gate in _land_gates(world)}
    named = [spec.gates if (spec := _spec(state, change)) is not None else [] for change in changes]
    if not all(named):
        return tuple(every.values())
    return with_needs(list(every.values()), [name for names in named for name in names])


def with_needs(gates: Sequence[Gate], names: Sequence[str]) -> tuple[Gate, ...]:
    """Those of `gates` that are named and all that they need, in the order of `gates`; other names are passed over."""
    every, wanted, stack = {gate.name: gate for gate in gates}, set[str](), list(names)
    while stack:
        name = stack.pop()
        if name in every and name not in wanted:
            wanted.add(name)
            stack.extend(every[name].needs)
    return tuple(gate for gate in gates if gate.name in wanted)
