"""Orders and their runs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from engine.fold import goldens, train
from engine.fold.handler import Handler
from engine.fold.specs import shared
from engine.fold.spending import charged_before
from engine.models.event import Event
from engine.models.roadmap import Item, WorkOrder
from engine.state import (
    InForce,
    Order,
    Resume,
    State,
)


def _roadmap_read(state: State, event: Event, f: dict[str, Any]) -> None:
    state.roadmap_error = ""
    if not f.get("more"):
        state.items = {item.id: item for item in map(Item.model_validate, f["items"])}
    for raw in f["orders"]:
        spec = shared(WorkOrder.model_validate(raw))
        known = state.orders.get(spec.id)
        if known is None:
            state.orders[spec.id] = Order(spec, since=event.at)
        else:
            # An order that the swarm added belongs to people once they have put it on the roadmap.
            known.spec, known.source, known.proposed_by = spec, "roadmap", ""
    for order_id in f["gone"]:
        # What has begun goes on to its end; only what nobody has started leaves with its line. Runs are numbered by
        # their order: were it forgotten, the next of its name would be given the results of its runs.
        order = state.orders.get(order_id)
        if order is not None and order.phase in ("draft", "ready") and not order.runs:
            del state.orders[order_id]


def _roadmap_refused(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.roadmap_error = f["reason"]


def _settings_read(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settings_error = ""
    if f["policy"] != state.policy:
        train.elsewhere(state)
    state.policy, state.bootstrap = f["policy"], f["bootstrap"]
    told = {each.name: f[each.name] for each in fields(InForce) if each.name in f}
    state.in_force = InForce(**told)


def _settings_refused(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settings_error = f["reason"]


def _work_order_ready(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.why = order.do = ""
    order.ready_at = order.ready_at or event.at
    if f.get("fresh"):
        order.spent = order.asked = order.denied = 0
        state.failures.pop(f"dispatch:{event.work_order}", None)
    resume = f.get("resume")
    if resume:
        order.resume = Resume(resume["tree"], resume["base"], resume["approval"], resume["answer"], resume["operation"])
    order.feedback += f.get("feedback") or []
    order.approval = ""


def _acceptance_checked(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.accepted = f["goal"] if f["ok"] else ""


def _run_started(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.runs += 1
    order.run, order.why, order.agent = event.run, "", f["agent"]
    order.given, order.unfinished = f.get("given", ""), f.get("goes_on", "")


def _run_finished(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders.get(event.work_order)
    if order is None:
        return
    order.run = ""
    if f["counted"] or f["result"] == "asked":
        order.resume, order.unfinished = None, ""
    elif f["result"] == "limit" and f["kept"]:
        order.unfinished = f["kept"]
    if f["counted"]:
        order.attempts += 1
        order.spent += 1
        state.failures.pop(f"dispatch:{event.work_order}", None)


def _budget_spent(state: State, event: Event, f: dict[str, Any]) -> None:
    if charged_before(state, event):
        return
    state.tokens += int(f["tokens"])
    state.cost += float(f["cost"])
    state.cost_tonight += float(f["cost"])
    order = state.orders.get(event.work_order)
    if order is not None:
        order.tokens += int(f["tokens"])
        order.cost += float(f["cost"])


def _work_order_healthy(state: State, event: Event, _f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.feedback = []
    if change := state.changes.get(order.change):
        change.status = "healthy"


def _work_order_added(state: State, event: Event, f: dict[str, Any]) -> None:
    spec = shared(WorkOrder.model_validate(f["order"]))
    if spec.id not in state.orders:
        order = state.orders[spec.id] = Order(spec, source="swarm", since=event.at)
        order.proposed_by, order.tests_for = f.get("proposed", ""), f.get("tests_for", "")
    because = f.get("regression", "")
    for regression in state.regressions:
        if regression.commit == because:
            regression.bug = spec.id
            if order := state.orders.get(regression.order):
                order.waits_for.append(spec.id)


def _work_order_parked(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.why, order.do, order.approval = f["why"], f["do"], f.get("approval", "")
    order.run = ""
    if (change := state.changes.get(order.change)) and change.status in ("proposed", "verifying", "queued"):
        change.status = "dropped"
        train.left(state)
        goldens.parked(state, change, order.why)


def _work_order_cancelled(state: State, event: Event, _f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    if (change := state.changes.get(order.change)) and change.status in ("proposed", "verifying", "queued"):
        change.status = "dropped"
        train.left(state)
    goldens.cancelled(state, order.spec.id)


def _work_order_done(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.done, order.feedback, order.why = dict(f), [], ""


def _handoff_received(state: State, event: Event, f: dict[str, Any]) -> None:
    if order := state.orders.get(event.work_order):
        order.handoff, order.forbidden = f["digest"], list(f.get("forbidden", []))


def _tests_joined(state: State, _event: Event, f: dict[str, Any]) -> None:
    change = state.changes[f["change"]]
    change.joined, change.head, change.tree, change.paths = f["joined"], f["head"], f["tree"], list(f["paths"])
    change.base = f.get("base") or change.base


HANDLERS: dict[str, Handler] = {
    "roadmap_read": _roadmap_read,
    "roadmap_refused": _roadmap_refused,
    "settings_read": _settings_read,
    "settings_refused": _settings_refused,
    "work_order_ready": _work_order_ready,
    "acceptance_checked": _acceptance_checked,
    "run_started": _run_started,
    "run_finished": _run_finished,
    "budget_spent": _budget_spent,
    "work_order_healthy": _work_order_healthy,
    "work_order_added": _work_order_added,
    "work_order_parked": _work_order_parked,
    "work_order_cancelled": _work_order_cancelled,
    "work_order_done": _work_order_done,
    "handoff_received": _handoff_received,
    "tests_joined": _tests_joined,
}
