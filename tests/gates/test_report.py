"""Reports: three predicates about one tree, each signed, and believed by other people's tools too."""

import base64
import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # pyright: ignore[reportPrivateImportUsage]

from engine.errors import SwarmError
from engine.models.proof import Proof
from engine.models.report import SCHEMA_VERSION, GateResult, GuardResult, VerificationReport
from gates.report import Reports, open_report, require_green
from gates.report import test_result as result_predicate
from gates.report import verdict as verdict_predicate
from gates.sign import BadEnvelope, open_keys
from gates.signer_process import IN_PROCESS
from gates.statement import REPORT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE
from tests.gates.reported import Reported


@pytest.fixture
def reported(tmp_path: Path) -> Reported:
    return Reported(tmp_path)


def statement_in(envelope: bytes) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def all_envelopes(reported: Reported, **fields: Any) -> list[bytes]:
    signed = reported.sign(reported.base_tree, **fields)
    return [reported.store.get(digest) for digest in (*signed.report.envelopes, signed.digest)]


def test_each_gate_with_tests_has_its_result_and_the_tree_has_one_verdict(reported: Reported) -> None:
    lint = GateResult(name="lint", result="green", argv=["lint"])
    envelopes = all_envelopes(reported, gates=[reported.gate("unit"), lint, reported.gate("more")])
    said = [statement_in(envelope) for envelope in envelopes]
    assert [one["predicateType"] for one in said] == [TEST_RESULT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE, REPORT_TYPE]
    subject = [{"name": "main", "digest": {"gitTree": reported.base_tree}}]
    assert all(one["subject"] == subject for one in said)
    assert all(reported.signer.verify_key.read(envelope).ssh for envelope in envelopes)


def test_the_report_names_the_others_and_its_ssh_signature_lies_beside_it(reported: Reported) -> None:
    signed = reported.sign(reported.base_tree)
    envelope = reported.store.get(signed.digest)
    assert signed.report == open_report(envelope, reported.signer.verify_key)
    assert signed.report.schema_version == SCHEMA_VERSION
    assert len(signed.report.envelopes) == 2
    own, ssh = json.loads(envelope)["signatures"]
    digest = f"sha256:{hashlib.sha256(reported.signer.verify_key.read(envelope).ssh).hexdigest()}"
    assert (own["keyid"], ssh["keyid"]) == (reported.signer.verify_key.keyid, f"sshsig:{digest}")
    assert reported.store.get(digest) == base64.b64decode(ssh["sig"])
    assert reported.store.get(digest).startswith(b"-----BEGIN SSH SIGNATURE-----\n")


def test_the_same_report_has_the_same_digest(reported: Reported) -> None:
    assert reported.sign(reported.base_tree).digest == reported.sign(reported.base_tree).digest


def test_a_repository_with_sha256_names_its_trees_by_their_sha256(tmp_path: Path) -> None:
    reported = Reported(tmp_path, object_format="sha256")
    tree = reported.tree({"x": "y"})
    envelope = reported.store.get(reported.sign(tree).digest)
    assert len(tree) == 64
    assert statement_in(envelope)["subject"][0]["digest"] == {"gitTree": tree}
    assert open_report(envelope, reported.signer.verify_key).tree == tree


# ---- what is said


def test_a_test_result_lists_tests_by_outcome_and_says_with_what_it_was_made(reported: Reported) -> None:
    outcomes = {"a": "passed", "b": "failed", "c": "skipped", "d": "passed"}
    gate = reported.gate("unit", outcomes=outcomes)
    said = result_predicate(gate, outcomes)
    assert (said["result"], said["passedTests"], said["warnedTests"], said["failedTests"]) == (
        "FAILED", ["a", "d"], [], ["b"],
    )  # fmt: skip
    digests = [each["digest"]["sha256"] for each in said["configuration"]]
    assert digests == [digest.removeprefix("sha256:") for digest in (gate.definition, gate.log, gate.tests)]


def test_what_passed_only_when_tried_again_is_a_warning(reported: Reported) -> None:
    outcomes = {"a": "passed", "b": "passed"}
    said = result_predicate(reported.gate(outcomes=outcomes, retried=["b"]), outcomes)
    assert (said["result"], said["passedTests"], said["warnedTests"]) == ("WARNED", ["a"], ["b"])


def test_green_tests_in_a_gate_that_is_red_have_failed(reported: Reported) -> None:
    outcomes = {"a": "passed"}
    said = result_predicate(reported.gate(outcomes=outcomes, result="red", lost=["b"]), outcomes)
    assert said["result"] == "FAILED"


