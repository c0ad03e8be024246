"""Handoffs: the only thing that roles give each other. Size and depth are capped before they are parsed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.models.roadmap import WorkOrder
from engine.models.settings import RoleName
from engine.text.strict_json import JsonRefused, loads

MAX_BYTES = 262_144
MAX_DEPTH = 12
MAX_TOKENS = 1 << 53
MAX_COST = 1e6
"""What one run may claim. Far more than any run takes, and sums of it stay finite."""
MAX_ORDERS = 20
MAX_FORBIDDEN = 50
LONG, SHORT = 20_000, 300


class Handoff(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Spent(Handoff):
    """What the agent says that its run took; 0: not said."""

    tokens: int = Field(default=0, ge=0, lt=MAX_TOKENS)
    cost: float = Field(default=0.0, ge=0, le=MAX_COST)


class Changing(Spent):
    """Goes with changed files: what was changed, what could go wrong, how to take it back."""

    summary: str = Field(max_length=LONG)
    risk: str = Field(default="", max_length=LONG)
    rollback: str = Field(default="", max_length=LONG)
    asks: list[str] = Field(default=[], max_length=10)
    """Danger classes (dependency, protected_file, golden, ...) that a person should be asked about, if guards deny
    the change for them, instead of another attempt."""


class Proposing(Spent):
    """Names work orders that somebody else should do. A person takes them on, unless the settings let the swarm."""

    orders: list[WorkOrder] = Field(default=[], max_length=MAX_ORDERS)


class ChangeSummary(Changing):
    """Implementer."""

    evidence: list[str] = []


class Abort(Handoff):
    """Any role: the work order cannot be done as written, for instance because the specification contradicts the
    test."""

    abort: str = Field(min_length=1, max_length=LONG)


class WorkOrders(Proposing):
    """Coordinator: an item in work orders, none of which is too large for one change. `why`: how it was cut."""

    orders: list[WorkOrder] = Field(min_length=1, max_length=MAX_ORDERS)
    why: str = Field(default="", max_length=LONG)


class Forbidden(Handoff):
    """Files of `from` may not depend on `may_not`: names of the module map, or globs."""

    from_: str = Field(alias="from", min_length=1, max_length=SHORT)
    may_not: str = Field(min_length=1, max_length=SHORT)


class DesignContract(Changing):
    """Architect: interfaces, invariants, and the order of migration. module_map: name -> glob of its files."""

    interfaces: list[str] = []
    invariants: list[str] = []
    module_map: dict[str, str] = {}
    forbidden_imports: list[Forbidden] = Field(default=[], max_length=MAX_FORBIDDEN)
    migration: list[str] = []


class WrittenTest(Handoff):
    """`id` as the test runner names it; `why`: what it proves."""

    id: str = Field(min_length=1, max_length=SHORT)
    why: str = Field(default="", max_length=2_000)


class Tests(Changing):
    """Verifier: the tests that should fail first. `stress`, `goldens`: what should be added once the change has landed.
    `notes`: for whoever reviews the change."""

    __test__ = False
    tests: list[WrittenTest] = Field(min_length=1, max_length=200)
    stress: list[str] = Field(default=[], max_length=20)
    goldens: list[str] = Field(default=[], max_length=20)
    notes: str = Field(default="", max_length=LONG)


class BuildNotes(Changing, Proposing):
    """Builder: what makes builds slow, the change that mends it, or the orders that would."""

    findings: list[str] = []


class Triage(Proposing):
    """Triager: the words for one cluster of failures, and the orders that would mend it. probability: that they have
    one cause."""

    title: str = Field(max_length=SHORT)
    suspects: list[str] = []
    evidence: list[str] = []
    probability: float = Field(default=1.0, ge=0, le=1)


class Decision(Changing):
    """Scribe: the documents that tell what landed, and the decision that they record."""

    title: str = Field(default="", max_length=SHORT)
    decision: str = Field(default="", max_length=LONG)


HANDOFFS: dict[str, type[Handoff]] = {
    "coordinator": WorkOrders,
    "architect": DesignContract,
    "implementer": ChangeSummary,
    "verifier": Tests,
    "builder": BuildNotes,
    "triager": Triage,
    "scribe": Decision,
}


class HandoffError(ValueError):
    """A handoff that cannot be taken; the message says why, for the agent to read."""


def parse_handoff(raw: bytes, role: RoleName) -> Handoff:
    """The handoff in `raw` (UTF-8 JSON). Raises HandoffError with what was wrong; never trusts size or depth."""
    try:
        data = loads(raw, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except JsonRefused as error:
        raise HandoffError(f"the handoff cannot be taken: {error}") from error
    if not isinstance(data, dict):
        raise HandoffError("the handoff is not a JSON object")
    model = Abort if "abort" in data else HANDOFFS[role]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "handoff"
        raise HandoffError(f"{where}: {first['msg']}") from error
