"""Golden traces: what counts as the same, and how a difference is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.golden import GoldenError, compare, parse_trace, trace_to_golden


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, **fields}


NIGHT = [
    event("navigate", seq=1, t=0.1, key="view-1", data={"view_id": 17, "url": "a"}),
    event("resize", seq=2, t=0.2, key="view-2", data={"view_id": 23, "w": 900, "ms": 1.5}),
    event("frame", seq=3, t=0.3, key="view-1", data={"view_id": 17}),
]


def test_a_trace_equals_its_own_golden() -> None:
    golden = parse_trace(trace_to_golden(NIGHT))
    assert compare(golden, NIGHT) is None
    assert "t" not in golden[0]


def test_times_and_sequence_numbers_do_not_count() -> None:
    later = [dict(e, t=e["t"] + 5, seq=e["seq"] + 9, arrived=1.0) for e in NIGHT]
    assert compare(NIGHT, later) is None
    assert compare(NIGHT, later, mask=[]) is not None


def test_ids_compare_by_first_appearance() -> None:
    others = [dict(e, data=e["data"] | {"view_id": {17: 900, 23: "x"}[e["data"]["view_id"]]}) for e in NIGHT]
    assert compare(NIGHT, others) is None


def test_an_id_of_another_view_is_seen() -> None:
    wrong = [*NIGHT[:2], dict(NIGHT[2], data={"view_id": 23})]
    difference = compare(NIGHT, wrong)
    assert difference is not None
    assert "event 3" in difference.first
    assert "-" in difference.text
    assert "+" in difference.text


def test_the_order_of_fields_does_not_matter() -> None:
    assert compare([event("a", view_id=1, from_id=2)], [{"from_id": 8, "view_id": 9, "kind": "a"}]) is None


@pytest.mark.parametrize(
    ("mask", "same"), [(["t", "seq"], False), (["t", "seq", "data.ms"], True), (["t", "seq", "*.ms"], True)]
)
def test_a_mask_is_a_path(mask: list[str], same: bool) -> None:
    slower = [NIGHT[0], dict(NIGHT[1], data=NIGHT[1]["data"] | {"ms": 9.9}), NIGHT[2]]
    assert (compare(NIGHT, slower, mask) is None) == same


def test_a_mask_reaches_into_lists() -> None:
    one, two = [event("paint", tiles=[{"ms": 1, "x": 0}])], [event("paint", tiles=[{"ms": 2, "x": 0}])]
    assert compare(one, two) is not None
    assert compare(one, two, mask=["tiles.*.ms"]) is None
    assert compare(one, [event("paint", tiles=[{"ms": 1, "x": 0}] * 2)], mask=["tiles.*"]) is not None


def test_another_order_counts_only_where_it_is_asked_for() -> None:
    swapped = [NIGHT[1], NIGHT[0], NIGHT[2]]
    assert compare(NIGHT, swapped) is not None
    assert compare(NIGHT, swapped, order="per-key") is None
    assert compare(NIGHT, swapped, order="multiset") is None
    same_key = [NIGHT[2], NIGHT[1], NIGHT[0]]
    assert compare(NIGHT, same_key, order="per-key") is not None
    assert compare(NIGHT, same_key, order="multiset") is None


@pytest.mark.parametrize("order", ["strict", "per-key", "multiset"])
def test_a_missing_and_a_doubled_event_are_seen_in_every_order(order: Any) -> None:
    assert compare(NIGHT, NIGHT[:-1], order=order) is not None
    assert compare(NIGHT, [*NIGHT, NIGHT[-1]], order=order) is not None
    assert compare(NIGHT, [], order=order) is not None


def test_a_long_difference_is_shown_short() -> None:
    many = [event("frame", n=n) for n in range(3_000)]
    other = [event("frame", n=-n, text="x" * 5000) for n in range(3_000)]
    difference = compare(many, other)
    assert difference is not None
    assert len(difference.text) < 20_000
    assert "more lines" in difference.text


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"{}\n", b"not json\n", b'["kind"]\n', b'{"kind": 3}\n'])
def test_a_golden_that_proves_nothing_is_refused(raw: bytes) -> None:
    with pytest.raises(GoldenError):
        parse_trace(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=4), child, max_size=3),
    max_leaves=8,
)
EVENT = st.fixed_dictionaries({"kind": st.text(min_size=1)}, optional={"key": JSON, "data": JSON})
EVENTS = st.lists(EVENT, min_size=1)


@given(EVENTS, st.sampled_from(["strict", "per-key", "multiset"]))
def test_every_trace_equals_the_golden_that_was_recorded_from_it(events: list[dict[str, Any]], order: Any) -> None:
    assert compare(parse_trace(trace_to_golden(events)), events, order=order) is None


@given(EVENTS, st.randoms())
def test_a_multiset_knows_no_order(events: list[dict[str, Any]], dice: Any) -> None:
    shuffled = list(events)
    dice.shuffle(shuffled)
    assert compare(events, shuffled, order="multiset") is None
