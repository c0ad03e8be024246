"""The loop: fold events, plan, start what is desired, cancel what is not, sleep until something happens.

One engine per repository, on its own event loop. It decides nothing: the planner does. It does nothing: effects do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.actions import CANCELLABLE, LANES, Action, Record
from engine.errors import InfrastructureFault, SwarmError
from engine.failures import failure_of
from engine.fold import apply
from engine.journal import Journal
from engine.log import EngineLog
from engine.models.event import Event, NewEvent
from engine.models.settings import Settings
from engine.planner import plan
from engine.ports import Clock
from engine.snapshot import dump_state
from engine.state import State

EndReason = Literal["idle", "deadline", "stopped", "drained"]
Effect = Callable[[Action], Awaitable[None]]

SNAPSHOT_EVERY = 5_000
QUIET_S = 0.25
"""How long everything must stay settled before the engine takes a last look and calls itself idle."""


@dataclass
class Engine:
    """`effects` maps an action's type to its effect. `settings` is looked up at every plan.

    `run` returns why it ended. Every task it starts is awaited before it returns.
    """

    journal: Journal
    state: State
    settings: Callable[[], Settings]
    effects: Mapping[type[Action], Effect]
    clock: Clock
    log: EngineLog
    last_look: Callable[[], Awaitable[None]] | None = None
    """Awaited before the engine calls itself idle: obeys what people have asked for until then."""
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])
    _actions: dict[str, Action] = field(default_factory=dict[str, Action])
    _finished: set[str] = field(default_factory=set[str])
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: EndReason | None = None
    _snapshot_seq: int = 0
    _fault: InfrastructureFault | None = None
    _recorded: set[str] = field(default_factory=set[str])

    # -- the journal's side --------------------------------------------------------------------------------------

    def folded(self, events: list[Event]) -> None:
        """Called by the journal in this loop after a commit, before anybody's append returns."""
        for event in events:
            refused = apply(self.state, event)
            if refused is not None:
                self.log.warning("plan", f"refused: {refused}")
                # Nobody waits for this record: it explains an event that the journal already has.
                self.journal.append(
                    "transition_refused", {"refused_seq": event.seq, "reason": refused}, work_order=event.work_order
                )
        self._wake.set()

    async def emit(self, *drafts: NewEvent) -> list[Event]:
        """Append all drafts in one transaction; returns when they are durable and folded."""
        return await self.journal.append_all(drafts)

    # -- the loop ------------------------------------------------------------------------------------------------

    def poke(self) -> None:
        """Plan again soon: something outside the journal changed (settings, stop)."""
        self._wake.set()

    def stop(self, reason: EndReason = "stopped") -> None:
        """End now: running effects are cancelled; whatever they did is kept and journalled."""
        self._stop = reason
        self._wake.set()

    async def run(self, *, until_idle: bool = False, deadline: float | None = None) -> EndReason:
        """Until idle, the deadline (monotonic seconds of the clock), or `stop`.

        Raises InfrastructureFault when the journal takes nothing any more: without it nothing may happen.
        """
        try:
            while self._stop is None:
                self._wake.clear()
                if deadline is not None and self.clock.monotonic() >= deadline:
                    self._stop = "deadline"
                    break
                if await self._tick(until_idle, deadline):
                    return "drained" if self.state.draining else "idle"
            if self._fault is not None:
                raise self._fault
            return self._stop
        finally:
            self._cancel([key for key, action in self._actions.items() if isinstance(action, CANCELLABLE)])
            # What moves main is short and finishes; a half-done one would only have to be settled at the next start.
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _tick(self, until_idle: bool, deadline: float | None) -> bool:
        """One plan. True when idle was asked for (or the engine drains) and nothing is left to do."""
        now = self.clock.now()
        made = plan(self.state, self.settings(), now)
        records = [a for a in made.actions if isinstance(a, Record) and a.effect not in self._recorded]
        if self._recorded and any(isinstance(a, Record) and a.effect in self._recorded for a in made.actions):
            self.log.error("plan", f"a decision had no effect and is not repeated: {sorted(self._recorded)[0]}")
        self._recorded = {record.effect for record in records}
        if records:
            await self.emit(*(NewEvent(r.kind, r.fields, r.work_order) for r in records))
            self._wake.set()
            return False
        desired = {action.key: action for action in made.actions}
        # Told to end, not waited for: whatever is awaited between the plan and its starts makes the plan a stale one.
        self._cancel([k for k in self._running if k not in desired and isinstance(self._actions[k], CANCELLABLE)])
        for key, action in desired.items():
            if key not in self._running and not self._lane_is_taken(action):
                self._start(key, action)
        self._maybe_snapshot()
        idle = made.settled and not self._running and (until_idle or self.state.draining)
        timeout = QUIET_S if idle else self._patience(made.wake_at, now, deadline)
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            if not idle:
                return False
            if self.last_look is not None:
                await self.last_look()
            return not self._wake.is_set()
        return False

    def _lane_is_taken(self, action: Action) -> bool:
        lane = next((lane for lane in LANES if isinstance(action, lane)), None)
        return lane is not None and any(isinstance(other, lane) for other in self._actions.values())

    def _patience(self, wake_at: float | None, now: float, deadline: float | None) -> float | None:
        waits = [max(0.0, wake_at - now)] if wake_at is not None else []
        if deadline is not None:
            waits.append(max(0.0, deadline - self.clock.monotonic()))
        return min(waits) if waits else None

    def _start(self, key: str, action: Action) -> None:
        self._actions[key] = action
        task = self._running[key] = asyncio.create_task(self._perform(key, action), name=key)
        # Not by the task itself: one that is cancelled before its first step never runs.
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: str) -> None:
        self._running.pop(key, None)
        self._actions.pop(key, None)
        self._wake.set()

    async def _perform(self, key: str, action: Action) -> None:
        try:
            if key in self._finished:
                raise SwarmError("the effect ended, but nothing came of it")
            await self.effects[type(action)](action)
            self._finished.add(key)
        except asyncio.CancelledError:
            self.log.debug("plan", "superseded", key=key)
            raise
        except Exception as error:
            await self._failed(action, error)

    async def _failed(self, action: Action, error: Exception) -> None:
        """A fault of the machine, or a bug: journalled with its traceback; the engine goes on without that effect."""
        log = self.log.warning if isinstance(error, SwarmError) else self.log.error
        log("engine", f"effect failed: {action.effect}: {error}")
        try:
            await self.emit(failure_of(action, error))
        except InfrastructureFault as fault:
            self._fault = fault
            self.stop()

    def _cancel(self, keys: list[str]) -> None:
        """Tell them to end, once. They stay among what runs until they have."""
        for task in [self._running[key] for key in keys]:
            if not task.cancelling():
                task.cancel()

    def _maybe_snapshot(self) -> None:
        if self.state.seq - self._snapshot_seq >= SNAPSHOT_EVERY:
            self._snapshot_seq = self.state.seq
            self.save_snapshot()

    def save_snapshot(self) -> asyncio.Future[None]:
        """Write the state beside the events, so that the next start reads a tail only."""
        return self.journal.save_snapshot(self.state.seq, dump_state(self.state))
