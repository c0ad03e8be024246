"""Results of gates, and the verification report's predicate."""

from __future__ import annotations

from typing import Any, Literal

from engine.models.base import Grown
from engine.models.proof import Proof

GateOutcome = Literal["green", "red", "timeout", "error", "skipped"]
TestOutcome = Literal["passed", "failed", "skipped"]
ReportKind = Literal["land", "restore", "gates"]

SCHEMA_VERSION = 2
"""Of new reports, and of those that land. Since 2 a report has an SSH signature and names the envelopes beside it."""


class GateResult(Grown):
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
    tripwire: Literal["", "tripped", "silent"] = ""
    """Whether freshly made must-fail tests were reported as failed; "": this kind of results cannot have any."""
    retried: list[str] = []
    """Tests that failed first and passed when tried again on a fresh checkout: flaky, and true of this tree only."""
    control: dict[str, TestOutcome] = {}
    """What the failed tests did when they were run once more on main as it is: where they pass, it is the change."""
    quarantined: list[str] = []
    """Tests that failed and did not count: they are in quarantine, and the change does not touch them."""
    coverage: str = ""
    """Digest of the coverage report that the gate left, where the settings ask for it."""


class GuardResult(Grown):
    """What one guard said about a change. `rule` names the guard; `paths` are the offending ones."""

    rule: str
    ok: bool
    reason: str = ""
    paths: list[str] = []
    facts: list[str] = []
    """What a person needs to know to allow it, one clean line each: packages with version, source and hashes."""
    ask: str = ""
    """The danger class under which a person may allow what was refused: `protected_file`, `golden`, `dependency`,
    `large_file`; "": nobody is asked."""


class VerificationReport(Grown):
    """Predicate `verification-report/v1`: everything that was seen on one tree. Ids are full git object ids."""

    schema_version: int = SCHEMA_VERSION
    kind: ReportKind
    result: Literal["green", "red", "error"]
    tree: str
    base: str
    """Tree id of main when the gates ran."""
    base_commit: str = ""
    repository: str
    """The id of the root commit: which repository this is about."""
    change: str = ""
    changes: list[str] = []
    """Of a group that was tried and lands together: all its changes, in order; `change` is the last."""
    work_order: str = ""
    order: str = ""
    """Digest of that order's text as it was when this was proved; "": there was none, or an older program."""
    policy: str
    """Digest of the definitions of gates, guards and canary."""
    gates: list[GateResult] = []
    guards: list[GuardResult] = []
    reasons: list[str] = []
    sandbox: dict[str, bool] = {}
    sandbox_backend: str = "none"
    toolchain: dict[str, str] = {}
    proof: Proof | None = None
    """Test-first proof and what belongs to it; None where nothing had to be proved beyond the gates."""
    envelopes: list[str] = []
    """Digests of the other envelopes about this tree: one test result per test gate, and the verdict."""
    flags: list[str] = []
    """Said openly, e.g. `unproven-goal`, `shell`."""
    previous: str = ""
    """kind restore: digest of the report that first proved this tree."""
    reproduce: list[str] = []
    started_at: str = ""
    finished_at: str = ""
    extra: dict[str, Any] = {}
