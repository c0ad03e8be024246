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


def checks(wishes: Wishes) -> None:
    for change in wishes.state.changes.values():
        if change.status in ("proposed", "verifying"):
            effect = f"check:{change.id}"
            if not wishes.attempt(effect, lambda key, c=change.id, e=effect: CheckChange(key, e, c)):
                wishes.park_failed(change.order, effect)


def _verdict(wishes: Wishes, change: Change) -> Verdict | None:
    verdict = change.verdicts.get(wishes.state.main_tree)
    return verdict if verdict is not None and verdict.policy == wishes.state.policy else None


def train(wishes: Wishes) -> None:
    """Candidates are gated on main's own tip side by side; only the first in line lands, the others gate
    again after it."""
    if wishes.state.base_verdict() is None:
        return
    queue = [change for change in wishes.state.queue() if _gateable(wishes, change)]
    for place, change in enumerate(queue[: wishes.settings.limits.gate_slots]):
        verdict = _verdict(wishes, change)
        if verdict is None:
            effect = f"gate:{change.id}@{wishes.state.main_tree[:16]}"
            main = wishes.state.main
            if not wishes.attempt(
                effect,
                lambda key, c=change.id, e=effect, p=place, m=main: GateChange(key, e, c, m, 0 if p == 0 else 10),
            ):
                wishes.park_failed(change.order, effect)
        elif verdict.result == "red":
            wishes.record(
                "change_rejected",
                change.order,
                change.id,
                change=change.id,
                reasons=verdict.reasons,
                report=verdict.report,
            )
        elif place == 0 and verdict.result == "green" and not wishes.state.frozen:
            _land(wishes, change, verdict)


def _gateable(wishes: Wishes, change: Change) -> bool:
    base = wishes.state.base_verdict()
    if base is None or base.result == "green" or change.person:
        return True
    order = wishes.state.orders.get(change.order)
    return order is not None and order.spec.kind == "fix"


def _land(wishes: Wishes, change: Change, verdict: Verdict) -> None:
    order = wishes.state.orders.get(change.order)
    if danger := land_danger(change, order, wishes.settings):
        ident = approval_id("land", change.id, verdict.tree)
        approval = wishes.state.approvals.get(ident)
        if approval is None:
            wishes.ask(
                ident,
                "land",
                f"land {change.order}",
                danger,
                change.order,
                {"argv": ["land", change.id], "tree": verdict.tree},
                change.id,
            )
            return
        if approval.status == "denied":
            reason = "a person denied its landing" + (f": {approval.said}" if approval.said else "")
            wishes.record("change_rejected", change.order, change.id, change=change.id, reasons=[reason])
            return
        if approval.status == "expired":
            if order is not None:
                why = "nobody answered in time whether it may land"
                wishes.park(order, why, f"to be asked again: swarm retry {change.order}")
            return
        if approval.status == "pending":
            return
    effect = f"land:{change.id}:{verdict.report[-16:]}"
    if not wishes.attempt(effect, lambda key: Land(key, effect, change.id, verdict.report)):
        wishes.park_failed(change.order, effect)


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
