"""What a run costs: held before it starts, counted after it, once; and what becomes of a provider at its limit."""

from __future__ import annotations

import json
import random
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from engine.effects.world import World
from engine.models.event import NewEvent
from engine.models.settings import ProviderSettings
from engine.models.usage import Usage, count, dollars, told
from engine.ports import AgentResult
from engine.providers import DOUBTS, pause_until, provider_of
from engine.spending_state import Held, Provider
from engine.state import Order
from engine.text.sanitise import sanitise_line

USAGE_MAX_BYTES = 4_096
WHY_CHARS = 300
TOKENS_AT_ONCE, TOKENS_A_SECOND = 5_000_000, 100_000
COST_AT_ONCE, COST_A_SECOND = 50.0, 0.5
TURNS_AT_ONCE, TURNS_A_SECOND = 1_000, 10
"""What a run can have used at most: so much, and so much for each second that it ran. Several times what the fastest
models of today take and cost; a claim beyond it is a fault of the agent, or a lie."""
RULE = "implausible-usage"


def started(held: Held) -> dict[str, Any]:
    """Its part of the fields of `run_started`."""
    amounts = {name: getattr(held, name) for name in ("tokens", "cost", "turns", "wall")}
    found = {name: round(amount, 4) for name, amount in amounts.items() if amount}
    return {"agent": held.agent, "provider": held.provider, "held": found}


def agent_of(world: World, run: str) -> str:
    """Who was started for a run; "" for one that is not under way."""
    held = world.state().spending.held.get(run)
    return held.agent if held else ""


@dataclass(frozen=True)
class Charge:
    """The events that count a run. implausible: what it claims, in words, where that is beyond belief."""

    events: list[NewEvent]
    implausible: str = ""

    def parked(self, order: Order) -> list[NewEvent]:
        """An order whose agent claims the impossible waits for a person: nobody can keep a budget with it."""
        if not self.implausible:
            return []
        do = f"see what its agent reports, then: swarm retry {order.spec.id}"
        return [NewEvent("work_order_parked", {"why": self.implausible, "do": do}, work_order=order.spec.id)]


def charge(world: World, run: str, result: AgentResult) -> Charge:
    """What a run that has ended is charged. Nobody said anything: nothing, and it counts as unknown."""
    usage = result.usage if result.usage.known else told(total=result.tokens, cost=result.cost)
    return charge_of(world.state().spending.held.get(run), run, usage, result.duration_s, result.turns)


def charge_of(held: Held | None, run: str, usage: Usage, duration_s: float, turns: int | None = None) -> Charge:
    """held: what was kept free for it, which it is charged where its own figures cannot be."""
    if not usage.known and turns is None:
        return Charge([])
    tokens, cost = usage.tokens, usage.cost
    claimed: dict[str, float] = {}
    if tokens is not None and tokens > TOKENS_AT_ONCE + TOKENS_A_SECOND * duration_s:
        claimed["tokens"], tokens = tokens, held.tokens if held else 0
    if cost is not None and cost > COST_AT_ONCE + COST_A_SECOND * duration_s:
        claimed["cost"], cost = cost, held.cost if held else 0.0
    if turns is not None and turns > TURNS_AT_ONCE + TURNS_A_SECOND * duration_s:
        claimed["turns"], turns = float(turns), held.turns if held else 0
    fields = {
        "tokens": tokens or 0,
        "cost": cost or 0.0,
        "agent": held.agent if held else "",
        "role": held.role if held else "",
        "tokens_known": tokens is not None,
        "cost_known": cost is not None,
        "tokens_in": None if "tokens" in claimed else usage.tokens_in,
        "tokens_out": None if "tokens" in claimed else usage.tokens_out,
        "tokens_cached": None if "tokens" in claimed else usage.tokens_cached,
        "turns": turns,
        "source": sanitise_line(usage.source)[:100],
        "scope": usage.scope,
        "claimed": claimed,
    }
    events = [NewEvent("budget_spent", fields, run=run)]
    if not claimed:
        return Charge(events)
    words = " and ".join(f"a cost of {amount:.2f}" if name == "cost" else f"{amount:.0f} {name}"
                         for name, amount in claimed.items())  # fmt: skip
    why = f"its agent claims {words} in {duration_s:.0f} s, which nothing can use; that is not charged to the night"
    events.append(NewEvent("guardrail_denied", {"rule": RULE, "reason": why}, run=run))
    return Charge(events, why)


def interrupted(world: World, run: str) -> list[NewEvent]:
    """What a run that was ended by us has said until then, in the files beside it."""
    held = world.state().spending.held.get(run)
    if held is None or held.told:
        return []
    duration = max(0.0, world.ports.clock.now() - held.at)
    charged = charge_of(held, run, left_usage(world.folders.runs / run), duration)
    return [NewEvent(each.kind, each.fields, work_order=held.order, run=run) for each in charged.events]


def left_usage(folder: Path) -> Usage:
    """What was said as it went of the usage of a run without an end, in all that its agent was started for: what its
    adapter has read of it (`usage.json` beside the log), or what it wrote itself (`SWARM_USAGE`)."""
    found = Usage()
    for each in (folder, *sorted(folder.glob("returned-*"))):
        said = _usage(each / "side" / "usage.json")
        wrote = told(
            total=count(said.get("tokens")), cost=dollars(said.get("cost")), source="SWARM_USAGE", scope="step"
        )
        try:
            read = Usage.model_validate(_usage(each / "usage.json"))
        except ValidationError:
            read = Usage()
        found = found.plus(read.completed(wrote))
    return found


def _usage(path: Path) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return {}
        with path.open("rb") as file:
            said: Any = json.loads(file.read(USAGE_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def limited(world: World, order: Order, run: str, why: str, result: AgentResult) -> list[NewEvent]:
    """A run that ended at its provider's limit: no attempt, and nothing starts there until the limit is over. An order
    whose claims were refuted waits for a person instead, and nobody else for it."""
    state, settings = world.state(), world.settings()
    held = state.spending.held.get(run) or Held(order.spec.id, "", "")
    agent = settings.agents.get(held.agent)
    provider = held.provider or (provider_of(held.agent, agent) if agent else held.agent)
    known = state.spending.providers.get(provider, Provider())
    if known.claims.get(order.spec.id, 0) >= DOUBTS:
        said = sanitise_line(result.note)[:WHY_CHARS]
        why = f"its agent says again that {provider} is at its limit ({said}), while the runs of others there end well"
        do = f"see swarm log {order.spec.id}, then: swarm retry {order.spec.id}"
        return [NewEvent("run_interrupted", {"why": why}), NewEvent("work_order_parked", {"why": why, "do": do})]
    rules = settings.providers.get(provider, ProviderSettings())
    until = pause_until(world.ports.clock.now(), result.resets_at, known.strikes, random.random())
    fields = {
        "agent": held.agent,
        "provider": provider,
        "until": round(until, 3),
        "reason": sanitise_line(result.note)[:WHY_CHARS] or "its limit is reached",
        "asks": rules.resume == "person",
    }
    return [NewEvent("run_interrupted", {"why": why}), NewEvent("provider_paused", fields)]
