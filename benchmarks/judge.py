"""How often the canary's judge calls a change slower that is not, and misses one that is, in a simulated machine room.

The noise: each run is off by 4 % (normal), 8 % of the runs are a fifth to a half slower (something else ran), and each
session is off by 5 % as a whole (another day, another clock speed). A comparison happens in one session; what it would
be held against as a stored baseline was measured in another one.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.figure import Beside, Figure, Scale
from canary.judge import FIRST_PAIRS, FRESH_PAIRS, Metric, Sides, judge, wants_fresh
from engine.creep import creep

NIGHTS = 200
"""A batch; the spread of a figure is that of its batches."""
EFFECTS = (0.0, 0.05, 0.1, 0.2)
RUN_NOISE, SPIKES, SESSION_NOISE = 0.04, 0.08, 0.05
SPIKE = (0.2, 0.5)
THRESHOLD = 0.05
T_CRITICAL = 2.306
"""Student's t, 8 degrees of freedom, 5 % on both sides together."""
LANDINGS = 60
DRIFT = 0.004
SAMPLES = 10


class Room:
    """A machine room; `at` is what a program takes there."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def session(self) -> float:
        return self._chance.gauss(1, SESSION_NOISE)

    def runs(self, count: int, level: float) -> list[float]:
        return [self._run(level) for _ in range(count)]

    def _run(self, level: float) -> float:
        spiked = 1 + self._chance.uniform(*SPIKE) if self._chance.random() < SPIKES else 1.0
        return level * self._chance.gauss(1, RUN_NOISE) * spiked


@dataclass
class Night:
    """One comparison. `stored`: runs of last good in an earlier session."""

    room: Room
    effect: float

    def __post_init__(self) -> None:
        self.now = self.room.session()
        self.stored = self.room.runs(FIRST_PAIRS, self.room.session())
        self.first = self.turns(FIRST_PAIRS)
        self.runs = 2 * FIRST_PAIRS

    def turns(self, pairs: int) -> Sides:
        return Sides(self.room.runs(pairs, self.now), self.room.runs(pairs, self.now * (1 + self.effect)))

    def metric(self, sample: int = 0) -> Metric:
        """All that the rule asks to be measured."""
        first = Metric("flow", str(sample), "ms", "lower", self.first if not sample else self.turns(FIRST_PAIRS))
        if not wants_fresh(first):
            return first
        self.runs = 2 * (FIRST_PAIRS + FRESH_PAIRS)
        return Metric("flow", str(sample), "ms", "lower", first.first, self.turns(FRESH_PAIRS))


def by_judge(night: Night) -> bool:
    return judge([night.metric()])[0].verdict == "worse"


def by_judge_among_many(night: Night) -> bool:
    return any(each.verdict == "worse" for each in judge([night.metric(sample) for sample in range(SAMPLES)]))


def by_threshold(night: Night) -> bool:
    return statistics.median(night.first.after) > (1 + THRESHOLD) * statistics.median(night.stored)


def by_t_stored(night: Night) -> bool:
    return _t(night.stored, night.first.after) > T_CRITICAL


def by_t_in_turns(night: Night) -> bool:
    return _t(night.first.before, night.first.after) > T_CRITICAL


def _t(before: Sequence[float], after: Sequence[float]) -> float:
    """Student's two-sample t with a common variance, for sides of the same size."""
    variance = (statistics.variance(before) + statistics.variance(after)) / len(before)
    return (statistics.mean(after) - statistics.mean(before)) / math.sqrt(variance)


OTHERS: dict[str, Callable[[Night], bool]] = {
    "5 % threshold, stored baseline": by_threshold,
    "t-test on 5 runs, stored baseline": by_t_stored,
    "t-test on 5 runs a side, in turns": by_t_in_turns,
}


def measure(scale: Scale) -> list[Figure]:
    """Shares in percent. Deterministic: the seeds are fixed."""
    figures = [_figure(effect, scale.repeats) for effect in EFFECTS]
    among = [100 * _share(by_judge_among_many, _nights(0.0, batch, 7)) for batch in range(scale.repeats)]
    figures.append(Figure(f"judge: called slower, of {SAMPLES} unchanged samples any", "%", among, goal=1.0))
    for effect in (EFFECTS[0], EFFECTS[2]):
        cost = [float(_runs(night)) for batch in range(scale.repeats) for night in _nights(effect, batch, 8)]
        figures.append(Figure(f"judge: runs of a flow a comparison, {_named(effect)}", "runs", [statistics.mean(cost)]))
    for drift, name in ((0.0, "where there is none"), (DRIFT, f"{100 * DRIFT:g} % a landing")):
        found = [100 * _crept(drift, batch) for batch in range(scale.repeats)]
        figures.append(Figure(f"judge: creep found in {LANDINGS} landings, {name}", "%", found, at_least=drift > 0))
    return figures


def _figure(effect: float, batches: int) -> Figure:
    nights = [_nights(effect, batch, 0) for batch in range(batches)]

    def wrong(way: Callable[[Night], bool]) -> list[float]:
        shares = [100 * _share(way, each) for each in nights]
        return shares if not effect else [100 - share for share in shares]

    beside = [Beside(name, wrong(way)) for name, way in OTHERS.items()]
    what = "missed" if effect else "called slower"
    return Figure(f"judge: {what}, {_named(effect)}", "%", wrong(by_judge), goal=None if effect else 0.5, beside=beside)


def _named(effect: float) -> str:
    return f"{100 * effect:g} % slower" if effect else "nothing changed"


def _nights(effect: float, batch: int, seed: int) -> list[Night]:
    room = Room(1000 * seed + batch + round(10_000_000 * effect))
    return [Night(room, effect) for _ in range(NIGHTS)]


def _share(way: Callable[[Night], bool], nights: Sequence[Night]) -> float:
    return sum(way(night) for night in nights) / len(nights)


def _runs(night: Night) -> int:
    night.metric()
    return night.runs


def _crept(drift: float, batch: int) -> float:
    """The share of histories with a change point; each landing is measured in a session of its own."""
    room = Room(90_000 + batch)
    histories = (
        [room.runs(1, room.session() * (1 + drift) ** landing)[0] for landing in range(LANDINGS)]
        for _ in range(NIGHTS // 4)
    )
    return statistics.mean(creep(history) is not None for history in histories)
