"""Keys and envelopes: made once, private, and refusing everything that is not exactly what was signed."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import UserError
from gates.sign import PAYLOAD_TYPE, BadEnvelope, KeySigner, VerifyKey, open_keys, pae
from gates.strict_json import canonical


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return open_keys(tmp_path / "keys")


def test_pae_is_the_one_of_the_dsse_specification() -> None:
    assert pae(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    first, second = open_keys(tmp_path / "keys"), open_keys(tmp_path / "keys")
    assert first.verify_key.keyid == second.verify_key.keyid
    assert VerifyKey.load(tmp_path / "keys" / "public.pem").keyid == first.verify_key.keyid
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "allowed_signers",
        "public.pem",
        "signing.key",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    open_keys(tmp_path / "keys")
    assert (tmp_path / "keys" / "signing.key").stat().st_mode & 0o777 == 0o600


def test_many_first_uses_at_once_agree_on_one_key(tmp_path: Path) -> None:
    seen: list[str] = []
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait()
        seen.append(open_keys(tmp_path / "keys").verify_key.keyid)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_the_line_for_ssh_keygen_is_a_key_that_it_can_read(tmp_path: Path) -> None:
    open_keys(tmp_path / "keys")
    name, namespaces, kind, key = (tmp_path / "keys" / "allowed_signers").read_text(encoding="ascii").split()
    assert (name, namespaces) == ("swarm", 'namespaces="swarm-report@v1"')
    (tmp_path / "one.pub").write_text(f"{kind} {key}\n", encoding="ascii")
    told = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "one.pub")], capture_output=True, text=True, check=True)
    assert "ED25519" in told.stdout


def test_a_damaged_key_is_a_user_error(tmp_path: Path) -> None:
    open_keys(tmp_path / "keys")
    (tmp_path / "keys" / "signing.key").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="signing key"):
        open_keys(tmp_path / "keys")


def test_an_envelope_opens_to_the_bytes_that_were_signed(signer: KeySigner) -> None:
    payload = b'{"a": 1,  "b": 2}\n'
    envelope = signer.envelope(payload)
    assert envelope.count(b"\n") == 1
    assert signer.verify_key.open(envelope) == payload


def test_one_changed_byte_anywhere_is_refused(signer: KeySigner) -> None:
    envelope = signer.envelope(b'{"a":1}')
    signer.verify_key.open(envelope)
    for at in range(len(envelope)):
        changed = bytearray(envelope)
        for flipped in (0x01, 0x20, 0x80):
            changed[at] = envelope[at] ^ flipped
            with pytest.raises(BadEnvelope):
                signer.verify_key.open(bytes(changed))


def test_one_byte_more_or_less_anywhere_is_refused(signer: KeySigner) -> None:
    envelope = signer.envelope(b'{"a":1}')
    signer.verify_key.open(envelope)
    for at in range(len(envelope)):
        for changed in (envelope[:at] + envelope[at + 1 :], envelope[:at] + b" " + envelope[at:]):
            with pytest.raises(BadEnvelope):
                signer.verify_key.open(changed)


def test_another_key_is_refused_even_under_our_keyid(signer: KeySigner, tmp_path: Path) -> None:
    other = open_keys(tmp_path / "other")
    with pytest.raises(BadEnvelope, match="signed with the key"):
        signer.verify_key.open(other.envelope(b"{}"))
    only_ssh_is_ours = json.loads(other.envelope(b"{}"))
    only_ssh_is_ours["signatures"][1] = json.loads(signer.envelope(b"{}"))["signatures"][1]
    with pytest.raises(BadEnvelope, match="signed with the key"):
        signer.verify_key.open(canonical(only_ssh_is_ours) + b"\n")
    with pytest.raises(BadEnvelope, match="not one of this key"):
        other.verify_key.open(canonical(only_ssh_is_ours) + b"\n")
    posing = KeySigner(other.private, signer.verify_key)
    with pytest.raises(BadEnvelope, match="signature"):
        signer.verify_key.open(posing.envelope(b"{}"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('{"payload"', '{"payload":"AAAA","payload"', 1), "twice"),
        (lambda text: text.replace(PAYLOAD_TYPE, "text/plain"), "payload type"),
        (lambda text: text.replace('"signatures"', '"x":NaN,"signatures"'), "NaN"),
        (lambda text: text.replace(",", ", "), "canonical"),
        (lambda text: text.rstrip("\n"), "canonical"),
        (lambda text: json.dumps({**json.loads(text), "extra": 1}), "exactly the keys"),
        (lambda text: json.dumps({**json.loads(text), "signatures": []}), "one signature"),
        (lambda text: json.dumps({**json.loads(text), "signatures": json.loads(text)["signatures"] * 2}), "one signat"),
        (lambda text: json.dumps({**json.loads(text), "signatures": {}}), "one signature"),
        (lambda text: text.replace("sshsig:sha256:", "sshsig:sha512:"), "whose digest"),
        (lambda text: json.dumps({**json.loads(text), "payload": 3}), "strings"),
        (lambda text: json.dumps({**json.loads(text), "payload": "***"}), "base64"),
        (lambda text: "[" * 100_000, "plain JSON"),
        (lambda text: "", "plain JSON"),
    ],
)
def test_a_second_spelling_is_refused(signer: KeySigner, change, why: str) -> None:
    text = signer.envelope(b'{"a":1}').decode("ascii")
    with pytest.raises(BadEnvelope, match=why):
        signer.verify_key.open(change(text).encode("utf-8"))
