"""What an event says of a canary run."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from engine.effects.canary import MOST_VALUES, thinned


@given(st.lists(st.floats(0, 1_000), max_size=MOST_VALUES))
def test_values_that_an_event_can_hold_are_all_there(values: list[float]) -> None:
    assert thinned(values) == values


def test_of_too_many_values_so_many_stay_and_they_are_spread_over_the_run() -> None:
    values = [float(n) for n in range(50_000)]
    kept = thinned(values)
    assert len(kept) == MOST_VALUES
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert abs(statistics.median(kept) - statistics.median(values)) <= len(values) / MOST_VALUES
