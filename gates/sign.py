"""Signing: Ed25519 keys made on first use, and the DSSE envelope.

DSSE (https://github.com/secure-systems-lab/dsse) signs PAE(type, payload), so the bytes that were signed are the bytes
that are parsed. An envelope has two signatures by the same key over these bytes: a plain one, which `openssl` checks,
and an SSH signature, which `ssh-keygen -Y verify` checks. Same user and no sandbox means tamper-evident, not
tamper-proof: the strongest proof is running the gates again.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from engine.durable import sync_file, sync_folder, write_durably
from engine.errors import UserError
from gates import sshsig
from gates.statement import BadEnvelope
from gates.strict_json import JsonRefused, canonical, parse

__all__ = [
    "PAYLOAD_TYPE", "SSH_IDENTITY", "BadEnvelope", "KeySigner", "Opened", "Signer", "VerifyKey", "open_keys", "pae",
]  # fmt: skip

PAYLOAD_TYPE = "application/vnd.in-toto+json"
HEAD_TYPE = "application/vnd.swarm-tui.journal-head+json"
"""Under another type than reports: a signature of the one is never one of the other."""
SSH_IDENTITY = "swarm"
"""The name of the key in `allowed_signers`."""
MAX_ENVELOPE_BYTES = 64_000_000

_SSH_KEYID = "sshsig:"


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes under both signatures."""
    return _pae(PAYLOAD_TYPE, payload)


def _pae(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


@dataclass(frozen=True)
class Opened:
    """An envelope whose signatures hold. `ssh`: the armored SSH signature, b"" where there is none."""

    payload: bytes
    ssh: bytes = b""


@dataclass(frozen=True)
class VerifyKey:
    """A public key and its id: the hex SHA-256 of its DER SubjectPublicKeyInfo."""

    key: Ed25519PublicKey
    keyid: str

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> VerifyKey:
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(der).hexdigest())

    @classmethod
    def of_raw(cls, raw: bytes) -> VerifyKey:
        """The key of 32 raw bytes. Raises ValueError."""
        return cls.of(Ed25519PublicKey.from_public_bytes(raw))

    @classmethod
    def load(cls, path: Path) -> VerifyKey:
        """The key in a PEM file. Raises UserError when there is none."""
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise UserError(f"{path} is no public key in PEM form: give the `public_key` of `swarm where`.") from error
        if not isinstance(key, Ed25519PublicKey):
            raise UserError(f"{path} is not an Ed25519 key: give the `public_key` of `swarm where`.")
        return cls.of(key)

    @property
    def raw(self) -> bytes:
        """The key as 32 bytes."""
        return self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def allowed_signers(self) -> bytes:
        """The line by which `ssh-keygen -Y verify` knows the key, for reports only."""
        line = self.key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return b'%s namespaces="%s" %s\n' % (SSH_IDENTITY.encode(), sshsig.NAMESPACE.encode(), line)

    def signed_head(self, head: bytes, signature: bytes) -> bool:
        """Whether this key signed this head of a journal."""
        try:
            self.key.verify(signature, _pae(HEAD_TYPE, head))
        except InvalidSignature:
            return False
        return True

    def open(self, envelope: bytes) -> bytes:
        """The payload of a canonical envelope that this key signed, byte for byte. Raises BadEnvelope."""
        return self.read(envelope).payload

    def read(self, envelope: bytes) -> Opened:
        """Like `open`; an SSH signature in the envelope has to hold as well. Raises BadEnvelope."""
        payload, (keyid, signature), ssh = _read(envelope)
        if keyid != self.keyid:
            raise BadEnvelope(f"the envelope was signed with the key {keyid[:16]}, not with {self.keyid[:16]}")
        signed = pae(payload)
        try:
            self.key.verify(signature, signed)
        except InvalidSignature as error:
            raise BadEnvelope("the signature does not match the payload") from error
        if ssh is None:
            return Opened(payload)
        ssh_keyid, armored = ssh
        if ssh_keyid != _ssh_keyid(armored):
            raise BadEnvelope("the envelope's second signature is not the SSH signature whose digest it names")
        try:
            sshsig.verify(armored, signed, self.key)
        except sshsig.SshSignatureRefused as error:
            raise BadEnvelope(str(error)) from error
        return Opened(payload, armored)


class Signer(Protocol):
    """Signs with the engine's own key. `flag`: what a report has to say about how it was signed, "" for nothing."""

    @property
    def verify_key(self) -> VerifyKey: ...
    @property
    def flag(self) -> str: ...

    def envelope(self, payload: bytes) -> bytes:
        """The canonical one-line DSSE envelope of `payload` with both signatures, and a newline at its end."""
        ...

    def sign(self, head: bytes) -> bytes:
        """The signature of a journal's head."""
        ...

    def verify(self, head: bytes, signature: bytes) -> bool:
        """Whether this key signed this head of a journal."""
        ...

    def close(self) -> None:
        """Give back what it holds. Nothing is signed after that."""
        ...


