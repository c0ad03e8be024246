"""Budgets: what is held for a run before it starts, and whether there is room for it.

A run starts only where what was used, what is held for runs under way and what it is expected to take fit into every
budget; or where nothing is held, so that the rest of a budget is used, and is overdrawn by one run at most. What it is
expected to take is the mean of earlier runs of its role with its agent; without any, an even share of the budget.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from engine.models.settings import Budget, RoleName, Settings
from engine.planner.wishes import Wishes, approval_id
from engine.providers import agent_for, candidates, provider_of, why_not
from engine.spending_state import DIMENSIONS, Dimension, Held, Tally
from engine.state import Approval, Order, State

LOOK_AGAIN_S = 30.0
"""The engine looks at the memory by itself; this only says that there is something to wait for."""
_UNITS = {"tokens": "tokens", "cost": "of cost", "turns": "turns", "wall": "seconds", "runs": "runs"}


class Limit(NamedTuple):
    """One budget of one thing. key: where it stands in the settings. held: runs under way that draw on it."""

    key: str
    dimension: Dimension
    most: float
    used: float
    held: tuple[Held, ...]


def limits(state: State, settings: Settings, role: RoleName, starting: Collection[Held] = ()) -> list[Limit]:
    """The budgets of the night and of the role in it, as far as they are limited."""
    spending = state.spending
    held = (*spending.held.values(), *starting)
    found: list[Limit] = []
    if settings.limits.cost_per_night:
        most = settings.limits.cost_per_night + state.granted_tonight()
        found.append(Limit("limits.cost_per_night", "cost", most, state.cost_tonight, held))
    found += _limits("budgets.night", settings.budgets.night, spending.night, held)
    if budget := settings.budgets.role.get(role):
        own = tuple(one for one in held if one.role == role)
        found += _limits(f"budgets.role.{role}", budget, spending.roles.get(role, Tally()), own)
    return found


def _limits(key: str, budget: Budget, tally: Tally, held: tuple[Held, ...]) -> list[Limit]:
    return [
        Limit(f"{key}.{dimension}", dimension, float(most), tally.of(dimension), held)
        for dimension in DIMENSIONS
        if (most := getattr(budget, dimension))
    ]


def expected(state: State, settings: Settings, order: Order, role: RoleName, agent: str) -> Held:
    """What to hold for a run of the order: what such runs took, or an even share; never more than it may have."""
    provider = provider_of(agent, settings.agents[agent]) if agent in settings.agents else ""
    held = Held(order.spec.id, role, agent, provider)
    typical = state.spending.typical.get(f"{role}/{agent}")
    for dimension in ("tokens", "cost", "turns", "wall"):
        if typical is not None and dimension in typical.mean:
            amount = typical.mean[dimension]
        else:
            shares = [one.most / settings.limits.implementers for one in _of(state, settings, role, dimension)]
            amount = min(shares, default=0.0)
        most = getattr(rest(state, settings, order), dimension)
        amount = min(amount, float(most)) if most else amount
        held = replace(held, **{dimension: amount if dimension in ("cost", "wall") else round(amount)})
    return held


def rest(state: State, settings: Settings, order: Order) -> Budget:
    """What one run of the order may use: `budgets.run`, or what its order has left, the least of each (0: no limit)."""
    tally = state.spending.orders.get(order.spec.id, Tally())
    found: dict[str, float] = {}
    for dimension in DIMENSIONS:
        run = float(getattr(settings.budgets.run, dimension))
        most = _most(state, settings, order, dimension)
        left = max(0.0, most - tally.of(dimension)) if most else 0.0
        found[dimension] = min((each for each in (run, left) if each), default=0.0)
    return Budget(
        tokens=int(found["tokens"]),
        cost=found["cost"],
        turns=int(found["turns"]),
        wall=found["wall"],
        runs=int(found["runs"]),
    )


def _of(state: State, settings: Settings, role: RoleName, dimension: Dimension) -> list[Limit]:
    return [one for one in limits(state, settings, role) if one.dimension == dimension]


def agent_or_wait(wishes: Wishes, order: Order, role: RoleName, starting: list[Held]) -> Held | None:
    """What is held for a run of the order that may begin now: there is an agent whose provider lets it, room in every
    budget, and memory. It is added to `starting`, which the plan goes on with. None: it waits.

    What it waits for ends by itself: a run, a pause; or a person is asked, or told by the status.
    """
    state, settings = wishes.state, wishes.settings
    agent = agent_for(settings, state.spending, role, starting)
    if not agent and candidates(settings, role):
        _wait_for_providers(wishes, role)
        return None
    if _spent_up(wishes, order):
        return None
    held = expected(state, settings, order, role, agent)
    for limit in limits(state, settings, role, starting):
        if limit.used >= limit.most:
            return None
        if not limit.held:
            continue
        coming = sum(one.of(limit.dimension) for one in limit.held) + held.of(limit.dimension)
        if limit.used + coming > limit.most:
            return None  # one of those that draw on it ends first
    room = state.spending.memory_room
    if room is not None and len(starting) >= room:
        wishes.wake(wishes.now + LOOK_AGAIN_S, waiting=True)
        return None
    starting.append(held)
    return held


def tell_used_up(wishes: Wishes, roles: Collection[RoleName]) -> None:
    """Have it written down which budgets let nothing of these roles start, once for each change. Of the night's cost a
    person is asked."""
    state, found = wishes.state, dict[str, None]()
    for role in roles:
        for limit in limits(state, wishes.settings, role):
            if limit.used < limit.most or limit.key == "limits.cost_per_night":
                continue
            whose = f"the night's {role}" if ".role." in limit.key else "the night"
            unit = _UNITS[limit.dimension]
            most = f"{_number(limit.most)} {unit.removesuffix('s') if limit.most == 1 else unit}"
            waits = f"no {role} starts" if ".role." in limit.key else "nothing starts"
            found[f"{whose} has used up its {most}, so {waits}: raise {limit.key} in swarm.toml, or start again"] = None
    if (said := sorted(found)) != state.spending.used_up:
        wishes.record("budget_used_up", "", "; ".join(said), said=said)


def _wait_for_providers(wishes: Wishes, role: RoleName) -> None:
    """Until the first of them lets a run begin. One that waits for a person is not waited for."""
    for name in candidates(wishes.settings, role):
        agent = wishes.settings.agents.get(name)
        known = wishes.state.spending.providers.get(provider_of(name, agent)) if agent else None
        if known is not None and known.until and not known.asks:
            wishes.wake(known.until, waiting=True)


def providers(wishes: Wishes) -> None:
    """A provider whose reset time has come is tried again."""
    for name, known in wishes.state.spending.providers.items():
        if known.until and not known.asks:
            if known.until <= wishes.now:
                wishes.record("provider_resumed", "", name, provider=name)
            else:
                wishes.wake(known.until)


# -- an order's own budget -------------------------------------------------------------------------------------------


def _most(state: State, settings: Settings, order: Order, dimension: Dimension) -> float:
    """The order's limit with what people granted beyond it; 0: none."""
    limit = float(getattr(settings.budgets.work_order, dimension))
    if dimension == "tokens" and not limit:
        return 0.0  # `limits.tokens_per_work_order` is asked about between its attempts
    granted = [a for a in _asked(state, order, dimension) if a.status == "approved"]
    return limit + sum(float(a.operation["more"]) for a in granted) if limit else 0.0


