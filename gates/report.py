"""Verification reports: an in-toto Statement v1 about one git tree, signed and kept in the artifact store.

The subject is the tree alone: a commit cannot contain the hash of a report about itself.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.models.report import VerificationReport
from engine.ports import SignedReport
from gates.sign import BadEnvelope, Signer, VerifyKey
from gates.strict_json import JsonRefused, canonical, parse

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://swarm-tui.dev/verification-report/v1"
SUBJECT = "main"


class Reports:
    """Signs reports into the artifact store, and reads them back."""

    def __init__(self, store: ArtifactStore, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    def sign(self, report: VerificationReport) -> SignedReport:
        """Sign and keep. The digest is that of the envelope's bytes."""
        return SignedReport(self._store.put(self._signer.envelope(statement(report))), report)

    def load(self, digest: str) -> VerificationReport:
        """The report of an envelope in the store. Raises SwarmError when it is missing or another key signed it."""
        return open_report(self._store.get(digest), self._signer.verify_key)


def statement(report: VerificationReport) -> bytes:
    """The canonical bytes of the in-toto statement: what is signed."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": SUBJECT, "digest": {"gitTree": report.tree}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": report.model_dump(mode="json"),
        }
    )


def open_report(envelope: bytes, key: VerifyKey) -> VerificationReport:
    """The report in an envelope that `key` signed. Raises BadEnvelope when anything about it is not as it should be."""
    try:
        found: Any = parse(key.open(envelope))
    except JsonRefused as error:
        raise BadEnvelope(f"the statement is refused: {error}") from error
    if not isinstance(found, dict):
        raise BadEnvelope("the payload is not an in-toto statement")
    fields = cast("dict[str, Any]", found)
    if fields.get("_type") != STATEMENT_TYPE or fields.get("predicateType") != PREDICATE_TYPE:
        raise BadEnvelope(f"the payload is not a statement of the type {PREDICATE_TYPE}")
    try:
        report = VerificationReport.model_validate(fields.get("predicate"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "predicate"
        raise BadEnvelope(f"the report is malformed: {where}: {first['msg']}") from error
    if report.schema_version != 1:
        raise BadEnvelope(f"the report has schema version {report.schema_version}, and this program knows version 1")
    if fields.get("subject") != [{"name": SUBJECT, "digest": {"gitTree": report.tree}}]:
        raise BadEnvelope("the statement's subject is not the tree of its report")
    return report


def require_green(report: VerificationReport, tree: str) -> None:
    """Raises SwarmError unless the report is green and about exactly this tree."""
    if report.result != "green" or report.tree != tree:
        said = f"{report.result} about the tree {report.tree[:12]}"
        raise SwarmError(f"the report says {said}, not green about {tree[:12]}")
