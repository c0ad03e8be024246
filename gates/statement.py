"""in-toto statements v1 about one git tree: the bytes that are signed, and the only ones that are believed.

The subject is the tree alone, `{"gitTree": <40 or 64 hex digits>}`: a commit cannot contain the hash of a report about
itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from engine.errors import SwarmError
from gates.strict_json import JsonRefused, canonical, parse

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
REPORT_TYPE = "https://swarm-tui.dev/verification-report/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
VERDICT_TYPE = "https://in-toto.io/attestation/svr/v0.1"
PREDICATE_TYPES = (REPORT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE)
SUBJECT = "main"

_TREE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class BadEnvelope(SwarmError):
    """An envelope or statement that is malformed, or not signed by us. The message is one sentence without its stop."""


@dataclass(frozen=True)
class Statement:
    """What is said (`predicate`, of the type `kind`) about the tree with the full id `tree`."""

    tree: str
    kind: str
    predicate: dict[str, Any]


def statement_bytes(tree: str, kind: str, predicate: dict[str, Any]) -> bytes:
    """The canonical bytes of a statement: what is signed."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": SUBJECT, "digest": {"gitTree": tree}}],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


def read_statement(payload: bytes) -> Statement:
    """The statement in the signed bytes. Raises BadEnvelope unless it is one of ours, in its canonical form."""
    try:
        found: Any = parse(payload)
    except JsonRefused as error:
        raise BadEnvelope(f"the statement is {error}") from error
    fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if set(fields) != {"_type", "subject", "predicateType", "predicate"}:
        raise BadEnvelope("the payload is not an in-toto statement")
    if fields["_type"] != STATEMENT_TYPE:
        raise BadEnvelope(f"the payload is not a statement of the type {STATEMENT_TYPE}")
    if fields["predicateType"] not in PREDICATE_TYPES:
        raise BadEnvelope(f"the statement's predicate is of none of the types {', '.join(PREDICATE_TYPES)}")
    tree, predicate = _tree_of(fields["subject"]), fields["predicate"]
    if tree is None:
        raise BadEnvelope("the statement's subject is not exactly one git tree by its full id")
    if not isinstance(predicate, dict):
        raise BadEnvelope("the statement's predicate is not an object")
    if canonical(found) != payload:
        raise BadEnvelope("the statement is not in its canonical form")
    return Statement(tree, str(fields["predicateType"]), cast("dict[str, Any]", predicate))


def _tree_of(subject: Any) -> str | None:
    try:
        tree = subject[0]["digest"]["gitTree"]
    except (KeyError, IndexError, TypeError):
        return None
    whole = subject == [{"name": SUBJECT, "digest": {"gitTree": tree}}]
    return tree if whole and isinstance(tree, str) and _TREE.fullmatch(tree) else None
