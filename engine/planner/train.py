"""The train: guards, gates on the merged tree, and what lands."""

from __future__ import annotations

from engine.actions import (
    CheckChange,
    GateChange,
    Land,
)
from engine.models.settings import Settings
from engine.planner.wishes import Wishes, approval_id
from engine.scope import matches
from engine.state import Change, Order, Verdict

SPECULATIVE_NICE = 10
"""Of gates that only matter if what stands before them does not land."""


def checks(wishes: Wishes) -> None:
    for change in wishes.state.changes.values():
        if change.status in ("proposed", "verifying"):
            effect = ":".join(["check", change.id, *sorted(set(change.waivers.values()))])
            if not wishes.attempt(effect, lambda key, c=change.id, e=effect: CheckChange(key, e, c)):
                wishes.park_failed(change.order, effect)


def _verdict(wishes: Wishes, change: Change) -> Verdict | None:
    verdict = change.verdicts.get(wishes.state.main_tree)
    return verdict if verdict is not None and verdict.policy == wishes.state.policy else None


def train(wishes: Wishes) -> None:
    """Candidates are gated on main's own tip side by side; only the first in line lands, the others gate
    again after it. What waits for a person stands aside and holds nobody up."""
    if wishes.state.base_verdict() is None:
        return
    queue = [c for c in wishes.state.queue() if _gateable(wishes, c) and _allowed(wishes, c)]
    for place, change in enumerate(queue[: wishes.settings.limits.gate_slots]):
        verdict = _verdict(wishes, change)
        if verdict is None:
            _gate(wishes, change, place)
        elif verdict.result == "red":
            wishes.record(
                "change_rejected",
                change.order,
                change.id,
                change=change.id,
                reasons=verdict.reasons,
                report=verdict.report,
                feedback=verdict.feedback,
            )
        elif place == 0 and verdict.result == "green" and not _frozen_for(wishes, change):
            effect = f"land:{change.id}:{verdict.report[-16:]}"
            if not wishes.attempt(effect, lambda key, c=change, e=effect, v=verdict: Land(key, e, c.id, v.report)):
                wishes.park_failed(change.order, effect)


def _gate(wishes: Wishes, change: Change, place: int) -> None:
    state = wishes.state
    effect = f"gate:{change.id}.{change.queued_seq}@{state.main_tree[:16]}:{state.policy[-8:]}"
    nice = 0 if place == 0 else SPECULATIVE_NICE
    if not wishes.attempt(effect, lambda key: GateChange(key, effect, change.id, state.main, nice)):
        wishes.park_failed(change.order, effect)


def _mends_main(wishes: Wishes, change: Change) -> bool:
    order = wishes.state.orders.get(change.order)
    return change.person or (order is not None and order.spec.kind == "fix")


def _gateable(wishes: Wishes, change: Change) -> bool:
    """While main's own gates are red, only what may mend them is tried."""
    base = wishes.state.base_verdict()
    return base is None or base.result == "green" or _mends_main(wishes, change)


def _frozen_for(wishes: Wishes, change: Change) -> bool:
    return bool(wishes.state.frozen) and not (wishes.state.frozen_kind == "gates" and _mends_main(wishes, change))


def _allowed(wishes: Wishes, change: Change) -> bool:
    """Whether nobody has to be asked, or a person has approved this very change. Asks, and acts on the answer."""
    order = wishes.state.orders.get(change.order)
    if not (danger := land_danger(change, order, wishes.settings)):
        return True
    ident = approval_id("land", change.id, change.tree, str(change.queued_seq))
    approval = wishes.state.approvals.get(ident)
    if approval is None:
        operation = {"argv": ["land", change.id], "tree": change.tree}
        wishes.ask(ident, "land", f"land {change.order}", danger, change.order, operation, change.id)
    elif approval.status == "denied":
        reason = "a person denied its landing" + (f": {approval.said}" if approval.said else "")
        wishes.record("change_rejected", change.order, change.id, change=change.id, reasons=[reason])
    elif approval.status == "expired" and order is not None:
        why = "nobody answered in time whether it may land"
        wishes.park(order, why, f"to be asked again: swarm retry {change.order}")
    return approval is not None and approval.status == "approved"


def land_danger(change: Change, order: Order | None, settings: Settings) -> str:
    """Why this change waits for a person before it lands, or "" if it does not."""
    merge = settings.merge
    if change.person:
        return ""
    if not merge.auto:
        return "the settings say merge.auto = false"
    if touched := [path for path in change.paths if matches(path, merge.ask_if.paths)]:
        return f"it touches {touched[0]}"
    if order is not None and order.spec.kind in merge.ask_if.kinds:
        return f"it is of kind {order.spec.kind}"
    if any(word and change.risk.strip().lower().startswith(word.lower()) for word in merge.ask_if.risk):
        return "its risk is named in merge.ask_if"
    return ""
