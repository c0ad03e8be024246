"""The rank test by its properties, and Holm's correction by hand and against the procedure as he told it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.judge import holm, mann_whitney, ranks

few_values = st.integers(0, 6).map(float)
probabilities = st.lists(st.floats(0, 1), max_size=12)


def test_exact_and_approximate_meet_where_one_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    half = ranks.EXACT_UP_TO // 2
    before, after = [float(x) for x in range(half)], [x + 4.5 for x in range(half)]
    exact = mann_whitney(before, after)
    monkeypatch.setattr(ranks, "EXACT_UP_TO", 0)
    assert exact == pytest.approx(mann_whitney(before, after), rel=0.1)
    assert exact != mann_whitney(before, after)


@settings(deadline=None, max_examples=50)
@given(st.lists(few_values, max_size=12), st.lists(few_values, max_size=12))
def test_p_does_not_depend_on_the_sides_names_or_on_the_scale(before: list[float], after: list[float]) -> None:
    p = mann_whitney(before, after)
    assert 0 < p <= 1
    assert p == pytest.approx(mann_whitney(after, before))
    assert p == pytest.approx(mann_whitney([math.exp(x) for x in before], [math.exp(x) for x in after]))


def test_five_pairs_apart_can_not_reach_the_level_of_a_revert_and_fifteen_can() -> None:
    low, high = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]
    assert mann_whitney(low, high) == pytest.approx(2 / 252)
    assert mann_whitney(3 * low, 3 * high) < 1e-5


def test_an_empty_side_says_nothing_and_an_endless_number_is_refused() -> None:
    assert mann_whitney([], [1.0]) == 1.0
    with pytest.raises(ValueError, match="finite"):
        mann_whitney([math.nan], [1.0])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(probabilities)
def test_holm_only_raises_stays_within_one_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    for p, q in zip(p_values, corrected, strict=True):
        assert all(q <= other for r, other in zip(p_values, corrected, strict=True) if p <= r)


@given(probabilities, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float], level: float) -> None:
    rejected = 0
    for at, p in enumerate(sorted(p_values)):
        if p > level / (len(p_values) - at):
            break
        rejected += 1
    # A product and a quotient round apart at the bound itself.
    assert abs(sum(q <= level for q in holm(p_values)) - rejected) <= sum(
        math.isclose(p * (len(p_values) - at), level, rel_tol=1e-12) for at, p in enumerate(sorted(p_values))
    ) * len(p_values)
