"""What follows from goldens that people accepted: where they belong, and what guards let pass for them. Pure."""

from __future__ import annotations

from engine.errors import UserError
from engine.golden_state import Golden, pending
from engine.state import Regression, State

BACK = ("reverted", "ready", "rejected", "parked")
"""Phases in which an order's change can be tried again as it was."""


def regression_of(state: State, commit: str) -> Regression | None:
    """The newest one because of which this commit was taken off main."""
    for regression in reversed(state.regressions):
        if not regression.slower and any(landing.commit == commit for landing in regression.suspects):
            return regression
    return None


def taken_back(state: State, commit: str) -> bool:
    """Whether main was put back behind this commit because it was red: main does not do what it does."""
    return regression_of(state, commit) is not None


def returning(state: State) -> dict[str, list[Golden]]:
    """Orders whose change was taken back and comes again, each with the goldens that it needs: as soon as it is known
    who was taken back, and as everything that the run showed is accepted."""
    found: dict[str, list[Golden]] = {}
    for one in state.goldens.values():
        if one.status != "accepted" or one.change or _is_in_doubt(state, one.commit):
            continue
        regression = regression_of(state, one.commit)
        order = state.orders.get(regression.order) if regression is not None and regression.culprit else None
        if order is not None and order.phase in BACK:
            found.setdefault(order.spec.id, []).append(one)
    return found


def _is_in_doubt(state: State, commit: str) -> bool:
    shown = (one for one in state.goldens.values() if one.commit == commit)
    return any(one.status in ("pending", "rejected") for one in shown)


def carried(state: State) -> dict[str, str]:
    """Path -> digest of what people have accepted and main does not have yet: guards let exactly this pass."""
    return {one.path: one.digest for one in state.goldens.values() if one.status == "accepted"}


def find_pending(state: State, name: str) -> Golden:
    """The one that waits under this name: its id, or its path or flow where that names one alone. Raises UserError that
    says what there is."""
    waiting = pending(state.goldens.values())
    known = state.goldens.get(name)
    if known is not None and known.status == "pending":
        return known
    if known is not None:
        raise UserError(f"the golden {name} is {known.status} already, so there is nothing to decide about it")
    found = [one for one in waiting if name in (one.path, one.keyed, one.flow)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{name} could be {' or '.join(one.id for one in found)}: name one of them")
    raise UserError(f"no golden {name} waits; pending: {', '.join(one.id for one in waiting) or 'none'}")
