"""A handoff of any role as lines for people: what a contract forbids, what a plan proposes, which tests are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from engine.state import State
from swarm_tui.room import words
from swarm_tui.widgets.prose import BLANK, Line, Span, line, paragraph

LABEL = 12
"""Cells of the labels before facts."""
MOST = 200
"""Entries of one list that are shown."""
HEADINGS = {
    "abort": "Gave it back",
    "title": "In short",
    "summary": "",
    "why": "Why it is cut so",
    "orders": "Proposes",
    "tests": "Tests, to fail on main",
    "interfaces": "Interfaces",
    "invariants": "Invariants",
    "module_map": "Modules",
    "forbidden_imports": "Boundaries",
    "migration": "In this order",
    "decision": "Decision",
    "findings": "Findings",
    "evidence": "Evidence",
    "suspects": "Suspects",
    "probability": "Probability of one cause",
    "stress": "Stress tests to be added later",
    "goldens": "Goldens to be added later",
    "notes": "Notes for whoever reviews",
    "asks": "Wants a person to be asked about",
    "risk": "",
    "rollback": "",
}
"""The fields of all roles' handoffs, in the order of reading. What else is in one is not for people."""


def handoff_facts(table: dict[str, Any], state: State) -> list[Line]:
    """Empty when there is nothing to read in it."""
    lines: list[Line] = []
    for name, heading in HEADINGS.items():
        value = table.get(name)
        if value in (None, "", [], {}):
            continue
        if heading:
            lines += [BLANK, line(Span(f"  {heading}", "quiet"))]
        lines += _ROWS.get(name, _plain)(value, state)
    return lines


def _plain(value: Any, _state: State) -> list[Line]:
    if not isinstance(value, list):
        return paragraph(str(value), indent=4 if not isinstance(value, str) else 2)
    return _capped([line(f"  · {each}", hang=4) for each in _each(value)])


def _named(name: str) -> Callable[[Any, State], list[Line]]:
    return lambda value, _state: [line(Span(f"  {name:<{LABEL}}", "quiet"), str(value), hang=LABEL + 2)]


def _modules(value: Any, _state: State) -> list[Line]:
    table = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    wide = max((len(name) for name in table), default=0)
    return _capped(
        [line(f"  · {name:<{wide}}  ", Span(str(glob), "quiet"), hang=6 + wide) for name, glob in table.items()]
    )


def _forbidden(value: Any, _state: State) -> list[Line]:
    pairs = [(_of(one, "from"), _of(one, "may_not")) for one in _each(value)]
    return _capped([line(f"  · {one} may not depend on {other}", hang=4) for one, other in pairs])


def _orders(value: Any, state: State) -> list[Line]:
    """Proposed orders, and what has become of them."""
    found: list[Line] = []
    for one in _each(value):
        ident = _of(one, "id")
        known = state.orders.get(ident)
        sign = words.sign(words.PHASES, known.phase) if known else words.Sign("·", "not added", "quiet")
        found.append(line(Span(f"  {sign.glyph} {sign.word:<10}", sign.tone), f"{ident}  {_of(one, 'title')}", hang=14))
    return _capped(found)


def _tests(value: Any, _state: State) -> list[Line]:
    return _capped([line(f"  · {_of(one, 'id')}  ", Span(_of(one, "why"), "quiet"), hang=4) for one in _each(value)])


_ROWS: dict[str, Callable[[Any, State], list[Line]]] = {
    "module_map": _modules,
    "forbidden_imports": _forbidden,
    "orders": _orders,
    "tests": _tests,
    "risk": _named("risk"),
    "rollback": _named("rollback"),
}


def _each(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _of(one: Any, name: str) -> str:
    return str(cast("dict[str, Any]", one).get(name, "?")) if isinstance(one, dict) else "?"


def _capped(lines: list[Line]) -> list[Line]:
    more = len(lines) - MOST
    return [*lines[:MOST], line(Span(f"  … and {more} more", "quiet"))] if more > 0 else lines
