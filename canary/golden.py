"""Golden traces: what a program reported, compared with what it is known to report when it is right.

A trace is JSON lines of events {seq, t, kind, key, data} (other fields may be there). Times never compare: `t` and
`seq` are masked unless a flow says otherwise. Ids that differ from run to run are renumbered by first appearance.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Order = Literal["strict", "per-key", "multiset"]
DEFAULT_MASK = ("t", "seq")
ARRIVED = "arrived"
"""The field that we add to each event of a trace: seconds after the start. Never compared."""
FIELDS_SAID = 3
VALUE_CHARS = 40
MOST_DEEP = 100
_ABSENT = object()
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BRACKET = re.compile(r"[\[\]{}]")
DIFF_LINES = 40
LINE_CHARS = 200


class GoldenError(ValueError):
    """A golden that cannot be read; the message says why."""


@dataclass(frozen=True)
class Difference:
    """`first`: what differs first, as half a sentence. `text`: a unified diff, short enough to read."""

    first: str
    text: str


def parse_trace(raw: bytes) -> list[dict[str, Any]]:
    """The events of a JSON-lines file. Raises GoldenError on a line that is no event, and when there is none."""
    events: list[dict[str, Any]] = []
    # Not splitlines: a text in an event may hold characters that it takes for line ends.
    for number, line in enumerate(raw.decode("utf-8", errors="replace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GoldenError(f"line {number} is not JSON") from error
        if _is_deep(line):
            raise GoldenError(f"line {number} is nested more than {MOST_DEEP} deep")
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise GoldenError(f'line {number} is not an event with a "kind"')
        events.append(data)
    if not events:
        raise GoldenError("it has no events, so it proves nothing")
    return events


def _is_deep(line: str) -> bool:
    """Whether a line of JSON is nested so deep that what walks through it could run out of
    stack."""
    if line.count("{") + line.count("[") <= MOST_DEEP:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_TEXT.sub("", line)):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEEP:
            return True
    return False


def trace_to_golden(events: Iterable[Mapping[str, Any]], mask: Sequence[str] = DEFAULT_MASK) -> bytes:
    """A new golden of these events: JSON lines without what is masked. Ids stay as they were."""
    rows = (_masked(event, mask) for event in events)
    # A lone surrogate has no UTF-8, and its backslash escape is the JSON for it.
    return "".join(_line(row) + "\n" for row in rows).encode("utf-8", "backslashreplace")


def compare(
    golden: Sequence[Mapping[str, Any]],
    seen: Sequence[Mapping[str, Any]],
    mask: Sequence[str] = DEFAULT_MASK,
    order: Order = "strict",
) -> Difference | None:
    """How `seen` differs from `golden`; None when it does not.

    mask: paths of fields that do not count, such as `t`, `data.ms` or `data.*.ms` (`*`: any field or place in a list).
    order: `strict`: the same events in the same order; `per-key`: in the same order among those with the same `key`
    (an event without one has its kind for a key); `multiset`: in any order, ids masked.
    """
    expected, got = _canonical(golden, mask, order), _canonical(seen, mask, order)
    if expected == got:
        return None
    return Difference(_first(expected, got), _unified(expected, got))


def _canonical(events: Sequence[Mapping[str, Any]], mask: Sequence[str], order: Order) -> list[str]:
    rows = [_masked(event, mask) for event in events]
    if order == "strict":
        numbers: dict[Any, str] = {}
        return [_line(_renumbered(row, numbers)) for row in rows]
    if order == "multiset":
        return sorted(_line(_renumbered(row, None)) for row in rows)
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(_line(row.get("key", row["kind"])), []).append(row)
    lines: list[str] = []
    for key in sorted(by_key):
        own: dict[Any, str] = {}
        lines += [_line(_renumbered(row, own)) for row in by_key[key]]
    return lines


def _masked(event: Mapping[str, Any], mask: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: value for name, value in event.items() if name != ARRIVED}
    for path in mask:
        row = _without(row, path.split("."))
    return row


def _without(value: Any, path: Sequence[str]) -> Any:
    """`value` without what `path` leads to. An element of a list becomes None: its neighbours keep their places."""
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        if not rest:
            return {name: child for name, child in value.items() if name != head and head != "*"}
        return {name: _without(child, rest) if head in (name, "*") else child for name, child in value.items()}
    if isinstance(value, list):
        hit = [head in (str(place), "*") for place in range(len(value))]
        return [(_without(v, rest) if rest else None) if h else v for v, h in zip(value, hit, strict=True)]
    return value


def _renumbered(value: Any, numbers: dict[Any, str] | None) -> Any:
    """Ids (fields `id` and `…_id`) as #1, #2 … by first appearance; without `numbers` all as #."""
    if isinstance(value, list):
        return [_renumbered(child, numbers) for child in value]
    if not isinstance(value, dict):
        return value
    row: dict[str, Any] = {}
    for name, child in sorted(value.items()):  # a program may write the fields of an event in any order
        if (name == "id" or name.endswith("_id")) and isinstance(child, (str, int)) and not isinstance(child, bool):
            row[name] = "#" if numbers is None else numbers.setdefault(child, f"#{len(numbers) + 1}")
        else:
            row[name] = _renumbered(child, numbers)
    return row


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


