"""What a run has used, in one record for all agents. What nobody has said is unknown (None), never 0."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from engine.models.base import Grown
from engine.models.handoffs import MAX_COST, MAX_TOKENS

Scope = Literal["", "run", "turn", "step"]


class Usage(Grown):
    """tokens_in: all that the model was given, cached or not; tokens_cached: those of them that came from a cache;
    tokens_out: reasoning included; total: where an agent gives one that is not their sum. cost: US dollars.

    source: who said it, as `claude result`. scope: what the figures count: `run` all of it; `turn` the turns that
    ended; `step` single calls of the model as they were seen, which may be less than was spent; "" nothing is known.
    """

    tokens_in: int | None = Field(default=None, ge=0, lt=MAX_TOKENS)
    tokens_out: int | None = Field(default=None, ge=0, lt=MAX_TOKENS)
    tokens_cached: int | None = Field(default=None, ge=0, lt=MAX_TOKENS)
    total: int | None = Field(default=None, ge=0, lt=MAX_TOKENS)
    cost: float | None = Field(default=None, ge=0, le=MAX_COST)
    source: str = ""
    scope: Scope = ""

    @property
    def tokens(self) -> int | None:
        """All of them; None when no figure is known."""
        if self.total is not None:
            return self.total
        known = [each for each in (self.tokens_in, self.tokens_out) if each is not None]
        return min(sum(known), MAX_TOKENS - 1) if known else None

    @property
    def known(self) -> bool:
        return self.tokens is not None or self.cost is not None

    def completed(self, other: Usage) -> Usage:
        """This one, with the tokens or the cost of `other` where it has none itself."""
        if not self.known:
            return other
        changes: dict[str, Any] = {}
        if self.tokens is None and other.tokens is not None:
            names = ("tokens_in", "tokens_out", "tokens_cached", "total")
            changes |= {name: getattr(other, name) for name in names}
        if self.cost is None and other.cost is not None:
            changes["cost"] = other.cost
        if not changes:
            return self
        return self.model_copy(update={**changes, "source": f"{self.source}, {other.source}"})


def told(**fields: Any) -> Usage:
    """A record of what a program said. A 0 is taken for unknown: no call of a model takes no tokens, and programs that
    know no price, or hear of no tokens from their provider, say 0. Without any figure it is the empty record."""
    said = Usage(**fields)
    if not said.tokens:
        said = said.model_copy(update=dict.fromkeys(("tokens_in", "tokens_out", "tokens_cached", "total")))
    if not said.cost:
        said = said.model_copy(update={"cost": None})
    return said if said.known else Usage()


def count(value: Any) -> int | None:
    """A number of tokens as somebody gave it; None where it makes no sense. `MAX_TOKENS` and more make none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value < MAX_TOKENS or value != int(value):
        return None
    return int(value)


def dollars(value: Any) -> float | None:
    """A cost as somebody gave it; None where it makes no sense."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        cost = float(value)
    except OverflowError:
        return None
    return cost if 0 <= cost <= MAX_COST else None


def added(*values: int | None) -> int | None:
    """The sum of those that are known; None when none is."""
    known = [each for each in values if each is not None]
    return min(sum(known), MAX_TOKENS - 1) if known else None
