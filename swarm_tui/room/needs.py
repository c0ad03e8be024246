"""What needs a person: only decisions, each with its evidence and what can be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.golden_state import pending
from engine.state import Approval, State
from engine.status import problems_of
from engine.text.sanitise import sanitise_line

NeedKind = Literal["approval", "parked", "frozen", "publish", "problem", "golden"]


@dataclass(frozen=True)
class Need:
    """`key` is stable while it is the same need. `ident`: approval id or work order. All text is clean, one line."""

    key: str
    kind: NeedKind
    ident: str
    title: str
    why: str
    do: str
    order: str = ""
    since: float = 0.0
    """UTC seconds; 0 when it is not known."""


def needs_of(state: State) -> list[Need]:
    """Oldest approvals first, then goldens, frozen landing, parked work orders, publishing, problems of the set-up."""
    found: list[Need] = []
    asked: set[str] = set()
    for approval in sorted(pending_approvals(state), key=lambda one: one.asked_at):
        asked.add(approval.order)
        found.append(
            Need(
                f"approval:{approval.id}", "approval", approval.id, sanitise_line(approval.title),
                sanitise_line(approval.why), "approve or deny it", approval.order, approval.asked_at,
            )
        )  # fmt: skip
    for one in pending(state.goldens.values()):
        title = f"{sanitise_line(one.path)} {'differs' if one.was else 'is not recorded yet'}"
        why, do = sanitise_line(one.said), "accept or reject it"
        found.append(Need(f"golden:{one.id}", "golden", one.id, title, why, do, one.order, one.seen_at))
    if state.frozen and state.frozen_kind != "confirm":
        reason = sanitise_line(state.frozen)
        found.append(Need("frozen", "frozen", "", "landing is frozen", reason, "see the canary (4)"))
    for order in state.orders.values():
        if order.phase == "parked" and order.spec.id not in asked:
            ident = order.spec.id
            found.append(
                Need(
                    f"parked:{ident}", "parked", ident, f"{ident} is parked", sanitise_line(order.why),
                    sanitise_line(order.do), ident, order.since,
                )
            )  # fmt: skip
    if state.publish_pending:
        why = sanitise_line(state.publish_pending)
        found.append(Need("publish", "publish", "", "publishing waits", why, "make the checkout clean"))
    if state.remote.pending:
        why = sanitise_line(state.remote.pending)
        found.append(Need("publish-remote", "publish", "", "the remote waits", why, "it is tried again by itself"))
    for number, problem in enumerate(problems_of(state)):
        found.append(Need(f"problem:{number}", "problem", "", sanitise_line(problem), "", ""))
    return found


def pending_approvals(state: State) -> list[Approval]:
    """Approvals without an answer."""
    return [approval for approval in state.approvals.values() if approval.status == "pending"]
