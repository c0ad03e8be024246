"""How often two changes that are good alone are red together: learned from what became of changes."""

from __future__ import annotations

from dataclasses import dataclass

PRIOR = 0.04
PRIOR_WEIGHT = 50.0


@dataclass
class ConflictRate:
    """A running estimate of the probability that two overlapping changes, written side by side, do not go together.

    Starts at 4 %, with the weight of 50 seen pairs.
    """

    conflicts: float = PRIOR * PRIOR_WEIGHT
    pairs: float = PRIOR_WEIGHT

    @property
    def rate(self) -> float:
        return self.conflicts / self.pairs

    def survives(self, exposure: float) -> float:
        """Probability that a good change goes together with what landed beside it. exposure: how many overlapping
        changes that was, in expectation."""
        return (1 - self.rate) ** exposure

    def decided(self, exposure: float, belief: float, *, landed: bool) -> None:
        """A change was decided. belief: how likely it was to be good on its own. Of a rejection, the share counts that
        a conflict explains better than the change itself does."""
        if exposure <= 0:
            return
        if not landed:
            self.conflicts += 1 - (1 - belief) / max(1e-9, 1 - belief * self.survives(exposure))
        self.pairs += exposure
