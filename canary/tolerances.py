"""How far the numbers of a trace may be off from its golden: by so much, by such a share, or in so many places.

A number that is near enough is replaced by the golden's, so that what is compared afterwards is compared exactly. Which
event stands for which of the golden depends on the order that the flow wants; the numbers in question do not count for
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from canary.traces import key_of, line_of, renumbered, without
from engine.models.flow import Tolerance

Row = dict[str, Any]
Choose = Callable[[Any, Any], Any]
"""(the golden's value, the one that was seen) -> the one to compare."""


def forgiven(golden: Sequence[Row], seen: Sequence[Row], order: str, tolerances: Sequence[Tolerance]) -> list[Row]:
    """`seen` with the golden's numbers where they are near enough. Rows are masked already.

    absolute, relative: either is enough; the share is of the golden's number. count: so many places may be off by
    more; when more are, none of them is forgiven, and the difference shows them all.
    """
    rows = list(seen)
    if not tolerances:
        return rows
    pairs = list(_pairs(golden, seen, order, [tolerance.path for tolerance in tolerances]))
    for tolerance in tolerances:
        path = tolerance.path.split(".")
        far = 0

        def near(want: Any, have: Any, tolerance: Tolerance = tolerance) -> Any:
            nonlocal far
            if _is_near(want, have, tolerance):
                return want
            far += _differ(want, have)
            return have

        for at, place in pairs:
            rows[place] = _chosen(golden[at], rows[place], path, near)
        if 0 < far <= tolerance.count:
            for at, place in pairs:
                rows[place] = _chosen(golden[at], rows[place], path, _golden_number)
    return rows


def _golden_number(want: Any, have: Any) -> Any:
    return want if _differ(want, have) else have


def _is_near(want: Any, have: Any, tolerance: Tolerance) -> bool:
    if not _differ(want, have):
        return False
    try:
        return abs(have - want) <= max(tolerance.absolute, tolerance.relative * abs(want))
    except OverflowError:  # a whole number beyond what floats hold
        return False


def _differ(want: Any, have: Any) -> bool:
    """Whether both are numbers, and not the same."""
    return _is_number(want) and _is_number(have) and want != have


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _chosen(want: Any, have: Any, path: Sequence[str], choose: Choose) -> Any:
    """`have`, with what `path` leads to on both sides chosen."""
    head, rest = path[0], path[1:]

    def child(old: Any, new: Any) -> Any:
        return _chosen(old, new, rest, choose) if rest else choose(old, new)

    if isinstance(want, dict) and isinstance(have, dict):
        return {
            name: child(want[name], value) if name in want and head in (name, "*") else value
            for name, value in have.items()
        }
    if isinstance(want, list) and isinstance(have, list):
        return [
            child(want[place], value) if place < len(want) and head in (str(place), "*") else value
            for place, value in enumerate(have)
        ]
    return have


# -- which event stands for which ------------------------------------------------------------------------------------


def _pairs(golden: Sequence[Row], seen: Sequence[Row], order: str, paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(place in the golden, place in what was seen) of events that are the same but for the numbers in question."""
    wanted, had = _rests(golden, paths), _rests(seen, paths)
    if order == "strict":
        yield from _aligned(wanted, had, list(range(len(golden))), list(range(len(seen))))
        return
    group = key_of if order == "per-key" else None
    olds = _grouped(wanted if group is None else [group(row) for row in golden])
    news = _grouped(had if group is None else [group(row) for row in seen])
    for name in olds.keys() & news.keys():
        old, new = olds[name], news[name]
        if group is None:  # the least of the golden's numbers stands for the least that was seen, and so on
            old, new = (sorted(places, key=lambda at, rows=rows: _numbers(rows[at], paths)) for places, rows in
                        ((old, golden), (new, seen)))  # fmt: skip
        yield from _aligned(wanted, had, old, new)


def _aligned(
    wanted: Sequence[str], had: Sequence[str], old: Sequence[int], new: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """From the front as long as they are the same, and from the back likewise."""
    most = min(len(old), len(new))
    front = next((n for n in range(most) if wanted[old[n]] != had[new[n]]), most)
    back = next((n for n in range(most - front) if wanted[old[-1 - n]] != had[new[-1 - n]]), most - front)
    yield from zip(old[:front], new[:front], strict=True)
    if back:
        yield from zip(old[-back:], new[-back:], strict=True)


def _rests(rows: Sequence[Row], paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for row in rows:
        rest: Any = row
        for path in paths:
            rest = without(rest, path.split("."))
        found.append(line_of(renumbered(rest, None)))
    return found


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    return groups


def _numbers(row: Row, paths: Sequence[str]) -> list[float]:
    """The numbers in question of one event, for sorting."""
    found: list[float] = []

    def take(_want: Any, have: Any) -> Any:
        if _is_number(have):
            found.append(have)
        return have

    for path in paths:
        _chosen(row, row, path.split("."), take)
    return found
