"""What the runs say: the posterior over "suspect k did it", "it was always bad" and "it never was".

Positions are commits in order: 0 is the good end, position i is suspect i - 1. Sets of hypotheses are bit masks: bit 0
is "bad already at the good end", bit i suspect i - 1, bit n + 1 "nobody". `reach` of a position is the set of those
under which its commit is bad: the changes that it contains. Hypotheses that all runs treat alike stay together as one
`Group`, so there are never many more groups than commits that were run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log, log1p, log2

from engine.culprit.rates import Rates, Weighted

_NEVER = 1e-6
"""A rate of 0 is taken as this: runs that contradict it make it doubtful, not impossible."""

Reach = Callable[[int], int]
Counts = Mapping[int, tuple[int, int]]
"""(reds, greens) by position."""


@dataclass(frozen=True)
class Group:
    """`size` hypotheses that no run has told apart; `mass` is the posterior of all of them together.

    red_if_bad, red_if_good: how likely the next run of a bad or a good commit is red if one of them is true;
    noise_if_bad, noise_if_good: the bits in that which tell nothing.
    """

    mask: int
    size: int
    mass: float
    red_if_bad: float
    red_if_good: float
    noise_if_bad: float
    noise_if_good: float


def straight(position: int) -> int:
    """`reach` of a straight line: a commit contains what is not younger than itself."""
    return (1 << (position + 1)) - 1


def branched(parents: Sequence[Sequence[int]]) -> Reach:
    """`reach` of a history with merges; `parents` as in `Search`. ValueError if one is not older than its child."""
    known = [1]
    for index, of in enumerate(parents):
        if any(not -1 <= parent < index for parent in of):
            raise ValueError(f"a parent of suspect {index} is not among those before it")
        mask = 1 | 1 << (index + 1)
        for parent in of:
            mask |= known[parent + 1]
        known.append(mask)
    return known.__getitem__


def posterior(levels: Sequence[tuple[int, float]], counts: Counts, reach: Reach, rates: Rates) -> list[Group]:
    """Groups by mass, the likeliest first. `levels`: masks whose hypotheses are equally likely before any run, with the
    prior of each."""
    parts = [(mask, prior, 0, 0, 0, 0) for mask, prior in levels if mask]
    for position, (reds, greens) in counts.items():
        contained = reach(position)
        split: list[tuple[int, float, int, int, int, int]] = []
        for mask, prior, good_reds, good_greens, bad_reds, bad_greens in parts:
            if inside := mask & contained:
                split.append((inside, prior, good_reds, good_greens, bad_reds + reds, bad_greens + greens))
            if outside := mask & ~contained:
                split.append((outside, prior, good_reds + reds, good_greens + greens, bad_reds, bad_greens))
        parts = split
    lies_red, lies_green = _Side(rates.false_red), _Side(rates.false_green)
    weighed: list[tuple[float, int, float, float]] = []
    for mask, prior, good_reds, good_greens, bad_reds, bad_greens in parts:
        likely = lies_red.likelihood(good_reds, good_greens) + lies_green.likelihood(bad_greens, bad_reds)
        red_if_bad = 1 - lies_green.next(bad_greens, bad_reds)
        red_if_good = lies_red.next(good_reds, good_greens)
        weighed.append((log(mask.bit_count() * prior) + likely, mask, red_if_bad, red_if_good))
    most = max(weight for weight, *_ in weighed)
    total = sum(exp(weight - most) for weight, *_ in weighed)
    groups = [
        Group(mask, mask.bit_count(), exp(weight - most) / total, bad, good, entropy(bad), entropy(good))
        for weight, mask, bad, good in weighed
    ]
    return sorted(groups, key=lambda group: -group.mass)


def information(groups: Sequence[Group], contained: int) -> float:
    """Expected bits that a run tells about which hypothesis is true; `contained`: the reach of its position."""
    red = noise = 0.0
    for group in groups:
        share = (group.mask & contained).bit_count() / group.size
        red += group.mass * (group.red_if_good + share * (group.red_if_bad - group.red_if_good))
        noise += group.mass * (group.noise_if_good + share * (group.noise_if_bad - group.noise_if_good))
    return max(0.0, entropy(red) - noise)


def chance_of_red(groups: Sequence[Group], contained: int) -> float:
    """How likely a run of a position with this reach is red."""
    total = 0.0
    for group in groups:
        share = (group.mask & contained).bit_count() / group.size
        total += group.mass * (share * group.red_if_bad + (1 - share) * group.red_if_good)
    return total


def entropy(chance: float) -> float:
    """Of a coin, in bits."""
    if chance <= 0 or chance >= 1:
        return 0.0
    return -chance * log2(chance) - (1 - chance) * log2(1 - chance)


def bits_of(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending."""
    digits = f"{mask:b}"[::-1]
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)


class _Side:
    """One of the two rates as a belief: how likely lies and truths are under it."""

    def __init__(self, rate: Weighted) -> None:
        self._rate = tuple((log(max(chance, _NEVER)), log1p(-chance), log(weight)) for chance, weight in rate if weight)
        self.likelihood = cache(self._likelihood)

    def next(self, lies: int, truths: int) -> float:
        """How likely the next run lies after so many lies and truths."""
        return exp(self.likelihood(lies + 1, truths) - self.likelihood(lies, truths))

    def _likelihood(self, lies: int, truths: int) -> float:
        """Natural logarithm."""
        terms = [weight + lies * lie + truths * truth for lie, truth, weight in self._rate]
        most = max(terms)
        return most + log(sum(exp(term - most) for term in terms))
