"""What a look at the night brought. Apart from the rest, so that screens load without the engine behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.models.event import Event


@dataclass(frozen=True)
class Changes:
    """`orders`: those that look different. `everything`: draw all anew (first look, the past was read, a jump)."""

    events: Sequence[Event] = ()
    orders: frozenset[str] = frozenset()
    everything: bool = False

    def __or__(self, later: Changes) -> Changes:
        return Changes((*self.events, *later.events), self.orders | later.orders, self.everything or later.everything)

    def __bool__(self) -> bool:
        return self.everything or bool(self.events)


NOTHING = Changes()
EVERYTHING = Changes(everything=True)
