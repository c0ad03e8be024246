"""The room's one model: a source, what it brought since the last look, and what runs now. No widgets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.history import History
from engine.models.status import Health
from engine.state import State
from engine.status import health_of
from swarm_tui.room.changes import Changes
from swarm_tui.room.needs import Need, needs_of
from swarm_tui.room.pulse import Pulse, Sampler, Wanted
from swarm_tui.room.source import Source

POLL_BUDGET_S = 0.008
RECENT_CANARIES = 3


@dataclass
class Room:
    """What the screens draw. Only the room's thread touches it."""

    source: Source
    sampler: Sampler
    engine_ended: Callable[[], str] = lambda: ""
    """Once the engine has ended: how, in one sentence. Looked at once a second."""
    start_engine: Callable[[Callable[[str], None]], None] | None = None
    """Starts an engine when none runs; blocks. None where this room may not."""
    events_per_s: float = 0.0
    needs: list[Need] = field(default_factory=list[Need])
    health: Health = "unknown"
    health_why: str = ""
    phases: Counter[str] = field(default_factory=Counter[str])
    _drawn: State | None = None
    _past_read: float = -1.0
    _rate_since: float = field(default_factory=time.monotonic)
    _rate_count: int = 0

    @property
    def state(self) -> State:
        return self.source.state

    @property
    def history(self) -> History:
        return self.source.history

    @property
    def now(self) -> float:
        return self.source.now()

    @property
    def pulse(self) -> Pulse:
        return self.sampler.pulse

    @property
    def busy(self) -> bool:
        """Whether anything runs that prints or counts: then there is something to draw without any event."""
        engine, want = self.source.engine(), self.sampler.want
        running = engine == "running" and bool(want.runs or want.changes or want.canaries)
        return running or engine == "replay" or self.source.past_read < 1.0

    def look(self) -> Changes:
        """Take in what happened since the last look."""
        events = self.source.poll(POLL_BUDGET_S)
        self._measure(len(events))
        past_read = self.source.past_read
        jumped = self.state is not self._drawn  # the first look, or a replay that sought
        everything = jumped or (past_read == 1.0 and self._past_read < 1.0)
        self._past_read = past_read
        if not events and not everything:
            return Changes()
        self._drawn = self.state
        self.needs = needs_of(self.state)
        self.health, self.health_why = health_of(self.state, self.state.in_force.flows > 0)
        self.phases = Counter(order.phase for order in self.state.orders.values())
        self.sampler.want = self._wanted()
        touched = {event.work_order for event in events if event.work_order}
        whole = any(event.kind in ("roadmap_read", "main_restored", "canary_judged") for event in events)
        return Changes(events, frozenset(touched), everything or whole)

    def close(self) -> None:
        """Let go of threads and files."""
        self.sampler.close()
        self.source.close()

    def _measure(self, count: int) -> None:
        self._rate_count += count
        passed_s = time.monotonic() - self._rate_since
        if passed_s >= 1.0:
            self.events_per_s, self._rate_count = self._rate_count / passed_s, 0
            self._rate_since = time.monotonic()

    def _wanted(self) -> Wanted:
        if self.source.engine() == "replay":
            return Wanted()
        runs = tuple(o.run for o in self.state.orders.values() if o.phase == "running" and o.run)
        changes = tuple({gate.change for gate in self.history.running_gates()})
        recent = self.history.canaries[-RECENT_CANARIES:]
        return Wanted(runs, changes, tuple({canary.about for canary in recent if not canary.verdict}))
