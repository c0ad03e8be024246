"""Canary runs and comparisons: what is asked of the runner, and what it said. Acting on it is the planner's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from engine.actions import RunCanary
from engine.effects.train import with_needs
from engine.effects.world import World
from engine.flakes import in_quarantine, known_flaky
from engine.models.event import NewEvent
from engine.models.flow import Flow
from engine.models.report import GateOutcome
from engine.models.verdict import Verdict
from engine.ports import CanaryOutcome, CanaryRequest, CompareRequest, Comparison, FlowOutcome, GateRequest
from engine.state import State

GATE = "gate:"
"""How the name begins that a gate which runs after landing has among the flows."""
MOST_VALUES = 500
"""Of one sample in one event: the journal keeps it for ever."""
_VERDICTS: dict[GateOutcome, Verdict] = {
    "green": "PASS",
    "red": "FAIL",
    "timeout": "FAIL",
    "error": "ENVIRONMENT",
    "skipped": "INCONCLUSIVE",
}
NOTHING = CanaryOutcome("INCONCLUSIVE", "the settings have neither a flow nor a gate for after landing any more", ())
_WORST: tuple[Verdict, ...] = ("FAIL", "ENVIRONMENT", "INCONCLUSIVE", "PASS")


async def run_canary(world: World, action: RunCanary) -> None:
    """One run of every flow, and of the gates that run after landing, on one commit; and its raw verdict."""
    tree = await asyncio.to_thread(world.hub.tree_of, action.commit)
    fields = {"commit": action.commit, "about": action.about, "purpose": action.purpose}
    await world.emit(NewEvent("canary_started", fields))
    key = f"{action.effect.replace(':', '.')}.{world.epoch()}.{action.key.rsplit('#', 1)[-1]}"
    if action.purpose == "compare":
        await world.emit(NewEvent("canary_finished", fields | await _compare(world, action, tree, key)))
        return
    flows, gates = _wanted(world, action)
    outcome = CanaryOutcome("PASS", "", ()) if gates else NOTHING
    if flows:
        outcome = await world.ports.canary.run(CanaryRequest(key=key, commit=action.commit, tree=tree, flows=flows))
    if gates:
        outcome = _worst(outcome, await _gates(world, action, tree, key, gates))
    rows = [
        {
            "flow": flow.flow,
            "verdict": flow.verdict,
            "reason": flow.reason,
            "duration_s": round(flow.duration_s, 3),
            "samples": {name: thinned(values) for name, values in flow.samples.items()},
            "artifacts": dict(flow.artifacts),
            **({"proposed": [dataclasses.asdict(each) for each in flow.proposed]} if flow.proposed else {}),
        }
        for flow in outcome.flows
    ]
    bad = next((flow.flow for flow in outcome.flows if flow.verdict == outcome.verdict), "")
    said = {"verdict": outcome.verdict, "reason": outcome.reason, "flows": rows}
    await world.emit(NewEvent("canary_finished", fields | said | {"flow": bad if outcome.verdict != "PASS" else ""}))


def thinned(values: Sequence[float]) -> list[float]:
    """As many as an event may hold, evenly spread over the run; all of them are in its artifact `samples`."""
    most = min(len(values), MOST_VALUES)
    return [values[nth * len(values) // most] for nth in range(most)]


def _wanted(world: World, action: RunCanary) -> tuple[tuple[Flow, ...], list[str]]:
    """Flows and gates; of a culprit search only what was red."""
    settings = world.settings()
    flows, gates = tuple(settings.canary.flow), [gate.name for gate in settings.gate if "canary" in gate.when]
    if action.purpose == "culprit":
        red = next((r.flow for r in world.state().regressions if r.commit == action.about), "")
        only, gate = tuple(flow for flow in flows if flow.name == red), red.removeprefix(GATE)
        if only or gate in gates:
            return only, [gate] if gate in gates and not only else []
    return flows, gates


async def _gates(world: World, action: RunCanary, tree: str, key: str, names: list[str]) -> tuple[FlowOutcome, ...]:
    """Gates after landing as outcomes of flows. Raises InfrastructureFault."""
    state, settings = world.state(), world.settings()

    async def emit(kind: str, fields: dict[str, Any]) -> None:
        world.log.info("canary", f"{kind} {fields.get('gate', '')} {fields.get('result', '')}".rstrip())

    request = GateRequest(
        key=f"{key}.gates",
        tree=tree,
        base_tree=tree,
        base_commit=action.commit,
        repository=state.repository,
        gates=with_needs(settings.gate, names),
        policy=state.policy,
        kind="gates",
        flaky=known_flaky(state.flakes),
        quarantined=in_quarantine(state.flakes, settings.flakes, world.ports.clock.now()),
        flows=tuple(settings.canary.flow),
        fresh=True,
    )
    report = (await world.ports.gates.run(request, emit)).report
    found: list[FlowOutcome] = []
    for result in report.gates:
        verdict = _VERDICTS[result.result]
        artifacts = {"log": result.log} if result.log else {}
        reason = "" if verdict == "PASS" else f"gate {result.name}: {result.reason}"
        found.append(FlowOutcome(GATE + result.name, verdict, reason, result.duration_s, {}, artifacts))
    return tuple(found)


def _worst(outcome: CanaryOutcome, more: tuple[FlowOutcome, ...]) -> CanaryOutcome:
    flows = (*outcome.flows, *more)
    worst = min(flows, key=lambda flow: _WORST.index(flow.verdict))
    if worst.verdict == outcome.verdict:
        return dataclasses.replace(outcome, flows=flows)
    return CanaryOutcome(worst.verdict, worst.reason, flows)


# -- samples ---------------------------------------------------------------------------------------------------------


async def _compare(world: World, action: RunCanary, tree: str, key: str) -> dict[str, Any]:
    """The samples of a commit beside those of the good one before it, as fields of `canary_finished`."""
    state = world.state()
    judged = state.canaries.get(action.commit)
    good = state.compared if judged is not None and judged.verdict == "PASS" else state.last_good
    flows = tuple(flow for flow in world.settings().canary.flow if any(step.sample for step in flow.steps))
    budgets = _budgets(state, action.commit)
    if not flows:
        names = f"so the budget of {', '.join(budgets)} is not checked" if budgets else "so nothing is compared"
        reason = f"no flow takes samples, {names}: add a step with sample to a flow"
        return told(Comparison("INCONCLUSIVE", reason), good)
    request = CompareRequest(
        key=key,
        commit=action.commit,
        tree=tree,
        good_commit=good,
        good_tree=await asyncio.to_thread(world.hub.tree_of, good),
        flows=flows,
        budgets=budgets,
    )
    return told(await world.ports.canary.compare(request), good)


def told(found: Comparison, good: str) -> dict[str, Any]:
    """A comparison with the commit `good`, as fields of `canary_finished`."""
    worse = [metric.flow for metric in found.metrics if metric.verdict in ("worse", "over-budget")]
    bad = list(dict.fromkeys([*found.failed, *worse]))
    rows: list[dict[str, Any]] = [
        {"flow": flow, "verdict": "FAIL", "reason": found.reason, "artifacts": dict(found.artifacts)} for flow in bad
    ]
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "flow": bad[0] if bad and found.verdict == "FAIL" else "",
        "flows": rows if found.verdict == "FAIL" else [],
        "metrics": [dataclasses.asdict(metric) for metric in found.metrics],
        "against": good,
    }


def _budgets(state: State, commit: str) -> dict[str, str]:
    """Of the work orders that landed since the commit that it is compared with; the newest word counts."""
    landings = [*state.uncompared, *state.landings]
    at = next((n for n, landing in enumerate(landings) if landing.commit == commit), len(landings))
    budgets: dict[str, str] = {}
    for landing in landings[: at + 1]:
        if order := state.orders.get(landing.order):
            budgets |= order.spec.budget
    return budgets