@dataclass(frozen=True)
class KeySigner:
    """The key in this process."""

    private: Ed25519PrivateKey
    verify_key: VerifyKey
    flag: str = ""

    def envelope(self, payload: bytes) -> bytes:
        """The canonical one-line DSSE envelope of `payload` with both signatures, and a newline at its end."""
        signed = pae(payload)
        ssh = sshsig.sign(signed, self.private.public_key(), self.private.sign)
        own = (self.verify_key.keyid, self.private.sign(signed))
        return _envelope(payload, own, (_ssh_keyid(ssh), ssh))

    def sign(self, head: bytes) -> bytes:
        """The signature of a journal's head."""
        return self.private.sign(_pae(HEAD_TYPE, head))

    def verify(self, head: bytes, signature: bytes) -> bool:
        """Whether this key signed this head of a journal."""
        return self.verify_key.signed_head(head, signature)

    def close(self) -> None:
        """It holds nothing."""


def open_keys(folder: Path, flag: str = "") -> KeySigner:
    """The keys in `folder`, made on first use: `signing.key` (0600, PKCS8), `public.pem`, `allowed_signers`.

    Two processes that come at the same time get the same key. Raises UserError when the key cannot be read or made.
    """
    secret = folder / "signing.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not secret.exists():
            _create_once(secret, _new_private_pem())
        private = load_pem_private_key(secret.read_bytes(), password=None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"the signing key {secret} cannot be used ({error}): mend its rights or move it away."
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UserError(f"{secret} is not an Ed25519 key: move it away, and a new one is made.")
    public = VerifyKey.of(private.public_key())
    _keep(folder / "public.pem", public.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    _keep(folder / "allowed_signers", public.allowed_signers)
    return KeySigner(private, public, flag)


_Signature = tuple[str, bytes]
"""(keyid, signature)."""


def _ssh_keyid(armored: bytes) -> str:
    return f"{_SSH_KEYID}sha256:{hashlib.sha256(armored).hexdigest()}"


def _envelope(payload: bytes, *signatures: _Signature) -> bytes:
    told = [{"keyid": keyid, "sig": base64.b64encode(sig).decode("ascii")} for keyid, sig in signatures]
    text = base64.b64encode(payload).decode("ascii")
    return canonical({"payload": text, "payloadType": PAYLOAD_TYPE, "signatures": told}) + b"\n"


def _read(envelope: bytes) -> tuple[bytes, _Signature, _Signature | None]:
    """(payload, signature, SSH signature), from the canonical form only: nothing can hide in a second spelling."""
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise BadEnvelope(f"the envelope has more than {MAX_ENVELOPE_BYTES} bytes")
    try:
        outer = parse(envelope)
    except JsonRefused as error:
        raise BadEnvelope(f"the envelope is {error}") from error
    fields = _exactly(outer, {"payload", "payloadType", "signatures"})
    if fields["payloadType"] != PAYLOAD_TYPE:
        raise BadEnvelope(f"the payload type is not {PAYLOAD_TYPE}")
    listed = fields["signatures"]
    if not isinstance(listed, list) or len(cast("list[Any]", listed)) not in (1, 2):
        raise BadEnvelope("the envelope does not have one signature, or one and an SSH signature")
    entries = [_exactly(entry, {"keyid", "sig"}) for entry in cast("list[Any]", listed)]
    if not all(
        isinstance(text, str) for text in (fields["payload"], *(v for entry in entries for v in entry.values()))
    ):
        raise BadEnvelope("payload, keyid and sig have to be strings")
    try:
        payload = base64.b64decode(fields["payload"], validate=True)
        signatures = [(str(entry["keyid"]), base64.b64decode(entry["sig"], validate=True)) for entry in entries]
    except (binascii.Error, ValueError) as error:
        raise BadEnvelope(f"the envelope is not valid base64: {error}") from error
    if _envelope(payload, *signatures) != envelope:
        raise BadEnvelope("the envelope is not in its canonical form")
    return payload, signatures[0], signatures[1] if len(signatures) == 2 else None


def _exactly(value: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(cast("dict[str, Any]", value)) != keys:
        raise BadEnvelope(f"the envelope does not have exactly the keys {', '.join(sorted(keys))}")
    return cast("dict[str, Any]", value)


def _new_private_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create_once(path: Path, data: bytes) -> None:
    """The whole file or none, and never over an existing one: the loser of a race keeps the winner's key."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        sync_file(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            if sys.platform == "win32":
                temporary.rename(path)  # refuses an existing target on Windows
            else:
                _publish(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        temporary.rename(path)


def _keep(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        write_durably(path, data)
