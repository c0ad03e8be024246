"""Many values as few: shares, spreads, and series that stay short however long the night. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from engine.models.metrics import Share, Spread

MOST_POINTS = 500
"""More than any screen has columns."""

Value = TypeVar("Value")
Row = tuple[float, float | None, float | None]


def share(count: int, of: int) -> Share:
    """`rate` is None where nothing can be said."""
    return Share(count=count, of=of, rate=count / of if of else None)


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The q-th quantile (0 to 1) of sorted values, interpolated between the two neighbours; None of nothing.

    Method 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages (1996): the smallest is 0, the largest 1.
    """
    if not ordered:
        return None
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> Spread:
    """Median and 90th percentile of durations in seconds."""
    ordered = sorted(values)
    return Spread(count=len(ordered), median_s=quantile(ordered, 0.5), p90_s=quantile(ordered, 0.9))


class Curve(Generic[Value]):
    """A value over time, in at most `MOST_POINTS` points: when it is full, every other point goes. The newest stays.

    What is kept depends on the values alone, not on when it is looked at.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[float, Value]] = []
        self._newest: tuple[float, Value] | None = None
        self._stride = 1
        self._seen = 0

    def add(self, t_s: float, value: Value) -> None:
        self._newest = (t_s, value)
        if self._seen % self._stride == 0:
            self._kept.append(self._newest)
        self._seen += 1
        if len(self._kept) == MOST_POINTS:
            self._kept = self._kept[::2]
            self._stride *= 2

    def points(self) -> list[tuple[float, Value]]:
        """Oldest first, the newest included."""
        if self._newest is None or self._kept[-1] is self._newest:
            return list(self._kept)
        return [*self._kept, self._newest]


def grouped(rows: Sequence[Row]) -> list[Row]:
    """`rows` of a time and two values, in at most `MOST_POINTS`: neighbours become one with the medians of their values
    and the time of the last."""
    width = -(-len(rows) // MOST_POINTS) or 1
    if width == 1:
        return list(rows)
    return [_one(rows[start : start + width]) for start in range(0, len(rows), width)]


def _one(rows: Sequence[Row]) -> Row:
    first = quantile(sorted(value for _, value, _ in rows if value is not None), 0.5)
    second = quantile(sorted(value for _, _, value in rows if value is not None), 0.5)
    return rows[-1][0], first, second
