"""Signing: Ed25519 keys made on first use, and the DSSE envelope.

DSSE (https://github.com/secure-systems-lab/dsse) signs PAE(type, payload), so the bytes that were signed are the bytes
that are parsed. Same user and no sandbox means tamper-evident, not tamper-proof: the strongest proof is running the
gates again.
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
from typing import Any, cast

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
from engine.errors import SwarmError, UserError
from gates.strict_json import JsonRefused, canonical, parse

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SSH_NAMESPACE = "swarm-report@v1"
MAX_ENVELOPE_BYTES = 64_000_000


class BadEnvelope(SwarmError):
    """The envelope is malformed, or its signature is not ours. The message is one sentence."""


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes under the signature."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


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
    def load(cls, path: Path) -> VerifyKey:
        """The key in a PEM file. Raises UserError when there is none."""
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise UserError(f"{path} is no public key in PEM form: give the `public_key` of `swarm where`.") from error
        if not isinstance(key, Ed25519PublicKey):
            raise UserError(f"{path} is not an Ed25519 key: give the `public_key` of `swarm where`.")
        return cls.of(key)

    def open(self, envelope: bytes) -> bytes:
        """The payload of a canonical envelope that this key signed, byte for byte. Raises BadEnvelope."""
        payload, keyid, signature = _read(envelope)
        if keyid != self.keyid:
            raise BadEnvelope(f"the envelope was signed with the key {keyid[:16]}, not with {self.keyid[:16]}")
        try:
            self.key.verify(signature, pae(payload))
        except InvalidSignature as error:
            raise BadEnvelope("the signature does not match the payload") from error
        return payload


@dataclass(frozen=True)
class Signer:
    """The engine's own key. The private half never leaves this object and its file."""

    private: Ed25519PrivateKey
    verify_key: VerifyKey

    def envelope(self, payload: bytes) -> bytes:
        """The canonical one-line DSSE envelope of `payload`, with a newline at its end."""
        return _envelope(payload, self.verify_key.keyid, self.private.sign(pae(payload)))


def open_keys(folder: Path) -> Signer:
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
    public = private.public_key()
    ssh = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    _keep(folder / "public.pem", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    _keep(folder / "allowed_signers", b'swarm namespaces="%s" %s\n' % (SSH_NAMESPACE.encode(), ssh))
    return Signer(private, VerifyKey.of(public))


def _envelope(payload: bytes, keyid: str, signature: bytes) -> bytes:
    return (
        canonical(
            {
                "payload": base64.b64encode(payload).decode("ascii"),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}],
            }
        )
        + b"\n"
    )


def _read(envelope: bytes) -> tuple[bytes, str, bytes]:
    """(payload, keyid, signature), from the canonical form only: nothing can hide in a second spelling."""
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise BadEnvelope(f"the envelope has more than {MAX_ENVELOPE_BYTES} bytes")
    try:
        outer = parse(envelope)
    except JsonRefused as error:
        raise BadEnvelope(f"the envelope is refused: {error}") from error
    fields = _exactly(outer, {"payload", "payloadType", "signatures"})
    if fields["payloadType"] != PAYLOAD_TYPE:
        raise BadEnvelope(f"the payload type is not {PAYLOAD_TYPE}")
    signatures = fields["signatures"]
    if not isinstance(signatures, list) or len(cast("list[Any]", signatures)) != 1:
        raise BadEnvelope("the envelope does not have exactly one signature")
    signature = _exactly(cast("list[Any]", signatures)[0], {"keyid", "sig"})
    texts = (fields["payload"], signature["keyid"], signature["sig"])
    if not all(isinstance(text, str) for text in texts):
        raise BadEnvelope("payload, keyid and sig have to be strings")
    try:
        payload, raw = (base64.b64decode(texts[i], validate=True) for i in (0, 2))
    except (binascii.Error, ValueError) as error:
        raise BadEnvelope(f"the envelope is not valid base64: {error}") from error
    if _envelope(payload, texts[1], raw) != envelope:
        raise BadEnvelope("the envelope is not in its canonical form")
    return payload, texts[1], raw


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
