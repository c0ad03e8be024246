"""Two sides of a sample, one number a run, and how far apart they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from engine.creep import moved_worse


@dataclass(frozen=True)
class Sides:
    """One number a run (its median) of last good and of the new commit, run in turns."""

    before: Sequence[float] = ()
    after: Sequence[float] = ()

    @property
    def pairs(self) -> int:
        return min(len(self.before), len(self.after))

    def medians(self) -> tuple[float, float]:
        """Of both sides. Raises statistics.StatisticsError when one is empty."""
        return statistics.median(self.before), statistics.median(self.after)

    def worse(self, better: str) -> float:
        """How much worse the median is, as a share; less than 0 when it is better."""
        return moved_worse(*self.medians(), better)
