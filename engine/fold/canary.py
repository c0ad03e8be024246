"""Canary runs, restores and regressions."""

from __future__ import annotations

from typing import Any

from engine.fold import train
from engine.fold.handler import Handler
from engine.fold.mainline import moved_main
from engine.lifecycle import next_phase
from engine.models.event import Event
from engine.state import (
    Canaried,
    CanaryRun,
    Landing,
    Regression,
    State,
    Verdict,
)


def _canary_started(state: State, _event: Event, f: dict[str, Any]) -> None:
    if f["purpose"] != "culprit":
        state.canaries.setdefault(f["about"], Canaried())


def _canary_finished(state: State, _event: Event, f: dict[str, Any]) -> None:
    run = CanaryRun(f["purpose"], f["verdict"], f["reason"], f.get("flow", ""))
    if f["purpose"] == "culprit":
        regression = _open_regression(state)
        regression.probes.setdefault(f["commit"], []).append(run)
        return
    about = state.canaries.setdefault(f["about"], Canaried())
    (about.controls if f["purpose"] == "control" else about.runs).append(run)


def _canary_judged(state: State, _event: Event, f: dict[str, Any]) -> None:
    judged = state.canaries.setdefault(f["commit"], Canaried())
    judged.verdict, judged.reason, judged.flaky = f["verdict"], f["reason"], bool(f.get("flaky"))
    judged.flow = f.get("flow", "")
    if f["verdict"] == "PASS":
        at = next((i for i, landing in enumerate(state.landings) if landing.commit == f["commit"]), None)
        if at is None:
            return
        good = state.landings[at]
        state.last_good, state.last_good_tree = good.commit, good.tree
        for landing in state.landings[: at + 1]:
            if change := state.changes.get(landing.change):
                change.status = "healthy"
        state.landings = state.landings[at:]


def _landing_frozen(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.frozen, state.frozen_kind = f["reason"], f["why"]


def _landing_thawed(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.frozen = state.frozen_kind = ""
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
    state.regressions.append(Regression(f["red"], judged.flow, judged.reason, suspects))
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
    previous = state.verified.get(f["tree"])
    state.verified[f["tree"]] = Verdict(
        "green", f["report"], f["tree"], f["tree"], previous.policy if previous else state.policy, []
    )
    state.frozen = state.frozen_kind = ""


def _open_regression(state: State) -> Regression:
    for regression in state.regressions:
        if not regression.done:
            return regression
    raise KeyError("an open regression")


def _culprit_found(state: State, event: Event, f: dict[str, Any]) -> None:
    regression = _open_regression(state)
    regression.culprit, regression.order, regression.done = f["commit"], event.work_order, True
    for landing in regression.suspects:
        if (change := state.changes.get(landing.change)) and landing.commit != f["commit"]:
            change.held = False


def _culprit_unresolved(state: State, _event: Event, _f: dict[str, Any]) -> None:
    regression = _open_regression(state)
    regression.done = True
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
    "change_reverted": _change_reverted,
}