def _first(expected: Sequence[str], got: Sequence[str]) -> str:
    for place, (want, have) in enumerate(zip(expected, got, strict=False), 1):
        if want != have:
            return f"event {place} {_how_they_differ(want, have)}"
    if len(got) < len(expected):
        return f"it ends after {len(got)} of {len(expected)} events, before {_named(expected[len(got)])}"
    return f"it has {len(got)} events instead of {len(expected)}, the first more being {_named(got[len(expected)])}"


def _how_they_differ(want: str, have: str) -> str:
    """One short phrase: the kinds, or the fields whose values differ, short values with both sides."""
    wanted, had = _flat(json.loads(want)), _flat(json.loads(have))
    if wanted.get("kind") != had.get("kind"):
        return f"was expected to be {_named(want)} and is {_named(have)}"
    names = sorted(name for name in wanted.keys() | had.keys() if wanted.get(name, _ABSENT) != had.get(name, _ABSENT))
    said = [_field(name, wanted.get(name, _ABSENT), had.get(name, _ABSENT)) for name in names]
    more = f" and {len(said) - FIELDS_SAID} more" if len(said) > FIELDS_SAID else ""
    return f"({_named(have)}) differs: {', '.join(said[:FIELDS_SAID])}{more}"


def _flat(row: Any) -> dict[str, Any]:
    """The fields of an event, those of `data` among them."""
    if not isinstance(row, dict):
        return {"": row}
    data = row.get("data")
    return {**row, **data, "data": None} if isinstance(data, dict) else row


def _field(name: str, want: Any, have: Any) -> str:
    if want is _ABSENT or have is _ABSENT:
        return f"{name} is {'missing' if have is _ABSENT else 'new'}"
    wanted, had = _line(want), _line(have)
    short = len(wanted) <= VALUE_CHARS and len(had) <= VALUE_CHARS
    return f"{name} is {had} instead of {wanted}" if short else name


def _named(line: str) -> str:
    row = json.loads(line)
    return str(row.get("kind", "an event")) if isinstance(row, dict) else "an event"


def _unified(expected: Sequence[str], got: Sequence[str]) -> str:
    lines = list(_diff_lines(expected, got))
    more = [f"… {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return "\n".join([*(_capped(line) for line in lines[:DIFF_LINES]), *more]) + "\n"


def _diff_lines(expected: Sequence[str], got: Sequence[str]) -> Iterator[str]:
    # difflib takes quadratic time: far into long traces only the neighbourhood of the first difference is compared.
    start = next(
        (n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got))
    )
    start = max(0, start - 3)
    window = slice(start, start + 500)
    return difflib.unified_diff(list(expected[window]), list(got[window]), "golden", "seen", n=2, lineterm="")


def _capped(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…"
