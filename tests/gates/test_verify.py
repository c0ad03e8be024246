"""What a stranger can check: with our command, and with openssl alone."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import UserError
from gates.sign import PAYLOAD_TYPE, open_keys
from gates.strict_json import canonical
from gates.verify import recipe, verify_commit, verify_range, verify_report
from tests.gates.bench import Bench, gate

openssl = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("sh") is None, reason="needs the openssl program and a shell"
)


async def envelope_of(bench: Bench) -> Path:
    return bench.store.path((await bench.gates(bench.base_tree, gate())).digest)


def run_recipe(envelope: Path, key: Path) -> subprocess.CompletedProcess[str]:
    script = "set -e\n" + "\n".join(recipe(envelope, key))
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


@openssl
async def test_openssl_alone_accepts_the_envelope_and_names_its_tree(bench: Bench) -> None:
    done = run_recipe(await envelope_of(bench), bench.public_key)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Signature Verified Successfully", bench.base_tree]


@openssl
async def test_openssl_alone_refuses_what_was_tampered_with(bench: Bench, tmp_path: Path) -> None:
    good = await envelope_of(bench)
    fields = json.loads(good.read_bytes())
    payload = base64.b64decode(fields["payload"])
    for number, changed in enumerate(
        (
            {**fields, "payload": base64.b64encode(payload.replace(b'"green"', b'"GREEN"')).decode()},
            {**fields, "payload": base64.b64encode(payload.replace(bench.base_tree.encode(), b"0" * 40)).decode()},
            {**fields, "signatures": [{**fields["signatures"][0], "sig": base64.b64encode(b"\1" * 64).decode()}]},
        )
    ):
        bad = tmp_path / f"bad {number}'s"
        bad.write_bytes(canonical(changed) + b"\n")
        assert run_recipe(bad, bench.public_key).returncode != 0
        assert not verify_report(bad.read_bytes(), bench.signer.verify_key).ok
    copy = tmp_path / "good 'copy'"
    shutil.copy(good, copy)
    assert run_recipe(copy, bench.public_key).returncode == 0
    open_keys(tmp_path / "other")
    assert run_recipe(good, tmp_path / "other" / "public.pem").returncode != 0


async def test_a_report_is_good_for_its_own_tree_base_and_policy_only(bench: Bench) -> None:
    envelope = (await envelope_of(bench)).read_bytes()
    key = bench.signer.verify_key
    assert verify_report(envelope, key, tree=bench.base_tree, base=bench.base_tree, policy="sha256:policy").ok
    for wrong in ({"tree": "0" * 40}, {"base": "0" * 40}, {"policy": "sha256:weaker"}):
        verified = verify_report(envelope, key, **wrong)
        assert verified.report is not None
        assert len(verified.problems) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('"_type"', '"_type":"x","_type"', 1), "twice"),
        (
            lambda text: text.replace('"in-toto.io', '"x', 1).replace(
                "verification-report/v1", "verification-report/v0"
            ),
            "type",
        ),
        (lambda text: text.replace('"gitTree":"', '"gitTree":"0', 1), "subject"),
        (lambda text: text.replace('"schema_version":1', '"schema_version":0'), "schema version"),
        (lambda text: text.replace('"result":"green"', '"result":"fine"'), "malformed"),
        (lambda text: text.replace('"duration_s":', '"x":NaN,"duration_s":'), "NaN"),
        (lambda text: "[]", "statement"),
    ],
)
async def test_even_a_signed_statement_has_to_be_exactly_one(
    bench: Bench, change: Callable[[str], str], why: str
) -> None:
    payload = bench.signer.verify_key.open((await envelope_of(bench)).read_bytes()).decode("ascii")
    verified = verify_report(bench.signer.envelope(change(payload).encode("ascii")), bench.signer.verify_key)
    assert verified.report is None
    assert why in verified.problems[0]


def test_a_key_that_is_none_is_a_user_error(tmp_path: Path) -> None:
    from gates.sign import VerifyKey

    with pytest.raises(UserError, match="public_key"):
        VerifyKey.load(tmp_path / "absent.pem")


async def land(bench: Bench, tree: str, **fields: str) -> str:
    """Land a tree as the engine does; the commit."""
    main = bench.hub.main()
    signed = await bench.gates(tree, gate(), base_tree=main.tree, base_commit=main.commit, **fields)
    commit = bench.hub.commit(tree, [main.commit], f"Land it\n\nWork-Order: wo\nReport: {signed.digest}\n", 0.0)
    assert bench.hub.move_main(commit, main.commit)
    return commit


async def test_a_landed_commit_is_proved_and_a_persons_is_listed_as_unproven(bench: Bench) -> None:
    commit = await land(bench, bench.change({"x": "y"}))
    said = verify_commit(bench.hub, bench.store, bench.signer.verify_key, commit)
    assert (said.status, said.problems) == ("proved", ())
    listed = verify_range(bench.hub, bench.store, bench.signer.verify_key, None, commit)
    assert [one.status for one in listed] == ["unproven", "proved"]


async def test_a_borrowed_trailer_proves_nothing(bench: Bench) -> None:
    tree = bench.change({"x": "y"})
    honest = await land(bench, tree)
    digest = verify_commit(bench.hub, bench.store, bench.signer.verify_key, honest).digest
    other = bench.change({"x": "z"})
    for forged in (
        bench.hub.commit(other, [bench.base], f"a\n\nReport: {digest}\n", 0.0),  # another tree
        bench.hub.commit(tree, [honest], f"a\n\nReport: {digest}\n", 0.0),  # another base
        bench.hub.commit(other, [bench.base], f"a\n\nBatch-Report: {digest}\n", 0.0),  # no batch
        bench.hub.commit(tree, [bench.base], f"a\n\nReport: sha256:{'0' * 64}\n", 0.0),  # no report
        bench.hub.commit(tree, [bench.base], f"a\n\nReport: {digest}\nReport: {digest}\n", 0.0),
    ):
        said = verify_commit(bench.hub, bench.store, bench.signer.verify_key, forged)
        assert said.status == "false", said
        assert said.problems


async def test_an_earlier_commit_of_a_batch_leans_on_its_tip(bench: Bench) -> None:
    main = bench.hub.main()
    first, second = bench.change({"x": "y"}), bench.change({"x": "y", "z": "1"})
    signed = await bench.gates(second, gate())
    earlier = bench.hub.commit(first, [main.commit], f"a\n\nBatch-Report: {signed.digest}\n", 0.0)
    tip = bench.hub.commit(second, [earlier], f"b\n\nReport: {signed.digest}\n", 0.0)
    bench.hub.move_main(tip, main.commit)
    assert verify_commit(bench.hub, bench.store, bench.signer.verify_key, earlier).status == "batch"


async def test_a_report_by_hand_or_a_red_one_is_no_proof_of_a_landing(bench: Bench) -> None:
    by_hand = await land(bench, bench.change({"x": "y"}), kind="gates")
    assert verify_commit(bench.hub, bench.store, bench.signer.verify_key, by_hand).status == "false"


def test_the_recipe_names_the_payload_type_once_and_right() -> None:
    assert f"DSSEv1 28 {PAYLOAD_TYPE} %d " in "\n".join(recipe(Path("e"), Path("k")))