def test_the_verdict_names_only_what_holds(reported: Reported) -> None:
    tree = reported.base_tree

    def properties(**fields: Any) -> set[str]:
        return set(verdict_predicate(reported.report(tree, **fields))["properties"])

    plain = {"SWARM_GATES_GREEN", "SWARM_GUARDS_CLEAN", "SWARM_MERGE_APPROVED"}
    assert properties() == plain
    assert properties(kind="gates", guards=[]) == {"SWARM_GATES_GREEN"}
    assert properties(proof=Proof(fail_to_pass=["a"])) == plain | {"SWARM_FAIL_TO_PASS"}
    assert properties(gates=[reported.gate(tripwire="tripped")]) == plain | {"SWARM_TRIPWIRES_TRIPPED"}
    assert properties(gates=[reported.gate(tripwire="tripped"), reported.gate(tripwire="silent")]) == plain
    assert properties(result="red", guards=[GuardResult(rule="paths", ok=False)]) == set()


def test_how_it_was_signed_is_said_openly(reported: Reported) -> None:
    report = reported.report(reported.base_tree, flags=["shell"])
    assert Reports(reported.store, reported.signer).sign(report).report.flags == ["shell"]
    said_so = Reports(reported.store, open_keys(reported.keys, IN_PROCESS)).sign(report)
    assert said_so.report.flags == ["shell", IN_PROCESS]


def test_a_test_result_is_no_report(reported: Reported) -> None:
    *beside, report = all_envelopes(reported)
    open_report(report, reported.signer.verify_key)
    for envelope in beside:
        with pytest.raises(BadEnvelope, match="not a statement of the type"):
            open_report(envelope, reported.signer.verify_key)


def test_only_a_green_report_on_the_same_tree_is_good_for_a_restore(reported: Reported) -> None:
    green = reported.report(reported.base_tree)
    require_green(green, reported.base_tree)
    for report, tree in ((green, "0" * 40), (green.model_copy(update={"result": "red"}), reported.base_tree)):
        with pytest.raises(SwarmError, match="not green about"):
            require_green(report, tree)


# ---- other people's tools


def their_statement(said: dict[str, Any]) -> Statement:
    statement = Statement([], "", {})
    statement.pb.Clear()  # its own constructor sets what is to be checked
    Parse(json.dumps(said), statement.pb)
    return statement


def their_result() -> Any:
    return getattr(test_result_pb2, "TestResult")()  # noqa: B009 - generated, so no type checker knows it


def their_key(reported: Reported) -> SSlibKey:
    return SSlibKey.from_crypto(reported.signer.verify_key.key, keyid=reported.signer.verify_key.keyid)


def test_securesystemslib_accepts_all_and_refuses_what_was_tampered_with(reported: Reported) -> None:
    key = their_key(reported)
    for envelope in all_envelopes(reported):
        fields = json.loads(envelope)
        Envelope.from_dict(copy.deepcopy(fields)).verify([key], 1)
        payload = base64.b64decode(fields["payload"])
        tree = reported.base_tree.encode()
        for forged in (
            {**fields, "payload": base64.b64encode(payload.replace(tree, b"0" * 40)).decode()},
            {**fields, "payloadType": "text/plain"},
            {**fields, "signatures": fields["signatures"][1:]},
        ):
            with pytest.raises(VerificationError):
                Envelope.from_dict(copy.deepcopy(forged)).verify([key], 1)


def test_in_toto_reads_all_of_them_as_statements(reported: Reported) -> None:
    for envelope in all_envelopes(reported):
        said = statement_in(envelope)
        statement = their_statement(said)
        statement.validate()
        assert dict(statement.pb.subject[0].digest) == {"gitTree": reported.base_tree}
        for lacking in ({**said, "_type": "https://in-toto.io/Statement/v2"}, {**said, "subject": []}):
            with pytest.raises(ValueError):
                their_statement(lacking).validate()


def test_in_toto_reads_the_test_result_by_its_own_schema(reported: Reported) -> None:
    predicate = statement_in(all_envelopes(reported)[0])["predicate"]
    result = Parse(json.dumps(predicate), their_result())
    assert (result.result, list(result.passed_tests)) == ("PASSED", ["t.T.test_a", "t.T.test_b"])
    for descriptor in result.configuration:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    with pytest.raises(Exception, match="unheard"):
        Parse(json.dumps({**predicate, "unheard": 1}), their_result())


def test_the_verdict_has_the_fields_of_a_simple_verification_result(reported: Reported) -> None:
    """https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md"""
    predicate = statement_in(all_envelopes(reported)[1])["predicate"]
    assert set(predicate) == {"verifier", "timeCreated", "properties"}
    assert predicate["verifier"]["id"].startswith("https://")
    assert predicate["timeCreated"] == "2026-01-02T03:04:05.678Z"
    assert "SWARM_GATES_GREEN" in predicate["properties"]


def test_the_public_key_id_is_what_others_compute(reported: Reported) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = reported.signer.verify_key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert reported.signer.verify_key.keyid == hashlib.sha256(der).hexdigest()


def test_a_report_that_lost_its_list_of_tests_is_still_signed(reported: Reported) -> None:
    gate = reported.gate()
    reported.store.path(gate.tests).unlink()
    report: VerificationReport = reported.sign(reported.base_tree, gates=[gate]).report
    said = statement_in(reported.store.get(report.envelopes[0]))["predicate"]
    assert (said["result"], said["passedTests"]) == ("PASSED", [])
