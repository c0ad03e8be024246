"""What a person accepted as right goes to main: as a change of its own, or with the change that was taken back."""

from __future__ import annotations

from engine.actions import ProposeGolden
from engine.golden_state import Golden
from engine.goldens import regression_of, returning, taken_back
from engine.planner.wishes import Wishes

_OPEN = ("draft", "ready", "running", "proposed", "verifying", "queued", "rejected", "reverted")


def goldens(wishes: Wishes) -> None:
    """A golden of what main does lands alone, also while main is red because of it. One of a change that was taken off
    main lands with that change, and the bug order that it was given is not needed any more."""
    state = wishes.state
    for one in state.goldens.values():
        if one.status != "accepted":
            continue
        change = state.changes.get(one.change)
        away = taken_back(state, one.commit)
        if change is not None:
            if away and change.person and change.status == "queued":
                reason = f"commit {one.commit[:12]} was taken off main, so its golden comes back with its change"
                wishes.record("change_rejected", "", change.id, change=change.id, reasons=[reason])
        elif not away:
            _propose(wishes, one, "")
    for order, accepted in returning(state).items():
        _take_back(wishes, order, accepted)


def _take_back(wishes: Wishes, order: str, accepted: list[Golden]) -> None:
    state, one = wishes.state, accepted[0]
    regression = regression_of(state, one.commit)
    if regression is None or not regression.bug:
        return  # the bug order is being written
    bug = state.orders.get(regression.bug)
    if bug is not None and bug.phase in _OPEN:
        by = f"{one.by}, who accepted the golden {one.path}"
        wishes.record("work_order_cancelled", bug.spec.id, by=by)
        return
    landing = next(each for each in regression.suspects if each.commit == regression.culprit)
    _propose(wishes, one, landing.change, tuple(other.id for other in accepted[1:]))


def _propose(wishes: Wishes, one: Golden, of: str, also: tuple[str, ...] = ()) -> None:
    nth = sum(change.golden == one.id for change in wishes.state.changes.values())
    effect = f"golden:{one.id}:{of or wishes.state.main[:16]}:{nth}"
    # After too many faults of the machine it waits for the next start.
    wishes.attempt(effect, lambda key: ProposeGolden(key, effect, one.id, of, also))
