"""Verification reports: what was seen on one git tree, signed and kept in the artifact store.

Beside each report lie envelopes for readers who know in-toto and not us: a test result for every gate with tests, and
the verdict. The report names them by digest, so that one signature holds all of it together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.models.report import SCHEMA_VERSION, GateResult, VerificationReport
from engine.models.roadmap import WorkOrder
from engine.ports import SignedReport
from engine.text.redact import Redactor
from gates.sign import Signer, VerifyKey
from gates.statement import REPORT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE, BadEnvelope, read_statement, statement_bytes
from gates.strict_json import digest

VERIFIER = "https://swarm-tui.dev/verifier/v1"
"""Who gives the verdict. Its number changes with the meaning of the properties."""
ONE_SIGNATURE = 1
"""The schema version whose reports may lack the SSH signature."""


class Reports:
    """Signs reports into the artifact store, without secrets, and reads them back."""

    def __init__(self, store: ArtifactStore, signer: Signer, redactor: Redactor | None = None) -> None:
        self._redactor = redactor or Redactor({})
        self._store = store
        self._signer = signer

    def sign(self, report: VerificationReport) -> SignedReport:
        """Sign and keep: first the test results and the verdict, then the report with their digests, and its SSH
        signature as a file. The digest is that of the report's envelope."""
        flag = self._signer.flag
        flags = list(dict.fromkeys([*report.flags, *([flag] if flag else [])]))
        report = report.model_copy(update={"schema_version": SCHEMA_VERSION, "flags": flags, "envelopes": []})
        report = VerificationReport.model_validate(self._redactor.redact_all(report.model_dump(mode="json")))
        beside = [self._store.put(self._signer.envelope(payload)) for payload in self._beside(report)]
        report = report.model_copy(update={"envelopes": beside})
        envelope = self._signer.envelope(statement(report))
        self._store.put(self._signer.verify_key.read(envelope).ssh)
        return SignedReport(self._store.put(envelope), report)

    def close(self) -> None:
        """Let the signer go."""
        self._signer.close()

    def load(self, digest: str) -> VerificationReport:
        """The report of an envelope in the store. Raises SwarmError when it is missing or another key signed it."""
        return open_report(self._store.get(digest), self._signer.verify_key)

    def _beside(self, report: VerificationReport) -> list[bytes]:
        results = [
            statement_bytes(report.tree, TEST_RESULT_TYPE, test_result(gate, self._outcomes(gate)))
            for gate in report.gates
            if gate.tests or gate.executed
        ]
        return [*results, statement_bytes(report.tree, VERDICT_TYPE, verdict(report))]

    def _outcomes(self, gate: GateResult) -> Mapping[str, str]:
        """The outcome per test id; {} when the list of a reused result is not in the store any more."""
        try:
            found: Any = self._store.get_json(gate.tests) if gate.tests else {}
        except SwarmError:
            return {}
        return {str(k): str(v) for k, v in cast("dict[Any, Any]", found).items()} if isinstance(found, dict) else {}


def order_digest(order: WorkOrder) -> str:
    """What a report says of the order that it was made for: `sha256:<hex>` of all that its text sets."""
    return digest(order.model_dump(mode="json", exclude_defaults=True))


def statement(report: VerificationReport) -> bytes:
    """The canonical bytes of the report's statement: what is signed."""
    return statement_bytes(report.tree, REPORT_TYPE, report.model_dump(mode="json"))


def test_result(gate: GateResult, outcomes: Mapping[str, str]) -> dict[str, Any]:
    """The in-toto predicate of one gate's tests. Warned: passed only when tried again, and so true of this tree only.
    A failure in quarantine stands among the failed ones, and the result is WARNED.

    Skipped and lost tests are in no list, since they neither passed nor failed; a gate that lost some is FAILED.
    """
    retried = set(gate.retried)
    passed = [test for test, outcome in sorted(outcomes.items()) if outcome == "passed"]
    failed = [test for test, outcome in sorted(outcomes.items()) if outcome == "failed"]
    result = "FAILED" if gate.result != "green" else "WARNED" if retried or gate.quarantined else "PASSED"
    described = (("definition of " + gate.name, gate.definition), ("log", gate.log), ("tests", gate.tests))
    return {
        "result": result,
        "configuration": [_descriptor(name, digest) for name, digest in described if digest],
        "passedTests": [test for test in passed if test not in retried],
        "warnedTests": [test for test in passed if test in retried],
        "failedTests": failed or sorted(gate.failing),
    }


def verdict(report: VerificationReport) -> dict[str, Any]:
    """The in-toto predicate "simple verification result": which properties hold. A red report has none."""
    policy = {"digest": {"sha256": report.policy.removeprefix("sha256:")}}
    return {
        "verifier": {"id": VERIFIER, "policy": policy},
        "timeCreated": report.finished_at,
        "properties": _properties(report) if report.result == "green" else [],
    }


def _properties(report: VerificationReport) -> list[str]:
    proof, trips = report.proof, {gate.tripwire for gate in report.gates} - {""}
    held = {
        "SWARM_GATES_GREEN": True,
        "SWARM_GUARDS_CLEAN": bool(report.guards) and all(guard.ok for guard in report.guards),
        "SWARM_TRIPWIRES_TRIPPED": trips == {"tripped"},
        "SWARM_FAIL_TO_PASS": proof is not None and bool(proof.fail_to_pass) and not proof.reasons,
        "SWARM_MERGE_APPROVED": report.kind in ("land", "restore"),
    }
    return [name for name, holds in held.items() if holds]


def _descriptor(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def open_report(envelope: bytes, key: VerifyKey) -> VerificationReport:
    """The report in an envelope that `key` signed. Raises BadEnvelope when anything about it is not as it should be."""
    opened = key.read(envelope)
    said = read_statement(opened.payload)
    if said.kind != REPORT_TYPE:
        raise BadEnvelope(f"the payload is not a statement of the type {REPORT_TYPE}, but of {said.kind}")
    version = said.predicate.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or not ONE_SIGNATURE <= version <= SCHEMA_VERSION:
        known = f"this program knows versions {ONE_SIGNATURE} to {SCHEMA_VERSION}"
        raise BadEnvelope(f"the report has schema version {str(version)[:20]}, and {known}")
    try:
        report = VerificationReport.model_validate(said.predicate)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "predicate"
        raise BadEnvelope(f"the report is malformed: {where}: {first['msg']}") from error
    if said.tree != report.tree:
        raise BadEnvelope("the statement's subject is not the tree of its report")
    if version > ONE_SIGNATURE and not opened.ssh:
        raise BadEnvelope("the envelope lacks the SSH signature that a report of this version has")
    return report


def require_green(report: VerificationReport, tree: str) -> None:
    """Raises SwarmError unless the report is green and about exactly this tree."""
    if report.result != "green" or report.tree != tree:
        said = f"{report.result} about the tree {report.tree[:12]}"
        raise SwarmError(f"the report says {said}, not green about {tree[:12]}")
