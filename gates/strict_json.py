"""JSON whose bytes have one meaning: no duplicate keys, no NaN, one canonical form to sign and to hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from engine.errors import SwarmError
from engine.text import strict_json


class JsonRefused(SwarmError):
    """The bytes are not JSON with exactly one meaning."""


def canonical(value: Any) -> bytes:
    """The one form that is signed and hashed: sorted keys, no spaces, ASCII. Raises ValueError on NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(value: Any) -> str:
    """`sha256:<hex>` of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def parse(raw: bytes) -> Any:
    """The value in `raw`. Raises JsonRefused on duplicate keys, NaN, infinities, bad UTF-8 and bad syntax."""
    try:
        return strict_json.loads(raw)
    except strict_json.JsonRefused as error:
        raise JsonRefused(f"not plain JSON ({error})") from error
