"""What runs used, what is held for them, and which providers pause. Beside what other folds make of the same events."""

from __future__ import annotations

from typing import Any

from engine.fold.handler import Handler
from engine.models.event import Event
from engine.spending_state import Dimension, Held, Provider, Spending, Tally, Typical
from engine.state import State

REFUTED_S = 120.0
"""A run that ends well so long after its provider was said to be at its limit is a sign that it is not."""


def charged_before(state: State, event: Event) -> bool:
    """Whether the run of a `budget_spent` was counted already. Runs of an order have rising numbers."""
    number = run_number(event.run)
    return number > 0 and number <= state.spending.charged.get(event.work_order, 0)


def run_number(run: str) -> int:
    """The last part of `order.3`; 0 for a name of another kind."""
    last = run.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def _run_started(state: State, event: Event, f: dict[str, Any]) -> None:
    held: dict[str, Any] = f.get("held") or {}
    spending = state.spending
    spending.held[event.run] = Held(
        order=event.work_order,
        role=f.get("role", ""),
        agent=f.get("agent", ""),
        provider=f.get("provider", ""),
        tokens=int(held.get("tokens", 0)),
        cost=float(held.get("cost", 0.0)),
        turns=int(held.get("turns", 0)),
        wall=float(held.get("wall", 0.0)),
        at=event.at,
    )
    if spending.memory_room is not None:
        spending.memory_room = max(0, spending.memory_room - 1)


def _budget_spent(state: State, event: Event, f: dict[str, Any]) -> None:
    if charged_before(state, event):
        return
    spending = state.spending
    if number := run_number(event.run):
        spending.charged[event.work_order] = number
    role, agent = f.get("role", ""), f.get("agent", "")
    turns = f.get("turns")
    told: dict[Dimension, float] = {}
    if f.get("tokens_known", True):
        told["tokens"] = float(f["tokens"])
    if f.get("cost_known", True):
        told["cost"] = float(f["cost"])
    if turns is not None:
        told["turns"] = float(turns)
    for tally in _tallies(spending, event.work_order, role):
        tally.tokens += int(told.get("tokens", 0))
        tally.cost += told.get("cost", 0.0)
        tally.turns += int(told.get("turns", 0))
    if not f.get("claimed"):  # what could not be believed teaches nothing
        for dimension, amount in told.items():
            _typical(spending, role, agent).add(dimension, amount)
    if held := spending.held.get(event.run):
        held.told, held.told_cost = "tokens" in told, "cost" in told


def _run_finished(state: State, event: Event, f: dict[str, Any]) -> None:
    spending = state.spending
    held = spending.held.pop(event.run, None)
    if held is None:
        return
    wall = float(f.get("duration_s", 0.0))
    for tally in _tallies(spending, held.order, held.role):
        tally.runs += 1
        tally.wall += wall
        tally.untold_tokens += not held.told
        tally.untold_cost += not held.told_cost
    if wall:
        _typical(spending, held.role, held.agent).add("wall", wall)
    provider = spending.providers.get(held.provider)
    if provider is None or f["result"] in ("limit", "interrupted"):
        return
    if not provider.paused:
        provider.strikes = 0
    elif f["result"] == "done" and event.at - provider.since > REFUTED_S and provider.until:
        provider.until = min(provider.until, event.at)  # so it can be asked: one run tries
    provider.claims.pop(held.order, None)
    for order in provider.open_claims:
        if order != held.order and f["result"] == "done":
            provider.claims[order] = provider.claims.get(order, 0) + 1
    if f["result"] == "done":
        provider.open_claims = []
    elif held.order in provider.open_claims:
        provider.open_claims.remove(held.order)


def _run_interrupted(state: State, event: Event, _f: dict[str, Any]) -> None:
    held = state.spending.held
    for run in [run for run, one in held.items() if one.order == event.work_order]:
        del held[run]


def _provider_paused(state: State, event: Event, f: dict[str, Any]) -> None:
    provider = state.spending.providers.setdefault(f.get("provider") or f["agent"], Provider())
    if not provider.paused:
        provider.since = event.at
        provider.strikes += 1
    provider.until, provider.why = max(provider.until, float(f["until"])), f["reason"]
    provider.asks = provider.asks or bool(f.get("asks", False))
    if event.work_order and event.work_order not in provider.open_claims:
        provider.open_claims.append(event.work_order)


def _work_order_parked(state: State, event: Event, _f: dict[str, Any]) -> None:
    """A person looks at it, and its claims are new ones afterwards."""
    for provider in state.spending.providers.values():
        provider.claims.pop(event.work_order, None)
        if event.work_order in provider.open_claims:
            provider.open_claims.remove(event.work_order)


def _provider_resumed(state: State, _event: Event, f: dict[str, Any]) -> None:
    if provider := state.spending.providers.get(f["provider"]):
        provider.until, provider.why, provider.asks = 0.0, "", False


def _engine_resumed(state: State, _event: Event, _f: dict[str, Any]) -> None:
    """A person says go on: also with what waits for him to."""
    for provider in state.spending.providers.values():
        if provider.asks:
            provider.until, provider.why, provider.asks = 0.0, "", False


def _engine_started(state: State, _event: Event, _f: dict[str, Any]) -> None:
    spending = state.spending
    spending.night, spending.roles, spending.memory_room, spending.used_up = Tally(), {}, None, []


def _memory_checked(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.spending.memory_room = f["room"]


def _budget_used_up(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.spending.used_up = list(f["said"])


def _tallies(spending: Spending, order: str, role: str) -> list[Tally]:
    found = [spending.night]
    if order:
        found.append(spending.orders.setdefault(order, Tally()))
    if role:
        found.append(spending.roles.setdefault(role, Tally()))
    return found


def _typical(spending: Spending, role: str, agent: str) -> Typical:
    return spending.typical.setdefault(f"{role}/{agent}", Typical())


HANDLERS: dict[str, Handler] = {
    "run_started": _run_started,
    "run_finished": _run_finished,
    "run_interrupted": _run_interrupted,
    "budget_spent": _budget_spent,
    "provider_paused": _provider_paused,
    "provider_resumed": _provider_resumed,
    "engine_resumed": _engine_resumed,
    "engine_started": _engine_started,
    "memory_checked": _memory_checked,
    "work_order_parked": _work_order_parked,
    "budget_used_up": _budget_used_up,
}
