"""SSH signatures: OpenSSH believes ours, we believe OpenSSH's, and neither believes a forgery."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gates import sshsig
from gates.sign import VerifyKey
from gates.sshsig import NAMESPACE, SshSignatureRefused

MESSAGE = b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs the ssh-keygen program")


@pytest.fixture
def private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def signed(private: Ed25519PrivateKey, message: bytes = MESSAGE) -> bytes:
    return sshsig.sign(message, private.public_key(), private.sign)


def openssh_says(
    folder: Path, key: Ed25519PrivateKey, armored: bytes, message: bytes, namespace: str = NAMESPACE
) -> int:
    (folder / "signers").write_bytes(VerifyKey.of(key.public_key()).allowed_signers)
    (folder / "sig").write_bytes(armored)
    argv = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "swarm", "-n", namespace, "-s", "sig"]
    return subprocess.run(argv, cwd=folder, input=message, capture_output=True, check=False).returncode


@ssh_keygen
def test_openssh_accepts_it_for_its_message_key_and_namespace_only(private: Ed25519PrivateKey, tmp_path: Path) -> None:
    armored = signed(private)
    assert openssh_says(tmp_path, private, armored, MESSAGE) == 0
    assert openssh_says(tmp_path, private, armored, MESSAGE + b"\n") != 0
    assert openssh_says(tmp_path, Ed25519PrivateKey.generate(), armored, MESSAGE) != 0
    assert openssh_says(tmp_path, private, armored, MESSAGE, "file") != 0


@ssh_keygen
def test_it_is_byte_for_byte_what_openssh_itself_makes(private: Ed25519PrivateKey, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key.chmod(0o600)

    def made(namespace: str) -> bytes:
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace]
        return subprocess.run(argv, input=MESSAGE, capture_output=True, check=True).stdout

    assert made(NAMESPACE) == signed(private)
    sshsig.verify(made(NAMESPACE), MESSAGE, private.public_key())
    with pytest.raises(SshSignatureRefused):
        sshsig.verify(made("git"), MESSAGE, private.public_key())


def test_another_message_or_key_is_refused(private: Ed25519PrivateKey) -> None:
    armored = signed(private)
    sshsig.verify(armored, MESSAGE, private.public_key())
    with pytest.raises(SshSignatureRefused, match="does not match"):
        sshsig.verify(armored, MESSAGE + b" ", private.public_key())
    with pytest.raises(SshSignatureRefused, match="not one of this key"):
        sshsig.verify(armored, MESSAGE, Ed25519PrivateKey.generate().public_key())


def test_a_flipped_bit_anywhere_is_refused(private: Ed25519PrivateKey) -> None:
    armored = signed(private)
    sshsig.verify(armored, MESSAGE, private.public_key())
    for at in range(len(armored)):
        changed = bytearray(armored)
        changed[at] ^= 0x01
        with pytest.raises(SshSignatureRefused):
            sshsig.verify(bytes(changed), MESSAGE, private.public_key())


@pytest.mark.parametrize(
    "respelled",
    [
        lambda armored: armored.replace(b"\n", b"\r\n"),
        lambda armored: armored + b"\n",
        lambda armored: armored.rstrip(b"\n"),
        lambda armored: b"\n" + armored,
        lambda armored: b"",
        lambda armored: b"".join(armored.splitlines()[1:-1]),
        lambda armored: armored.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
    ],
)
def test_a_second_spelling_is_refused(private: Ed25519PrivateKey, respelled) -> None:
    with pytest.raises(SshSignatureRefused):
        sshsig.verify(respelled(signed(private)), MESSAGE, private.public_key())


def test_a_signature_of_the_bare_message_is_none(private: Ed25519PrivateKey) -> None:
    """What was signed for DSSE must never pass as an SSH signature, although the key is the same."""
    body = b"".join(signed(private).splitlines()[1:-1])
    blob = base64.b64decode(body)[:-64] + private.sign(MESSAGE)
    text = base64.b64encode(blob)
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    armored = b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])
    with pytest.raises(SshSignatureRefused, match="does not match"):
        sshsig.verify(armored, MESSAGE, private.public_key())
