"""Budgets: held before a run, counted once after it, and what becomes of what is used up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import StartRun
from engine.effects.spending import RULE, charge_of, left_usage, started
from engine.models.event import Event, NewEvent
from engine.models.settings import AgentSettings, Budget, Budgets, Limits, ProviderSettings, Settings
from engine.models.usage import Usage
from engine.planner.budgets import expected, why_waiting
from engine.providers import runs_with
from engine.snapshot import dump_state, load_state
from engine.spending_state import Held
from engine.status import problems_of, spent_up, status_of
from swarm_tui.headless import summary_text
from swarm_tui.room.needs import needs_of
from tests.engine.planner.test_questions import Night

AGENT = AgentSettings(kind="command", run=["claude"])
FOUR = ("a", "b", "c", "d")


def settings_of(limits: dict[str, Any] | None = None, **budgets: Any) -> Settings:
    return Settings(
        roles={"implementer": "a"},
        limits=Limits(**{"attempts": 9, "cost_per_night": 0.0, "tokens_per_work_order": 0, **(limits or {})}),
        agents={"a": AGENT},
        budgets=Budgets(**budgets),
    )


@dataclass
class Spends(Night):
    """Runs hold and are charged as the engine does it."""

    def begin(self, order: str) -> None:
        run = next(action.run for action in self.plan() if isinstance(action, StartRun) and action.order == order)
        held = expected(self.state, self.settings, self.state.orders[order], "implementer", "a")
        self.tell("run_started", order, run, attempt=1, role="implementer", base="c", **started(held))

    def finish(self, order: str, usage: Usage | None = None, seconds: float = 10.0, turns: int | None = None) -> None:
        run = self.state.orders[order].run
        for event in charge_of(self.state.spending.held.get(run), run, usage or Usage(), seconds, turns).events:
            self.tell(event.kind, order, run, **event.fields)
        ended = {"result": "failed", "counted": True, "reason": "", "kept": "k", "exit_code": 1, "duration_s": seconds}
        self.tell("run_finished", order, run, **ended)
        self.tell("change_rejected", order, change="", reasons=["it failed"])


def used(tokens: int | None = None, cost: float | None = None) -> Usage:
    return Usage(total=tokens, cost=cost)


# -- reserved before a run -------------------------------------------------------------------------------------------


def test_without_history_an_even_share_is_held_for_each_run() -> None:
    night = Spends(settings_of({"implementers": 4, "cost_per_night": 8.0}), FOUR)
    assert night.starts() == ["a", "b", "c", "d"]
    night.begin("a")
    assert night.state.spending.held["a.1"].cost == 2.0
    assert night.starts() == ["a", "b", "c", "d"]


def test_no_more_runs_start_than_what_they_usually_take_fits() -> None:
    night = Spends(settings_of({"implementers": 4}, night=Budget(tokens=1_000)), FOUR)
    night.begin("a")
    night.finish("a", used(tokens=400))
    assert night.state.spending.typical["implementer/a"].mean["tokens"] == 400
    (second,) = night.starts()  # 600 are left: one of 400, and not two
    night.begin(second)
    assert night.starts() == [second]
    night.finish(second, used(tokens=300))
    assert len(night.starts()) == 1  # the rest is used, by one


def test_a_night_that_is_used_up_starts_nothing_and_says_so() -> None:
    night = Spends(settings_of(night=Budget(tokens=1_000)), ("one",))
    night.begin("one")
    night.finish("one", used(tokens=1_500))
    assert night.starts() == []
    said = why_waiting(night.state, night.settings, "implementer")
    assert said == "budgets.night.tokens is used up: 1500 of 1000 tokens"


def test_a_new_night_begins_with_its_budget() -> None:
    night = Spends(settings_of(night=Budget(runs=1)), ("one",))
    night.begin("one")
    night.finish("one")
    assert night.starts() == []
    night.tell("engine_started", epoch=2, version="0", pid=1)
    assert night.starts() == ["one"]


def test_a_roles_budget_holds_only_the_role() -> None:
    night = Spends(settings_of(role={"verifier": Budget(runs=1)}), ("one",))
    night.begin("one")
    night.finish("one")
    assert night.starts() == ["one"]
    night.settings = settings_of(role={"implementer": Budget(runs=1)})
    assert night.starts() == []


NIGHT_TOLD = (
    "the night has used up its 100 tokens, so nothing starts: raise budgets.night.tokens in swarm.toml, or start again"
)


def test_why_nothing_starts_is_told_once_and_taken_back_when_the_budget_is_raised() -> None:
    night = Spends(settings_of(night=Budget(tokens=100)), ("one", "two"))
    assert night.starts() != []
    assert night.state.spending.used_up == []
    night.begin("one")
    night.finish("one", used(tokens=100))
    for _ in range(3):
        assert night.starts() == []
    assert [e.fields["said"] for e in night.events if e.kind == "budget_used_up"] == [[NIGHT_TOLD]]
    told = status_of(night.state, night.now, running=True)
    assert NIGHT_TOLD in told.problems
    assert spent_up(night.state)
    assert told.budgets["used_up"] == [NIGHT_TOLD]
    assert [need.title for need in needs_of(night.state)] == [NIGHT_TOLD]
    assert NIGHT_TOLD in summary_text(told).plain
    night.settings = settings_of(night=Budget(tokens=1_000))
    assert night.starts() != []
    assert night.state.spending.used_up == []
    assert NIGHT_TOLD not in problems_of(night.state)
    assert not spent_up(night.state)


def test_another_start_is_another_night() -> None:
    night = Spends(settings_of(night=Budget(tokens=100)), ("one",))
    night.begin("one")
    night.finish("one", used(tokens=100))
    assert night.starts() == []
    night.tell("engine_started", epoch=2, version="0", pid=1)
    assert night.state.spending.used_up == []
    assert night.starts() == ["one"]


def test_only_a_role_that_something_waits_for_is_told_of() -> None:
    night = Spends(settings_of(role={"implementer": Budget(runs=1), "verifier": Budget(runs=1)}), ("one",))
    night.begin("one")
    night.finish("one")
    assert night.starts() == []
    (said,) = night.state.spending.used_up
    assert said.startswith(
        "the night's implementer has used up its 1 run, so no implementer starts: raise budgets.role."
    )


def test_the_nights_cost_names_the_question() -> None:
    night = Spends(settings_of({"cost_per_night": 1.0}), ("one",))
    night.tell("settings_read", policy="p", settings="s", bootstrap=False, cost_per_night=1.0)
    night.begin("one")
    night.finish("one", used(cost=2.0))
    assert night.starts() == []
    (question,) = night.state.more_tonight()
    assert f"swarm approve {question.id}, raise limits.cost_per_night, or start again" in problems_of(night.state)[0]
    assert night.state.spending.used_up == []


@pytest.mark.parametrize(
    ("budget", "usage", "turns"),
    [(Budget(cost=1.0), used(cost=1.5), None), (Budget(turns=5), used(), 6), (Budget(wall=60.0), used(), None)],
)
def test_an_order_that_used_its_budget_up_asks_for_as_much_again(
    budget: Budget, usage: Usage, turns: int | None
) -> None:
    night = Spends(settings_of(work_order=budget), ("one",))
    night.begin("one")
    night.finish("one", usage, seconds=61.0, turns=turns)
    assert night.starts() == []
    (asked,) = night.pending()
    assert night.one.phase == "parked"
    night.answer(asked, "approved")
    assert night.starts() == ["one"]


def test_an_order_that_may_not_have_more_waits_with_what_to_do() -> None:
    night = Spends(settings_of(work_order=Budget(cost=1.0)), ("one",))
    night.begin("one")
    night.finish("one", used(cost=2.0))
    night.plan()
    night.answer(night.pending()[0], "denied")
    assert night.starts() == []
    assert night.one.do == "raise budgets.work_order.cost, then: swarm retry one"
    night.settings = settings_of(work_order=Budget(cost=5.0))
    night.tell("work_order_ready", "one", fresh=True)
    assert night.starts() == ["one"]


def test_what_nobody_answered_in_time_is_asked_again_on_a_retry() -> None:
    night = Spends(settings_of(work_order=Budget(cost=1.0)), ("one",))
    night.begin("one")
    night.finish("one", used(cost=2.0))
    night.plan()
    (first,) = night.pending()
    night.now += night.settings.approvals.expire
    assert night.starts() == []
    assert (first.status, night.one.phase, night.pending()) == ("expired", "parked", [])
    night.tell("work_order_ready", "one", fresh=True)
    assert night.starts() == []
    (second,) = night.pending()
    assert (second.id != first.id, night.one.phase) == (True, "parked")


# -- counted after it ------------------------------------------------------------------------------------------------


def test_a_run_is_charged_once_also_after_a_restart() -> None:
    night = Spends(settings_of(), ("one",))
    night.begin("one")
    night.finish("one", used(tokens=100, cost=1.0))
    again = next(e for e in night.events if e.kind == "budget_spent")
    night.state = load_state(dump_state(night.state)) or night.state
    night.tell(again.kind, again.work_order, again.run, **again.fields)
    assert (night.state.tokens, night.state.cost_tonight, night.one.tokens) == (100, 1.0, 100)
    assert night.state.spending.night.tokens == 100
    night.begin("one")
    night.finish("one", used(tokens=50))
    assert (night.state.tokens, night.state.spending.orders["one"].tokens) == (150, 150)


def test_what_nobody_said_is_unknown_and_not_nothing() -> None:
    night = Spends(settings_of(), ("one",))
    night.begin("one")
    night.finish("one")
    night.begin("one")
    night.finish("one", used(tokens=100))
    tally = night.state.spending.night
    assert (tally.runs, tally.untold_tokens, tally.untold_cost) == (2, 1, 2)
    told = status_of(night.state, night.now, running=True).budgets["night"]
    assert (told["untold_tokens"], told["untold_cost"], told["wall"]) == (1, 2, 20.0)


def test_a_huge_claim_is_told_and_not_charged_to_the_night() -> None:
    night = Spends(settings_of({"cost_per_night": 40.0}), ("one", "two"))
    night.begin("one")
    held = night.state.spending.held["one.1"]
    charged = charge_of(held, "one.1", used(tokens=10, cost=900_000.0), 10.0)
    assert [event.kind for event in charged.events] == ["budget_spent", "guardrail_denied"]
    assert charged.events[1].fields["rule"] == RULE
    assert charged.events[0].fields["claimed"] == {"cost": 900_000.0}
    assert [event.kind for event in charged.parked(night.one)] == ["work_order_parked"]
    night.finish("one", used(tokens=10, cost=900_000.0))
    assert night.state.cost_tonight == held.cost == 10.0
    assert "two" in night.starts()


def test_an_honest_claim_is_charged_and_parks_nothing() -> None:
    charged = charge_of(Held("one", "implementer", "a"), "one.1", used(tokens=3_000_000, cost=45.0), 600.0)
    assert [event.kind for event in charged.events] == ["budget_spent"]
    assert (charged.events[0].fields["cost"], charged.implausible) == (45.0, "")


def test_what_a_killed_run_wrote_of_its_usage_counts(tmp_path: Path) -> None:
    for folder, said in ((tmp_path, '{"tokens": 100, "cost": 0.5}'), (tmp_path / "returned-1", '{"tokens": 20}')):
        (folder / "side").mkdir(parents=True)
        (folder / "side" / "usage.json").write_text(said, encoding="utf-8")
    assert (left_usage(tmp_path).tokens, left_usage(tmp_path).cost) == (120, 0.5)
    (tmp_path / "side" / "usage.json").write_text('{"tokens": -5, "cost": "x"', encoding="utf-8")
    assert left_usage(tmp_path / "nothing").known is False


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FOUR), st.integers(0, 300), st.booleans()), max_size=25))
def test_a_budget_is_overdrawn_by_runs_under_way_at_most(steps: list[tuple[str, int, bool]]) -> None:
    night = Spends(settings_of({"implementers": 3}, night=Budget(tokens=1_000)), FOUR)
    biggest = 0
    for order, tokens, told in steps:
        for action in [a for a in night.plan() if isinstance(a, StartRun)]:
            if night.state.orders[action.order].phase != "running":
                night.begin(action.order)
        if night.state.orders[order].phase == "running":
            night.finish(order, used(tokens=tokens) if told else None)
            biggest = max(biggest, tokens)
        assert len(night.state.spending.held) == sum(o.phase == "running" for o in night.state.orders.values())
    assert night.state.tokens <= 1_000 + 3 * biggest


# -- memory, and limits of providers -------------------------------------------------------------------------------


def test_a_run_waits_for_memory_and_says_so() -> None:
    night = Spends(settings_of(), FOUR)
    night.tell("memory_checked", room=1, available_bytes=1)
    assert len(night.starts()) == 1
    night.begin(night.starts()[0])
    assert len(night.starts()) == 1  # the one that runs
    assert any("memory" in each for each in problems_of(night.state))
    night.tell("memory_checked", room=None, available_bytes=1)
    assert len(night.starts()) == 4
    assert not any("memory" in each for each in problems_of(night.state))


def test_runs_that_have_just_begun_still_take_their_memory() -> None:
    night = Spends(settings_of({"implementers": 4, "agent_memory": 1_000, "free_memory": 500}), FOUR)
    spending = night.state.spending
    assert runs_with(4_500, night.settings, spending, night.now) is None
    assert runs_with(3_499, night.settings, spending, night.now) == 2
    night.begin("a")
    assert runs_with(3_499, night.settings, spending, night.now) == 1
    assert runs_with(3_499, night.settings, spending, night.now + 61) == 2


def paused(night: Spends, until: float, **fields: Any) -> None:
    night.tell("provider_paused", agent="a", provider="anthropic", until=until, reason="usage limit", **fields)


def test_a_paused_provider_is_told_and_tried_by_one_run_first() -> None:
    night = Spends(settings_of(), FOUR)
    paused(night, night.now + 600)
    assert night.starts() == []
    (told,) = status_of(night.state, night.now, running=True).providers
    assert (told.provider, told.why) == ("anthropic", "usage limit")
    night.now += 600
    (first,) = night.starts()
    night.begin(first)
    assert night.starts() == [first]
    night.finish(first)
    assert len(night.starts()) == 4
    assert status_of(night.state, night.now, running=True).providers == []


def test_one_that_a_person_resumes_stays_paused_until_then() -> None:
    night = Spends(settings_of(), ("one",))
    paused(night, night.now + 600, asks=True)
    night.now += 6_000
    assert night.starts() == []
    assert any("swarm resume" in each for each in problems_of(night.state))
    night.tell("engine_resumed")
    assert night.starts() == ["one"]


def test_no_more_runs_at_once_than_a_provider_takes() -> None:
    limited = settings_of().model_copy(update={"providers": {"anthropic": ProviderSettings(concurrency=2)}})
    assert len(Spends(limited, FOUR).starts()) == 2
    assert len(Spends(settings_of(), FOUR).starts()) == 4


def test_old_events_without_these_fields_still_count() -> None:
    night = Spends(settings_of(), ("one",))
    old = {"tokens": 5, "cost": 0.1, "agent": "a", "role": "implementer"}
    night.tell("budget_spent", "one", **old)
    assert (night.state.tokens, night.state.spending.night.tokens) == (5, 5)
    assert isinstance(NewEvent("budget_spent", old), NewEvent)
    assert isinstance(night.events[-1], Event)
