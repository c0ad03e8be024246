"""Canary runs, restores and regressions."""

from __future__ import annotations

from typing import Any

from engine.flow_health import FlowRecord, FlowRun
from engine.fold import goldens, train
from engine.fold.handler import Handler
from engine.fold.mainline import moved_main
from engine.lifecycle import next_phase
from engine.models.event import Event
from engine.series import quantile
from engine.state import (
    Canaried,
    CanaryRun,
    Landing,
    Regression,
    State,
    Trend,
    Verdict,
)

MOST_UNCOMPARED = 200


def _canary_started(state: State, _event: Event, f: dict[str, Any]) -> None:
    if f["purpose"] == "culprit":
        _regression_of(state, f["about"]).running = f["commit"]
    else:
        about = state.canaries.setdefault(f["about"], Canaried())
        about.comparing = f["purpose"] == "compare"


def _canary_finished(state: State, event: Event, f: dict[str, Any]) -> None:
    run = _run_of(f)
    rows: list[dict[str, Any]] = f.get("flows", [])
    for row in rows if f["purpose"] != "compare" else []:
        record = state.flows.setdefault(row["flow"], FlowRecord())
        took = float(row.get("duration_s", 0.0))
        record.ran(FlowRun(f["commit"], f["purpose"], row["verdict"], event.at, took))
    if f["purpose"] == "culprit":
        regression = _regression_of(state, f["about"])
        regression.running, state.searched = "", True
        regression.probes.setdefault(f["commit"], []).append(run)
        return
    about = state.canaries.setdefault(f["about"], Canaried())
    about.comparing = False
    if f["purpose"] == "compare":
        about.compares.append(run)
        if about.verdict == "PASS":
            _compared(state, f["about"], about)
        return
    (about.controls if f["purpose"] == "control" else about.runs).append(run)
    if f["purpose"] != "control":
        about.measured |= _medians(rows)
    goldens.shown(state, event, f)


def _run_of(f: dict[str, Any]) -> CanaryRun:
    run = CanaryRun(f["purpose"], f["verdict"], f["reason"], f.get("flow", ""))
    rows: list[dict[str, Any]] = f.get("flows", [])
    run.flows = {row["flow"]: row["verdict"] for row in rows}
    bad = next((row for row in rows if row["flow"] == run.flow), None)
    if run.verdict == "FAIL" and bad is not None:
        run.artifacts = dict(bad.get("artifacts", {}))
    return run


