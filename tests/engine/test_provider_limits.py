"""A night with a quota in it, in virtual time: no attempt is burnt, others go on, and what waited is done after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_night import Odds, SimulatedNight

from engine.actions import Action, StartRun
from engine.effects.spending import started
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Limits, ProviderSettings, Settings
from engine.planner.budgets import expected
from engine.providers import agent_for, pause_until, provider_of

CLAUDE = AgentSettings(kind="acp", run=["claude-agent-acp"], network=["api.anthropic.com"])
LOCAL = AgentSettings(kind="model", base_url="http://127.0.0.1:11434/v1", model="m")
QUIET = Odds(machine_fails=0.0, crash=0.0, person_commits=0.0, red_canary=0.0, asks=0.0, agent_fails=0.0)


def settings_of(instead: str = "", concurrency: int = 0, resume: Any = "reset") -> Settings:
    return Settings(
        roles={"implementer": "claude"},
        limits=Limits(implementers=3, attempts=2),
        agents={"claude": CLAUDE.model_copy(update={"instead": instead}), "local": LOCAL},
        providers={"anthropic": ProviderSettings(concurrency=concurrency, resume=resume)},
    )


@dataclass
class Outage(SimulatedNight):
    """Runs of `claude` that end between `begins` and `ends` end at their provider's limit."""

    begins: float = 0.0
    ends: float = 0.0
    says_when: bool = True
    by: dict[str, str] = field(default_factory=dict)
    done_by: list[tuple[float, str]] = field(default_factory=list)

    def begin(self, action: Action) -> None:
        if not isinstance(action, StartRun):
            super().begin(action)
            return
        state, order = self.state, self.state.orders[action.order]
        agent = action.agent
        if agent != agent_for(self.settings, state.spending, "implementer"):
            self.violations.append(f"{action.key} has begun with a provider that does not let it")
        held = expected(state, self.settings, order, "implementer", agent)
        fields = {"attempt": 1, "role": "implementer", "base": state.main, **started(held)}
        self.by[action.run] = agent
        self.emit(NewEvent("run_started", fields, action.order, action.run))
        runs = [one for one in state.spending.held.values() if one.provider == "anthropic"]
        most = self.settings.providers["anthropic"].concurrency
        if most and len(runs) > most:
            self.violations.append(f"{len(runs)} runs at once with a provider that takes {most}")

    def _StartRun(self, a: StartRun) -> None:  # noqa: N802
        if self.by[a.run] != "claude" or not self.begins <= self.now < self.ends:
            self.done_by.append((self.now, self.by[a.run]))
            super()._StartRun(a)
            return
        known = self.state.spending.providers.get("anthropic")
        until = pause_until(
            self.now, self.ends if self.says_when else None, known.strikes if known else 0, self.random.random()
        )
        ended = {"result": "limit", "counted": False, "reason": "", "kept": "k", "exit_code": 1, "duration_s": 1.0}
        paused = {"agent": "claude", "provider": "anthropic", "until": until, "reason": "usage limit"}
        self.emit(
            NewEvent("run_finished", ended, a.order, a.run),
            NewEvent("run_interrupted", {"why": "limit"}, a.order, a.run),
            NewEvent("provider_paused", paused, a.order, a.run),
        )


def night(seed: int, instead: str, *, says_when: bool = True, concurrency: int = 0, odds: Odds = QUIET) -> Outage:
    orders = [WorkOrder(id=f"o{n}", title="t") for n in range(6)]
    made = Outage(seed, orders, settings_of(instead, concurrency), odds, says_when=says_when)
    made.begins, made.ends = made.now + 20, made.now + 4_000
    made.run()
    return made


def limits_of(made: Outage) -> list[Any]:
    return [e for e in made.events if e.kind == "run_finished" and e.fields["result"] == "limit"]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0, 1, 2]))
def test_a_quota_burns_no_attempt_and_what_waited_is_done_later(seed: int, says_when: bool, concurrency: int) -> None:
    made = night(seed, "", says_when=says_when, concurrency=concurrency)
    assert made.violations == []
    for order in made.state.orders.values():
        counted = [e for e in made.events if e.kind == "run_finished" and e.fields["counted"]]
        assert order.attempts == sum(e.work_order == order.spec.id for e in counted)
        assert "attempts are spent" not in order.why or order.spent == 2
        assert order.phase in ("landed", "healthy", "parked", "rejected")
    if limits_of(made):
        assert made.now >= made.ends
        assert any(at >= made.ends for at, _ in made.done_by)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_the_night_goes_on_with_the_agent_that_stands_in(seed: int) -> None:
    made = night(seed, "local")
    assert made.violations == []
    first = next((e.at for e in limits_of(made)), None)
    if first is None:
        return
    during = [agent for at, agent in made.done_by if first < at < made.ends]
    assert "local" in during
    assert all(order.phase in ("landed", "healthy", "parked", "rejected") for order in made.state.orders.values())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_restarts_and_faults_in_a_quota_change_none_of_that(seed: int) -> None:
    made = night(seed, "", odds=Odds(crash=0.05, red_canary=0.0))
    assert made.violations == []
    assert not any(e.fields["counted"] for e in limits_of(made))


def test_a_quota_costs_few_runs_even_if_nobody_says_when_it_ends() -> None:
    made = night(7, "", says_when=False)
    assert limits_of(made)
    assert len(limits_of(made)) <= 20


def test_without_a_quota_nothing_pauses() -> None:
    made = Outage(3, [WorkOrder(id="one", title="t")], settings_of(), QUIET)
    made.run()
    assert (made.violations, limits_of(made)) == ([], [])


@pytest.mark.parametrize(
    ("changes", "provider"),
    [
        ({}, "anthropic"),
        ({"network": []}, "anthropic"),
        ({"network": [], "run": ["/opt/bin/codex.exe"]}, "openai"),
        ({"network": ["generativelanguage.googleapis.com:443"], "run": ["x"]}, "google"),
        ({"network": ["evil-anthropic.com"], "run": ["x"]}, "name"),
        ({"network": [], "run": ["x"], "provider": "mine"}, "mine"),
    ],
)
def test_an_agents_provider_is_told_from_what_it_reaches(changes: dict[str, Any], provider: str) -> None:
    assert provider_of("name", CLAUDE.model_copy(update=changes)) == provider


@given(st.floats(0, 1), st.integers(0, 50), st.floats(-1e12, 1e12))
def test_a_pause_is_never_over_before_it_begins_nor_lasts_for_ever(chance: float, strikes: int, said: float) -> None:
    until = pause_until(1_000.0, said, strikes, chance)
    assert 1_005.0 <= until <= 1_000.0 + 33 * 86_400
    assert 1_005.0 <= pause_until(1_000.0, None, strikes, chance) <= 1_000.0 + 3_605
