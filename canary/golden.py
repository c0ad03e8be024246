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

from canary.tolerances import forgiven
from canary.traces import ARRIVED, key_of, line_of, masked, renumbered
from engine.models.flow import Tolerance

__all__ = ["ARRIVED", "Difference", "GoldenError", "compare", "parse_trace", "trace_to_golden"]

Order = Literal["strict", "per-key", "multiset"]
DEFAULT_MASK = ("t", "seq")
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
    rows = (masked(event, mask) for event in events)
    # A lone surrogate has no UTF-8, and its backslash escape is the JSON for it.
    return "".join(line_of(row) + "\n" for row in rows).encode("utf-8", "backslashreplace")


def compare(
    golden: Sequence[Mapping[str, Any]],
    seen: Sequence[Mapping[str, Any]],
    mask: Sequence[str] = DEFAULT_MASK,
    order: Order = "strict",
    tolerances: Sequence[Tolerance] = (),
) -> Difference | None:
    """How `seen` differs from `golden`; None when it does not.

    mask: paths of fields that do not count, such as `t`, `data.ms` or `data.*.ms` (`*`: any field or place in a list).
    order: `strict`: the same events in the same order; `per-key`: in the same order among those with the same `key`
    (an event without one has its kind for a key); `multiset`: in any order, ids masked.
    tolerances: how far numbers may be off.
    """
    wanted, had = [masked(event, mask) for event in golden], [masked(event, mask) for event in seen]
    expected, got = _canonical(wanted, order), _canonical(forgiven(wanted, had, order, tolerances), order)
    if expected == got:
        return None
    return Difference(_first(expected, got), _unified(expected, got))


def _canonical(rows: Sequence[dict[str, Any]], order: Order) -> list[str]:
    if order == "strict":
        numbers: dict[Any, str] = {}
        return [line_of(renumbered(row, numbers)) for row in rows]
    if order == "multiset":
        return sorted(line_of(renumbered(row, None)) for row in rows)
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(key_of(row), []).append(row)
    lines: list[str] = []
    for key in sorted(by_key):
        own: dict[Any, str] = {}
        lines += [line_of(renumbered(row, own)) for row in by_key[key]]
    return lines


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
    wanted, had = line_of(want), line_of(have)
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
