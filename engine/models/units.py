"""Durations and sizes as people write them: `"90s"`, `"10m"`, `"2h"`; `"500KB"`, `"10GB"`."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB)\s*$", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}


def parse_duration(text: object) -> float:
    """Seconds of a duration such as `"90s"`. What was parsed already stays; any other number is
    refused: its unit would be a guess. Raises ValueError."""
    if isinstance(text, float) and 0 <= text < math.inf:
        return text
    if isinstance(text, str) and (found := _DURATION.match(text)):
        return float(found[1]) * _SECONDS[found[2]]
    raise ValueError('a duration is written as "90s", "10m" or "2h"')


def parse_size(text: object) -> int:
    """Bytes of a size such as `"10GB"` (decimal units). Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if isinstance(text, str) and (found := _SIZE.match(text)):
        return int(float(found[1]) * _BYTES[found[2].lower()])
    raise ValueError('a size is written as "500KB", "1MB" or "10GB"')


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"type": ["string", "number"], "pattern": _DURATION.pattern, "description": "such as 90s, 10m or 2h"}
    ),
]
"""Seconds."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*\d+(\.\d+)?\s*([bB]|[kKmMgGtT][bB])\s*$",
            "description": "such as 10GB",
        }
    ),
]
"""Bytes."""
