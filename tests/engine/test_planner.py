"""The planner, simulated: the same code that runs the night, in virtual time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_night import FLOW, Odds, SimulatedNight

from engine.actions import Land
from engine.fold import apply
from engine.models.event import NewEvent
from engine.models.roadmap import Acceptance, WorkOrder
from engine.models.settings import AskIf, Canary, Limits, Merge, Settings
from engine.planner import plan
from engine.planner.wishes import MAX_EFFECT_FAILURES
from engine.snapshot import dump_state, load_state
from engine.state import State

CALM = Odds(**{each.name: 0.0 for each in fields(Odds)})
"""Nothing goes wrong, and people stay away."""


def some_orders(count: int, *, chained: bool = False) -> list[WorkOrder]:
    return [
        WorkOrder(
            id=f"w{n}",
            title=f"order {n}",
            depends_on=[f"w{n - 1}"] if chained and n else [],
            touches=[f"src/{n % 3}/**"],
            priority=1 + n % 3,
            tests=["tests/test_it.py"] if n % 2 else [],
            acceptance=[Acceptance(name="it-works", run=["check"])] if n % 4 == 0 else [],
        )
        for n in range(count)
    ]


def some_settings(*, flows: bool = True, slots: int = 2, auto: bool = True) -> Settings:
    settings = Settings(limits=Limits(gate_slots=slots), roles={"implementer": "a"})
    if flows:
        settings = settings.model_copy(update={"canary": Canary(flow=[FLOW])})
    return settings.model_copy(update={"merge": settings.merge.model_copy(update={"auto": auto})})


def phases(night: SimulatedNight) -> dict[str, str]:
    return {name: order.phase for name, order in night.state.orders.items()}


def test_a_calm_night_makes_every_order_healthy() -> None:
    night = SimulatedNight(1, some_orders(8), some_settings(), CALM)
    night.run()
    assert night.violations == []
    assert set(phases(night).values()) == {"healthy"}
    assert night.state.last_good == night.state.main


def test_an_order_whose_proof_is_green_already_is_never_begun_and_its_acceptance_is_looked_at_once() -> None:
    orders = [WorkOrder(id="green", title="t", tests=["t"]), WorkOrder(id="free", title="t")]
    night = SimulatedNight(1, orders, some_settings(), replace(CALM, green_already=1.0))
    night.run()
    assert night.violations == []
    assert phases(night) == {"green": "parked", "free": "healthy"}
    assert [e.work_order for e in night.events if e.kind == "run_started"] == ["free"]
    assert len([e for e in night.events if e.kind == "acceptance_checked"]) == 1


def test_a_retried_order_has_its_acceptance_looked_at_again() -> None:
    orders = [WorkOrder(id="one", title="t", repro=["check"], kind="fix")]
    night = SimulatedNight(1, orders, some_settings(), replace(CALM, green_already=1.0))
    night.run()
    night.odds = CALM
    night.now += 1
    night.emit(NewEvent("work_order_ready", {"fresh": True, "by": "a person"}, "one"))
    night.run()
    assert night.violations == []
    assert phases(night) == {"one": "healthy"}


def test_refactorings_and_docs_need_nothing_that_is_red_before() -> None:
    orders = [WorkOrder(id=kind, title="t", tests=["t"], kind=kind) for kind in ("refactor", "docs", "spike")]
    night = SimulatedNight(1, orders, some_settings(), replace(CALM, green_already=1.0))
    night.run()
    assert set(phases(night).values()) == {"healthy"}


def test_dependent_orders_start_only_after_what_they_depend_on_landed() -> None:
    night = SimulatedNight(1, some_orders(5, chained=True), some_settings(), CALM)
    night.run()
    started = [e.work_order for e in night.events if e.kind == "run_started"]
    assert started == ["w0", "w1", "w2", "w3", "w4"]


def test_orders_that_touch_the_same_files_never_run_at_the_same_time() -> None:
    orders = [WorkOrder(id=f"w{n}", title="t", touches=["src/core.py"]) for n in range(4)]
    night = SimulatedNight(3, orders, some_settings(), CALM)
    while night.step():
        busy = [o for o in night.state.orders.values() if o.phase in ("running", "proposed", "verifying", "queued")]
        assert len(busy) <= 1
    assert set(phases(night).values()) == {"healthy"}


def test_two_changes_green_alone_and_red_together_never_both_land() -> None:
    odds = replace(CALM, red_together=1.0)
    night = SimulatedNight(
        5, [WorkOrder(id="a", title="a"), WorkOrder(id="b", title="b")], some_settings(flows=False), odds
    )
    night.run()
    assert night.violations == []
    assert sorted(phases(night).values()) == ["healthy", "parked"]


def test_a_red_canary_restores_main_and_files_a_bug_before_the_order_is_tried_again() -> None:
    odds = replace(CALM, red_canary=0.3)
    nights = (_ran(SimulatedNight(seed, some_orders(4), some_settings(), odds)) for seed in range(50))
    night = next(n for n in nights if n.state.restores_at and set(phases(n).values()) <= {"healthy", "parked"})
    kinds = [e.kind for e in night.events]
    assert night.violations == []
    assert (
        kinds.index("landing_frozen")
        < kinds.index("main_restored")
        < kinds.index("culprit_found")
        < kinds.index("work_order_added")
    )
    culprit = next(e for e in night.events if e.kind == "culprit_found")
    assert night.canary_is_red(night.commits[culprit.fields["commit"]])


def _ran(night: SimulatedNight) -> SimulatedNight:
    night.run()
    return night


def test_a_fix_mends_a_red_main_and_then_the_rest_lands() -> None:
    orders = [WorkOrder(id="f", title="f", kind="feature", priority=1), WorkOrder(id="x", title="x", kind="fix")]
    night = SimulatedNight(1, orders, some_settings(flows=False), CALM)
    night.tree_is_red = lambda tree: not any(c.startswith("x/") for c in tree)  # type: ignore[method-assign]
    night.run()
    assert night.violations == []
    assert any(e.kind == "landing_frozen" for e in night.events)
    assert [e.work_order for e in night.events if e.kind == "change_landed"] == ["x", "f"]


def test_a_change_that_waits_for_a_person_holds_nobody_up() -> None:
    orders = [WorkOrder(id="c", title="c", kind="contract", priority=1), *some_orders(3)]
    settings = some_settings()
    settings = settings.model_copy(update={"merge": Merge(ask_if=AskIf(kinds=["contract"]))})
    night = SimulatedNight(1, orders, settings, CALM)
    night.run()
    assert phases(night) == {"c": "queued", "w0": "healthy", "w1": "healthy", "w2": "healthy"}
    assert [a.subject for a in night.state.approvals.values()] == ["c/1"]


def test_a_question_is_taken_back_when_nothing_hangs_on_it_any_more() -> None:
    night = SimulatedNight(1, some_orders(1), some_settings(auto=False), CALM)
    night.run()
    night.emit(NewEvent("work_order_cancelled", {"by": "a person"}, "w0"))
    night.run()
    assert [(a.status, a.by) for a in night.state.approvals.values()] == [("expired", "events")]


def test_a_landing_is_a_fact_even_if_its_order_was_cancelled_meanwhile() -> None:
    night = SimulatedNight(1, some_orders(1), some_settings(flows=False), CALM)
    land: Land | None = None
    while land is None and night.step():
        land = next((a for a in plan(night.state, night.settings, night.now).actions if isinstance(a, Land)), None)
    assert land is not None
    night.emit(NewEvent("work_order_cancelled", {"by": "a person"}, "w0"))
    night._Land(land)
    assert night.commits[night.state.main] == {"w0/1"}
    assert night.state.intents == {}
    assert phases(night) == {"w0": "landed"}


def test_a_report_on_some_of_the_gates_does_not_prove_main() -> None:
    orders = [WorkOrder(id="a", title="a", gates=["lint"])]
    night = SimulatedNight(1, orders, some_settings(flows=False), CALM)
    night.run()
    landed = next(e.seq for e in night.events if e.kind == "change_landed")
    gated = [e.seq for e in night.events if e.kind == "report_signed" and e.fields["report_kind"] == "gates"]
    assert gated[-1] > landed


def test_a_persons_commit_that_is_good_does_not_disable_the_restore() -> None:
    night = SimulatedNight(1, [], some_settings(), CALM)
    night.run()
    night.person_commits()
    night.run()
    assert night.state.last_good == "p0"
    night.canary_is_red = lambda tree: any(c.startswith("w0") for c in tree)  # type: ignore[method-assign]
    night.orders = some_orders(1)
    night.start_engine()
    night.run()
    assert night.state.restores_at
    assert not [a for a in night.state.approvals.values() if a.danger == "restore"]


def test_a_persons_cure_for_a_red_main_is_judged_before_anything_is_taken_back() -> None:
    night = night_with_a_red_person()
    night.canary_is_red = lambda tree: "p0" in tree and "p1" not in tree  # type: ignore[method-assign]
    night.person_commits()
    night.run()
    assert night.violations == []
    assert night.state.last_good == "p1"
    assert not night.state.frozen
    assert not night.state.restores_at


def night_with_a_red_person() -> SimulatedNight:
    """A person commits something whose canary is red; landing is frozen, and he is asked."""
    night = SimulatedNight(1, [], some_settings(), CALM)
    night.run()
    night.canary_is_red = lambda tree: "p0" in tree  # type: ignore[method-assign]
    night.person_commits()
    night.run()
    assert night.state.frozen_kind == "canary"
    assert [a.status for a in night.state.approvals.values()] == ["pending"]
    return night


def answered(night: SimulatedNight, answer: str) -> SimulatedNight:
    approval = next(a for a in night.state.approvals.values() if a.status == "pending")
    night.emit(NewEvent("approval_answered", {"approval": approval.id, "answer": answer, "by": "a person"}))
    night.run()
    assert night.violations == []
    return night


def test_a_persons_red_commit_is_taken_off_main_only_when_he_approves() -> None:
    night = answered(night_with_a_red_person(), "approved")
    assert "p0" not in night.commits[night.state.main]
    assert not night.state.frozen


def test_a_person_who_denies_the_restore_keeps_his_commit_and_landing_goes_on() -> None:
    night = answered(night_with_a_red_person(), "denied")
    assert night.commits[night.state.main] == {"p0"}
    assert not night.state.frozen


def test_a_question_that_nobody_answered_in_time_is_asked_again() -> None:
    night = answered(night_with_a_red_person(), "expired")
    assert [a.status for a in night.state.approvals.values()] == ["expired", "pending"]


def test_a_persons_commit_that_waits_for_its_merge_is_not_called_proved() -> None:
    night = SimulatedNight(1, some_orders(1), some_settings(flows=False), CALM)
    while not any(e.kind == "change_landed" for e in night.events):
        night.step()
    night.checkout = "c0"
    night.tree_is_red = lambda tree: "p0" in tree  # type: ignore[method-assign]
    night.person_commits()
    night.run()
    assert night.state.unproven == ["p0"]
    assert not [e for e in night.events if e.kind == "people_proved"]


def test_work_starts_from_what_a_person_has_just_committed() -> None:
    night = SimulatedNight(1, [], some_settings(flows=False), CALM)
    night.run()
    night.person_commits()
    night.orders = some_orders(1)
    night.start_engine()
    night.run()
    assert next(e.fields["base"] for e in night.events if e.kind == "run_started") == "p0"


def test_no_attempt_is_spent_while_main_itself_is_red() -> None:
    night = SimulatedNight(1, [], some_settings(flows=False), CALM)
    night.tree_is_red = lambda _tree: True  # type: ignore[method-assign]
    night.run()
    night.orders = some_orders(2)
    night.start_engine()
    night.run()
    assert night.started == []


def test_an_order_is_parked_when_its_attempts_are_spent() -> None:
    night = SimulatedNight(1, some_orders(1), some_settings(), replace(CALM, agent_fails=1.0))
    night.run()
    assert phases(night) == {"w0": "parked"}
    assert night.state.orders["w0"].attempts == 3


def test_with_auto_merge_off_nothing_lands_without_a_person() -> None:
    night = SimulatedNight(1, some_orders(2), some_settings(auto=False), CALM)
    for _ in range(60):
        night.step()
        if any(a.status == "pending" for a in night.state.approvals.values()):
            break
    assert not any(e.kind == "change_landed" for e in night.events)
    assert [a.danger for a in night.state.approvals.values()] == ["land"]


@pytest.mark.parametrize("slots", [1, 2, 3])
@given(seed=st.integers(0, 10_000))
def test_any_night_settles_keeps_its_invariants_and_plans_purely(slots: int, seed: int) -> None:
    night = SimulatedNight(seed, some_orders(6), some_settings(slots=slots))
    night.run()
    assert night.violations == []
    assert set(phases(night).values()) <= {
        "healthy",
        "landed",
        "parked",
        "draft",
        "ready",
        "queued",
        "reverted",
        "rejected",
    }
    assert len(night.started) == len(set(night.started))
    heads = [change.head for change in night.state.changes.values() if change.person and not change.commit]
    waiting = {commit for head in heads for commit in night.own_line(head)}
    if (
        failed := night.state.failures.get(f"adopt:{night.checkout}")
    ) is not None and failed.count >= MAX_EFFECT_FAILURES:
        waiting |= set(night.own_line(night.checkout))  # it is where its person has it, until the next start
    assert night.people.keys() <= night.contained() | waiting, "a person's commit was lost"


@given(seed=st.integers(0, 10_000))
def test_folding_never_raises_whatever_the_order_of_events(seed: int) -> None:
    night = SimulatedNight(seed, some_orders(3), some_settings())
    night.run()
    shuffled = list(night.events)
    random.Random(seed).shuffle(shuffled)
    state = State()
    for event in shuffled:
        apply(state, event)


@given(seed=st.integers(0, 10_000))
def test_folding_the_events_again_gives_the_same_state(seed: int) -> None:
    night = SimulatedNight(seed, some_orders(4), some_settings())
    night.run()
    state = State()
    for event in night.events:
        apply(state, event)
    assert dump_state(state) == dump_state(night.state)
    assert load_state(dump_state(state)) == state


def test_a_trial_that_is_told_to_end_after_it_has_spoken_keeps_its_word() -> None:
    night = SimulatedNight(1, some_orders(2), some_settings(), CALM)
    while not any(trial.verdict for trial in night.state.trials.values()):
        assert night.step()
    trial = next(trial for trial in night.state.trials.values() if trial.verdict)
    night.emit(NewEvent("trial_ended", {"trial": trial.key, "why": "superseded", "reason": ""}))
    assert night.state.trials[trial.key].verdict is not None


HASHED = """
import hashlib
from simulated_night import SimulatedNight
from tests.engine.test_planner import some_orders, some_settings
night = SimulatedNight(1166, some_orders(6), some_settings(slots=2))
night.run()
print(len(night.events), hashlib.sha256(repr(night.events).encode()).hexdigest())
"""


def test_a_night_is_the_same_in_every_process() -> None:
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root / "tests" / "engine"), str(root)])
    seen = {
        subprocess.run(
            [sys.executable, "-c", HASHED],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
