"""Which merged trees to gate next. Pure: it decides what runs, never what lands.

A trial is a run of the gates on main with `landed` merged first and `test` on top, while `rejected` are expected to
fail. From "nothing is assumed" the tree of outcomes is explored, the most probable outcome first: at each node the next
group is chosen, and the node has a green and a red child. The trials of the most probable nodes above a floor are
wanted. A group grows from the change that is due first while the changes landed per minute of gates, the expected cost
of splitting a red group included, still improve. A red group is split where its likely-good members cost least to
decide.

Sources: speculation by probability as in Uber's SubmitQueue (Ananthanarayanan et al., EuroSys 2019), a chain on the
expected main as in Zuul's dependent pipelines, groups that halve as in bors.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from engine.planner.side_by_side import Landed, Pairs, Risk

Names = frozenset[str]
NONE: Names = frozenset()

FLOOR = 0.4
"""Of a node's probability: less likely ones are not tried, even in an idle slot."""
GAIN = 1.1
"""A group grows while what lands per minute improves by this factor."""
GROUP_FLOOR = 0.5
"""A group is green at least with this probability: the head of the queue may be doubtful, its mates may not be."""
RESTART_SHARE = 0.1
"""Of a run's time: one that has done less makes room for a better group."""
RED_SHARE = 0.85
"""A red trial's cost: it ends early, and its failed tests are tried again."""
CHANCE_RED = 0.03
"""Of a trial of good changes only: flakes, and what two of them do together."""
DUE_FACTOR = 20.0
MATES = 11
"""Changes after the head that are looked at as its mates."""
SUSPECTS = 9
"""Changes under suspicion that are weighed exactly, in 2^n cases."""
MAX_NODES = 60


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the gates on main + `landed` + `test`. What it found counts once `landed` have landed, in whatever
    order, and `rejected` have not."""

    test: Names
    landed: Names = NONE
    rejected: Names = NONE

    @property
    def tree(self) -> Names:
        """All that is merged into main: two trials of the same tree find the same."""
        return self.test | self.landed

    @property
    def certain(self) -> bool:
        return not self.landed and not self.rejected


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change in the queue. arrived, minutes: when, and how long its gates take, in minutes. belief: probability that
    it is good on main as it is."""

    arrived: float
    minutes: float
    belief: float


@dataclass(frozen=True)
class Evidence:
    """What trials have shown that counts now. suspected: groups that were red, also on an older main: each has a bad
    member. proven: changes that were in a green tree."""

    green: Collection[Trial] = ()
    red: Collection[Trial] = ()
    suspected: Collection[Names] = ()
    proven: Collection[str] = ()


@dataclass(frozen=True)
class Capacity:
    """slots: runs at once. batch: changes in one trial at most. growth: a group of n takes 1 + growth·(n - 1) times as
    long as its longest member."""

    slots: int
    batch: int = 4
    growth: float = 0.05


