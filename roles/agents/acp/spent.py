"""What a session has used, as far as the agent tells it. What nobody has said is unknown (None), never 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

from engine.models.handoffs import MAX_COST, MAX_TOKENS
from engine.models.usage import Usage, dollars, told
from roles.agents.acp.known import Scope


@dataclass
class Spent:
    """Tokens are summed over the turns, the cost is the session's latest. `sources`: where the figures were found.
    `scope`: what the figures of a turn count; with `step` the sum is less than what was spent."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    total: int | None = None
    cost: float | None = None
    currency: str = ""
    scope: Scope = "turn"
    sources: list[str] = field(default_factory=list[str])

    def turn(self, response: dict[str, Any]) -> None:
        """The answer to a prompt: `usage` as the protocol says it, or `_meta.quota.token_count` (Gemini CLI 0.61)."""
        usage = _object(response.get("usage"))
        if usage:
            self._add("PromptResponse.usage", usage, "inputTokens", "outputTokens", "cachedReadTokens", "totalTokens")
            return
        counted = _object(_object(_object(response.get("_meta")).get("quota")).get("token_count"))
        if counted:
            self._add("_meta.quota.token_count", counted, "input_tokens", "output_tokens", "cached_tokens", "total")

    def update(self, update: dict[str, Any]) -> None:
        """A `usage_update`: `cost` is the session's so far. `used` is what fills the context, not what was spent."""
        cost = _object(update.get("cost"))
        amount = cost.get("amount")
        if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount <= MAX_COST:
            self.cost, self.currency = float(amount), str(cost.get("currency", ""))[:8]
            self._seen("usage_update.cost")

    @property
    def tokens(self) -> int | None:
        """All of them; cached ones count as input."""
        if self.total is not None:
            return self.total
        known = [each for each in (self.input, self.output) if each is not None]
        return sum(known) if known else None

    def usage(self) -> Usage:
        """The same as the record of all agents; a cost in another currency than dollars is none of it."""
        cost = dollars(self.cost) if self.currency in ("", "USD") else None
        return told(
            tokens_in=self.input,
            tokens_out=self.output,
            tokens_cached=self.cached,
            total=self.total,
            cost=cost,
            source=", ".join(self.sources),
            scope=self.scope,
        )

    def record(self) -> dict[str, Any]:
        """As it is kept beside the run: the record of all agents, and what else is known."""
        return {**self.usage().model_dump(), "tokens": self.tokens, "currency": self.currency}

    def _add(self, source: str, said: dict[str, Any], *names: str) -> None:
        for mine, theirs in zip(("input", "output", "cached", "total"), names, strict=True):
            count = said.get(theirs)
            if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < MAX_TOKENS:
                setattr(self, mine, min((getattr(self, mine) or 0) + count, MAX_TOKENS - 1))
        self._seen(source)

    def _seen(self, source: str) -> None:
        if source not in self.sources:
            self.sources.append(source)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def finite(value: float | None) -> float:
    """What goes where a number is needed."""
    return value if value is not None and math.isfinite(value) else 0.0
