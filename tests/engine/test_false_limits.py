"""An agent that says of its provider what is not so: that it is at its limit, for a month. In virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from simulated_night import Odds, SimulatedNight

from engine.actions import Action, StartRun
from engine.effects.spending import limited, started
from engine.effects.world import World
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Limits, Settings
from engine.planner.budgets import expected
from engine.ports import AgentResult
from engine.providers import BELIEVED_S, pause_until

QUIET = Odds(machine_fails=0.0, crash=0.0, person_commits=0.0, red_canary=0.0, asks=0.0, agent_fails=0.0)
MONTH = 31 * 86_400.0
AGENT = AgentSettings(kind="command", run=["claude"], network=["api.anthropic.com"])


@dataclass
class Liar(SimulatedNight):
    """Each run of `liar` ends with the claim that the provider is at its limit for a month; of `truly` while it is."""

    liar: str = ""
    truly: float = 0.0
    claims: list[float] = field(default_factory=list[float])

    def begin(self, action: Action) -> None:
        if isinstance(action, StartRun):
            order = self.state.orders[action.order]
            held = expected(self.state, self.settings, order, "implementer", "claude")
            fields = {"attempt": 1, "role": "implementer", "base": self.state.main, **started(held)}
            self.emit(NewEvent("run_started", fields, action.order, action.run))
        else:
            super().begin(action)

    def _StartRun(self, a: StartRun) -> None:  # noqa: N802
        if a.order != self.liar and self.now >= self.truly:
            super()._StartRun(a)
            return
        self.claims.append(self.now)
        clock = SimpleNamespace(now=lambda: self.now)
        world = SimpleNamespace(
            state=lambda: self.state, settings=lambda: self.settings, ports=SimpleNamespace(clock=clock)
        )
        result = AgentResult("limit", 1, 1.0, note="usage limit reached", resets_at=self.now + MONTH)
        ended = {"result": "limit", "counted": False, "reason": "", "kept": "k", "exit_code": 1, "duration_s": 1.0}
        drafts = limited(cast("World", world), self.state.orders[a.order], a.run, "limit", result)
        finished = NewEvent("run_finished", ended, a.order, a.run)
        self.emit(finished, *(NewEvent(each.kind, each.fields, a.order, a.run) for each in drafts))


def night(seed: int, **fields: Any) -> Liar:
    orders = [WorkOrder(id=f"o{n}", title="t", priority=1 if n == 0 else 5) for n in range(6)]
    settings = Settings(
        roles={"implementer": "claude"}, limits=Limits(implementers=2, attempts=2), agents={"claude": AGENT}
    )
    made = Liar(seed, orders, settings, QUIET, **fields)
    begun = made.now
    made.truly = begun + made.truly if made.truly else 0.0
    made.run()
    made.claims = [at - begun for at in made.claims]
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_false_limit_keeps_nobody_else_from_their_work_and_ends_with_a_person(seed: int) -> None:
    honest, made = night(seed), night(seed, liar="o0")
    others = [f"o{n}" for n in range(1, 6)]
    assert (honest.violations, made.violations) == ([], [])
    for each in (honest, made):
        ended = [each.state.orders[name] for name in others]
        assert all(one.phase in ("landed", "healthy") or one.attempts > 0 for one in ended)
        assert sum(one.phase in ("landed", "healthy") for one in ended) >= 3
    parked = made.state.orders["o0"]
    assert (parked.phase, parked.attempts) == ("parked", 0)
    assert "while the runs of others there end well" in parked.why
    assert len(made.claims) == 3
    assert made.claims[-1] < 3 * (BELIEVED_S + 3_600)
    assert honest.claims == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_is_parked_for_a_limit_that_is_one(seed: int) -> None:
    made = night(seed, truly=2 * BELIEVED_S)
    assert made.violations == []
    assert made.claims
    assert not any("end well" in order.why for order in made.state.orders.values())
    assert any(order.phase in ("landed", "healthy") for order in made.state.orders.values())


def test_a_reset_time_far_ahead_is_tried_before() -> None:
    assert pause_until(0.0, 3_600.0, 0, 0.0) == 3_600.0
    assert pause_until(0.0, MONTH, 0, 0.0) == BELIEVED_S
