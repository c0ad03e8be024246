"""Rank tests: numbers of programs have outliers, so what counts is which is larger, and not by how much."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

EXACT_UP_TO = 60
"""Numbers of both sides together. Above it, the normal approximation is as good and the exact one slow."""


def mann_whitney(before: Sequence[float], after: Sequence[float]) -> float:
    """The two-sided p that both sides come from the same distribution; 1.0 when a side is empty.

    The Mann–Whitney U test (Mann and Whitney 1947). Up to `EXACT_UP_TO` numbers its exact distribution, given the ties
    there are, by the shift algorithm of Streitberg and Röhmel (1986); above, the normal approximation with correction
    for ties and continuity. Raises ValueError for a number that is not finite.
    """
    if any(not math.isfinite(value) for value in (*before, *after)):
        raise ValueError("a rank test takes finite numbers")
    if not before or not after:
        return 1.0
    ranks = _doubled_midranks([*before, *after])
    of_after = sum(ranks[len(before) :])
    if len(ranks) <= EXACT_UP_TO:
        return _exact(ranks, len(after), of_after)
    return _normal(ranks, len(after), of_after)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for there being many, in the given order (Holm 1979): below .05, the chance that even one of
    those is there by luck is below .05, however they depend on each other."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, p_values[at] * (len(p_values) - rank)))
        corrected[at] = highest
    return corrected


def _doubled_midranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, from 2; equal values share the mean of their ranks, which doubled is whole."""
    counts = Counter(values)
    doubled: dict[float, int] = {}
    below = 0
    for value in sorted(counts):
        doubled[value] = 2 * below + counts[value] + 1
        below += counts[value]
    return [doubled[value] for value in values]


def _exact(ranks: Sequence[int], chosen: int, total: int) -> float:
    """Among all ways to choose so many of the ranks: twice the share that is at least as far out as `total`."""
    sums = _sums(tuple(sorted(ranks)), chosen)
    low = sum(count for reached, count in sums.items() if reached <= total)
    high = sum(count for reached, count in sums.items() if reached >= total)
    return min(1.0, 2 * min(low, high) / math.comb(len(ranks), chosen))


@lru_cache(maxsize=64)
def _sums(ranks: tuple[int, ...], chosen: int) -> Mapping[int, int]:
    """Sum -> in how many ways so many of the ranks have it."""
    ways: list[Counter[int]] = [Counter({0: 1})] + [Counter() for _ in range(chosen)]
    for seen, rank in enumerate(ranks):
        for size in range(min(chosen, seen + 1), 0, -1):
            into = ways[size]
            for reached, count in ways[size - 1].items():
                into[reached + rank] += count
    return ways[chosen]


def _normal(ranks: Sequence[int], chosen: int, total: int) -> float:
    count = len(ranks)
    others = count - chosen
    u = total / 2 - chosen * (chosen + 1) / 2
    ties = sum(each**3 - each for each in Counter(ranks).values())
    variance = chosen * others / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    away = max(0.0, abs(u - chosen * others / 2) - 0.5)
    return min(1.0, math.erfc(away / math.sqrt(2 * variance)))
