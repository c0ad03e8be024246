"""The search itself: which commit to run next, and when enough is known.

The next run is the one with the most expected information about which hypothesis is true: the greedy policy of noisy
binary search (Burnashev and Zigangirov, 1974; Ben-Or and Hassidim, The Bayesian Learner is Optimal, 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from engine.culprit.belief import Group, Reach, bits_of, branched, chance_of_red, information, posterior, straight
from engine.culprit.rates import Rates
from engine.culprit.skipping import Skips
from engine.culprit.steps import GOOD_END, Culprit, Nobody, Observation, Probe, Range, Step, Unresolved

DOUBT = 0.05
"""Prior of "nobody" while the ends are not verified, and as much again of "always bad"."""
LEAST_BITS = 0.0001
"""A run that tells less than this is not worth asking for."""
LEAST_BITS_BESIDE = 0.05
"""The same for a run beside others, which may make it needless."""
_NEGLIGIBLE = 1e-5
_COARSE = 16
_MOST_SCORED = 2048
_MOST_FUTURES = 16


@dataclass(frozen=True)
class Search:
    """A search among `n` suspects, 1 or more.

    parents: for each suspect the indexes of its parents (`GOOD_END` for a parent outside); None for a straight line.
    prior: how much each suspect is to be suspected before any run (any positive scale); None for all the same.
    rates: how often a run lies; learned if not given. ends_verified: the ends were confirmed by other means, so they
    are not run first. confidence: the posterior that a verdict needs. limit: give up after so many runs.
    """

    n: int
    parents: tuple[tuple[int, ...], ...] | None = None
    prior: tuple[float, ...] | None = None
    rates: Rates = field(default_factory=Rates.learned)
    ends_verified: bool = False
    confidence: float = 0.98
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.n < 1 or any(given is not None and len(given) != self.n for given in (self.parents, self.prior)):
            raise ValueError(f"a search needs suspects, and parents and prior for each of them, not {self.n}")
        if self.prior is not None and min(self.prior) <= 0:
            raise ValueError("every suspect needs a prior above 0")

    def next_step(self, observations: Sequence[Observation]) -> Step:
        """The run to ask for next, or the verdict."""
        seen = _Seen(observations, self.n)
        groups = self._groups(seen.counts)
        nobody = [group for group in groups if not group.mask & self._suspects]
        if (doubt := sum(group.mass for group in nobody)) >= self.confidence:
            return Nobody(doubt, "always" if nobody[0].mask & 1 else "never")
        best = groups[0]
        sure = best.mass >= self.confidence and not self._can_be_split(best, seen)
        unproved = next(self._unproved(best, seen), None) if sure else None
        if sure and unproved is None:
            return self._verdict(best, seen)
        if len(observations) >= (self.limit if self.limit is not None else 40 + 20 * self.n.bit_length()):
            return self._unresolved("limit", groups)
        if (end := self._end_to_verify(seen)) is not None:
            return Probe(end - 1, "end", information(groups, self._reach(end)))
        if unproved is not None:
            return Probe(unproved - 1, "confirm", information(groups, self._reach(unproved)))
        position, bits = self._most_telling([(1.0, groups)], seen, frozenset())
        if bits < LEAST_BITS:
            return self._unresolved("untestable" if seen.skipped else "noise", groups)
        return Probe(position - 1, "search", bits)

    def beside(self, observations: Sequence[Observation], running: Sequence[int]) -> Probe | None:
        """A run worth starting while those of `running` (indexes) have not answered; None if it is better to wait."""
        seen = _Seen(observations, self.n)
        busy = frozenset(index + 1 for index in running)
        for end in (self.n, 0):
            if not self.ends_verified and end not in seen.counts and end not in seen.skipped and end not in busy:
                return Probe(end - 1, "end", self.bits(observations, end - 1))
        position, bits = self._most_telling(self._futures(seen, busy), seen, busy)
        return Probe(position - 1, "search", bits) if bits >= LEAST_BITS_BESIDE else None

    def bits(self, observations: Sequence[Observation], index: int) -> float:
        """What a run of this commit would tell now, in expected bits."""
        return information(self._groups(_Seen(observations, self.n).counts), self._reach(index + 1))

    def suspicion(self, observations: Sequence[Observation]) -> tuple[float, ...]:
        """The posterior of each suspect; what is missing from 1 is that of "nobody"."""
        shares = [0.0] * (self.n + 2)
        for group in self._groups(_Seen(observations, self.n).counts):
            for bit in bits_of(group.mask):
                shares[bit] = group.mass / group.size
        return tuple(shares[1:-1])

    @cached_property
    def _reach(self) -> Reach:
        return straight if self.parents is None else branched(self.parents)

    @cached_property
    def _suspects(self) -> int:
        return (1 << (self.n + 1)) - 2

    @cached_property
    def _levels(self) -> list[tuple[int, float]]:
        """Masks of hypotheses that are equally likely before any run, with the prior of each of them."""
        doubt = 1 / (self.n + 2) if self.ends_verified else DOUBT
        ends = [(1, doubt), (1 << (self.n + 1), doubt)]
        if self.prior is None:
            return [(self._suspects, (1 - 2 * doubt) / self.n), *ends]
        masks: dict[float, int] = {}
        for index, weight in enumerate(self.prior):
            masks[weight] = masks.get(weight, 0) | 1 << (index + 1)
        scale = (1 - 2 * doubt) / sum(self.prior)
        return [(mask, weight * scale) for weight, mask in masks.items()] + ends

    def _groups(self, counts: Mapping[int, tuple[int, int]]) -> list[Group]:
        return posterior(self._levels, counts, self._reach, self.rates)

    def _end_to_verify(self, seen: _Seen) -> int | None:
        """The bad end first: if that is green there is nothing to look for."""
        if self.ends_verified:
            return None
        if self.n not in seen.counts and self.n not in seen.skipped:
            return self.n
        never = self.n in seen.counts and not seen.counts[self.n][0]
        return 0 if not never and 0 not in seen.counts and 0 not in seen.skipped else None

    def _can_be_split(self, group: Group, seen: _Seen) -> bool:
        """Whether a commit that may still answer would tell its suspects apart."""
        if group.size == 1:
            return False
        least = (group.mask & -group.mask).bit_length() - 1
        between = range(least, min(group.mask.bit_length(), self.n + 1))
        splitting = (at for at in between if group.mask & ~self._reach(at) and group.mask & self._reach(at))
        return any(seen.skips.can_answer(at) for at in splitting)

    def _unproved(self, group: Group, seen: _Seen) -> Iterator[int]:
        """Positions without direct evidence that an accusation of this group needs: red where all of it is contained,
        green just below it, and both ends."""
        if group.mask & ~self._suspects:
            return
        top = group.mask.bit_length() - 1
        above = (
            position
            for position in range(top, self.n + 1)
            if not group.mask & ~self._reach(position) and seen.skips.can_answer(position)
        )
        ends = ((self.n, 0),) if not self.ends_verified else ()
        for bad, good in (*ends, (next(above, None), None)):
            if bad is not None and bad not in seen.skipped and not seen.counts.get(bad, (0, 0))[0]:
                yield bad
            if good is not None and good not in seen.skipped and not seen.counts.get(good, (0, 0))[1]:
                yield good
        for position in self._just_below(group.mask, seen):
            if not seen.counts.get(position, (0, 0))[1] and not (position == 0 and self.ends_verified):
                yield position

    def _just_below(self, mask: int, seen: _Seen) -> Iterator[int]:
        """The youngest positions under a set of suspects that can answer."""
        looked_at: set[int] = set()
        waiting = list(bits_of(mask))
        while waiting:
            position = waiting.pop()
            for below in self._parents_of(position):
                if below in looked_at:
                    continue
                looked_at.add(below)
                if mask >> below & 1 or not seen.skips.can_answer(below):
                    waiting.append(below)
                else:
                    yield below

    def _parents_of(self, position: int) -> Sequence[int]:
        if position == 0:
            return ()
        if self.parents is None:
            return (position - 1,)
        return [index + 1 for index in self.parents[position - 1]] or [GOOD_END + 1]

    def _verdict(self, group: Group, seen: _Seen) -> Step:
        indexes = tuple(bit - 1 for bit in bits_of(group.mask & self._suspects))
        if group.mask & ~self._suspects:
            return Unresolved("untestable", indexes, group.mass)
        if len(indexes) == 1 and indexes[0] + 1 in seen.counts:
            return Culprit(indexes[0], group.mass)
        return Range(indexes, group.mass)

    def _unresolved(self, reason: Literal["limit", "untestable", "noise"], groups: Sequence[Group]) -> Unresolved:
        mask, mass = 0, 0.0
        for group in groups:
            mask |= group.mask & self._suspects
            mass += group.mass
            if mass >= self.confidence:
                break
        return Unresolved(reason, tuple(bit - 1 for bit in bits_of(mask)), mass)

    def _futures(self, seen: _Seen, busy: frozenset[int]) -> list[tuple[float, list[Group]]]:
        """What will be believed once the runs that are under way have answered, with the chance of each."""
        worlds = [(1.0, dict(seen.counts))]
        for position in sorted(busy):
            split: list[tuple[float, dict[int, tuple[int, int]]]] = []
            for chance, counts in worlds:
                red = chance_of_red(self._groups(counts), self._reach(position))
                reds, greens = counts.get(position, (0, 0))
                split.append((chance * red, {**counts, position: (reds + 1, greens)}))
                split.append((chance * (1 - red), {**counts, position: (reds, greens + 1)}))
            worlds = sorted(split, key=lambda world: -world[0])[:_MOST_FUTURES]
        return [(chance, self._groups(counts)) for chance, counts in worlds]

    def _most_telling(
        self, futures: Sequence[tuple[float, list[Group]]], seen: _Seen, busy: frozenset[int]
    ) -> tuple[int, float]:
        """The position whose run tells the most, times its chance to answer; bits 0 if there is none."""

        def score(position: int) -> float:
            if position in busy or not seen.skips.can_answer(position):
                return 0.0
            contained = self._reach(position)
            told = sum(chance * information(groups, contained) for chance, groups in weighty)
            return told * (1 - seen.skips.chance(position))

        weighty = [(chance, [group for group in groups if group.mass > _NEGLIGIBLE]) for chance, groups in futures]
        scores: dict[int, float] = {}
        for group in weighty[0][1] if self.parents is None else ():
            low, high = (group.mask & -group.mask).bit_length() - 1, min(group.mask.bit_length(), self.n + 1)
            scores |= {position: score(position) for position in range(low, high, (high - low) // _COARSE + 1)}
        scores |= {position: score(position) for position in (*seen.counts, 0, self.n)}
        stride = self.n // (_COARSE if self.parents is None else _MOST_SCORED) + 1
        scores |= {position: score(position) for position in range(0, self.n + 1, stride)}
        top = max(scores, key=scores.__getitem__)
        reach = range(max(0, top - stride), min(self.n, top + stride) + 1)
        while len(reach) > 2:
            finer = range(reach.start, reach.stop, len(reach) // _COARSE + 1)
            scores |= {position: score(position) for position in finer if position not in scores}
            top = max(scores, key=scores.__getitem__)
            if finer.step == 1:
                break
            reach = range(max(0, top - finer.step), min(self.n, top + finer.step) + 1)
        return top, scores[top]


class _Seen:
    """Observations by position."""

    def __init__(self, observations: Sequence[Observation], n: int) -> None:
        self.counts: dict[int, tuple[int, int]] = {}
        skipped: set[int] = set()
        for each in observations:
            if not GOOD_END <= each.index < n:
                raise ValueError(f"there is no suspect {each.index}")
            position = each.index + 1
            if each.outcome == "skip":
                skipped.add(position)
                continue
            reds, greens = self.counts.get(position, (0, 0))
            self.counts[position] = (reds + (each.outcome == "bad"), greens + (each.outcome == "good"))
        self.skipped = skipped - self.counts.keys()
        self.skips = Skips(self.skipped, self.counts.keys(), n)
