"""Questions to people, their answers, and what was done with them."""

from __future__ import annotations

from typing import Any

from engine.fold.handler import Handler
from engine.models.event import Event
from engine.state import Approval, Denial, State

MOST_REFUSED_HOSTS = 20
MOST_DENIALS = 20
REASON_CHARS = 500


def _approval_asked(state: State, event: Event, f: dict[str, Any]) -> None:
    state.approvals[f["approval"]] = Approval(
        id=f["approval"], danger=f["danger"], title=f["title"], why=f.get("why", ""), operation=f["operation"],
        hash=f["hash"], asked_at=event.at, expires_at=float(f["expires_at"]), order=event.work_order,
        subject=f.get("subject", ""), tree=f.get("tree", ""), base=f.get("base", ""), facts=list(f.get("facts", [])),
        warnings=list(f.get("warnings", [])), reads=dict(f.get("reads", {})),
    )  # fmt: skip
    if (order := state.orders.get(event.work_order)) and f["danger"] != "proposal":
        order.asked += 1


def _approval_joined(state: State, event: Event, f: dict[str, Any]) -> None:
    approval = state.approvals[f["approval"]]
    if approval.status == "pending" and event.work_order not in approval.askers:
        approval.also.append(event.work_order)
        if order := state.orders.get(event.work_order):
            order.asked += 1


def _approval_answered(state: State, _event: Event, f: dict[str, Any]) -> None:
    approval = state.approvals.get(f["approval"])
    if approval is None or approval.status != "pending" or f.get("hash", approval.hash) not in ("", approval.hash):
        return
    approval.status, approval.by, approval.said = f["answer"], f.get("by", ""), f.get("why", "")
    for order in [state.orders[ident] for ident in approval.askers if ident in state.orders]:
        if approval.status == "denied":
            order.denied += 1
        host = approval.operation.get("host", "") if approval.danger == "network" and not approval.tree else ""
        if approval.status == "approved" and host and host not in order.hosts:
            order.hosts.append(host)
        if approval.status == "expired" and order.approval == approval.id:
            order.why, order.do = (
                f"nobody answered in time: {approval.title}",
                f"to be asked again: swarm retry {order.spec.id}",
            )


def _operation_started(state: State, event: Event, f: dict[str, Any]) -> None:
    approval = state.approvals[f["approval"]]
    approval.used.append(event.work_order)
    if set(approval.askers) <= set(approval.used):
        approval.status = "used"


def _operation_finished(state: State, event: Event, f: dict[str, Any]) -> None:
    resume = state.orders[event.work_order].resume
    if resume is not None and resume.approval == f["approval"]:
        resume.done = dict(f)
        resume.tree = f.get("tree") or resume.tree


def _change_reopened(state: State, event: Event, f: dict[str, Any]) -> None:
    change, order = state.changes[f["change"]], state.orders[event.work_order]
    change.status, change.why = "proposed", ""
    change.denials.clear()
    change.waivers |= f["waivers"]
    order.change, order.approval, order.why, order.do = change.id, "", "", ""
    if approval := state.approvals.get(f["approval"]):
        approval.used.append(event.work_order)
        approval.status = "used"


def _guardrail_denied(state: State, event: Event, f: dict[str, Any]) -> None:
    state.denied[f["rule"]] = state.denied.get(f["rule"], 0) + 1
    denial = Denial(event.work_order, f["rule"], f["reason"][:REASON_CHARS], event.at, event.run)
    state.denials = [*state.denials, denial][-MOST_DENIALS:]
    if change := state.changes.get(f.get("change", "")):
        change.denials.append(dict(f))
    if order := state.orders.get(event.work_order):
        fresh = [host for host in f.get("hosts", []) if host not in order.refused]
        order.refused = [*order.refused, *fresh][:MOST_REFUSED_HOSTS]


HANDLERS: dict[str, Handler] = {
    "approval_asked": _approval_asked,
    "approval_joined": _approval_joined,
    "approval_answered": _approval_answered,
    "operation_started": _operation_started,
    "operation_finished": _operation_finished,
    "change_reopened": _change_reopened,
    "guardrail_denied": _guardrail_denied,
}
