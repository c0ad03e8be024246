"""The events of one work order, read from the journal in small bites so that no frame waits for them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import SwarmError
from engine.models.event import Event

if TYPE_CHECKING:
    from engine.history import History
    from swarm_tui.room.source import Source

MOST = 500
"""Events that are held; of more, the newest."""
BRIDGE = 16
"""Other events that are read along rather than asking the journal once more."""
BITE = 64


@dataclass
class OrderEvents:
    """`events`, oldest first, as far as they are read. `left_out`: older ones that are not held."""

    order: str
    events: list[Event] = field(default_factory=list[Event])
    left_out: int = 0
    _next: int = 0
    """How many of the history's seqs are read or left out."""
    _last: int = 0

    def read(self, source: Source, history: History, budget_s: float = 0.004) -> bool:
        """Read on for about `budget_s`. True when there is something new, or the night jumped back."""
        seqs = history.events_of.get(self.order, [])
        jumped = self._next > len(seqs) or (self._next > 0 and seqs[self._next - 1] != self._last)
        if jumped:
            self.events, self.left_out, self._next, self._last = [], 0, 0, 0
        if self._next == 0 and len(seqs) > MOST:
            self._next = self.left_out = len(seqs) - MOST
        ends, came = time.perf_counter() + budget_s, jumped
        while self._next < len(seqs) and (time.perf_counter() < ends or not came):
            found, upto = self._bite(source, seqs)
            if not found:
                break  # the state does not know of it yet, or it cannot be read: the next frame looks again
            self.events += found
            self._next, self._last, came = upto, seqs[upto - 1], True
        if len(self.events) > MOST:
            self.left_out += len(self.events) - MOST
            del self.events[:-MOST]
        return came

    def _bite(self, source: Source, seqs: list[int]) -> tuple[list[Event], int]:
        """Events of this order that lie close together, read at once; how many seqs are read then."""
        upto = self._next + 1
        while upto < len(seqs) and upto - self._next < BITE and seqs[upto] - seqs[upto - 1] <= BRIDGE:
            upto += 1
        first, last = seqs[self._next], seqs[upto - 1]
        try:
            page = source.events(first - 1, last - first + 1)
        except SwarmError:
            return [], self._next  # the source says why; the next frame tries again
        found = [e for e in page if e.work_order == self.order]
        return found, self._next + len(found)
