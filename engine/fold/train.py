"""Trials: what runs, what they found, and what that still says after main moved or a change left the queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.exposure import exposure
from engine.flakes import MOST_EXCUSED
from engine.fold.handler import Handler
from engine.models.event import Event
from engine.state import Change, PassRate, State, TrialRun, Verdict

MEAN_WEIGHT = 0.3
"""Of the newest run of a gate in the mean of its minutes."""


def _trial_started(state: State, event: Event, f: dict[str, Any]) -> None:
    state.trials_begun += 1
    if f.get("main", "") not in ("", state.main):
        return  # main moved while its trees were merged: what it finds is about another main
    known = state.trials.get(f["trial"])  # one that an earlier engine began, and that is adopted
    begun_at = known.begun_at if known is not None else event.at
    state.trials[f["trial"]] = TrialRun(f["trial"], list(f["test"]), list(f["assumed"]), begun_at)


def _trial_ended(state: State, _event: Event, f: dict[str, Any]) -> None:
    trial = state.trials.get(f["trial"])
    if trial is None or trial.verdict is not None:
        return
    if f["why"] == "superseded":
        del state.trials[trial.key]
    else:
        trial.verdict = Verdict("red", "", "", "", state.policy, [f["reason"]])


def is_asked_again(state: State, key: str, verdict: Verdict) -> bool:
    """Whether a red trial is forgotten, because only tests failed that flake on main: a few times for each change."""
    trial = state.trials.get(key)
    if trial is None or not verdict.excused:
        return False
    changes = [state.changes[name] for name in trial.test if name in state.changes]
    if any(change.excused >= MOST_EXCUSED for change in changes):
        return False
    for change in changes:
        change.excused += 1
    del state.trials[key]
    return True


def found(state: State, key: str, verdict: Verdict) -> None:
    """A trial has its report."""
    trial = state.trials.get(key)
    if trial is None:
        return
    trial.verdict = verdict
    everyone = [*trial.assumed, *trial.test]
    if verdict.result == "red":
        state.suspected.append(everyone)
        return
    for name in everyone:
        if name in state.changes:
            state.changes[name].proven = True


def landed(state: State, change: str) -> None:
    """Main is what it was with this change on top: trials that had it first go on, what else was tried is stale."""
    for key, trial in list(state.trials.items()):
        if change in trial.assumed:
            trial.assumed.remove(change)
        elif change in trial.test and len(trial.test) > 1 and trial.verdict is not None:
            trial.test.remove(change)
        else:
            del state.trials[key]
    for group in state.suspected:
        if change in group:
            group.remove(change)
    left(state)


def verdict_of(state: State, change: Change, report: str) -> Verdict | None:
    """What the report that let a change land said."""
    verdicts = [trial.verdict for trial in state.trials.values() if trial.verdict is not None]
    return next((one for one in [*verdicts, *change.verdicts.values()] if one.report == report), None)


def left(state: State) -> None:
    """A change left the queue: what was tried with it says nothing any more."""

    def wait(names: Iterable[str]) -> bool:
        found = [state.changes.get(name) for name in names]
        return all(change is not None and change.status == "queued" for change in found)

    state.trials = {key: trial for key, trial in state.trials.items() if wait([*trial.assumed, *trial.test])}
    state.suspected = [group for group in state.suspected if group and wait(group)]


def elsewhere(state: State) -> None:
    """Main moved, and not by a change of the queue: every trial is of another main."""
    state.trials.clear()


def decided(state: State, change_id: str, *, passed: bool) -> None:
    """Learn from what the gates said of a change on its own."""
    change = state.changes[change_id]
    order = state.orders.get(change.order)
    if order is None or change.person:
        return
    rate = state.learned.rates.setdefault(order.spec.kind, PassRate())
    state.learned.conflicts.decided(exposure(state, change), rate.belief, landed=passed)
    rate.decided += 1
    rate.passed += passed


def _gate_finished(state: State, _event: Event, f: dict[str, Any]) -> None:
    if f["cached"] or f["result"] != "green":
        return
    minutes, known = f["duration_s"] / 60, state.learned.minutes.get(f["gate"])
    state.learned.minutes[f["gate"]] = minutes if known is None else known + MEAN_WEIGHT * (minutes - known)


HANDLERS: dict[str, Handler] = {
    "trial_started": _trial_started,
    "trial_ended": _trial_ended,
    "gate_finished": _gate_finished,
}
