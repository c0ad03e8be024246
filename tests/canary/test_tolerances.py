"""How far numbers of a trace may be off from its golden."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.golden import compare
from engine.models.flow import Tolerance

Order = Literal["strict", "per-key", "multiset"]
ORDERS: tuple[Order, ...] = ("strict", "per-key", "multiset")


def frame(ms: Any, key: str = "a", **data: Any) -> dict[str, Any]:
    return {"kind": "frame", "key": key, "data": {"ms": ms, **data}}


def near(golden: list[Any], seen: list[Any], order: Order = "strict", **tolerance: Any) -> bool:
    return compare(golden, seen, (), order, [Tolerance(path="data.ms", **tolerance)]) is None


@pytest.mark.parametrize("order", ORDERS)
def test_absolute_is_by_so_much(order: Order) -> None:
    assert near([frame(10)], [frame(12)], order, absolute=2)
    assert near([frame(10)], [frame(8)], order, absolute=2)
    assert not near([frame(10)], [frame(12.01)], order, absolute=2)


def test_relative_is_a_share_of_the_goldens_number() -> None:
    assert near([frame(200)], [frame(210)], relative=0.05)
    assert not near([frame(200)], [frame(211)], relative=0.05)
    assert near([frame(-200)], [frame(-210)], relative=0.05)
    assert not near([frame(0)], [frame(0.1)], relative=0.5)


def test_either_of_both_is_enough() -> None:
    assert near([frame(0)], [frame(1)], absolute=1, relative=0.1)
    assert near([frame(100)], [frame(110)], absolute=1, relative=0.1)


def test_a_count_forgives_so_many_places_and_not_one_more() -> None:
    golden = [frame(1), frame(2), frame(3)]
    assert near(golden, [frame(1), frame(99), frame(3)], count=1)
    assert not near(golden, [frame(77), frame(99), frame(3)], count=1)
    assert near(golden, [frame(77), frame(99), frame(3)], count=2)
    told = compare(golden, [frame(77), frame(99), frame(3)], (), "strict", [Tolerance(path="data.ms", count=1)])
    assert told is not None
    assert "77" in told.text
    assert "99" in told.text  # all of them are shown


def test_places_that_are_near_enough_do_not_use_up_the_count() -> None:
    golden, seen = [frame(1), frame(2), frame(3)], [frame(1.4), frame(2.4), frame(9)]
    assert near(golden, seen, absolute=0.5, count=1)
    assert not near(golden, seen, absolute=0.1, count=1)


def test_what_is_no_number_or_another_field_is_never_forgiven() -> None:
    assert not near([frame(1)], [frame("1")], absolute=100)
    assert not near([frame(1)], [frame(True)], absolute=100)
    assert not near([frame(None)], [frame(1)], absolute=100)
    assert not near([frame(1, w=3)], [frame(1, w=4)], absolute=100)
    assert not near([frame(float("nan"))], [frame(1)], absolute=100)
    assert not near([frame(10**400)], [frame(10**400 + 1)], relative=0.5)


def test_an_event_more_or_less_is_a_difference_and_the_only_one_that_is_shown() -> None:
    golden = [frame(1), {"kind": "open"}, frame(2), frame(3)]
    told = compare(
        golden, [frame(1.1), frame(2.1), frame(3.1)], (), "strict", [Tolerance(path="data.ms", absolute=0.5)]
    )
    assert told is not None
    assert [row for row in told.text.split("\n") if row[:1] in ("+", "-") and row[:3] not in ("+++", "---")] == [
        '-{"kind": "open"}'
    ]


def test_per_key_pairs_events_of_the_same_key() -> None:
    golden = [frame(1, "a"), frame(100, "b"), frame(2, "a")]
    assert near(golden, [frame(100.2, "b"), frame(1.2, "a"), frame(2.2, "a")], "per-key", absolute=0.5)
    assert not near(golden, [frame(1.2, "b"), frame(100.2, "a"), frame(2.2, "a")], "per-key", absolute=0.5)


def test_multiset_pairs_the_least_with_the_least() -> None:
    golden = [frame(1), frame(5), frame(9)]
    assert near(golden, [frame(9.4), frame(0.6), frame(5.4)], "multiset", absolute=0.5)
    assert not near(golden, [frame(9.4), frame(0.6), frame(6.0)], "multiset", absolute=0.5)


def test_lists_and_wildcards_are_reached() -> None:
    golden = [{"kind": "frames", "data": {"ms": [1, 2, 3]}}]
    seen = [{"kind": "frames", "data": {"ms": [1.2, 2.2, 3.2]}}]
    assert compare(golden, seen, (), "strict", [Tolerance(path="data.ms.*", absolute=0.5)]) is None
    assert compare(golden, seen, (), "strict", [Tolerance(path="data.ms.0", absolute=0.5)]) is not None


NUMBERS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=8)


@given(NUMBERS, st.sampled_from(ORDERS), st.integers(0, 50), st.data())
def test_noise_within_the_tolerance_is_never_a_difference(
    numbers: list[int], order: Order, most: int, data: st.DataObject
) -> None:
    noise = data.draw(st.lists(st.integers(-most, most), min_size=len(numbers), max_size=len(numbers)))
    golden = [frame(number) for number in numbers]
    seen = [frame(number + off) for number, off in zip(numbers, noise, strict=True)]
    assert near(golden, seen, order, absolute=most)


@given(NUMBERS, st.integers(0, 50), st.integers(0, 7))
def test_one_place_beyond_the_tolerance_is_always_a_difference(numbers: list[int], most: int, at: int) -> None:
    golden = [frame(number) for number in numbers]
    seen = [frame(number + (most + 1) * (place == at % len(numbers))) for place, number in enumerate(numbers)]
    assert not near(golden, seen, "strict", absolute=most)


@given(NUMBERS, NUMBERS, st.sampled_from(ORDERS))
def test_a_tolerance_of_nothing_forgives_nothing(wanted: list[int], had: list[int], order: Order) -> None:
    golden, seen = [frame(number) for number in wanted], [frame(number) for number in had]
    assert near(golden, seen, order) == (compare(golden, seen, (), order) is None)
