"""Results of gates, and the verification report's predicate."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

GateOutcome = Literal["green", "red", "timeout", "error", "skipped"]
TestOutcome = Literal["passed", "failed", "skipped"]
ReportKind = Literal["land", "restore", "gates"]


class _Grown(BaseModel):
    """Readers ignore keys that a later minor version added."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class GateResult(_Grown):
    """What one gate said about one tree. `reason` is one sentence when the result is not green."""

    name: str
    result: GateOutcome
    cached: bool = False
    reason: str = ""
    executed: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    lost: list[str] = []
    failing: list[str] = []
    duration_s: float = 0.0
    argv: list[str] = []
    program: str = ""
    exit_code: int | None = None
    log: str = ""
    """Digest (`sha256:…`) of the log artifact."""
    tests: str = ""
    """Digest of the artifact with the outcome per test id (a JSON object id -> passed|failed|skipped)."""
    env: list[str] = []
    definition: str = ""
    """Digest of the gate's definition."""


class GuardResult(_Grown):
    """What one guard said about a change. `rule` names the guard; `paths` are the offending ones."""

    rule: str
    ok: bool
    reason: str = ""
    paths: list[str] = []


class VerificationReport(_Grown):
    """Predicate `verification-report/v1`: everything that was seen on one tree. Ids are full git object ids."""

    schema_version: int = 1
    kind: ReportKind
    result: Literal["green", "red", "error"]
    tree: str
    base: str
    """Tree id of main when the gates ran."""
    base_commit: str = ""
    repository: str
    """The id of the root commit: which repository this is about."""
    change: str = ""
    work_order: str = ""
    policy: str
    """Digest of the definitions of gates, guards and canary."""
    gates: list[GateResult] = []
    guards: list[GuardResult] = []
    reasons: list[str] = []
    sandbox: dict[str, bool] = {}
    sandbox_backend: str = "none"
    toolchain: dict[str, str] = {}
    flags: list[str] = []
    """Said openly, e.g. `unproven-goal`, `shell`."""
    previous: str = ""
    """kind restore: digest of the report that first proved this tree."""
    reproduce: list[str] = []
    started_at: str = ""
    finished_at: str = ""
    extra: dict[str, Any] = {}
