"""The two-stage rule, budgets, and how little a few runs say."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.judge import FIRST_PAIRS, FRESH_PAIRS, Limit, Metric, Sides, judge, limit_of, wants_fresh
from engine.ports import MetricVerdict

TEN = 10.0
sides = st.lists(st.floats(0.001, 1000), min_size=0, max_size=20).map(tuple)
limits = st.builds(Limit, max=st.none() | st.floats(1, 100), worse=st.none() | st.floats(0.01, 0.5))


def about(level: float, count: int) -> list[float]:
    """`count` numbers within 0.2 % of the level, all different."""
    return [level * (1 + 0.002 * (each / count - 0.5)) for each in range(count)]


def metric(before: float, after: float, *, fresh: float | None = None, better: str = "lower", **more: object) -> Metric:
    """Sides around these levels: five pairs, and fifteen fresh ones if their level is given."""
    second = Sides(about(before, FRESH_PAIRS), about(fresh, FRESH_PAIRS)) if fresh is not None else None
    first = Sides(about(before, FIRST_PAIRS), about(after, FIRST_PAIRS))
    return Metric("drag", "frame_ms", "ms", better, first, second, **more)  # type: ignore[arg-type]


def told(asked: Metric) -> MetricVerdict:
    return judge([asked])[0]


def test_a_sample_that_did_not_move_is_the_same_and_is_not_measured_again() -> None:
    assert not wants_fresh(metric(TEN, TEN * 1.02))
    assert told(metric(TEN, TEN * 1.02)).verdict == "same"


def test_a_sample_that_moved_is_worse_only_after_fresh_pairs_say_so_too() -> None:
    assert wants_fresh(metric(TEN, 11))
    assert told(metric(TEN, 11)).verdict == "same"
    assert told(metric(TEN, 11, fresh=TEN)).verdict == "same"
    found = told(metric(TEN, 11, fresh=11))
    assert (found.verdict, found.pairs) == ("worse", FRESH_PAIRS)
    assert found.reason == "10.0 % worse than last good"
    assert found.after == pytest.approx(11, rel=0.001)


def test_what_is_sure_but_small_is_left_alone() -> None:
    small = told(metric(TEN, 10.28, fresh=10.28))
    assert small.p < 0.005
    assert small.verdict == "same"
    assert told(metric(TEN, 10.32, fresh=10.32)).verdict == "worse"


def test_better_is_said_and_where_more_is_better_less_is_worse() -> None:
    assert told(metric(TEN, 8)).verdict == "better"
    assert told(metric(60, 50, fresh=50, better="higher")).verdict == "worse"
    assert told(metric(60, 70, better="higher")).verdict == "better"
    assert not wants_fresh(metric(60, 70, better="higher"))


def test_a_sample_that_was_nought_is_worse_at_anything() -> None:
    was = Metric("f", "dropped", "", "lower", Sides([0.0] * 5, [1.0] * 5))
    assert wants_fresh(was)
    found = told(Metric("f", "dropped", "", "lower", was.first, Sides([0.0] * 15, [1.0] * 15)))
    assert (found.verdict, found.reason) == ("worse", "infinitely worse than last good")
    still = told(Metric("f", "dropped", "", "lower", Sides([0.0] * 5, [0.0] * 5)))
    assert (still.verdict, still.p) == ("same", 1.0)


@given(st.integers(1, FIRST_PAIRS - 1), st.floats(1.01, 100))
def test_fewer_than_five_a_side_say_nothing_but_break_a_hard_budget(count: int, times: float) -> None:
    few = Sides([TEN] * count, [TEN * times] * count)
    assert told(Metric("f", "s", "ms", "lower", few)).verdict == "unknown"
    assert not wants_fresh(Metric("f", "s", "ms", "lower", few))
    assert told(Metric("f", "s", "ms", "lower", few, limits=(Limit(max=TEN),))).verdict == "over-budget"
    assert told(Metric("f", "s", "ms", "lower", few, limits=(Limit(worse=0.005),))).verdict == "over-budget"
    assert told(Metric("f", "s", "ms", "lower", few, limits=(Limit(max=TEN * 200),))).verdict == "unknown"


def test_a_hard_bound_counts_where_nothing_moved() -> None:
    assert told(metric(20, 20, limits=(Limit(max=16.7),))).reason == "20 ms is more than the budget of 16.7 ms"
    assert told(metric(20, 20, limits=(Limit(max=21),))).verdict == "same"
    slow = Metric("f", "fps", "/s", "higher", Sides([50.0] * 5, [50.0] * 5), limits=(Limit(min=60),))
    assert told(slow).verdict == "over-budget"


def test_a_share_as_a_budget_needs_fresh_pairs_too() -> None:
    tight = (Limit(worse=0.01),)
    assert wants_fresh(metric(TEN, 10.15, limits=tight))
    assert told(metric(TEN, 10.15, fresh=10.15, limits=tight)).verdict == "over-budget"
    assert told(metric(TEN, 10.15, fresh=TEN, limits=tight)).verdict == "same"


def test_what_a_work_order_s_budget_grants_is_no_regression() -> None:
    granted = limit_of("+10%", "lower")
    assert granted == Limit(worse=0.1, grants=True)
    within = told(metric(TEN, 10.8, fresh=10.8, limits=(granted,)))
    assert within.verdict == "same"
    assert "grants" in within.reason
    beyond = told(metric(TEN, 11.5, fresh=11.5, limits=(granted,)))
    assert (beyond.verdict, beyond.reason) == ("over-budget", "15.0 % worse than last good, and the budget is 10 %")


@pytest.mark.parametrize(
    ("text", "better", "share"),
    [("+10%", "lower", 0.1), ("7.5 %", "lower", 0.075), ("-5%", "higher", 0.05), ("5%", "higher", 0.05)],
)
def test_a_budget_is_a_share_towards_worse(text: str, better: str, share: float) -> None:
    assert limit_of(text, better) == Limit(worse=share, grants=True)


@pytest.mark.parametrize("text", ["-10%", "10", "fast", "", "+10% or so", "NaN%"])
def test_a_budget_that_cannot_be_read_is_none(text: str) -> None:
    assert limit_of(text, "lower") is None


def test_many_samples_raise_each_other_s_p() -> None:
    moved = metric(TEN, 11, fresh=11)
    alone = judge([moved])[0]
    among = judge([moved, *(metric(TEN, TEN) for _ in range(9))])[0]
    assert among.p == pytest.approx(10 * alone.p)
    assert among.verdict == "worse"


def test_a_side_without_numbers_is_unknown() -> None:
    new = told(Metric("f", "s", "ms", "lower", Sides([], [5.0] * 5)))
    assert (new.verdict, new.after, new.reason) == ("unknown", 5.0, "last good gave no such sample")
    gone = told(Metric("f", "s", "ms", "lower", Sides([5.0] * 5, [])))
    assert (gone.verdict, gone.reason) == ("unknown", "the new commit gave no such sample")
    assert told(Metric("f", "s", "ms", "lower", Sides([], [5.0]), limits=(Limit(max=4),))).verdict == "over-budget"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(sides, sides, st.none() | st.tuples(sides, sides), limits), min_size=1, max_size=5))
def test_whatever_the_numbers_nothing_is_worse_without_fifteen_fresh_pairs_level_and_size(
    given_: list[tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, ...], ...] | None, Limit]],
) -> None:
    metrics = [
        Metric("f", str(at), "", "lower", Sides(a, b), Sides(*fresh) if fresh else None, (limit,))
        for at, (a, b, fresh, limit) in enumerate(given_)
    ]
    for asked, found in zip(metrics, judge(metrics), strict=True):
        assert 0 <= found.p <= 1
        assert math.isfinite(found.before)
        if found.verdict == "worse":
            assert asked.fresh is not None
            assert asked.fresh.pairs >= 5
            assert found.p <= 0.005
            assert found.after > 1.03 * found.before * (1 - 1e-9)
        if found.verdict == "better":
            assert found.after < found.before


def test_noise_alone_is_seldom_called_worse_and_twice_the_time_always() -> None:
    chance = random.Random(11)

    def night(times: float) -> str:
        def run(level: float) -> float:
            return level * chance.gauss(1, 0.04) * (1.3 if chance.random() < 0.08 else 1)

        def turns(pairs: int) -> Sides:
            return Sides([run(TEN) for _ in range(pairs)], [run(TEN * times) for _ in range(pairs)])

        first = Metric("f", "s", "ms", "lower", turns(FIRST_PAIRS))
        fresh = turns(FRESH_PAIRS) if wants_fresh(first) else None
        return told(Metric("f", "s", "ms", "lower", first.first, fresh)).verdict

    assert [night(1.0) for _ in range(200)].count("worse") <= 2
    assert {night(2.0) for _ in range(50)} == {"worse"}
