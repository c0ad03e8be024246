"""Which commits are likely to answer "cannot tell": those beside others that did, since a broken build lasts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection

ENOUGH_SKIPS = 24
"""So many skips in a row, with nothing judged among them, and those between them are not tried any more."""


class Skips:
    """What skips and answers so far say about other positions (0 to `last`).

    A streak of skips of length h goes on for another d commits with chance h / (h + d): lengths have no scale, so the
    way out of a long streak is found by steps that grow. Between two skips of a streak of c it is c / (c + 2), by the
    rule of succession.
    """

    def __init__(self, skipped: Collection[int], judged: Collection[int], last: int) -> None:
        self._skipped = sorted(skipped)
        self._judged = sorted(judged)
        self._last = last

    def chance(self, position: int) -> float:
        """How likely a run of it is a skip; 1 for one that was skipped."""
        if not self._skipped:
            return 0.0
        at = bisect_left(self._skipped, position)
        if at < len(self._skipped) and self._skipped[at] == position:
            return 1.0
        low, high = self._bounds(position)
        below = self._skipped[at - 1] if at and self._skipped[at - 1] > low else None
        above = self._skipped[at] if at < len(self._skipped) and self._skipped[at] < high else None
        if below is not None and above is not None:
            count = bisect_left(self._skipped, high) - bisect_right(self._skipped, low)
            return count / (count + 2)
        if below is not None:
            first = self._skipped[bisect_right(self._skipped, low)]
            return _goes_on(below - first + 1, position - below, high - below)
        if above is not None:
            final = self._skipped[bisect_left(self._skipped, high) - 1]
            return _goes_on(final - above + 1, above - position, above - low)
        return 0.0

    def can_answer(self, position: int) -> bool:
        """Whether it is worth trying at all."""
        return self.chance(position) < ENOUGH_SKIPS / (ENOUGH_SKIPS + 2)

    def _bounds(self, position: int) -> tuple[int, int]:
        """The judged positions around it; one below 0 and one above the last where there is none."""
        at = bisect_right(self._judged, position)
        low = self._judged[at - 1] if at else -1
        return low, self._judged[at] if at < len(self._judged) else self._last + 1


def _goes_on(length: int, distance: int, room: int) -> float:
    """How likely a streak of this length reaches `distance` further, given that it ends before `room`."""

    def beyond(steps: int) -> float:
        return length / (length + steps)

    return (beyond(distance) - beyond(room)) / (1 - beyond(room))
