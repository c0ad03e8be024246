"""Who broke it: a Bayesian search over a history for the change that turned something red, or for nobody. Pure.

`Search(n).next_step(observations)` is a function of what has been seen so far, so a search can be folded from a journal
and goes on after a crash with the same answer. Suspects are indexes 0 to n - 1, older before newer; `GOOD_END` (-1) is
the commit before them that is believed good, and the newest suspect is the bad end.
"""

from engine.culprit.rates import Rates
from engine.culprit.search import Search
from engine.culprit.steps import (
    GOOD_END,
    Culprit,
    Nobody,
    Observation,
    Outcome,
    Probe,
    Range,
    Step,
    Unresolved,
)

__all__ = [
    "GOOD_END",
    "Culprit",
    "Nobody",
    "Observation",
    "Outcome",
    "Probe",
    "Range",
    "Rates",
    "Search",
    "Step",
    "Unresolved",
]
