"""Providers and budgets as a person sees them: who waits for whom, and how much of what may be spent is spent. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.spending_state import DIMENSIONS, Dimension, Provider, Tally
from engine.state import Order, State
from swarm_tui.room import words
from swarm_tui.spent import sum_text

_DONE = ("landed", "healthy")


def until_words(provider: Provider, now: float) -> str:
    """Until when it is paused, by the local clock."""
    return "you resume it" if provider.asks else words.moment(provider.until, now)


def role_of(state: State, order: Order) -> str:
    """Who does the order: a contract is the architect's where there is one."""
    spec = order.spec
    takes = spec.role == "implementer" and spec.kind == "contract" and "architect" in state.in_force.providers
    return "architect" if takes else spec.role


def provider_waited_for(state: State, order: Order) -> str:
    """The paused provider that alone keeps an order from beginning; "" when there is none."""
    if order.phase not in ("ready", "rejected") or order.approval:
        return ""
    names = state.in_force.providers.get(role_of(state, order), [])
    known = [state.spending.providers.get(name) for name in names]
    if not names or any(one is None or not one.paused for one in known):
        return ""
    before = (state.orders.get(name) for name in (*order.spec.depends_on, *order.waits_for))
    return names[0] if all(one is not None and one.phase in _DONE for one in before) else ""


def pending_proposal(state: State, order: Order) -> str:
    """The approval that says whether a proposed order is taken on; "" when nobody is asked."""
    ident = order.spec.id
    asked = (one for one in state.approvals.values() if one.order == ident and one.danger == "proposal")
    return next((one.id for one in asked if one.status == "pending"), "")


def paused_providers(state: State) -> dict[str, list[str]]:
    """Provider at its limit -> the orders that could begin if it were not."""
    found: dict[str, list[str]] = {name: [] for name, one in state.spending.providers.items() if one.paused}
    if found:
        for ident, order in state.orders.items():
            if name := provider_waited_for(state, order):
                found[name].append(ident)
    return found


@dataclass(frozen=True)
class BudgetRow:
    """What may be spent, and what is, by so many runs. `untold`: those of which nobody said it."""

    name: str
    dimension: Dimension
    used: float
    most: float
    runs: int
    untold: int

    @property
    def used_words(self) -> str:
        return sum_text(amount(self.dimension, self.used), runs=self.runs, unknown=self.untold)

    @property
    def most_words(self) -> str:
        return amount(self.dimension, self.most)


def amount(dimension: Dimension, value: float) -> str:
    """An amount of tokens, cost, turns, seconds or runs, as short as it may be."""
    if dimension == "cost":
        return f"{value:,.2f}"
    return words.took(value) if dimension == "wall" else words.amount(value)


def night_budgets(state: State) -> list[BudgetRow]:
    """The budgets of the night and of its roles, as far as they are limited."""
    found: list[BudgetRow] = []
    spending, rules = state.spending, state.in_force
    if rules.cost_per_night:
        most = rules.cost_per_night + state.granted_tonight()
        night = spending.night
        found.append(BudgetRow("night", "cost", state.cost_tonight, most, night.runs, night.untold_cost))
    found += _rows("night", "night", state, spending.night)
    roles = dict.fromkeys(key.split(".")[1] for key in rules.budgets if key.startswith("role."))
    for role in roles:
        found += _rows(f"role.{role}", role, state, spending.roles.get(role, Tally()))
    return found


def order_budgets(state: State, ident: str) -> list[BudgetRow]:
    """The budgets of one work order, as far as they are limited."""
    tally = state.spending.orders.get(ident, Tally())
    found = _rows("work_order", ident, state, tally)
    most = state.in_force.tokens_per_work_order
    if most and all(row.dimension != "tokens" for row in found):
        found.insert(0, BudgetRow(ident, "tokens", tally.tokens, most, tally.runs, tally.untold_tokens))
    return found


def _rows(key: str, name: str, state: State, tally: Tally) -> list[BudgetRow]:
    untold = {"tokens": tally.untold_tokens, "cost": tally.untold_cost}
    return [
        BudgetRow(name, each, tally.of(each), most, tally.runs, untold.get(each, 0))
        for each in DIMENSIONS
        if (most := state.in_force.budgets.get(f"{key}.{each}"))
    ]
