"""The figures of the metrics screen, against nights that were counted by hand and against another implementation."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_story import START, Story

from engine.metrics import NEWEST_GATES, Tally
from engine.models.event import Event
from engine.models.metrics import Metrics
from engine.series import MOST_POINTS, Curve, grouped, quantile

HOUR = 3600.0


def night() -> Story:
    """Three orders: one lands at once, one at the second change, one lands, breaks main and comes again."""
    s = Story()
    s.ready(0, "easy", "docs")
    s.ready(10, "hard")
    s.ready(20, "bold", "refactor")
    s.run(50, "easy", 1, tokens=1000, cost=0.5)
    s.propose(50, "easy", "easy/1")
    s.gate(60, "easy/1", "unit", "green", 4.0)
    s.report(60, "easy/1", "green")
    s.land(70, "easy", "easy/1", "c1")
    s.passed(100, "c1")
    s.healthy(100, "easy", "c1")
    s.run(110, "hard", 1, tokens=2000, cost=1.0)
    s.propose(110, "hard", "hard/1")
    s.gate(120, "hard/1", "unit", "red", 6.0)
    s.report(120, "hard/1", "red")
    s.reject(120, "hard", "hard/1")
    s.run(150, "hard", 2, tokens=3000, cost=1.5)
    s.propose(150, "hard", "hard/2")
    s.gate(160, "hard/2", "unit", "green", 8.0)
    s.report(160, "hard/2", "green")
    s.land(170, "hard", "hard/2", "c2")
    s.run(180, "bold", 1, agent="b", tokens=4000)
    s.propose(180, "bold", "bold/1", "b")
    s.gate(190, "bold/1", "unit", "green", 0.0, cached=True)
    s.report(190, "bold/1", "green")
    s.land(200, "bold", "bold/1", "c3")
    s.condemned(230, "c3")  # first red at 220
    s.restored(240, "c1", "c3", "r1")
    s.ran(250, "c2", "culprit", "c3", flow="PASS")
    s.add(260, "culprit_found", "bold", commit="c3", change="bold/1", range=["c3"], probability=0.99)
    s.add(260, "change_reverted", "bold", change="bold/1", commit="c3", evidence=[])
    s.land(270, "hard", "hard/2", "c4")
    s.passed(310, "c4")
    s.healthy(310, "hard", "c4")
    return s


def test_a_night_counted_by_hand() -> None:
    m = night().figures(2 * HOUR)
    assert (m.ready_to_healthy.count, m.ready_to_healthy.median_s) == (2, 200.0)  # 100 and 300
    assert m.ready_to_healthy.p90_s == pytest.approx(280.0)
    assert m.commit_to_healthy.median_s == 105.0  # 50, and 160 since the second change
    assert (m.deployment.healthy, m.deployment.landed, m.deployment.healthy_per_day) == (2, 4, 2.0)
    assert (m.change_failure.count, m.change_failure.of, m.change_failure.rate) == (1, 4, 0.25)
    assert (m.time_to_restore.count, m.time_to_restore.median_s, m.time_to_restore.open_s) == (1, 20.0, None)
    assert (m.rework.count, m.rework.of) == (1, 2)
    assert (m.false_revert.count, m.false_revert.of, m.false_revert.taken_off) == (1, 2, 2)
    assert (m.frozen.times, m.frozen.frozen_s, m.frozen.now) == (1, 10.0, False)
    assert (m.merge_success.count, m.merge_success.of, m.in_flight) == (3, 4, 0)
    assert (m.first_pass.count, m.first_pass.of) == (3, 4)
    assert m.first_pass_by_kind["feature"].rate == 0.5
    assert m.first_pass_by_kind["docs"].rate == 1.0
    assert (m.flaky.count, m.flaky.of) == (0, 3)


def test_gates_and_effort_counted_by_hand() -> None:
    m = night().figures()
    (unit,) = m.gates
    assert (unit.count, unit.cached, unit.total_s, unit.median_s) == (3, 1, 18.0, 6.0)
    assert (unit.first_pass.count, unit.first_pass.of) == (3, 4)
    assert (m.effort.cost, m.effort.tokens, m.effort.landed, m.effort.runs) == (3.0, 10_000, 3, 4)
    assert (m.effort.cost_per_landed, m.effort.runs_without_cost, m.effort.runs_without_tokens) == (1.0, 1, 0)
    assert m.effort.attempts_per_work_order == pytest.approx(4 / 3)
    first, second = m.by_agent
    assert (first.name, first.landed, first.cost_per_landed, first.tokens_per_landed) == ("a", 2, 1.5, 3000)
    assert (second.name, second.landed, second.cost, second.tokens_per_landed) == ("b", 1, None, 4000)
    assert [each.name for each in m.by_role] == ["implementer"]


def test_series_end_with_the_figures() -> None:
    m = night().figures(2.5 * HOUR)
    last = m.series.progress[-1]
    assert (last.landed, last.healthy, last.reverted) == (4, 2, 1)
    assert [lead.ready_to_healthy_s for lead in m.series.leads] == [100.0, 300.0]
    assert (m.series.spent[-1].cost, m.series.gate_work[-1].gates_s) == (3.0, 18.0)
    assert (m.series.bucket_s, m.series.healthy_per_bucket) == (HOUR, [2, 0, 0])


def test_nothing_is_known_of_an_empty_journal() -> None:
    m = Tally().figures(START)
    assert m == Metrics()
    assert m.frozen.frozen_s is None


def test_before_anything_is_counted_all_rates_are_unknown() -> None:
    m = Story().figures(HOUR)
    rates = [m.change_failure, m.rework, m.false_revert, m.merge_success, m.first_pass, m.flaky]
    assert [share.rate for share in rates] == [None] * 6
    assert m.time_to_restore.median_s is None
    assert m.ready_to_healthy.p90_s is None
    assert (m.effort.cost, m.effort.cost_per_landed, m.effort.tokens_per_landed) == (None, None, None)
    assert (m.regression_tests_added, m.limitations_resolved_with_a_test) == (None, None)
    assert m.frozen.frozen_s == 0.0


def test_without_a_canary_nobody_knows_the_failure_rate() -> None:
    s = Story()
    s.ready(0, "one")
    s.propose(1, "one", "one/1")
    s.land(2, "one", "one/1", "c1")
    s.healthy(2, "one", "c1", uncanaried=True)
    m = s.figures()
    assert (m.change_failure.rate, m.change_failure.of, m.change_failure.unjudged) == (None, 1, 1)
    assert (m.deployment.healthy, m.deployment.uncanaried) == (1, 1)
    s.passed(3, "c1")
    assert (s.figures().change_failure.rate, s.figures().change_failure.unjudged) == (0.0, 0)


def test_a_red_main_counts_from_its_first_red_run_until_now() -> None:
    s = Story()
    s.land(5, "one", "one/1", "c1")
    s.ran(10, "c1", "first", flow="FAIL")
    assert s.figures(20).time_to_restore.open_s is None  # one red run is no judgement
    s.ran(15, "c1", "rerun", flow="FAIL")
    s.judged(20, "c1", "FAIL")
    s.add(20, "landing_frozen", reason="red", why="canary")
    m = s.figures(110)
    assert (m.time_to_restore.open_s, m.time_to_restore.count) == (100.0, 0)
    assert (m.frozen.frozen_s, m.frozen.now) == (90.0, True)


def test_a_persons_cure_ends_the_red_but_an_older_green_does_not() -> None:
    s = Story()
    s.land(5, "one", "one/1", "c1")
    s.land(6, "two", "two/1", "c2")
    s.condemned(30, "c2")  # first red at 20
    s.passed(40, "c1")
    assert s.figures(50).time_to_restore.open_s == 30.0
    s.add(60, "commits_adopted", commit="c3", tree="t", old="c2", commits=["c3"], effect_id="e")
    s.passed(80, "c3")
    m = s.figures(90)
    assert (m.time_to_restore.count, m.time_to_restore.median_s, m.time_to_restore.open_s) == (1, 60.0, None)
    assert (m.deployment.landed, m.deployment.landed_by_people) == (2, 1)


def test_a_search_that_finds_only_a_range_clears_those_outside_of_it() -> None:
    s = Story()
    s.passed(1, "c0")
    for nth in (1, 2, 3):
        s.land(nth + 1, f"o{nth}", f"o{nth}/1", f"c{nth}")
    s.condemned(30, "c3")
    s.restored(31, "c0", "c3", "r")
    assert s.figures().false_revert.rate is None
    s.add(40, "culprit_unresolved", commit="c3", reason="one of two", range=["c2", "c3"])
    m = s.figures()
    assert (m.false_revert.count, m.false_revert.of, m.false_revert.taken_off) == (1, 1, 3)
    assert (m.change_failure.count, m.change_failure.unresolved) == (0, 1)


def test_without_a_range_only_a_suspect_that_was_green_again_is_cleared() -> None:
    s = Story()
    s.passed(1, "c0")
    s.land(2, "a", "a/1", "c1")
    s.land(3, "b", "b/1", "c2")
    s.condemned(30, "c2")
    s.restored(31, "c0", "c2", "r")
    s.ran(32, "c1", "culprit", "c2", flow="PASS")
    s.ran(33, "c2", "culprit", "c2", flow="INCONCLUSIVE")
    s.add(40, "culprit_unresolved", commit="c2", reason="no suspect was red again")
    assert (s.figures().false_revert.count, s.figures().false_revert.of) == (1, 1)


def test_what_landed_after_the_red_commit_is_taken_off_but_never_judged_innocent() -> None:
    s = Story()
    s.passed(1, "c0")
    s.land(2, "a", "a/1", "c1")
    s.land(3, "b", "b/1", "c2")
    s.condemned(30, "c1")
    s.restored(31, "c0", "c1", "r")
    s.add(32, "culprit_found", "a", commit="c1", change="a/1", range=["c1"], probability=1.0)
    m = s.figures()
    assert (m.false_revert.count, m.false_revert.of, m.false_revert.taken_off) == (0, 1, 2)


def test_a_flow_is_flaky_when_it_is_red_and_green_on_the_same_commit() -> None:
    s = Story()
    s.ran(1, "c0", "first", shaky="FAIL", calm="PASS")
    s.ran(2, "c0", "control", "c1", shaky="FAIL", calm="FAIL")  # on another commit
    s.ran(3, "c0", "rerun", shaky="PASS", calm="PASS")
    s.judged(4, "c0", "PASS")
    s.ran(5, "c1", "first", shaky="FAIL", calm="PASS")
    s.ran(6, "c1", "rerun", shaky="FAIL", calm="PASS")
    s.judged(7, "c1", "FAIL")
    s.ran(8, "c0", "first", shaky="FAIL", calm="PASS")  # judged anew after a restart: earlier runs count no more
    s.judged(9, "c0", "FAIL")
    m = s.figures()
    assert [(flow.flow, flow.flaky, flow.judged) for flow in m.flows] == [("calm", 0, 3), ("shaky", 1, 3)]
    assert (m.flaky.count, m.flaky.of) == (1, 3)


def test_a_run_that_could_not_tell_is_neither_red_nor_green() -> None:
    s = Story()
    s.ran(1, "c0", "first", flow="INCONCLUSIVE")
    s.ran(2, "c0", "rerun", flow="PASS")
    s.judged(3, "c0", "PASS")
    assert [(flow.flaky, flow.judged) for flow in s.figures().flows] == [(0, 1)]


def test_a_run_after_a_rejection_is_rework_even_with_one_change() -> None:
    s = Story()
    s.ready(0, "slow")
    s.run(5, "slow", 1, result="idle")
    s.reject(5, "slow", "")
    s.run(9, "slow", 2)
    s.propose(9, "slow", "slow/2")
    s.land(10, "slow", "slow/2", "c1")
    s.healthy(11, "slow", "c1")
    assert s.figures().rework.rate == 1.0


def test_an_order_that_was_ready_again_counts_from_the_first_time() -> None:
    s = Story()
    s.ready(10, "one")
    s.add(20, "work_order_parked", "one", why="asks", do="answer")
    s.ready(500, "one")
    s.land(600, "one", "one/1", "c1")
    s.healthy(610, "one", "c1")
    m = s.figures()
    assert m.ready_to_healthy.median_s == 600.0
    assert m.commit_to_healthy.median_s is None  # nothing was proposed in this story


def test_parked_and_cancelled_changes_are_no_longer_in_flight() -> None:
    s = Story()
    s.propose(1, "one", "one/1")
    s.propose(2, "two", "two/1")
    assert (s.figures().in_flight, s.figures().merge_success.rate) == (2, 0.0)
    s.add(3, "work_order_parked", "one", why="asks", do="answer")
    s.add(4, "work_order_cancelled", "two", by="a person")
    assert s.figures().in_flight == 0


def test_peoples_changes_are_not_the_swarms_work() -> None:
    s = Story()
    s.propose(1, "", "person/1", "", person=True, commits=["p1"])
    s.report(2, "person/1", "red")
    s.land(3, "", "person/1", "c1")
    m = s.figures()
    assert (m.merge_success.of, m.first_pass.of, m.deployment.landed) == (0, 0, 0)
    assert m.deployment.landed_by_people == 1


def test_an_interrupted_run_is_no_attempt() -> None:
    s = Story()
    s.run(5, "one", 1, result="interrupted")
    s.run(9, "one", 2)
    assert (s.figures().effort.runs, s.figures().effort.attempts) == (2, 1)


def test_the_first_report_counts_also_when_a_later_one_is_green() -> None:
    s = Story()
    s.propose(1, "one", "one/1")
    s.gate(2, "one/1", "unit", "red", 1.0)
    s.report(2, "one/1", "red")
    s.gate(3, "one/1", "unit", "green", 1.0)
    s.report(3, "one/1", "green")
    m = s.figures()
    assert (m.first_pass.count, m.first_pass.of, m.gates[0].first_pass.rate) == (0, 1, 0.0)


def test_less_than_a_day_is_not_extrapolated_and_days_are_averaged() -> None:
    s = night()
    assert s.figures(HOUR).deployment.healthy_per_day == 2.0
    assert s.figures(4 * 24 * HOUR).deployment.healthy_per_day == 0.5


def test_months_make_wider_buckets_that_lose_nothing() -> None:
    s = night()
    s.healthy(40 * 24 * HOUR, "later", "c9")
    series = s.figures(90 * 24 * HOUR).series
    assert len(series.healthy_per_bucket) <= MOST_POINTS
    assert sum(series.healthy_per_bucket) == 3
    assert series.healthy_per_bucket[int(40 * 24 * HOUR // series.bucket_s)] == 1


def test_a_long_night_stays_small() -> None:
    s = Story()
    for nth in range(3 * NEWEST_GATES):
        s.gate(nth, "", "unit", "green", float(nth))
    m = s.figures()
    assert len(m.series.gate_work) <= MOST_POINTS
    assert m.series.gate_work[-1].gates_s == m.gates[0].total_s == sum(range(3 * NEWEST_GATES))
    assert m.gates[0].count == 3 * NEWEST_GATES
    assert m.gates[0].median_s == statistics.median(range(2 * NEWEST_GATES, 3 * NEWEST_GATES))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60))
def test_quantiles_are_those_of_another_implementation(values: list[float]) -> None:
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    assert quantile(sorted(values), 0.9) == pytest.approx(tenths[8])
    assert quantile(sorted(values), 0.5) == pytest.approx(statistics.median(values))


def test_a_single_value_is_its_own_median() -> None:
    assert quantile([3.0], 0.5) == quantile([3.0], 0.9) == 3.0
    assert quantile([], 0.5) is None


@given(st.integers(1, 5000))
def test_a_curve_is_short_in_order_and_has_its_ends(count: int) -> None:
    curve = Curve[int]()
    for nth in range(count):
        curve.add(float(nth), nth)
    points = curve.points()
    assert len(points) <= MOST_POINTS
    assert points == sorted(set(points))
    assert len({after[0] - before[0] for before, after in itertools.pairwise(points[:-1])}) <= 1  # evenly spread
    assert (points[0], points[-1]) == ((0.0, 0), (float(count - 1), count - 1))


@given(st.integers(0, 2500))
def test_neighbours_become_one_with_their_medians(count: int) -> None:
    rows = grouped([(float(nth), float(nth), None) for nth in range(count)])
    assert len(rows) <= MOST_POINTS
    assert [value for _, value, _ in rows] == sorted(value for _, value, _ in rows if value is not None)
    assert all(other is None for _, _, other in rows)
    assert not rows or rows[-1][0] == count - 1


ORDERS, COMMITS = st.sampled_from(["x", "y", "z"]), st.sampled_from(["c0", "c1", "c2", "c3"])
VERDICTS = st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE", "ENVIRONMENT"])
STEPS = st.one_of(
    st.tuples(st.just("ready"), ORDERS),
    st.tuples(st.just("run"), ORDERS, st.integers(1, 3)),
    st.tuples(st.just("propose"), ORDERS, st.sampled_from(["k1", "k2", "k3"])),
    st.tuples(st.just("reject"), ORDERS, st.sampled_from(["", "k1", "k2"])),
    st.tuples(st.just("report"), st.sampled_from(["k1", "k2"]), st.sampled_from(["green", "red"])),
    st.tuples(st.just("land"), ORDERS, st.sampled_from(["k1", "k2", "k3"]), COMMITS),
    st.tuples(st.just("judged"), COMMITS, VERDICTS),
    st.tuples(st.just("condemned"), COMMITS),
    st.tuples(st.just("passed"), COMMITS),
    st.tuples(st.just("restored"), COMMITS, COMMITS, COMMITS),
    st.tuples(st.just("healthy"), ORDERS, COMMITS),
)


def told(steps: list[tuple[Any, ...]]) -> list[Event]:
    s = Story()
    for nth, (name, *args) in enumerate(steps):
        getattr(s, name)(20.0 + 17.0 * nth, *args)
    return s.events


@given(st.lists(STEPS, max_size=40), st.integers(0, 200))
def test_looking_in_between_changes_nothing_and_a_replay_gives_the_figures_of_then(
    steps: list[tuple[Any, ...]], cut: int
) -> None:
    events = told(steps)
    whole, watched, replayed = Tally(), Tally(), Tally()
    then: Metrics | None = None
    for nth, event in enumerate(events):
        whole.apply(event)
        watched.apply(event)
        seen = watched.figures(event.at)
        if nth <= cut:
            replayed.apply(event)
            then = seen
    now = START + 5000
    assert watched.figures(now) == whole.figures(now)
    assert replayed.figures(events[min(cut, len(events) - 1)].at) == then


@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_rates_are_shares_and_times_are_not_negative(steps: list[tuple[Any, ...]]) -> None:
    events = told(steps)
    tally = Tally()
    for event in events:
        tally.apply(event)
    m = tally.figures(0.0)
    for share in (m.rework, m.false_revert, m.flaky, m.merge_success, m.first_pass, m.change_failure):
        assert 0 <= share.count <= share.of
        assert share.rate is None or 0 <= share.rate <= 1
    assert m.in_flight >= 0
    assert m.change_failure.unjudged >= 0
    assert all((lead.ready_to_healthy_s or 0) >= 0 for lead in m.series.leads)
    assert Metrics.model_validate_json(m.model_dump_json()) == m


def test_a_clock_that_was_set_back_gives_no_negative_times() -> None:
    s = Story()
    s.ready(1000, "one")
    s.propose(1001, "one", "one/1")
    s.land(1002, "one", "one/1", "c1")
    s.healthy(-500, "one", "c1")
    m = s.figures()
    assert m.ready_to_healthy.median_s == 0.0
    assert m.observed_s == 1002.0
    assert sum(m.series.healthy_per_bucket) == 1