def _asked(state: State, order: Order, dimension: Dimension) -> list[Approval]:
    mine = [a for a in state.approvals.values() if a.danger == "over_budget" and a.order == order.spec.id]
    return [a for a in mine if a.operation.get("of") == dimension]


def _spent_up(wishes: Wishes, order: Order) -> bool:
    """Whether the order has used one of its budgets up; then a person is asked for as much again, and it waits."""
    state, ident = wishes.state, order.spec.id
    tally = state.spending.orders.get(ident, Tally())
    for dimension in DIMENSIONS:
        most = _most(state, wishes.settings, order, dimension)
        if not most or tally.of(dimension) < most:
            continue
        limit = float(getattr(wishes.settings.budgets.work_order, dimension))
        key, unit = f"budgets.work_order.{dimension}", _UNITS[dimension]
        used = f"its {_number(most)} {unit} are used up ({_number(tally.of(dimension))} so far)"
        asked = _asked(state, order, dimension)
        if any(a.status == "denied" for a in asked[-1:]):
            said = asked[-1].said
            why = f"{used}, and nobody lets it use more" + (f": {said}" if said else "")
            wishes.park(order, why, f"raise {key}, then: swarm retry {ident}")
            return True
        question = approval_id("over_budget", ident, dimension, str(len(asked)))
        operation = {"argv": ["spend", f"{_number(limit)}"], "more": limit, "of": dimension, "limit": key}
        if question not in state.approvals:
            title = f"{ident} goes on with {_number(limit)} more {unit}"
            why = f"{used}; the last attempt: {order.why}"[:2_000]
            wishes.ask(question, "over_budget", title, why, ident, operation, f"{ident}:{dimension}")
        wishes.park(order, used, f"swarm approve {question}, or swarm deny {question}", approval=question)
        return True
    return False


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".").replace(",", " ") if value % 1 else f"{value:.0f}"


# -- for people ------------------------------------------------------------------------------------------------------


def why_waiting(state: State, settings: Settings, role: RoleName) -> str:
    """Why nothing of this role starts, as one clause; "" when something may."""
    if not agent_for(settings, state.spending, role) and (names := candidates(settings, role)):
        known = [name for name in names if name in settings.agents]
        clauses = [why_not(settings, state.spending, provider_of(name, settings.agents[name])) for name in known]
        return "; ".join(dict.fromkeys(clauses))
    for limit in limits(state, settings, role):
        if limit.used >= limit.most:
            return f"{limit.key} is used up: {_number(limit.used)} of {_number(limit.most)} {_UNITS[limit.dimension]}"
    return ""
