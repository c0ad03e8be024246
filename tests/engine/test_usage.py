"""The record of what a run used: unknown stays unknown."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from engine.models.handoffs import MAX_COST, MAX_TOKENS
from engine.models.usage import Usage, added, count, dollars, told

_ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_COUNT = st.none() | st.integers(0, MAX_TOKENS - 1)
_USAGE = st.builds(
    lambda given, out, cost, source: told(tokens_in=given, tokens_out=out, cost=cost, source=source, scope="run"),
    _COUNT,
    _COUNT,
    st.none() | st.floats(0, MAX_COST),
    st.sampled_from(["a", "b"]),
)


@given(_ANY)
def test_a_figure_that_makes_no_sense_is_none(value: object) -> None:
    tokens, cost = count(value), dollars(value)
    assert tokens is None or (0 <= tokens < MAX_TOKENS and tokens == value)
    assert cost is None or (0 <= cost <= MAX_COST and math.isfinite(cost))
    if isinstance(value, bool | str) or value is None:
        assert tokens is None
        assert cost is None


@given(st.lists(_COUNT, max_size=4))
def test_a_sum_is_known_where_one_part_is(values: list[int | None]) -> None:
    known = [value for value in values if value is not None]
    found = added(*values)
    assert found == (min(sum(known), MAX_TOKENS - 1) if known else None)


@given(_USAGE, _USAGE)
def test_a_record_is_completed_and_nothing_of_it_is_lost(first: Usage, second: Usage) -> None:
    both = first.completed(second)
    assert both.tokens == (first.tokens if first.tokens is not None else second.tokens)
    assert both.cost == (first.cost if first.cost is not None else second.cost)
    assert Usage.model_validate_json(both.model_dump_json()) == both


def test_nothing_is_not_zero() -> None:
    assert told(tokens_in=0, tokens_out=0, cost=0.0, source="it") == Usage()
    assert (Usage().tokens, Usage().cost, Usage().known) == (None, None, False)
    assert told(tokens_in=5, cost=0.0, source="it") == Usage(tokens_in=5, source="it")
    assert told(cost=0.5, source="it").tokens is None
