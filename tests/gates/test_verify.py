"""What a stranger can check: with our command, and with openssl and ssh-keygen alone."""

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.git.door import UserGit
from engine.git.hub import CommitInfo, Hub
from engine.git.notes import attach, publish_notes
from engine.models.roadmap import WorkOrder
from gates.report import order_digest
from gates.sign import PAYLOAD_TYPE, VerifyKey, open_keys
from gates.strict_json import canonical
from gates.verify import Court, recipe, verify_report
from tests.gates.reported import POLICY, Reported, resigned, run_recipe

strangers_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("openssl", "ssh-keygen", "sh", "base64")),
    reason="needs openssl, ssh-keygen, base64 and a shell",
)


@pytest.fixture
def reported(tmp_path: Path) -> Reported:
    return Reported(tmp_path)


def tampered(envelope: bytes, base_tree: str) -> dict[str, bytes]:
    """The same envelope in every way that a forger without the key could try."""
    fields: dict[str, Any] = json.loads(envelope)
    payload, (own, ssh) = base64.b64decode(fields["payload"]), fields["signatures"]
    armored = base64.b64decode(ssh["sig"])

    def spelled(**changed: Any) -> bytes:
        return canonical({**fields, **changed}) + b"\n"

    def said(changed: bytes) -> bytes:
        return spelled(payload=base64.b64encode(changed).decode())

    broken = base64.b64encode(armored.replace(armored[40:44], armored[40:44].swapcase())).decode()
    return {
        "another tree": said(payload.replace(base_tree.encode(), b"0" * 40)),
        "another result": said(payload.replace(b'"green"', b'"greed"')),
        "no SSH signature": spelled(signatures=[own]),
        "only the SSH signature": spelled(signatures=[ssh]),
        "another signature": spelled(signatures=[{**own, "sig": base64.b64encode(b"\1" * 64).decode()}, ssh]),
        "a broken SSH signature": spelled(signatures=[own, {**ssh, "sig": broken}]),
        "an empty SSH signature": spelled(signatures=[own, {**ssh, "sig": ""}]),
    }


@strangers_tools
def test_a_stranger_accepts_the_envelope_and_reads_its_result_and_tree(reported: Reported) -> None:
    done = run_recipe(reported.store.path(reported.sign(reported.base_tree).digest), reported.public_key)
    assert done.returncode == 0, done.stderr
    openssl, ssh, *rest = done.stdout.splitlines()
    assert openssl == "Signature Verified Successfully"
    assert ssh.startswith('Good "swarm-report@v1" signature for swarm with ED25519 key')
    assert rest == ["result: green", reported.base_tree]
    assert done.stdout.endswith("\n")


@strangers_tools
def test_a_stranger_reads_red_of_a_red_report(reported: Reported) -> None:
    red = reported.sign(reported.base_tree, result="red", gates=[reported.gate(outcomes={"t": "failed"})])
    done = run_recipe(reported.store.path(red.digest), reported.public_key)
    assert (done.returncode, done.stdout.splitlines()[2]) == (0, "result: red")


@strangers_tools
def test_a_stranger_refuses_what_was_tampered_with_and_so_do_we(reported: Reported, tmp_path: Path) -> None:
    good = reported.envelope()
    for what, forged in tampered(good, reported.base_tree).items():
        bad = tmp_path / f"bad {what}'s"
        bad.write_bytes(forged)
        assert run_recipe(bad, reported.public_key).returncode != 0, what
        assert verify_report(forged, reported.signer.verify_key).report is None, what
    copy = tmp_path / "good 'copy'"
    copy.write_bytes(good)
    assert run_recipe(copy, reported.public_key).returncode == 0
    assert verify_report(good, reported.signer.verify_key).ok
    open_keys(tmp_path / "other")
    assert run_recipe(copy, tmp_path / "other" / "public.pem").returncode != 0


@strangers_tools
def test_the_recipe_for_a_commit_holds_for_that_commit_only(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    path, hub = reported.store.path(reported.digest_of(commit)), reported.hub.path
    good = run_recipe(path, reported.public_key, commit=commit, repository=hub)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, reported.hub.tree_of(commit)), good.stderr
    assert run_recipe(path, reported.public_key, commit=reported.base, repository=hub).returncode != 0


