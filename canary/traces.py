"""What events of a trace are compared by: lines of JSON without what is masked, with ids by first appearance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

ARRIVED = "arrived"
"""The field that we add to each event of a trace: seconds after the start. Never compared."""


def masked(event: Mapping[str, Any], mask: Sequence[str]) -> dict[str, Any]:
    """The event without the fields that these paths lead to."""
    row: dict[str, Any] = {name: value for name, value in event.items() if name != ARRIVED}
    for path in mask:
        row = without(row, path.split("."))
    return row


def without(value: Any, path: Sequence[str]) -> Any:
    """`value` without what `path` leads to. An element of a list becomes None: its neighbours keep their places."""
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        if not rest:
            return {name: child for name, child in value.items() if name != head and head != "*"}
        return {name: without(child, rest) if head in (name, "*") else child for name, child in value.items()}
    if isinstance(value, list):
        hit = [head in (str(place), "*") for place in range(len(value))]
        return [(without(v, rest) if rest else None) if h else v for v, h in zip(value, hit, strict=True)]
    return value


def renumbered(value: Any, numbers: dict[Any, str] | None) -> Any:
    """Ids (fields `id` and `…_id`) as #1, #2 … by first appearance; without `numbers` all as #."""
    if isinstance(value, list):
        return [renumbered(child, numbers) for child in value]
    if not isinstance(value, dict):
        return value
    row: dict[str, Any] = {}
    for name, child in sorted(value.items()):  # a program may write the fields of an event in any order
        if (name == "id" or name.endswith("_id")) and isinstance(child, (str, int)) and not isinstance(child, bool):
            row[name] = "#" if numbers is None else numbers.setdefault(child, f"#{len(numbers) + 1}")
        else:
            row[name] = renumbered(child, numbers)
    return row


def line_of(value: Any) -> str:
    """One line of JSON, the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


def key_of(row: Mapping[str, Any]) -> str:
    """What an event belongs to with order `per-key`: its `key`, or its kind where it has none."""
    return line_of(row.get("key", row["kind"]))
