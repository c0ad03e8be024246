"""The two-stage rule: five pairs of runs, and fifteen fresh ones before anything is called worse.

The second stage does not look at the numbers of the first, which were chosen for looking bad: so its level holds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from canary.judge.budgets import Limit
from canary.judge.ranks import holm, mann_whitney
from canary.judge.sides import Sides
from engine.ports import MetricVerdict

FIRST_PAIRS = 5
FRESH_PAIRS = 15
LOOK_AGAIN = 0.025
"""A median that moved by more than this share is looked at again."""
WORSE = 0.03
"""Below this share nothing is called worse or better, however sure it is."""
LEVEL = 0.005
"""Of the second stage: what a revert or a bug work order needs."""
KIND_LEVEL = 0.05
"""To be called better, which changes nothing, and to break a budget that is a share of last good's."""
Word = Literal["same", "worse", "better", "over-budget", "unknown"]


@dataclass(frozen=True)
class Metric:
    """One sample of one flow, measured on both sides. `fresh` is the second stage, None where there was none."""

    flow: str
    sample: str
    unit: str
    better: str
    first: Sides
    fresh: Sides | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def sides(self) -> Sides:
        """The numbers that count."""
        return self.fresh or self.first


def wants_fresh(metric: Metric) -> bool:
    """Whether the first stage gives reason for a second."""
    if metric.first.pairs < FIRST_PAIRS:
        return False
    beside = any(limit.broken_beside(*metric.first.medians(), metric.better) for limit in metric.limits)
    return beside or metric.first.worse(metric.better) > LOOK_AGAIN


def judge(metrics: Sequence[Metric]) -> list[MetricVerdict]:
    """The verdict on each metric, in the same order; each p is corrected for all of them."""
    tested = [_tested(metric.sides) for metric in metrics]
    return [_judge(metric, p) for metric, p in zip(metrics, holm(tested), strict=True)]


def _tested(sides: Sides) -> float:
    return mann_whitney(sides.before, sides.after) if sides.pairs >= FIRST_PAIRS else 1.0


def _judge(metric: Metric, p: float) -> MetricVerdict:
    sides = metric.sides
    if not sides.after:
        return _said(metric, 0.0, 0.0, p, "unknown", "the new commit gave no such sample")
    if not sides.before:
        after = statistics.median(sides.after)
        broken = _broken_alone(metric, after)
        return _said(
            metric, 0.0, after, p, "over-budget" if broken else "unknown", broken or "last good gave no such sample"
        )
    before, after = sides.medians()
    moved = sides.worse(metric.better)
    sure = sides.pairs >= FIRST_PAIRS
    if broken := _broken_alone(metric, after):
        return _said(metric, before, after, p, "over-budget", broken)
    # With fewer pairs there is nothing to test, and a hard bound is a hard bound.
    if (share := _broken_beside(metric, before, after)) is not None and (p <= KIND_LEVEL or not sure):
        why = f"{_share(moved)} worse than last good, and the budget is {share:.3g} %"
        return _said(metric, before, after, p, "over-budget", why)
    if not sure:
        few = f"only {sides.pairs} {'run' if sides.pairs == 1 else 'runs'} a side, and fewer than {FIRST_PAIRS}"
        return _said(metric, before, after, p, "unknown", f"{few} say nothing")
    if metric.fresh is not None and moved > WORSE and p <= LEVEL:
        if any(limit.grants for limit in metric.limits):
            why = f"{_share(moved)} worse than last good, which the work order's budget grants"
            return _said(metric, before, after, p, "same", why)
        return _said(metric, before, after, p, "worse", f"{_share(moved)} worse than last good")
    if moved < -WORSE and p <= KIND_LEVEL:
        return _said(metric, before, after, p, "better", f"{_share(-moved)} better than last good")
    return _said(metric, before, after, p, "same", "")


def _broken_alone(metric: Metric, after: float) -> str:
    return next((why for limit in metric.limits if (why := limit.broken_alone(after, metric.unit))), "")


def _broken_beside(metric: Metric, before: float, after: float) -> float | None:
    """The tightest budget, in percent, that is broken."""
    broken = [
        limit.worse
        for limit in metric.limits
        if limit.worse is not None and limit.broken_beside(before, after, metric.better)
    ]
    return 100 * min(broken) if broken else None


def _share(moved: float) -> str:
    return "infinitely" if moved == float("inf") else f"{100 * moved:.1f} %"


def _said(metric: Metric, before: float, after: float, p: float, verdict: Word, reason: str) -> MetricVerdict:
    return MetricVerdict(
        metric.flow, metric.sample, metric.unit, metric.better, before, after, metric.sides.pairs, p, verdict, reason
    )