def _medians(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of what the green flows of one run took samples of."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        samples: dict[str, list[float]] = row.get("samples") or {}
        if row["verdict"] == "PASS" and samples:
            medians = {name: quantile(sorted(values), 0.5) for name, values in samples.items()}
            found[row["flow"]] = {name: value for name, value in medians.items() if value is not None}
    return found


def _canary_judged(state: State, _event: Event, f: dict[str, Any]) -> None:
    judged = state.canaries.setdefault(f["commit"], Canaried())
    judged.verdict, judged.reason, judged.flaky = f["verdict"], f["reason"], bool(f.get("flaky"))
    judged.flow = f.get("flow", "")
    state.searched = False
    if f["verdict"] == "PASS":
        for run in judged.runs:
            for flow, verdict in run.flows.items():
                state.flows.setdefault(flow, FlowRecord()).judged(verdict)
        _good(state, f["commit"], judged)


def _good(state: State, commit: str, judged: Canaried) -> None:
    at = next((i for i, landing in enumerate(state.landings) if landing.commit == commit), None)
    if at is None:
        return
    good = state.landings[at]
    first = not state.last_good
    fresh = [one for one in state.landings[: at + 1] if one.commit != state.last_good]
    state.uncompared = [*state.uncompared, *fresh][-MOST_UNCOMPARED:]
    state.last_good, state.last_good_tree = good.commit, good.tree
    for flow, medians in judged.measured.items():
        for sample, value in medians.items():
            state.flows.setdefault(flow, FlowRecord()).trends.setdefault(sample, Trend()).add(commit, value)
    judged.measured = {}
    for landing in state.landings[: at + 1]:
        if change := state.changes.get(landing.change):
            change.status = "healthy"
    state.landings = state.landings[at:]
    goldens.judged_good(state)
    if first:
        state.compared, state.uncompared = commit, []
    elif judged.compares:
        _compared(state, commit, judged)


def _compared(state: State, commit: str, judged: Canaried) -> None:
    """The samples of a good commit were held against those of the one before; if they are worse, that is a regression
    for which nothing is put back."""
    worse = [run for run in judged.compares if run.verdict == "FAIL" and run.flow]
    landings = [one for one in state.uncompared if one.kind in ("change", "person") and not _by_swarm(state, one)]
    if worse and landings:
        reason = worse[-1].reason
        slower = Regression(commit, worse[-1].flow, reason, landings, done=True, good=state.compared, slower=True)
        slower.range, slower.probability = [one.commit for one in landings], 1.0
        slower.artifacts = dict(worse[-1].artifacts)
        if len(landings) == 1:
            slower.culprit, slower.order, slower.range = landings[0].commit, landings[0].order, []
        state.regressions.append(slower)
        _begin_anew(state, slower.flow)
    state.compared, state.uncompared = commit, []


def _sample_crept(state: State, _event: Event, f: dict[str, Any]) -> None:
    """A regression for which nothing is put back and nobody is blamed."""
    crept = Regression(f["commit"], f["flow"], f["reason"], [], done=True, good=f["since"], slower=True)
    state.regressions.append(crept)
    _begin_anew(state, f["flow"])


def _begin_anew(state: State, flow: str) -> None:
    """Somebody will be asked to mend a sample of it: what it was until now is not told again."""
    if record := state.flows.get(flow):
        record.trends = {}


def _by_swarm(state: State, landing: Landing) -> bool:
    """Whether the swarm thought of its order by itself. A bug order never has a bug order because it is slower."""
    order = state.orders.get(landing.order)
    return order is not None and order.source == "swarm"


def _landing_frozen(state: State, event: Event, f: dict[str, Any]) -> None:
    if not state.frozen:
        state.frozen_at = event.at
        state.freezes += 1
    state.frozen, state.frozen_kind = f["reason"], f["why"]


def _goes_on(state: State, event: Event) -> None:
    if state.frozen:
        state.frozen_s += max(0.0, event.at - state.frozen_at)
    state.frozen = state.frozen_kind = ""


def _landing_thawed(state: State, event: Event, f: dict[str, Any]) -> None:
    _goes_on(state, event)
    if judged := state.canaries.get(f.get("commit", "")):
        judged.waived = True


def _main_restored(state: State, event: Event, f: dict[str, Any]) -> None:
    at = next((i for i, landing in enumerate(state.landings) if landing.commit == f["to"]), -1)
    gone = state.landings[at + 1 :]
    moved_main(state, f)
    train.elsewhere(state)
    state.restores_at.append(event.at)
    red = next((i for i, landing in enumerate(gone) if landing.commit == f["red"]), len(gone) - 1)
    judged = state.canaries[f["red"]]
    suspects = [landing for landing in gone[: red + 1] if landing.kind in ("change", "person")]
    found = next((run for run in reversed(judged.runs) if run.artifacts), None)
    artifacts = dict(found.artifacts) if found is not None else {}
    state.regressions.append(
        Regression(f["red"], judged.flow, judged.reason, suspects, good=f["to"], artifacts=artifacts)
    )
    suspected = {landing.commit for landing in suspects}
    for landing in gone:
        change = state.changes.get(landing.change)
        if change is not None and change.status == "landed" and change.person:
            change.status = (
                "reverted"  # its commits are in main's history for good: only the person can bring them back
            )
        elif change is not None and change.status == "landed":
            change.status, change.queued_seq, change.queued_at = "queued", event.seq, event.at
            change.held = landing.commit in suspected
            change.verdicts.clear()
        if order := state.orders.get(landing.order):
            order.phase, order.since = next_phase(order.phase, "change_restored_away") or order.phase, event.at
    state.landings = [*state.landings[: at + 1], Landing(f["commit"], f["tree"], "restore")]
    previous = state.verified.pop(f["tree"], None)
    rests_on = previous.quarantined if previous else []
    if all((record := state.flakes.get(test)) and record.until > event.at for test in rests_on):
        policy = previous.policy if previous else state.policy
        state.verified[f["tree"]] = Verdict("green", f["report"], f["tree"], f["tree"], policy, [])
        state.verified[f["tree"]].quarantined = list(rests_on)
    _goes_on(state, event)


def _open_regression(state: State) -> Regression:
    for regression in state.regressions:
        if not regression.done:
            return regression
    raise KeyError("an open regression")


def _regression_of(state: State, about: str) -> Regression:
    """The open one whose red commit this is."""
    for regression in state.regressions:
        if not regression.done and regression.commit == about:
            return regression
    return _open_regression(state)


def _culprit_found(state: State, event: Event, f: dict[str, Any]) -> None:
    regression = _open_regression(state)
    regression.culprit, regression.order, regression.done = f["commit"], event.work_order, True
    regression.probability = f["probability"]
    for landing in regression.suspects:
        if (change := state.changes.get(landing.change)) and landing.commit != f["commit"]:
            change.held = False


def _culprit_unresolved(state: State, _event: Event, f: dict[str, Any]) -> None:
    regression = _regression_of(state, f["commit"])
    regression.done = True
    regression.range, regression.probability = list(f.get("range", [])), float(f.get("probability", 0.0))
    if not regression.range:
        regression.bug = "none"
    for landing in regression.suspects:
        if change := state.changes.get(landing.change):
            change.held = False


def _bug_not_filed(state: State, _event: Event, f: dict[str, Any]) -> None:
    for regression in state.regressions:
        if regression.commit == f["commit"]:
            regression.bug = "none"


def _change_reverted(state: State, event: Event, f: dict[str, Any]) -> None:
    if change := state.changes.get(f["change"]):
        change.status, change.held = "reverted", False
    if order := state.orders.get(event.work_order):
        order.reverts += 1
        order.spent = 0
        order.feedback = list(f["evidence"])


def engine_started(state: State) -> None:
    """What an earlier engine ran is not running any more; what a bad moment of the machine left undecided is asked
    again."""
    for regression in state.regressions:
        regression.running = ""
    for judged in state.canaries.values():
        judged.comparing = False
    unsure = ("ENVIRONMENT", "INCONCLUSIVE")
    state.canaries = {commit: judged for commit, judged in state.canaries.items() if judged.verdict not in unsure}


HANDLERS: dict[str, Handler] = {
    "canary_started": _canary_started,
    "canary_finished": _canary_finished,
    "canary_judged": _canary_judged,
    "landing_frozen": _landing_frozen,
    "landing_thawed": _landing_thawed,
    "main_restored": _main_restored,
    "culprit_found": _culprit_found,
    "culprit_unresolved": _culprit_unresolved,
    "bug_not_filed": _bug_not_filed,
    "sample_crept": _sample_crept,
    "change_reverted": _change_reverted,
}
