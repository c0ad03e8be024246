"""Whatever comes in whatever order: main only ever holds what was proved, the train goes on, and nothing is lost."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from simulated_night import FLOW, Odds
from train_night import TrainNight, Weather

from engine.actions import GateTrial
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import Canary, Limits, Project, Settings
from engine.planner import plan

CALM = Odds(**{each.name: 0.0 for each in fields(Odds)})
SEEDS = st.integers(0, 100_000)
SLOTS = st.sampled_from([1, 2, 4])
ORDERS = 4
ROUGH = Weather(
    cancelled=0.02,
    retried=0.03,
    policy_changes=0.01,
    dies_in_landing=0.1,
    dies_in_push=0.2,
    trouble=0.4,
    pushes=0.02,
)


def orders(count: int, kind: str = "feature") -> list[WorkOrder]:
    return [WorkOrder.model_validate({"id": f"w{n}", "title": f"order {n}", "kind": kind}) for n in range(count)]


def settings(slots: int, *, remote: bool = False, flows: bool = False) -> Settings:
    """As many agents as orders, so that the train is long."""
    return Settings(
        limits=Limits(gate_slots=slots, implementers=8),
        roles={"implementer": "a"},
        project=Project(publish="both" if remote else "local"),
        canary=Canary(flow=[FLOW] if flows else []),
    )


def a_night(
    seed: int, slots: int, odds: Odds, weather: Weather, *, remote: bool = False, flows: bool = False
) -> TrainNight:
    return TrainNight(seed, orders(ORDERS), settings(slots, remote=remote, flows=flows), odds, weather=weather)


def ran(night: TrainNight) -> TrainNight:
    night.run()
    assert night.violations == []
    assert list(night.left_over()) == []
    assert list(night.never_together()) == []
    return night


@given(seed=SEEDS, slots=SLOTS)
def test_any_order_of_arrivals_results_cancellations_and_crashes(seed: int, slots: int) -> None:
    ran(a_night(seed, slots, Odds(flakes=0.05, person_commits=0.1), ROUGH, flows=seed % 2 == 0))


@given(seed=SEEDS, slots=SLOTS)
def test_the_same_with_a_remote_that_moves_refuses_and_is_away(seed: int, slots: int) -> None:
    night = ran(a_night(seed, slots, Odds(person_commits=0.0), ROUGH, remote=True, flows=seed % 2 == 0))
    night.weather, night.odds = Weather(), CALM
    night.start_engine()
    ran(night)
    state = night.state
    refused = any(change.person and change.head == night.remote and change.why for change in state.changes.values())
    held_up = refused or state.frozen or any(change.person for change in state.queue())
    assert held_up or (night.remote, state.remote.pending) == (state.main, ""), "what landed was not caught up"
    assert night.remote in night.ancestors(state.main) or held_up


@given(seed=SEEDS, slots=SLOTS)
@example(seed=1, slots=3)
def test_what_is_green_alone_and_red_together_never_lands_both(seed: int, slots: int) -> None:
    odds = replace(CALM, red_together=0.4, crash=0.02)
    night = ran(a_night(seed, slots, odds, Weather(dies_in_landing=0.1)))
    lost = [change.id for change in night.state.changes.values() if change.status == "rejected"]
    main = night.commits[night.state.main]
    assert all(any(night.tree_is_red(frozenset({one, other})) for other in main) for one in lost), "without a reason"


@given(seed=SEEDS)
def test_without_trouble_everything_lands(seed: int) -> None:
    night = ran(
        a_night(seed, 3, replace(CALM, crash=0.02), Weather(dies_in_landing=0.1, dies_in_push=0.2), remote=True)
    )
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}
    assert night.remote == night.state.main


def test_the_nights_do_batch_speculate_and_die() -> None:
    """Else the properties above would hold of nothing."""
    batches, assumed, settled = 0, 0, 0
    for seed in range(12):
        night = a_night(seed, 3, replace(CALM, red_alone=0.2), Weather(dies_in_landing=0.2))
        while night.step():
            wanted = plan(night.state, night.settings, night.now).actions
            assumed += any(isinstance(action, GateTrial) and action.assumed for action in wanted)
        batches += sum(count > 1 for count in night.landings)
        settled += sum(event.kind == "intent_abandoned" for event in night.events)
    assert batches > 0
    assert assumed > 0
    assert settled > 0


@pytest.mark.parametrize("slots", [1, 3])
def test_a_trial_of_a_main_that_moved_while_it_was_merged_is_no_trial_of_main(slots: int) -> None:
    """Its trees are of the old main, and its beginning is told when the new one is there."""
    night = a_night(3, slots, CALM, Weather())
    while not any(isinstance(action, GateTrial) for action in night.pending.values()):
        night.step()
    key = next(key for key, action in night.pending.items() if isinstance(action, GateTrial))
    night.unsaid.add(key)
    night.state.trials.pop(key, None)
    tree = night.tree_id(night.commits[night.state.main] | {"p"})
    night.commits["p"] = night.commits[night.state.main] | {"p"}
    moved = {"commit": "p", "tree": tree, "old": night.state.main, "commits": ["p"], "effect_id": "e"}
    night.emit(NewEvent("commits_adopted", moved))
    night._says_that_it_begins(key)
    assert key not in night.state.trials
    ran(night)