def choose(
    queue: Mapping[str, Candidate], running: Mapping[Trial, float], evidence: Evidence, capacity: Capacity, risk: Risk
) -> list[Wanted]:
    """The wanted trials, best first: certain ones, then by probability. What runs and is not among them is superfluous.

    running: trial -> share of its expected time that it has run. Trials with a known result are not wanted again.
    """
    return _Search(queue, running, evidence, capacity, risk).wanted()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial, and the probability that its assumptions come true."""

    trial: Trial
    probability: float


@dataclass(frozen=True, slots=True)
class _Node:
    """Outcomes assumed: these landed, these were rejected, these trees turned out red. passed: changes that are known
    to be red, whom nobody needs to wait for. on: what landed, as it is for who comes on top."""

    on: Landed
    landed: Names = NONE
    rejected: Names = NONE
    red: frozenset[Names] = frozenset()
    passed: Names = NONE


@dataclass(slots=True)
class _Weights:
    """Of every case of who is good, as bits. total: their sum."""

    cases: list[float]
    total: float
    _shares: dict[int, float] = field(default_factory=dict[int, float])

    def share(self, need: int) -> float:
        """Probability that all of these are good."""
        if (known := self._shares.get(need)) is None:
            known = sum(map(self.cases.__getitem__, _with_all(need, len(self.cases)))) / self.total
            self._shares[need] = known
        return known


@dataclass
class _Search:
    queue: Mapping[str, Candidate]
    running: Mapping[Trial, float]
    evidence: Evidence
    capacity: Capacity
    risk: Risk
    weighed: dict[tuple[tuple[str, ...], tuple[int, ...]], _Weights] = field(
        default_factory=dict[tuple[tuple[str, ...], tuple[int, ...]], _Weights]
    )
    """By suspects and red groups: many nodes have the same."""

    def __post_init__(self) -> None:
        self.pairs, self.minutes = Pairs(self.risk), _Minutes(self.capacity.growth)
        self.belief = {name: _clamped(each.belief) for name, each in self.queue.items()}
        for name in self.evidence.proven:
            if name in self.belief:
                self.belief[name] = max(self.belief[name], 0.95)
        self.order = sorted(self.queue, key=lambda name: (self._due(name), name))
        self.green = set(self.evidence.green)
        self.red_trees = {trial.tree for trial in self.evidence.red}

    def _due(self, name: str) -> float:
        """Likely and short changes first; everything else becomes due as it waits."""
        each = self.queue[name]
        return each.arrived + DUE_FACTOR * each.minutes / self.belief[name] ** 2

    def wanted(self) -> list[Wanted]:
        found: dict[Trial, float] = {}
        serial = count()
        nodes = [(-1.0, next(serial), _Node(Landed(self.pairs)))]
        for visited in range(MAX_NODES):
            if not nodes:
                break
            minus, _, node = heapq.heappop(nodes)
            if -minus < FLOOR and visited:
                break
            for share, child in self._visit(node, -minus, found):
                if share > 0:
                    heapq.heappush(nodes, (minus * share, next(serial), child))
        best = sorted(found.items(), key=lambda item: (not item[0].certain, -item[1]))
        return [Wanted(trial, min(1.0, probability)) for trial, probability in best]

    def _visit(self, node: _Node, probability: float, found: dict[Trial, float]) -> Iterator[tuple[float, _Node]]:
        """Adds the node's trial to `found`, unless its result is known. Gives its children with their shares."""
        chosen = _Group(self, node).choose()
        if chosen is None:
            return
        test, good = chosen
        trial = Trial(test, node.landed, node.rejected)
        if trial.tree in self.red_trees or trial.tree in node.red:
            good = 0.0
            if len(test) == 1:
                yield 1.0, _Node(node.on, node.landed, node.rejected, node.red, node.passed | test)
                return
        elif trial in self.green:
            good = 1.0
        else:
            found[trial] = found.get(trial, 0.0) + probability
        # Sorted: a set has another order in each process, and a product of its figures then has other last digits.
        on = Landed(self.pairs, node.on, sorted(test))
        yield good, _Node(on, trial.tree, node.rejected, node.red, node.passed)
        if len(test) == 1:
            yield 1 - good, _Node(node.on, node.landed, node.rejected | test, node.red, node.passed)
        else:
            yield 1 - good, _Node(node.on, node.landed, node.rejected, node.red | {trial.tree}, node.passed)


