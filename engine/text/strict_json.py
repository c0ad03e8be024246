"""JSON that somebody outside wrote: read only within caps of size and depth, and only when it has one meaning."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]|[\]}]")


class JsonRefused(ValueError):
    """The message is half a sentence that says what was wrong: `it is nested deeper than 12`."""


def loads(raw: bytes, *, max_bytes: int, max_depth: int) -> Any:
    """The value in `raw` (UTF-8). Size and depth are looked at before anything is made of it.

    Raises JsonRefused, also for duplicate keys and for NaN and infinities.
    """
    if len(raw) > max_bytes:
        raise JsonRefused(f"it has {len(raw)} bytes, at most {max_bytes} are taken")
    if _deeper(raw, max_depth):
        raise JsonRefused(f"it is nested deeper than {max_depth}")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except JsonRefused:
        raise
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise JsonRefused(f"it is not UTF-8 JSON: {error}") from error


def _deeper(raw: bytes, most: int) -> bool:
    """Whether more than `most` brackets are open at once, those in strings not counted."""
    depth = 0
    for found in _BRACKETS.finditer(_STRING.sub(b"", raw)):
        depth += 1 if found[0] in b"[{" else -1
        if depth > most:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise JsonRefused(f"the key {twice[:80]!r} appears twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise JsonRefused(f"{constant} is not JSON")