@strangers_tools
def test_the_recipe_reads_the_note_where_there_is_no_file(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    attach(reported.hub, commit, [reported.store.get(reported.digest_of(commit))], 0.0)
    reported.git("fetch", "-q", str(reported.hub.path), "main:landed")
    publish_notes(reported.hub, UserGit(reported.repo))
    options = {"commit": commit, "repository": reported.repo}
    done = run_recipe(Path("gone"), reported.public_key, note=commit, **options)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, reported.hub.tree_of(commit)), done.stderr
    assert run_recipe(Path("gone"), reported.public_key, note=reported.base, **options).returncode != 0


def test_a_report_is_good_for_its_own_tree_base_policy_and_repository_only(reported: Reported) -> None:
    envelope, key, tree = reported.envelope(), reported.signer.verify_key, reported.base_tree
    assert verify_report(envelope, key, tree=tree, base=tree, policy=POLICY, repository=reported.base).ok
    for name, wrong in {
        "tree": "0" * 40, "base": "0" * 40, "policy": f"sha256:{'6' * 64}", "repository": "0" * 40,
    }.items():  # fmt: skip
        verified = verify_report(envelope, key, **{name: wrong})
        assert verified.report is not None
        (problem,) = verified.problems
        assert name in problem
        assert wrong[:19] in problem
        assert ": " in problem  # what to do


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('"_type":"', '"_type":"x","_type":"', 1), "twice"),
        (lambda text: text.replace('"result":"green"', '"result":"red","result":"green"', 1), "twice"),
        (lambda text: text.replace("verification-report/v1", "verification-report/v0"), "types"),
        (lambda text: text.replace("verification-report/v1", "svr/v0.1"), "types"),
        (lambda text: text.replace("Statement/v1", "Statement/v0.1"), "type https://in-toto.io/Statement/v1"),
        (lambda text: text.replace('"gitTree":"', '"gitTree":"0', 1), "subject"),
        (lambda text: text.replace('{"gitTree":', '{"gitCommit":', 1), "subject"),
        (lambda text: text.replace('"tree":"', '"tree":"0', 1), "subject"),
        (lambda text: text.replace('"schema_version":2', '"schema_version":0'), "schema version 0"),
        (lambda text: text.replace('"schema_version":2', '"schema_version":3'), "schema version 3"),
        (lambda text: text.replace('"schema_version":2', '"schema_version":true'), "schema version"),
        (lambda text: text.replace('"result":"green"', '"result":"fine"'), "malformed"),
        (lambda text: text.replace('"duration_s":0.0', '"duration_s":NaN'), "NaN"),
        (lambda text: text.replace('"duration_s":0.0', '"duration_s":Infinity'), "Infinity"),
        (lambda text: text.replace('{"_type"', '{ "_type"', 1), "canonical"),
        (lambda text: text[:-1] + ',"extra":1}', "not an in-toto statement"),
        (lambda text: "[]", "statement"),
    ],
)
def test_even_a_signed_statement_has_to_be_exactly_one(
    reported: Reported, change: Callable[[str], str], why: str
) -> None:
    verified = verify_report(resigned(reported, change), reported.signer.verify_key)
    assert verified.report is None
    assert why in verified.problems[0]
    assert "swarm gates" in verified.problems[0]


def test_a_report_of_the_older_schema_needs_one_signature_only(reported: Reported) -> None:
    old = resigned(reported, lambda text: text.replace('"schema_version":2', '"schema_version":1'))
    fields = json.loads(old)
    single = canonical({**fields, "signatures": fields["signatures"][:1]}) + b"\n"
    for envelope in (old, single):
        assert verify_report(envelope, reported.signer.verify_key).ok
    new = json.loads(reported.envelope())
    stripped = canonical({**new, "signatures": new["signatures"][:1]}) + b"\n"
    assert "lacks the SSH signature" in verify_report(stripped, reported.signer.verify_key).problems[0]


def test_a_key_that_is_none_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="public_key"):
        VerifyKey.load(tmp_path / "absent.pem")


