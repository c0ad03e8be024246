"""The roadmap (`roadmap.toml`): items, their work orders, and known limitations."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from engine.models.base import Strict
from engine.models.settings import RoleName
from engine.models.units import Duration

OrderKind = Literal["feature", "fix", "refactor", "docs", "contract", "spike"]
ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ID_MAX = 64


def order_id(before: str, about: str, after: str = "") -> str:
    """The id of an order that the swarm adds about another; shortened with a digest where it would be too long."""
    whole = before + about + after
    if len(whole) <= ID_MAX:
        return whole
    digest = hashlib.sha256(about.encode("utf-8")).hexdigest()[:8]
    room = ID_MAX - len(before) - len(after) - len(digest) - 1
    return f"{before}{about[:room]}-{digest}{after}"


class Acceptance(Strict):
    """A command that is red on base and green on head."""

    name: str
    run: list[str] = Field(min_length=1)
    timeout: Duration = 60.0


class Item(Strict):
    id: str = Field(pattern=ID_PATTERN)
    title: str
    goal: str = ""


class Limitation(Strict):
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str


class WorkOrder(Strict):
    """The unit of work. Globs in `allow`, `deny`, `touches` are relative to the repository, with `**`."""

    id: str = Field(pattern=ID_PATTERN)
    item: str = ""
    title: str
    kind: OrderKind = "feature"
    role: RoleName = "implementer"
    """Who does it: which prompt, which handoff, and what follows from it."""
    goal: str = ""
    depends_on: list[str] = Field(default_factory=list[str])
    allow: list[str] = Field(default_factory=list[str])
    deny: list[str] = Field(default_factory=list[str])
    touches: list[str] = Field(default_factory=list[str])
    gates: list[str] = Field(default_factory=list[str])
    tests: list[str] = Field(default_factory=list[str])
    acceptance: list[Acceptance] = Field(default_factory=list[Acceptance])
    tests_changed: list[str] = Field(default_factory=list[str])
    tests_removed: list[str] = Field(default_factory=list[str])
    steady: list[str] = Field(default_factory=list[str])
    """Tests that flake, and that have to pass many times in a row with the change: a proof of its own."""
    resolves: list[str] = Field(default_factory=list[str])
    repro: list[str] = Field(default_factory=list[str])
    rollback: str = ""
    auto_revert: bool = True
    """False: main is not put back without a person once this has landed (the trailer `Auto-Revert: off`)."""
    budget: dict[str, str] = Field(default_factory=dict[str, str])
    priority: int = Field(default=5, ge=1, le=9)
    owner: str = ""
    needs_sandbox: list[str] = Field(default_factory=list[str])
    # `draft = true` keeps an order on the roadmap without offering it to the swarm.
    draft: bool = False


class Roadmap(Strict):
    """All of `roadmap.toml`."""

    schema_: Literal["roadmap/1"] = Field(default="roadmap/1", alias="schema")
    item: list[Item] = []
    work_order: list[WorkOrder] = []
    limitation: list[Limitation] = []
