"""The train in words: of each change what it waits for, what is assumed, and why. Pure."""

from __future__ import annotations

from engine.exposure import exposure
from engine.models.event import utc_text
from engine.models.status import TrainStatus
from engine.state import Change, PassRate, State, TrialRun


def train_rows(state: State) -> list[TrainStatus]:
    """The queue in its order, as far as the journal says."""
    names = {change.id: change.order or change.id for change in state.queue()}
    asked = {a.subject: a.id for a in state.approvals.values() if a.status == "pending" and a.danger == "land"}
    rows: list[TrainStatus] = []
    for place, change in enumerate(state.queue()):
        trial = trial_of(state, change)
        assumed = [names.get(each, each) for each in trial.assumed] if trial else []
        rows.append(
            TrainStatus(
                change=change.id,
                work_order=change.order,
                place=place + 1,
                waits_for=_waits_for(state, change, trial, assumed, asked.get(change.id, "")),
                assumed=assumed,
                beside=[names.get(each, each) for each in trial.test if each != change.id] if trial else [],
                since=utc_text(trial.begun_at) if trial and trial.verdict is None else "",
                why=_why(state, change),
            )
        )
    return rows


def trial_of(state: State, change: Change) -> TrialRun | None:
    """What says most about it: a trial that assumes nothing, a green one, one that runs, the newest."""
    mine = [trial for trial in state.trials.values() if change.id in trial.test]
    return max(mine, key=lambda trial: (-len(trial.assumed), _says(trial), trial.begun_at), default=None)


def _says(trial: TrialRun) -> int:
    if trial.verdict is None:
        return 1
    return 2 if trial.verdict.result == "green" else 0


def _waits_for(state: State, change: Change, trial: TrialRun | None, assumed: list[str], approval: str) -> str:
    if approval:
        return f"a person: swarm approve {approval}, or swarm deny {approval}"
    if state.frozen:
        return f"landing, which is frozen: {state.frozen}"
    if trial is None:
        return "a free slot" if state.base_verdict() else "main's own gates"
    after = f", if {_listed(assumed)} {'lands' if len(assumed) == 1 else 'land'} first" if assumed else ""
    if trial.verdict is None:
        others = [each for each in trial.test if each != change.id]
        return f"its gates{f' (with {len(others)} more)' if others else ''} on main with it merged{after}"
    if trial.verdict.result == "green":
        return f"{_listed(assumed)} to land: its own gates are green on top of that" if assumed else "landing"
    return (
        f"a trial on main as it is: it was red on top of {_listed(assumed)}" if assumed else "the split of a red group"
    )


def _why(state: State, change: Change) -> str:
    """Why it stands where it does."""
    order = state.orders.get(change.order)
    if order is None:
        return "a golden that a person accepted" if change.golden else "a person's commits"
    rate = state.learned.rates.get(order.spec.kind, PassRate())
    said = f"priority {order.spec.priority}; {rate.passed} of {rate.decided} changes of kind {order.spec.kind} passed"
    beside = round(exposure(state, change))
    if beside:
        said += f"; {beside} landed in the same places since its base"
    if change.excused:
        said += f"; {change.excused} times, only tests failed that flake on main, and it was asked again"
    return said


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
