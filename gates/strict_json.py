"""JSON whose bytes have one meaning: no duplicate keys, no NaN, one canonical form to sign and to hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NoReturn

from engine.errors import SwarmError


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
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise JsonRefused(f"not plain JSON (line {error.lineno}, column {error.colno})") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise JsonRefused("not plain JSON (its bytes or its depth are not those of a text)") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JsonRefused(f"not plain JSON (the key {key!r} appears twice)")
        found[key] = value
    return found


def _refuse(constant: str) -> NoReturn:
    raise JsonRefused(f"not plain JSON ({constant} is no number)")
