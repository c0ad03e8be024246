"""The rank test against scipy's, which is needed nowhere else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.judge import mann_whitney

scipy_stats = pytest.importorskip("scipy.stats")

few_values = st.integers(0, 6).map(float)
any_values = st.floats(-1e6, 1e6, allow_nan=False)


@settings(deadline=None)
@given(st.lists(any_values, min_size=2, max_size=40, unique=True), st.data())
def test_without_ties_p_is_scipy_s_exact_one(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    theirs = scipy_stats.mannwhitneyu(values[:cut], values[cut:], method="exact").pvalue
    assert mann_whitney(values[:cut], values[cut:]) == pytest.approx(theirs, rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.lists(few_values, min_size=2, max_size=4), st.lists(few_values, min_size=2, max_size=4))
def test_with_ties_p_is_that_of_scipy_s_full_permutation(before: list[float], after: list[float]) -> None:
    every = scipy_stats.PermutationMethod(n_resamples=10**6)
    theirs = scipy_stats.mannwhitneyu(before, after, method=every).pvalue
    assert mann_whitney(before, after) == pytest.approx(theirs, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.lists(few_values, min_size=40, max_size=80), st.lists(few_values, min_size=40, max_size=80))
def test_many_numbers_give_scipy_s_approximation(before: list[float], after: list[float]) -> None:
    theirs = float(scipy_stats.mannwhitneyu(before, after, method="asymptotic").pvalue)
    # Where all numbers are the same scipy divides by nothing.
    assert mann_whitney(before, after) == pytest.approx(1.0 if math.isnan(theirs) else theirs, rel=1e-9)
