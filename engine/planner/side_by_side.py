"""How likely good changes are to be green together: with each other, and on top of what is assumed to have landed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Risk = Callable[[str, str], float]
"""Probability that two changes, each good, are red together."""


class Pairs:
    """Each pair is asked about once."""

    def __init__(self, risk: Risk) -> None:
        self._risk = risk
        self._known: dict[tuple[str, str], float] = {}

    def apart(self, one: str, other: str) -> float:
        """Probability that two good changes are green together."""
        pair = (one, other) if one < other else (other, one)
        if (known := self._known.get(pair)) is None:
            known = self._known[pair] = 1 - self._risk(*pair)
        return known


class Landed:
    """Changes that have landed, a group on top of those `before`: who comes on top is compared with the group alone."""

    def __init__(self, pairs: Pairs, before: Landed | None = None, group: Sequence[str] = ()) -> None:
        self.pairs, self.before, self.group = pairs, before, group
        self._known: dict[str, float] = {}

    def apart(self, name: str) -> float:
        """Probability that a good change is green on top of them."""
        if (known := self._known.get(name)) is None:
            known = 1.0 if self.before is None else self.before.apart(name)
            for other in self.group:
                known *= self.pairs.apart(name, other)
            self._known[name] = known
        return known

    def side_by_side(self, names: Sequence[str]) -> float:
        """Probability that good changes stay green together, and on top of them."""
        share = 1.0
        for place, name in enumerate(names):
            for other in names[place + 1 :]:
                share *= self.pairs.apart(name, other)
            share *= self.apart(name)
        return share