class _Group:
    """The choice of the next group at one node."""

    def __init__(self, search: _Search, node: _Node) -> None:
        self.search, self.node = search, node
        gone = node.landed | node.rejected | node.passed
        self.queue = [name for name in search.order if name not in gone]
        suspected = {*search.evidence.suspected, *search.red_trees, *node.red}
        self.groups = [tree - node.landed for tree in suspected if not tree & node.rejected and tree - node.landed]
        self._weigh()
        self._singles: dict[str, float] = {}

    def _weigh(self) -> None:
        """Weights of every case of who is good among the suspects, given that each red group has a bad member."""
        belief = self.search.belief
        names = sorted({name for group in self.groups for name in group if name in belief})[:SUSPECTS]
        self.place = {name: place for place, name in enumerate(names)}
        masks = sorted(self._mask(group) for group in self.groups if all(name in self.place for name in group))
        key = (tuple(names), tuple(masks))
        if (known := self.search.weighed.get(key)) is None:
            weights = [1.0]  # by the good ones, as bits
            for name in names:
                good = belief[name]
                weights = [weight * (1 - good) for weight in weights] + [weight * good for weight in weights]
            for mask in masks:
                for good in _with_all(mask, len(weights)):
                    weights[good] *= CHANCE_RED
            known = self.search.weighed[key] = _Weights(weights, sum(weights))
        self.weights = known

    def _mask(self, group: Iterable[str]) -> int:
        return sum(1 << self.place[name] for name in group)

    def good(self, names: Sequence[str]) -> float:
        """Probability that all of them are green together at this node."""
        share = self.node.on.side_by_side(names)
        need = 0
        for name in names:
            if name in self.place:
                need |= 1 << self.place[name]
            else:
                share *= self.search.belief[name]
        if need:
            share *= self.weights.share(need)
        return share

    def _alone(self, name: str) -> float:
        if name not in self._singles:
            self._singles[name] = self.good((name,))
        return self._singles[name]

    def choose(self) -> tuple[Names, float] | None:
        """The group, and its probability to be green. None: nothing is left."""
        if not self.queue:
            return None
        known_red = self._known_red()
        if single := min((tuple(group) for group in known_red if len(group) == 1), default=None):
            return frozenset(single), 0.0
        share, going = self._going()
        if share > RESTART_SHARE:
            return going, self.good(sorted(going))
        if parts := [group for group in known_red if self._tested_here(group)]:
            rank = {name: place for place, name in enumerate(self.queue)}
            return self._split(min(parts, key=lambda group: (len(group), sorted(rank[name] for name in group))))
        grown = self._grow()
        chosen = going if len(going) >= len(grown) else grown
        return chosen, self.good(sorted(chosen))

    def _known_red(self) -> list[Names]:
        """Groups of the queue that are red on top of what landed."""
        waiting = frozenset(self.queue)
        trees = self.search.red_trees | self.node.red
        rest = (tree - self.node.landed for tree in trees if self.node.landed <= tree and not tree & self.node.rejected)
        return [group for group in rest if group and group <= waiting]

    def _tested_here(self, group: Names) -> bool:
        """Whether that very group was the one under test, and not the longer chain of a speculation."""
        landed = self.node.landed
        return group | landed in self.node.red or any(
            trial.landed <= landed and trial.tree - landed == group for trial in self.search.evidence.red
        )

    def _going(self) -> tuple[float, Names]:
        """The group that is being tried here already, and the share of its time that it has had."""
        here = [
            (share, trial.test)
            for trial, share in self.search.running.items()
            if trial.landed == self.node.landed and trial.rejected == self.node.rejected
        ]
        return max(here, key=lambda one: (one[0], len(one[1]), sorted(one[1])), default=(0.0, NONE))

    def _grow(self) -> Names:
        members, mates = [self.queue[0]], self.queue[1 : 1 + MATES]
        rate = self._rate(members)
        while mates and len(members) < self.search.capacity.batch:
            better, mate = max((self._rate([*members, mate]), mate) for mate in mates)
            if better < rate * GAIN:
                break
            mates.remove(mate)
            if self.good([*members, mate]) >= GROUP_FLOOR:
                members.append(mate)
                rate = better
        return frozenset(members)

    def _rate(self, names: Sequence[str]) -> float:
        """Changes landed per minute of gates, if they are tried together."""
        ordered = self._ordered(names)
        cost = self.search.minutes.cost(self._members(ordered), self.good(ordered))
        return sum(map(self._alone, names)) / max(cost, 1e-6)

    def _split(self, group: Names) -> tuple[Names, float]:
        """Of a red group, the part to try next: likely-good members first, where the rest costs least to decide."""
        ordered = self._ordered(group)
        members, minutes = self._members(ordered), self.search.minutes
        options: list[tuple[float, int, float]] = []
        for size in range(1, len(ordered)):
            part, rest = members[:size], members[size:]
            good = self.good(ordered[:size])
            cost = minutes.time(part) * _spent(good) + good * minutes.decide(rest)
            cost += (1 - good) * (minutes.decide(part) + minutes.unknown(rest))
            options.append((cost, size, good))
        _, size, good = min(options)
        return frozenset(ordered[:size]), good

    def _ordered(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: (-self._alone(name), name))

    def _members(self, names: Iterable[str]) -> Members:
        return tuple([(self._alone(name), self.search.queue[name].minutes) for name in names])


Members = tuple[tuple[float, float], ...]
"""Probability to be good, and minutes, of changes which are independent of each other, the likeliest first."""


class _Minutes:
    """Expected minutes. Most changes are like others, so that what was worked out for some serves for many."""

    def __init__(self, growth: float) -> None:
        self._growth = growth
        self._decided: dict[Members, float] = {}

    def time(self, members: Members) -> float:
        return max(minutes for _, minutes in members) * (1 + self._growth * (len(members) - 1))

    def cost(self, members: Members, good: float) -> float:
        """To decide all of them, tried together first. good: probability that they are green together."""
        return self.time(members) * _spent(good) + (1 - good) * self.decide(members)

    def unknown(self, members: Members) -> float:
        return self.cost(members, math.prod([alone for alone, _ in members]))

    def decide(self, members: Members) -> float:
        """To decide all of them, who are red together."""
        if len(members) <= 1:
            return 0.0
        if (known := self._decided.get(members)) is not None:
            return known
        together = math.prod([alone for alone, _ in members])
        least, all_good, longest = math.inf, 1.0, 0.0
        for size in range(1, len(members)):
            part, rest = members[:size], members[size:]
            alone, minutes = part[-1]
            all_good *= alone
            longest = max(longest, minutes)
            good = (all_good - together) / max(1e-9, 1 - together)
            cost = longest * (1 + self._growth * (size - 1)) * _spent(good) + good * self.decide(rest)
            least = min(least, cost + (1 - good) * (self.decide(part) + self.unknown(rest)))
        self._decided[members] = least
        return least


@cache
def _with_all(mask: int, size: int) -> tuple[int, ...]:
    """The numbers below `size` (a power of two) that have all bits of `mask`. Of 2^9 there are 3^9 in all."""
    free = rest = (size - 1) & ~mask
    found = [mask | rest]
    while rest:
        rest = (rest - 1) & free
        found.append(mask | rest)
    return tuple(found)


def _spent(good: float) -> float:
    return good + (1 - good) * RED_SHARE


def _clamped(belief: float) -> float:
    return min(0.98, max(0.03, belief))
