"""How much waits for a work order, over any number of steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.state import Order

_DONE = ("landed", "healthy", "cancelled")


def unblocks(orders: Mapping[str, Order], names: Iterable[str]) -> dict[str, int]:
    """For each of these orders, how many others cannot begin before it has landed."""
    waiting: dict[str, list[str]] = {}
    for order in orders.values():
        if order.phase not in _DONE:
            for before in {*order.spec.depends_on, *order.waits_for}:
                waiting.setdefault(before, []).append(order.spec.id)
    place = {name: at for at, name in enumerate(orders)}
    behind: dict[str, int] = {}
    return {name: _behind(name, waiting, place, behind).bit_count() for name in names}


def _behind(name: str, waiting: Mapping[str, list[str]], place: Mapping[str, int], known: dict[str, int]) -> int:
    """The orders that wait for this one, as bits by their place. A circle is walked once."""
    stack, open_ = [name], set[str]()
    while stack:
        top = stack[-1]
        after = [other for other in waiting.get(top, ()) if other in place]
        missing = [] if top in open_ else [other for other in after if other not in known and other not in open_]
        open_.add(top)
        if missing:
            stack += missing
            continue
        bits = 0
        for other in after:
            bits |= 1 << place[other] | known.get(other, 0)
        known[top] = bits & ~(1 << place[top]) if top in place else bits
        stack.pop()
    return known[name]
