"""Goldens: shown by a canary run, decided by a person, brought to main by a change."""

from __future__ import annotations

from typing import Any

from engine.fold.handler import Handler
from engine.golden_state import Golden, golden_id
from engine.goldens import regression_of, taken_back
from engine.models.event import Event
from engine.state import Change, State

MOST_CLOSED = 200
"""Of those that are decided, so many are known for longer: what was rejected does not come back."""


def shown(state: State, event: Event, f: dict[str, Any]) -> None:
    """A run on a landed commit ended: what it proposes waits for a person, once for each content."""
    if f["purpose"] not in ("first", "rerun"):
        return  # of last good and of suspects nothing is to be recorded
    for row in f.get("flows", []):
        for proposed in row.get("proposed", []):
            _shown(state, event, row, f["commit"], proposed)


def _shown(state: State, event: Event, row: dict[str, Any], commit: str, proposed: dict[str, Any]) -> None:
    path, digest = str(proposed["path"]), str(proposed["digest"])
    ident = golden_id(path, digest)
    order = next((each.order for each in reversed(state.landings) if each.commit == commit), "")
    if known := state.goldens.get(ident):
        if known.status == "landed" and _is_after(state, commit, known.landed):
            known.status, known.change, known.landed = "pending", "", ""  # it is not on main any more
        if known.status != "rejected":
            known.commit, known.order = commit, order
        return
    older = [one.id for one in state.goldens.values() if one.path == path and one.status == "pending"]
    for name in older:
        del state.goldens[name]
    flow, name, keyed = str(row.get("flow", "")), str(proposed["name"]), str(proposed.get("keyed", ""))
    was, difference = str(proposed.get("was", "")), str(proposed.get("difference", ""))
    one = Golden(ident, name, flow, path, keyed, digest, was, difference, commit, order, event.at)
    one.said = str(row.get("reason", ""))
    state.goldens[ident] = one


def _is_after(state: State, commit: str, landed: str) -> bool:
    known = state.known_main
    return commit in known and landed in known and known.index(commit) >= known.index(landed)


def judged_good(state: State) -> None:
    """Last good has moved: what the goldens on main already say needs nobody."""
    for one in list(state.goldens.values()):
        if regression := regression_of(state, one.commit):
            order = state.orders.get(regression.order)
            change = state.changes.get(order.change) if order is not None else None
            if one.status == "pending" and change is not None and change.status == "healthy":
                del state.goldens[one.id]
        elif one.status == "pending":
            del state.goldens[one.id]
        elif one.status == "accepted" and not one.change:
            one.status, one.landed = "landed", state.last_good


def landed(state: State, change: Change, commit: str) -> None:
    """Its change is on main."""
    for one in _brought(state, change):
        one.status, one.landed, one.why = "landed", commit, ""
    _forget(state)


def refused(state: State, change: Change) -> None:
    """Its change did not land: a person decides anew. What was taken off main meanwhile comes back with its change."""
    for one in _brought(state, change):
        one.change = ""
        if not (change.person and taken_back(state, one.commit)):
            one.status, one.why = "pending", change.why


def parked(state: State, change: Change, why: str) -> None:
    """Its change was put aside before it could land: a person decides anew."""
    for one in _brought(state, change):
        one.status, one.change, one.why = "pending", "", why


def cancelled(state: State, order: str) -> None:
    """What was taken off main does not come back, so nobody has to decide about what it showed."""
    for one in list(state.goldens.values()):
        if one.order == order and one.status in ("pending", "accepted") and taken_back(state, one.commit):
            del state.goldens[one.id]


def _brought(state: State, change: Change) -> list[Golden]:
    return [one for one in state.goldens.values() if one.status == "accepted" and one.change == change.id]


def _accepted(state: State, _event: Event, f: dict[str, Any]) -> None:
    one = state.goldens[f["golden"]]
    if one.status == "pending":
        one.status, one.by, one.path, one.why, one.change = "accepted", f["by"], f["path"], "", ""


def _rejected(state: State, _event: Event, f: dict[str, Any]) -> None:
    one = state.goldens[f["golden"]]
    if one.status == "pending":
        one.status, one.by, one.why = "rejected", f["by"], f["why"]
        _forget(state)


def _settled(state: State, _event: Event, f: dict[str, Any]) -> None:
    one = state.goldens[f["golden"]]
    one.status, one.landed = "landed", f["commit"]


def _proposed(state: State, event: Event, f: dict[str, Any]) -> None:
    """The change that brings it: of its own, or the one that was taken back, together with the golden."""
    one, ident = state.goldens[f["golden"]], f["change"]
    if f["of"]:
        before = state.changes[f["of"]]
        change = Change(
            ident, before.order, f["base"], f["head"], f["tree"], list(f["paths"]), before.summary, before.risk,
            before.rollback, before.agent, waivers=dict(before.waivers), asks=list(before.asks),
        )  # fmt: skip
        order = state.orders[event.work_order]
        order.change, order.why, order.do, order.approval, order.resume = ident, "", "", "", None
    else:
        change = Change(ident, "", f["base"], f["head"], f["tree"], list(f["paths"]), person=True)
        change.status, change.queued_seq, change.queued_at = "queued", event.seq, event.at
    change.golden = one.id
    state.changes[ident] = change
    for name in (one.id, *f.get("also", [])):
        state.goldens[name].change = ident


def _forget(state: State) -> None:
    closed = [one.id for one in state.goldens.values() if one.status in ("landed", "rejected")]
    for ident in closed[:-MOST_CLOSED]:
        del state.goldens[ident]


HANDLERS: dict[str, Handler] = {
    "golden_accepted": _accepted,
    "golden_rejected": _rejected,
    "golden_settled": _settled,
    "golden_proposed": _proposed,
}
