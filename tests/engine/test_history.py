"""What was: records of runs, gates, reports and canaries, folded from events."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from recorded_story import Story

from engine.history import SUPERSEDED, History
from engine.models.event import Event


def folded(events: list[Event]) -> History:
    history = History()
    for event in events:
        history.apply(event)
    return history


class Told:
    """Events by hand, where the story's own are not enough."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, order: str = "", run: str = "", **fields: Any) -> None:
        number = len(self.events) + 1
        self.events.append(Event(number, float(number), kind, order, run, fields))

    def gate_started(self, gate: str, tree: str, change: str = "c", order: str = "one") -> None:
        self.add("gate_started", order, gate=gate, tree=tree, change=change)

    def gate_finished(self, gate: str, tree: str, result: str, change: str = "c", order: str = "one") -> None:
        self.add(
            "gate_finished", order, gate=gate, tree=tree, change=change, result=result, reason="", executed=7, passed=7,
            failed=0, skipped=0, duration_s=2.0, cached=False,
        )  # fmt: skip


def test_a_run_is_one_record_from_its_start_to_its_end() -> None:
    told = Told()
    told.add("run_started", "one", "one.1", attempt=1, role="implementer", agent="a", base="b")
    assert folded(told.events).runs["one.1"].result == ""
    told.add("budget_spent", "one", "one.1", tokens=5, cost=0.1, agent="a", role="implementer")
    told.add("budget_spent", "one", "one.1", tokens=7, cost=0.2, agent="a", role="implementer")
    told.add(
        "run_finished", "one", "one.1", result="done", counted=True, reason="", kept="k", exit_code=0, duration_s=2
    )
    run = folded(told.events).runs["one.1"]
    assert (run.result, run.tokens, round(run.cost, 3), run.ended_at) == ("done", 12, 0.3, 4.0)


def test_a_gate_on_a_tree_that_no_longer_counts_is_superseded_and_not_failed() -> None:
    told = Told()
    told.gate_started("unit", "t1")
    told.gate_started("unit", "t2")
    old, new = folded(told.events).gates
    assert (old.result, new.result) == (SUPERSEDED, "")
    told.gate_finished("unit", "t2", "green")
    assert [gate.result for gate in folded(told.events).gates] == [SUPERSEDED, "green"]


def test_two_gates_of_one_tree_run_side_by_side() -> None:
    told = Told()
    told.gate_started("unit", "t1")
    told.gate_started("stress", "t1")
    assert [gate.gate for gate in folded(told.events).running_gates()] == ["unit", "stress"]


def test_a_result_from_the_cache_needs_no_start() -> None:
    told = Told()
    told.gate_finished("unit", "t1", "green")
    assert [gate.result for gate in folded(told.events).gates_on("c", "t1")] == ["green"]


def test_what_ran_when_the_engine_ended_is_interrupted_at_the_next_start() -> None:
    told = Told()
    told.gate_started("unit", "t1")
    told.add("canary_started", commit="x", about="x", purpose="first")
    told.add("engine_started", epoch=2, version="0", pid=1)
    history = folded(told.events)
    assert history.gates[0].result == "interrupted"
    assert history.canaries[0].verdict == "interrupted"
    assert history.running_gates() == []


def test_reruns_of_a_canary_are_records_of_their_own() -> None:
    told = Told()
    for purpose, verdict in (("first", "FAIL"), ("rerun", "FAIL"), ("rerun", "PASS")):
        told.add("canary_started", commit="x", about="x", purpose=purpose)
        told.add(
            "canary_finished", commit="x", about="x", purpose=purpose, verdict=verdict, reason="r", flow="", flows=[]
        )
    assert [run.verdict for run in folded(told.events).canaries] == ["FAIL", "FAIL", "PASS"]


def test_the_events_of_a_work_order_are_remembered_for_its_timeline() -> None:
    told = Told()
    told.add("work_order_ready", "one", fresh=False, by="")
    told.add("engine_paused")
    told.add("work_order_ready", "two", fresh=False, by="")
    told.gate_started("unit", "t1")
    assert folded(told.events).events_of == {"one": [1, 4], "two": [3]}


@given(st.lists(st.integers(0, 40), max_size=6))
def test_folding_in_parts_and_twice_over_gives_the_same(cuts: list[int]) -> None:
    story = Story()
    for number in range(3):
        order, change = f"o{number}", f"agent/o{number}/1"
        story.ready(number * 10.0, order)
        story.run(number * 10.0 + 4, order, 1)
        story.propose(number * 10.0 + 5, order, change)
        story.gate(number * 10.0 + 6, change, "unit", "green", 1.0)
        story.report(number * 10.0 + 7, change, "green")
        story.land(number * 10.0 + 8, order, change, f"c{number}")
    events = story.events
    in_parts = History()
    for cut in [*sorted(cuts), len(events)]:
        for event in events[:cut]:
            in_parts.apply(event)
    assert in_parts == folded(events)