def court_of(reported: Reported) -> Court:
    return Court(reported.hub, reported.store, reported.signer.verify_key)


def test_a_landed_commit_is_proved_and_a_persons_is_listed_as_unproven(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    said = court_of(reported).judge(commit)
    assert (said.status, said.problems) == ("proved", ())
    listed = court_of(reported).judge_range(None, commit)
    assert [one.status for one in listed] == ["unproven", "proved"]


def test_a_borrowed_trailer_proves_nothing(reported: Reported) -> None:
    tree = reported.tree({"x": "y"})
    honest = reported.land(tree)
    digest = reported.digest_of(honest)
    other, commit = reported.tree({"x": "z"}), reported.hub.commit
    for forged, why in (
        (commit(other, [reported.base], f"a\n\nReport: {digest}\n", 0.0), "tree"),
        (commit(tree, [honest], f"a\n\nReport: {digest}\n", 0.0), "base"),
        (commit(other, [reported.base], f"a\n\nBatch-Report: {digest}\n", 0.0), "batch"),
        (commit(tree, [reported.base], f"a\n\nReport: sha256:{'0' * 64}\n", 0.0), "missing"),
        (commit(tree, [reported.base], f"a\n\nReport: {digest}\nReport: {digest}\n", 0.0), "more than one"),
    ):
        said = court_of(reported).judge(forged)
        assert said.status == "false", said
        assert why in said.problems[0]
    assert court_of(reported).judge(honest).status == "proved"


def batch(reported: Reported) -> tuple[str, str, str]:
    """Two commits that land together: the earlier one, the tip, the digest."""
    main = reported.hub.main()
    first, second = reported.tree({"x": "y"}), reported.tree({"x": "y", "z": "1"})
    signed = reported.sign(second)
    earlier = reported.hub.commit(first, [main.commit], f"a\n\nBatch-Report: {signed.digest}\n", 0.0)
    tip = reported.hub.commit(second, [earlier], f"b\n\nReport: {signed.digest}\n", 0.0)
    reported.hub.move_main(tip, main.commit)
    return earlier, tip, signed.digest


def test_an_earlier_commit_of_a_batch_leans_on_its_tip(reported: Reported) -> None:
    earlier, tip, _ = batch(reported)
    listed = court_of(reported).judge_range(reported.base, tip)
    assert [(one.commit, one.status) for one in listed] == [(earlier, "batch"), (tip, "proved")]


def test_a_long_batch_is_judged_with_one_look_at_main(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = reported.tree({"x": "y"})
    signed = reported.sign(tree)
    last = reported.base
    for number in range(12):
        last = reported.hub.commit(tree, [last], f"{number}\n\nBatch-Report: {signed.digest}\n", 0.0)
    tip = reported.hub.commit(tree, [last], f"tip\n\nReport: {signed.digest}\n", 0.0)
    reported.hub.move_main(tip, reported.base)
    alone = reported.hub.commit(tree, [tip], f"another\n\nBatch-Report: {signed.digest}\n", 0.0)
    reported.hub.move_main(alone, tip)
    looks: list[str] = []
    listed = Hub.commits_between

    def counted(hub: Hub, old: str | None, new: str, **more: Any) -> list[CommitInfo]:
        looks.append(new)
        return listed(hub, old, new, **more)

    monkeypatch.setattr(Hub, "commits_between", counted)
    said = [one.status for one in court_of(reported).judge_range(reported.base, alone)]
    assert said == [*["batch"] * 12, "proved", "false"]
    assert looks.count(alone) == 2, "the range, and main"
    assert len(looks) < 2 + 2 * 13
    assert [one.status for one in court_of(reported).judge_range(last, tip)] == ["proved"]


@pytest.mark.parametrize(
    ("fields", "why"), [({"kind": "gates"}, "by hand"), ({"result": "red"}, "says red")], ids=["by hand", "red"]
)
def test_a_report_by_hand_or_a_red_one_is_no_proof_of_a_landing(
    reported: Reported, fields: dict[str, str], why: str
) -> None:
    said = court_of(reported).judge(reported.land(reported.tree({"x": "y"}), **fields))
    assert said.status == "false"
    assert why in said.problems[0]


def test_without_the_artifact_the_note_proves_and_only_the_right_one(reported: Reported) -> None:
    earlier, tip, digest = batch(reported)
    other = reported.store.get(reported.sign(reported.base_tree).digest)
    path = reported.store.path(digest)
    envelope = path.read_bytes()
    path.unlink()
    court = Court(reported.hub, reported.store, reported.signer.verify_key, (reported.hub.git,))
    assert court.judge(tip).status == "false"
    attach(reported.hub, tip, [other], 0.0)
    assert court.judge(tip).status == "false"
    attach(reported.hub, tip, [envelope], 0.0)
    assert (court.judge(tip).status, court.judge(earlier).status) == ("proved", "batch")


def test_a_damaged_artifact_is_told_and_not_covered_up_by_a_note(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    path = reported.store.path(reported.digest_of(commit))
    attach(reported.hub, commit, [path.read_bytes()], 0.0)
    court = Court(reported.hub, reported.store, reported.signer.verify_key, (reported.hub.git,))
    assert court.judge(commit).status == "proved"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"e", b"f", 1))
    assert "damaged" in court.judge(commit).problems[0]


def test_an_envelope_beside_the_report_that_does_not_hold_refutes_it(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    court = court_of(reported)
    beside = reported.store.path(court.judge(commit).report.envelopes[-1])  # type: ignore[union-attr]
    assert court.judge(commit).status == "proved"
    beside.chmod(0o644)
    beside.write_bytes(beside.read_bytes().replace(b"e", b"f", 1))
    assert court.judge(commit).status == "false"
    beside.unlink()  # not here is not wrong: notes bring it, or it was cleaned away
    assert court.judge(commit).status == "proved"


def test_a_verdict_of_another_report_refutes_the_report_that_names_it(reported: Reported) -> None:
    tree, key = reported.tree({"x": "y"}), reported.signer.verify_key
    red = reported.sign(tree, result="red")
    report = reported.report(tree).model_copy(update={"envelopes": [red.report.envelopes[-1]]})
    from gates.report import statement

    digest = reported.store.put(reported.signer.envelope(statement(report)))
    commit = reported.hub.commit(tree, [reported.base], f"a\n\nReport: {digest}\n", 0.0)
    assert "contradicts" in Court(reported.hub, reported.store, key).judge(commit).problems[0]


def test_another_policy_than_the_bases_is_worth_a_remark(reported: Reported) -> None:
    commit = reported.land(reported.tree({"x": "y"}))
    for policy, remarks in ((POLICY, 0), ("", 0), (f"sha256:{'6' * 64}", 1)):
        asked: list[str] = []

        def policy_of(base: str, policy: str = policy, asked: list[str] = asked) -> str:
            asked.append(base)
            return policy

        said = Court(reported.hub, reported.store, reported.signer.verify_key, policy_of=policy_of).judge(commit)
        assert (said.status, len(said.remarks), asked) == ("proved", remarks, [reported.base])


def test_an_order_that_reads_otherwise_now_is_worth_a_remark(reported: Reported) -> None:
    then, now = (WorkOrder(id="wo", title=title) for title in ("what was asked", "something else"))
    commit = reported.land(reported.tree({"x": "y"}), work_order="wo", order=order_digest(then))
    for written, remarks in (([then], 0), ([now, then], 0), ([], 0), ([now], 1)):
        asked: list[tuple[list[str], str]] = []

        def orders_of(
            commits: Sequence[str], order: str, written: list[WorkOrder] = written, asked: list[Any] = asked
        ) -> set[str]:
            asked.append((list(commits), order))
            return {order_digest(one) for one in written}

        said = Court(reported.hub, reported.store, reported.signer.verify_key, orders_of=orders_of).judge(commit)
        assert (said.status, len(said.remarks), asked) == ("proved", remarks, [([commit, reported.base], "wo")])


def test_the_recipe_names_the_payload_type_once_and_right(reported: Reported) -> None:
    assert f"DSSEv1 28 {PAYLOAD_TYPE} %d " in "\n".join(recipe(Path("e"), reported.public_key))
