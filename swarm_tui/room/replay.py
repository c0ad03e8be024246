"""A recorded night as a source: the same events in the same order, on a clock that a person sets.

Nothing is written anywhere and nothing can be commanded. The clock stands on the night's time: it runs at a chosen
speed, waits while paused, never runs past the night's end, and seeks by folding again from the nearest kept state.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from engine.errors import SwarmError, UserError
from engine.folders import StateFolder
from engine.history import History
from engine.metrics import Tally
from engine.models.event import Event
from engine.state import State
from swarm_tui.room.recording import Folded, Kept, Night, Recording, read_night
from swarm_tui.room.source import EngineWord

SPEEDS = (1, 2, 5, 10, 20, 50, 100)
QUIET_S = 60.0
"""Seconds of the night without any event that may be skipped."""
LEAD_S = 1.0
"""Of a quiet stretch, so many real seconds are shown at both of its ends."""
AGAIN_S = 1.5
"""A second jump back within so many real seconds goes on from where the first one went, not from where it is now."""
REFUSED = "this is a recorded night: nothing can be changed in it (the keys of the replay are in the last line)"


class ReplaySource:
    """Implements `Source`. `monotonic` is the real clock in seconds.

    `start` reads the night through once, which takes some seconds for 100,000 events: call it off the room's
    thread. All else belongs to the room's thread.
    """

    read_only = True
    past_read = 1.0

    def __init__(
        self,
        recording: Recording,
        repository: Path,
        number: int | None = None,
        *,
        speed: int = 1,
        said: Callable[[int], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders: StateFolder = recording.folders
        self.speed = speed
        self.paused = False
        self.skips_quiet = True
        self.skipped_s = 0.0
        """Seconds of the night that the last skip left out; 0 once it has been said long enough."""
        self._recording = recording
        self._repository = repository
        self._number = number
        self._said = said
        self._monotonic = monotonic
        self._folded = Folded()
        self._night: Night | None = None
        self._kept = Kept([], [])
        self._base = (0.0, 0.0)
        """(night's time, real time) when the clock was last set."""
        self._catching_up = True
        self._jumped = (-1, 0.0)
        """The chapter that the last jump went to, and when that was."""
        self._skipped_at = 0.0
        self._failed = ""

    # -- what a room asks of a source ----------------------------------------------------------------------------

    @property
    def repository(self) -> Path:
        return self._repository

    @property
    def state(self) -> State:
        return self._folded.state

    @property
    def history(self) -> History:
        return self._folded.history

    @property
    def tally(self) -> Tally:
        return self._folded.tally

    def start(self) -> None:
        """Read the night through and stand at its first event. Raises UserError."""
        self._night, self._kept = read_night(self._recording, self._number, self._said)
        self._folded = Folded.thaw(self._kept.frozen[0])
        self._set_clock(self._night.start)

    def poll(self, budget_s: float) -> list[Event]:
        """Events that are due by the night's clock. After a seek the budget does not hold: they come at once."""
        self._skip_quiet()
        if self._catching_up:
            self._go_back()
        events: list[Event] = []
        wanted = self._due_seq() - self.state.seq
        if wanted <= 0 or self._failed:
            self._catching_up = False
            return events
        ends = time.perf_counter() + budget_s
        try:
            for event in self._recording.events(self.state.seq, wanted):
                self._folded.apply(event)
                events.append(event)
                if not self._catching_up and time.perf_counter() > ends:
                    return events
        except (SwarmError, OSError) as error:
            self._set_clock(self.now())
            self._failed, self.paused = str(error), True
        self._catching_up = False
        return events

    def now(self) -> float:
        """The night's clock, in UTC seconds."""
        at, since = self._base
        return at if self.paused else min(self.night.end, at + (self._monotonic() - since) * self.speed)

    def engine(self) -> EngineWord:
        return "replay"

    def failed(self) -> str:
        return self._failed

    def send(self, name: str, args: dict[str, Any] | None = None) -> Future[str]:
        refused: Future[str] = Future()
        refused.set_exception(UserError(REFUSED))
        return refused

    def events(self, after: int, limit: int) -> list[Event]:
        upto = min(after + limit, self.state.seq)
        after = max(after, self._recording.first - 1)
        limit = upto - after
        return list(self._recording.events(after, limit)) if limit > 0 else []

    def artifact(self, digest: str) -> bytes:
        return self._recording.artifact(digest)

    def close(self) -> None:
        self._recording.close()

    # -- what a person does with the clock -----------------------------------------------------------------------

    @property
    def night(self) -> Night:
        assert self._night is not None, "the replay was not started"
        return self._night

    @property
    def ended(self) -> bool:
        """Whether the night is over and all of it is shown."""
        return self.now() >= self.night.end and self.state.seq >= self.night.last

    @property
    def share(self) -> float:
        """Where in the night the clock stands, 0 to 1."""
        length_s = self.night.length_s
        return (self.now() - self.night.start) / length_s if length_s > 0 else 1.0

    def toggle(self) -> None:
        """Pause, or go on; at the end, from the start again."""
        if self.ended:
            self.seek(self.night.start)
            self.paused = False
        else:
            self._set_clock(self.now())
            self.paused = not self.paused

    def change_speed(self, steps: int) -> None:
        """To the next faster (1) or slower (-1) of `SPEEDS`."""
        self._set_clock(self.now())
        faster = bisect_right(SPEEDS, self.speed) if steps > 0 else bisect_left(SPEEDS, self.speed) - 1
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, faster))]

    def toggle_quiet(self) -> None:
        """Skip quiet stretches, or sit them out."""
        self.skips_quiet = not self.skips_quiet

    def seek(self, at: float) -> None:
        """Put the clock to a time of the night, in UTC seconds; the next `poll` brings what that needs."""
        self._jumped = (-1, 0.0)
        self._set_clock(max(self.night.start, min(self.night.end, at)))
        self._catching_up = True

    def jump(self, step: int) -> bool:
        """To the next (1) or previous (-1) chapter; False when there is none."""
        chapters, now = self.night.chapters, self.now()
        place, jumped_at = self._jumped
        if place < 0 or (self._monotonic() - jumped_at > AGAIN_S and not self.paused):
            before = bisect_left(chapters, now, key=lambda chapter: chapter.at)
            after = bisect_right(chapters, now, key=lambda chapter: chapter.at)
            target = after if step > 0 else before - 1
        else:
            target = place + step
        if not 0 <= target < len(chapters):
            return False
        self.seek(chapters[target].at)
        self._jumped = (target, self._monotonic())
        return True

    # -- the clock -----------------------------------------------------------------------------------------------

    def _go_back(self) -> None:
        """To the nearest kept state, if that is nearer than where we are. Only here and in `poll` does the state become
        another one: in between, the room draws what it has drawn."""
        target = self._due_seq()
        place = bisect_right(self._kept.seqs, target) - 1
        if target < self.state.seq or self._kept.seqs[place] > self.state.seq:
            self._folded = Folded.thaw(self._kept.frozen[place])

    def _set_clock(self, at: float) -> None:
        self._base = (at, self._monotonic())

    def _due_seq(self) -> int:
        return self.night.first - 1 + bisect_right(self.night.times, self.now())

    def _skip_quiet(self) -> None:
        if self.skipped_s and self._monotonic() - self._skipped_at > 3 * LEAD_S:
            self.skipped_s = 0.0
        times, now = self.night.times, self.now()
        following = bisect_right(times, now)
        if not self.skips_quiet or self.paused or not 0 < following < len(times):
            return
        lead_s = LEAD_S * self.speed
        begun, ends = times[following - 1], times[following]
        if ends - begun >= QUIET_S and now >= begun + lead_s and ends - lead_s > now:
            self.skipped_s, self._skipped_at = ends - lead_s - now, self._monotonic()
            self._set_clock(ends - lead_s)
