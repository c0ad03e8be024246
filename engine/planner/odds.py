"""The train as the planner of trials sees it: how likely each change is, how long its gates take, what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from engine.exposure import Exposures, folders_of
from engine.models.settings import Settings
from engine.planner.speculation import Candidate, Capacity, Evidence, Trial, Wanted, choose
from engine.state import Change, PassRate, State, TrialRun, Verdict

PRIORITY_MIN = 60.0
"""So many minutes earlier than it came counts a change whose order is one priority higher."""
PERSON = 0.95
"""Belief in what a person committed."""
UNKNOWN_MIN = 5.0
"""Expected minutes of a gate that has never run."""
BATCH = 4
"""Changes in one trial."""
_UNSEEN = PassRate()


def trials_of(state: State, queue: Sequence[Change], now: float) -> list[TrialRun]:
    """Trials whose every change waits in the queue, under the policy and the quarantine in force."""
    waiting = {change.id for change in queue}
    return [
        trial
        for trial in state.trials.values()
        if waiting.issuperset([*trial.assumed, *trial.test])
        and (trial.verdict is None or _holds(trial.verdict, state, now))
    ]


def _holds(verdict: Verdict, state: State, now: float) -> bool:
    return verdict.policy == state.policy and not 0 < verdict.until <= now


def as_trial(run: TrialRun) -> Trial:
    return Trial(frozenset(run.test), frozenset(run.assumed))


def wanted_trials(
    state: State, queue: Sequence[Change], known: Sequence[TrialRun], settings: Settings, now: float
) -> list[Wanted]:
    """What should be tried, best first; without what has its result."""
    changes = {change.id: change for change in queue}
    exposures = Exposures(state)

    @cache
    def minutes(names: tuple[str, ...]) -> float:
        return _minutes(state, settings, names)

    candidates = {change.id: _candidate(state, change, exposures.of(change), minutes) for change in queue}
    folders = {change.id: folders_of(change) for change in queue}
    rate = state.learned.conflicts.rate

    def risk(one: str, other: str) -> float:
        return 0.0 if folders[one].isdisjoint(folders[other]) else rate

    def share(run: TrialRun) -> float:
        minutes = max(candidates[name].minutes for name in run.test)
        return (now - run.begun_at) / 60 / max(minutes, 1e-3)

    decided = [run for run in known if run.verdict is not None]
    evidence = Evidence(
        green=[as_trial(run) for run in decided if run.verdict and run.verdict.result == "green"],
        red=[as_trial(run) for run in decided if run.verdict and run.verdict.result != "green"],
        suspected=[group for names in state.suspected if (group := frozenset(names)) <= changes.keys()],
        proven=[change.id for change in queue if change.proven],
    )
    running = {as_trial(run): share(run) for run in known if run.verdict is None}
    capacity = Capacity(settings.limits.gate_slots, BATCH)
    return choose(candidates, running, evidence, capacity, risk)


def _candidate(state: State, change: Change, beside: float, minutes: Callable[[tuple[str, ...]], float]) -> Candidate:
    order = state.orders.get(change.order)
    kind = order.spec.kind if order is not None else ""
    good = PERSON if change.person or order is None else state.learned.rates.get(kind, _UNSEEN).belief
    priority = order.spec.priority if order is not None else 0
    return Candidate(
        arrived=change.queued_at / 60 + PRIORITY_MIN * priority,
        minutes=minutes(tuple(order.spec.gates) if order is not None else ()),
        belief=good * state.learned.conflicts.survives(beside),
    )


def _minutes(state: State, settings: Settings, names: Sequence[str]) -> float:
    """Of the gates of a change, one after the other: side by side they share the machine."""
    gates = [gate.name for gate in settings.gate if "land" in gate.when and (not names or gate.name in names)]
    return sum(state.learned.minutes.get(name, UNKNOWN_MIN) for name in gates) or 0.1
