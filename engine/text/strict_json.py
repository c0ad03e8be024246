"""JSON that somebody outside wrote: read only when it has one meaning, and within caps of size and depth."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]|[\]}]")


class JsonRefused(ValueError):
    """The message is half a sentence that says what was wrong: `it is nested deeper than 12`."""


def loads(raw: bytes, *, max_bytes: int | None = None, max_depth: int | None = None) -> Any:
    """The value in `raw` (UTF-8). Size and depth are looked at before anything is made of it, unless None.

    Raises JsonRefused, also for duplicate keys and for NaN and infinities.
    """
    if max_bytes is not None and len(raw) > max_bytes:
        raise JsonRefused(f"it has {len(raw)} bytes, at most {max_bytes} are taken")
    if max_depth is not None and _deeper(raw, max_depth):
        raise JsonRefused(f"it is nested deeper than {max_depth}")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except JsonRefused:
        raise
    except UnicodeDecodeError as error:
        raise JsonRefused("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise JsonRefused(f"it is not JSON from line {error.lineno}, column {error.colno} on") from error
    except RecursionError as error:
        raise JsonRefused("it is nested too deep") from error
    except ValueError as error:
        raise JsonRefused(f"it is not JSON, {error}") from error


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
