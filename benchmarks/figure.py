"""What a benchmark returns: figures, each with its goal and with what it is compared to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beside:
    """Something plainer, measured in the same run on the same machine."""

    what: str
    values: Sequence[float]


@dataclass(frozen=True)
class Figure:
    """One figure, measured several times. `goal` is a bound on the median: the most, or the least if `at_least`."""

    name: str
    unit: str
    values: Sequence[float]
    goal: float | None = None
    at_least: bool = False
    beside: Sequence[Beside] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """None when there is no goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    def ratio(self, other: Beside) -> float:
        """How many times the other's median this median is."""
        theirs = statistics.median(other.values)
        return self.median / theirs if theirs else float("inf")


@dataclass(frozen=True)
class Scale:
    """How much is measured. `folder` is on the disk that is measured; every benchmark makes its own folder there."""

    folder: Path
    repeats: int = 10
    journal_events: int = 100_000
    journal_seconds: float = 2.0
    idle_s: float = 20.0
    landings: int = 8
    files: int = 5_000
    """Of the large repository."""


def tiny(folder: Path) -> Scale:
    """Just enough to see that everything runs."""
    return Scale(folder, repeats=1, journal_events=200, journal_seconds=0.05, idle_s=0.2, landings=1, files=50)
