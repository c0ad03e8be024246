"""Change points: what crept up is found where it began, and noise is left alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.creep import SHORTEST, creep, pettitt


def noisy(levels: list[float], seed: int = 3, share: float = 0.02) -> list[float]:
    chance = random.Random(seed)
    return [level * chance.gauss(1, share) for level in levels]


def test_a_step_is_found_where_it_is() -> None:
    found = creep(noisy([10.0] * 25 + [11.0] * 25))
    assert found is not None
    assert abs(found.index - 25) <= 2
    assert (found.before, found.after) == (pytest.approx(10, rel=0.02), pytest.approx(11, rel=0.02))
    assert found.p <= 0.005


def test_slow_creep_is_found_that_no_pair_of_neighbours_shows() -> None:
    found = creep(noisy([10 * 1.004**landing for landing in range(60)]))
    assert found is not None
    assert found.after > 1.1 * found.before


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_creep(seed: int) -> None:
    assert creep(noisy([10.0] * 60, seed, 0.06)) is None


def test_a_single_outlier_is_no_creep() -> None:
    assert creep([*noisy([10.0] * 40), 500.0]) is None


def test_what_got_better_is_no_creep_and_less_is_worse_where_more_is_better() -> None:
    falling = noisy([11.0] * 25 + [10.0] * 25)
    assert creep(falling) is None
    assert creep(falling, "higher") is not None


def test_what_was_mended_is_not_told_again() -> None:
    assert creep(noisy([10.0] * 20 + [12.0] * 20 + [10.0] * 20)) is None
    found = creep(noisy([10.0] * 20 + [12.0] * 20 + [11.0] * 20))
    assert found is not None
    assert abs(found.index - 20) <= 2
    assert found.after == pytest.approx(11, rel=0.02)


def test_a_change_below_five_percent_is_left_alone() -> None:
    levels = [10.0] * 40 + [10.4] * 40
    history = noisy(levels, share=0.005)
    found = pettitt(history)
    assert found is not None
    assert found[1] < 0.005
    assert creep(history) is None


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.sampled_from(["lower", "higher"]))
def test_a_change_point_has_enough_values_on_each_side_and_is_worse(history: list[float], better: str) -> None:
    found = creep(history, better)
    if found is not None:
        assert SHORTEST <= found.index <= len(history) - SHORTEST
        assert found.after > found.before if better == "lower" else found.after < found.before


@given(st.lists(st.integers(0, 50).map(float), min_size=2 * SHORTEST, max_size=40))
def test_pettitt_is_the_largest_sum_of_signs_between_both_sides(history: list[float]) -> None:
    found = pettitt(history)
    assert found is not None

    def u(at: int) -> int:
        return abs(sum((a > b) - (a < b) for a in history[:at] for b in history[at:]))

    assert u(found[0]) == max(u(at) for at in range(SHORTEST, len(history) - SHORTEST + 1))
    assert 0 <= found[1] <= 1
