"""Hard bounds of a sample: `judge.budgets` of a flow, and `budget` of a work order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.creep import moved_worse
from engine.models.flow import Budget

_SHARE = re.compile(r"([+-]?)\s*(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Limit:
    """A bound in a sample's unit (`max`, `min`), or as a share of last good's (`worse`: 0.1 is a tenth).

    grants: what is within `worse` was wanted by the work order, and is no regression.
    """

    max: float | None = None
    min: float | None = None
    worse: float | None = None
    grants: bool = False

    def broken_alone(self, after: float, unit: str) -> str:
        """What bound `after` breaks whatever was before; "" for none."""
        if self.max is not None and after > self.max:
            return f"{_figure(after, unit)} is more than the budget of {_figure(self.max, unit)}"
        if self.min is not None and after < self.min:
            return f"{_figure(after, unit)} is less than the budget of {_figure(self.min, unit)}"
        return ""

    def broken_beside(self, before: float, after: float, better: str) -> bool:
        """Whether `after` is worse than `before` by more than the budget."""
        return self.worse is not None and moved_worse(before, after, better) > self.worse


def limit_of(text: str, better: str) -> Limit | None:
    """The limit that a work order's budget such as "+10%" sets; None when it cannot be read.

    A sign has to point to where the sample gets worse: "-10%" is for one of which more is better.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None or found[1] == ("-" if better == "lower" else "+"):
        return None
    return Limit(worse=float(found[2]) / 100, grants=True)


def limits_of(budgets: Iterable[Budget], sample: str) -> tuple[Limit, ...]:
    """A flow's limits of this sample."""
    return tuple(Limit(each.max, each.min, each.worse) for each in budgets if each.sample == sample)


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()
