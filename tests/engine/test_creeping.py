"""A sample that gets worse landing by landing: somebody is asked to mend it, and main stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulated_night import SimulatedNight
from test_canary_night import CALM, flows, of, orders

from engine.actions import RunCanary
from engine.creep import SHORTEST
from engine.flow_health import MOST_VALUES, Trend
from engine.fold import apply
from engine.models.event import Event, NewEvent
from engine.models.flow import Flow
from engine.state import State

LANDINGS = 3 * SHORTEST


class MeasuredNight(SimulatedNight):
    """Each landing is judged alone, and the flow's sample is `level` of how many have been judged before it."""

    level: Callable[[int], float]
    judged = 0

    def _RunCanary(self, a: RunCanary) -> None:  # noqa: N802
        if a.purpose != "first":
            super()._RunCanary(a)
            return
        row = {"flow": "smoke", "verdict": "PASS", "reason": "", "duration_s": 1.0}
        row["samples"] = {"ms": [self.level(self.judged), self.level(self.judged), 900.0]}
        self.judged += 1
        fields = {"commit": a.commit, "about": a.about, "purpose": "first", "reason": "", "flow": "", "flows": [row]}
        self.emit(NewEvent("canary_finished", {**fields, "verdict": "PASS"}))


def night(level: Callable[[int], float], count: int = LANDINGS, better: str = "lower") -> MeasuredNight:
    chain = [
        order.model_copy(update={"depends_on": [f"w{n - 1}"] if n else []}) for n, order in enumerate(orders(count))
    ]
    sample = {"name": "ms", "event": "frame", "path": "ms", "better": better}
    flow = Flow.model_validate({"name": "smoke", "start": {"run": ["x"]}, "steps": [{"sample": sample}]})
    made = MeasuredNight(1, chain, flows(flow), CALM)
    made.level = level
    made.run(20_000)
    assert made.violations == []
    return made


def test_a_level_that_rose_and_stays_becomes_one_bug_order_and_nothing_is_put_back() -> None:
    crept = night(lambda nth: 10.0 if nth < SHORTEST else 11.0)
    (told,) = of(crept, "sample_crept")
    assert (told.fields["flow"], told.fields["sample"]) == ("smoke", "ms")
    assert (told.fields["before"], told.fields["after"]) == (10.0, 11.0)
    good = [event.fields["commit"] for event in of(crept, "canary_judged")]
    assert told.fields["since"] == good[SHORTEST]
    (bug,) = of(crept, "work_order_added")
    assert bug.fields["regression"] == told.fields["commit"]
    assert of(crept, "main_restored", "landing_frozen", "culprit_found") == []
    assert crept.state.orders[bug.work_order].phase == "healthy"


def test_a_level_that_stays_or_gets_better_is_nobodys_work() -> None:
    for level in (lambda nth: 10.0 + nth % 2, lambda nth: 11.0 if nth < SHORTEST else 10.0):
        calm = night(level)
        assert of(calm, "sample_crept", "work_order_added") == []
        assert len(calm.state.flows["smoke"].trends["ms"].values) > 2 * SHORTEST


def test_what_was_told_is_begun_anew() -> None:
    again = night(lambda nth: 10.0 + (nth >= SHORTEST) + (nth >= 4 * SHORTEST), 5 * SHORTEST + 4)
    assert [event.fields["before"] for event in of(again, "sample_crept")] == [10.0, 11.0]
    once = night(lambda nth: 10.0 + (nth >= SHORTEST), 5 * SHORTEST + 4)
    assert [event.fields["before"] for event in of(once, "sample_crept")] == [10.0]


def test_where_more_is_better_less_is_creep() -> None:
    def fell(nth: int) -> float:
        return 11.0 if nth < SHORTEST else 10.0

    assert of(night(fell), "sample_crept") == []
    assert len(of(night(fell, better="higher"), "sample_crept")) == 1


def test_the_state_keeps_the_newest_values_only() -> None:
    trend = Trend()
    for nth in range(MOST_VALUES + 5):
        trend.add(f"c{nth}", float(nth))
    assert (len(trend.values), trend.values[0], trend.commits[-1]) == (MOST_VALUES, 5.0, f"c{MOST_VALUES + 4}")


@pytest.mark.parametrize("purpose", ["rerun", "control", "culprit"])
def test_only_runs_of_the_judged_commit_are_measured(purpose: str) -> None:
    state = State()
    row = {"flow": "smoke", "verdict": "PASS", "reason": "", "duration_s": 1.0, "samples": {"ms": [1.0, 3.0, 2.0]}}
    fields = {"commit": "c", "about": "c", "purpose": purpose, "verdict": "PASS", "reason": "", "flow": ""}
    apply(state, Event(1, 1.0, "canary_finished", "", "", fields | {"flows": [row]}))
    measured = state.canaries["c"].measured if "c" in state.canaries else {}
    assert measured == ({"smoke": {"ms": 2.0}} if purpose == "rerun" else {})
