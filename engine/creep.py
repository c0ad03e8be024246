"""Slow creep: a level that rose over many landings, each of them too little to be called worse."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST = 8
"""Values on each side of a change point."""
LEVEL = 0.005
CREPT = 0.05
"""A share below which a change of level is left alone: it takes a person's time."""


@dataclass(frozen=True)
class ChangePoint:
    """index: of the first value after the change. before: the best level until then; after: the level now (medians).
    p: of the change at `index`."""

    index: int
    before: float
    after: float
    p: float


def creep(history: Sequence[float], better: str = "lower") -> ChangePoint | None:
    """Where a sample left the best level it ever had for one that is worse and still holds; None if it did not.

    history: one value a commit that became last good, oldest first. A commit that was run several times counts once:
    runs of one session are alike, and would look like a level of their own. Change points by the rank test of Pettitt
    (1979), one segment after the other (binary segmentation, Scott and Knott 1974). At least `SHORTEST` values lie on
    each side, so that what landed just now is never accused: creep is work for somebody, and never a revert.
    """
    changes = sorted(_changes(history, 0))
    starts = [0, *(at for at, _ in changes)]
    ends = [*starts[1:], len(history)]
    if not changes:
        return None
    levels = [statistics.median(history[start:end]) for start, end in zip(starts, ends, strict=True)]
    sign = 1 if better == "lower" else -1
    best = min(range(len(levels)), key=lambda at: (sign * levels[at], -at))
    if best == len(levels) - 1 or moved_worse(levels[best], levels[-1], better) <= CREPT:
        return None
    index, p = changes[best]
    return ChangePoint(index, levels[best], levels[-1], p)


def _changes(values: Sequence[float], offset: int) -> list[tuple[int, float]]:
    """All change points of this piece, as (index in the whole history, p)."""
    found = pettitt(values)
    if found is None or found[1] > LEVEL:
        return []
    at, p = found
    return [(offset + at, p), *_changes(values[:at], offset), *_changes(values[at:], offset + at)]


def pettitt(values: Sequence[float]) -> tuple[int, float] | None:
    """The likeliest change point (index of the first value after it) and its p; None when there are too few values.

    Pettitt, A non-parametric approach to the change-point problem (1979): the largest |U(t, n)|, with his approximation
    of p, which is on the safe side.
    """
    count = len(values)
    if count < 2 * SHORTEST:
        return None
    u, most, at = 0, -1, SHORTEST
    for t, value in enumerate(values, 1):
        u += sum((value > other) - (value < other) for other in values)
        if SHORTEST <= t <= count - SHORTEST and abs(u) > most:
            most, at = abs(u), t
    return at, min(1.0, 2 * math.exp(-6 * most**2 / (count**3 + count**2)))


def moved_worse(before: float, after: float, better: str) -> float:
    """How much worse `after` is than `before`, as a share of `before`: infinite from 0, negative when it is better."""
    by = after - before if better == "lower" else before - after
    if by == 0:
        return 0.0
    return by / abs(before) if before else math.copysign(math.inf, by)


@functools.lru_cache(maxsize=256)
def crept(history: tuple[float, ...], better: str) -> ChangePoint | None:
    """`creep`, remembered: a planner asks again after every event, and a history seldom gets longer."""
    return creep(history, better)
