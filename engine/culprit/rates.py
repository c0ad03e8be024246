"""How often a run lies: the two rates, known, or learned in the course of the search."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, log1p

Weighted = tuple[tuple[float, float], ...]
"""(rate, weight) pairs; the weights add up to 1."""

_LEARNED_RED: Weighted = (
    (0.0, 0.5),
    (0.01, 0.05),
    (0.03, 0.075),
    (0.05, 0.075),
    (0.1, 0.1),
    (0.2, 0.125),
    (0.3, 0.05),
    (0.45, 0.025),
)
"""Half of all commands never flake. More of this would take more runs where nothing flakes, less would err more where
much does: chosen on planted histories (docs/benchmarks.md)."""
_LEARNED_GREEN: Weighted = (
    (0.0, 0.9),
    (0.02, 0.02),
    (0.05, 0.02),
    (0.1, 0.015),
    (0.2, 0.015),
    (0.35, 0.01),
    (0.5, 0.01),
    (0.7, 0.01),
)
"""A fault that shows only now and then is rarer."""


@dataclass(frozen=True)
class Rates:
    """`false_red`: a run of a good commit is red; `false_green`: a run of a bad commit is green. Each is a belief."""

    false_red: Weighted
    false_green: Weighted

    @staticmethod
    def known(false_red: float = 0.0, false_green: float = 0.0) -> Rates:
        """Rates that are taken as given; ValueError unless both are in [0, 1) and a bad commit is red more often."""
        if not (0 <= false_red < 1 and 0 <= false_green < 1 and false_red + false_green < 1):
            raise ValueError(f"no search is possible with rates {false_red} and {false_green}: their sum must be < 1")
        return Rates(((false_red, 1.0),), ((false_green, 1.0),))

    @staticmethod
    def learned(reds: int = 0, runs: int = 0) -> Rates:
        """Most commands never lie, some flake: rates that the search learns from its own runs.

        reds, runs: what is known from before, as `reds` false reds in `runs` runs of good commits (the flake history of
        the same flow); 0 of 0 where nothing is known.
        """
        if not 0 <= reds <= runs:
            raise ValueError(f"{reds} false reds in {runs} runs cannot be a history")
        # By logarithms: the likelihood of a long history is smaller than any number of the machine.
        likely = {rate: log(weight) + _likelihood(rate, reds, runs) for rate, weight in _LEARNED_RED}
        most = max(likely.values())
        weights = [(rate, exp(each - most)) for rate, each in likely.items()]
        total = sum(weight for _, weight in weights)
        return Rates(tuple((rate, weight / total) for rate, weight in weights if weight > 0), _LEARNED_GREEN)


def _likelihood(rate: float, reds: int, runs: int) -> float:
    """Natural logarithm of the probability of this history."""
    if rate == 0:
        return -inf if reds else 0.0
    return reds * log(rate) + (runs - reds) * log1p(-rate)
