"""OpenSSH signatures of bytes, as `ssh-keygen -Y sign` makes them and `ssh-keygen -Y verify` checks them.

The format is PROTOCOL.sshsig of OpenSSH, with an Ed25519 key and SHA-512: what is signed is not the message but a
structure that names the namespace and the message's hash, so no signature can be taken for one of another purpose.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.errors import SwarmError

NAMESPACE = "swarm-report@v1"

_MAGIC = b"SSHSIG"
_VERSION = 1
_KEY_TYPE, _HASH = b"ssh-ed25519", b"sha512"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_COLUMNS = 70
_SIGNATURE_BYTES = 64


class SshSignatureRefused(SwarmError):
    """An SSH signature that is malformed, of another key or namespace, or of another message."""


def sign(message: bytes, key: Ed25519PublicKey, raw_sign: Callable[[bytes], bytes]) -> bytes:
    """The armored signature file of `message`. `raw_sign` signs with the private half of `key`."""
    return _armored(key, raw_sign(_signed_bytes(message)))


def verify(armored: bytes, message: bytes, key: Ed25519PublicKey) -> None:
    """Check a signature file in exactly the form that `sign` gives. Raises SshSignatureRefused."""
    lines = armored.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(lines.replace(b"\n", b""), validate=True)
    except ValueError as error:
        raise SshSignatureRefused("the SSH signature is not valid base64") from error
    raw = blob[-_SIGNATURE_BYTES:]
    # Rebuilding says at once that armor, version, key, namespace, hash and lengths are as they have to be.
    if len(raw) != _SIGNATURE_BYTES or _armored(key, raw) != armored:
        raise SshSignatureRefused("the SSH signature is not one of this key for a report, in the usual form")
    try:
        key.verify(raw, _signed_bytes(message))
    except InvalidSignature as error:
        raise SshSignatureRefused("the SSH signature does not match the payload") from error


def _signed_bytes(message: bytes) -> bytes:
    hashed = hashlib.sha512(message).digest()
    return _MAGIC + b"".join(map(_string, (NAMESPACE.encode("ascii"), b"", _HASH, hashed)))


def _armored(key: Ed25519PublicKey, raw: bytes) -> bytes:
    public = _string(_KEY_TYPE) + _string(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    parts = (public, NAMESPACE.encode("ascii"), b"", _HASH, _string(_KEY_TYPE) + _string(raw))
    text = base64.b64encode(_MAGIC + struct.pack(">I", _VERSION) + b"".join(map(_string, parts)))
    lines = (text[at : at + _COLUMNS] + b"\n" for at in range(0, len(text), _COLUMNS))
    return _BEGIN + b"".join(lines) + _END


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value
