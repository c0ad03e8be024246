"""What the state knows of spending: what was used by whom, what is held for runs under way, which providers pause."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Dimension = Literal["tokens", "cost", "turns", "wall", "runs"]
DIMENSIONS: tuple[Dimension, ...] = ("tokens", "cost", "turns", "wall", "runs")


@dataclass
class Tally:
    """What was used. cost: dollars; wall: seconds. The untold are runs of which nobody said it: their share is unknown,
    and not 0."""

    tokens: int = 0
    cost: float = 0.0
    turns: int = 0
    wall: float = 0.0
    runs: int = 0
    untold_tokens: int = 0
    untold_cost: int = 0

    def of(self, dimension: Dimension) -> float:
        return float(getattr(self, dimension))


@dataclass
class Held:
    """What is kept free for a run under way, and whose it is. provider: "" where nobody outside is asked. told: what
    the run said of itself has been counted. `at`: UTC seconds of its start."""

    order: str
    role: str
    agent: str
    provider: str = ""
    tokens: int = 0
    cost: float = 0.0
    turns: int = 0
    wall: float = 0.0
    runs: int = 1
    at: float = 0.0
    told: bool = False
    told_cost: bool = False

    def of(self, dimension: Dimension) -> float:
        return float(getattr(self, dimension))


@dataclass
class Typical:
    """What a run of a role with an agent takes: moving means over the runs that told it; `n` of each."""

    n: dict[str, int] = field(default_factory=dict[str, int])
    mean: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, dimension: Dimension, amount: float) -> None:
        """A tenth of it at least, so that the last runs count most."""
        count = self.n[dimension] = self.n.get(dimension, 0) + 1
        before = self.mean.get(dimension, 0.0)
        self.mean[dimension] = before + (amount - before) / min(count, 10)


@dataclass
class Provider:
    """One that was at its limit. until: UTC seconds; 0 when it is not paused. strikes: limits in a row, without an
    ordinary end of a run between. asks: it stays paused until a person lets it go on.

    claims: orders whose runs ended at the limit, with how many of these claims a run of another order was against that
    ended well afterwards; `open_claims`: those of which none has ended yet."""

    until: float = 0.0
    why: str = ""
    since: float = 0.0
    strikes: int = 0
    asks: bool = False
    claims: dict[str, int] = field(default_factory=dict[str, int])
    open_claims: list[str] = field(default_factory=list[str])

    @property
    def paused(self) -> bool:
        return self.until > 0 or self.asks


@dataclass
class Spending:
    """night: since the engine started. orders: for good. roles: of the night. typical: by `role/agent`. held: by run.
    charged: order -> the number of its last run that was counted, so that none is counted twice."""

    night: Tally = field(default_factory=Tally)
    orders: dict[str, Tally] = field(default_factory=dict[str, Tally])
    roles: dict[str, Tally] = field(default_factory=dict[str, Tally])
    typical: dict[str, Typical] = field(default_factory=dict[str, Typical])
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    charged: dict[str, int] = field(default_factory=dict[str, int])
    providers: dict[str, Provider] = field(default_factory=dict[str, Provider])
    memory_room: int | None = None
    """How many more runs the machine's memory has room for; None: as many as are wanted."""
    used_up: list[str] = field(default_factory=list[str])
    """Budgets of the night and its roles that let nothing start which could, a sentence each."""
