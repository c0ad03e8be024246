"""Handoffs: the only thing that roles give each other. Size and depth are capped before they are parsed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.text.strict_json import JsonRefused, loads

MAX_BYTES = 262_144
MAX_DEPTH = 12
MAX_TOKENS = 1 << 53
MAX_COST = 1e6
"""What one run may claim. Far more than any run takes, and sums of it stay finite."""


class Handoff(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChangeSummary(Handoff):
    """Implementer: what was changed, what could go wrong, how to take it back."""

    summary: str = Field(max_length=20_000)
    risk: str = Field(default="", max_length=20_000)
    rollback: str = Field(default="", max_length=20_000)
    evidence: list[str] = []
    asks: list[str] = Field(default=[], max_length=10)
    """Danger classes (dependency, protected_file, golden, ...) that a person should be asked about, if guards deny
    the change for them, instead of another attempt."""
    tokens: int = Field(default=0, ge=0, lt=MAX_TOKENS)
    cost: float = Field(default=0.0, ge=0, le=MAX_COST)


class Abort(Handoff):
    """Implementer: the work order cannot be done as written, for instance because the specification contradicts
    the test."""

    abort: str = Field(min_length=1, max_length=20_000)


class DesignContract(Handoff):
    """Architect: interfaces, invariants and order of migration."""

    interfaces: list[str] = []
    invariants: list[str] = []
    module_map: dict[str, str] = {}
    forbidden_imports: list[str] = []
    migration: list[str] = []


class TestPlan(Handoff):
    """Verifier: tests that should fail first, and review notes."""

    __test__ = False
    tests: list[str] = []
    stress: list[str] = []
    goldens: list[str] = []
    notes: str = ""


class BuildNotes(Handoff):
    """Builder: what made builds slow, and the proposed orders."""

    findings: list[str] = []
    proposed: list[str] = []


class Triage(Handoff):
    """Triager: one clustered regression."""

    title: str
    suspects: list[str]
    evidence: list[str] = []
    repro: list[str] = []
    probability: float = Field(default=1.0, ge=0, le=1)


class Decision(Handoff):
    """Scribe: one recorded decision."""

    title: str
    context: str = ""
    decision: str
    consequences: str = ""


HANDOFFS: dict[str, type[Handoff]] = {
    "implementer": ChangeSummary,
    "architect": DesignContract,
    "verifier": TestPlan,
    "builder": BuildNotes,
    "triager": Triage,
    "scribe": Decision,
}


class HandoffError(ValueError):
    """A handoff that cannot be taken; the message says why, for the agent to read."""


def parse_handoff(
    raw: bytes, role: Literal["implementer", "architect", "verifier", "builder", "triager", "scribe"]
) -> Handoff:
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
