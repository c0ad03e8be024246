"""What a search is told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["good", "bad", "skip"]
"""skip: the commit cannot be judged (it does not build, say). One skip is believed: the commit is not asked again."""

GOOD_END = -1
"""The index of the commit before the oldest suspect."""


@dataclass(frozen=True)
class Observation:
    """One run on the commit with this index (`GOOD_END` or a suspect's)."""

    index: int
    outcome: Outcome


@dataclass(frozen=True)
class Probe:
    """Run this commit next.

    why: `end` verifies the good or the bad end, `search` asks for the most information, `confirm` looks at an accused
    or at what lies just below it, of which there is no direct evidence yet. bits: expected information.
    """

    index: int
    why: Literal["end", "search", "confirm"]
    bits: float


@dataclass(frozen=True)
class Culprit:
    """It was red itself, its parents were green themselves, and the posterior is `probability`."""

    index: int
    probability: float


@dataclass(frozen=True)
class Range:
    """The culprit is one of `indexes` (ascending), which the runs cannot tell apart: those between cannot be judged."""

    indexes: tuple[int, ...]
    probability: float


@dataclass(frozen=True)
class Nobody:
    """No suspect did it. never: the bad end is as good as the rest; always: the good end is bad already."""

    probability: float
    reason: Literal["never", "always"]


@dataclass(frozen=True)
class Unresolved:
    """The runs do not tell. indexes: the likeliest suspects (ascending), together `probability`.

    limit: too many runs; untestable: the commits that would tell cannot be judged; noise: more runs would tell nothing.
    """

    reason: Literal["limit", "untestable", "noise"]
    indexes: tuple[int, ...]
    probability: float


Step = Probe | Culprit | Range | Nobody | Unresolved
