"""Where a room gets what it shows, and where its commands go: a running or stopped engine, or a recorded night."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.artifacts import ArtifactStore
from engine.client import Client
from engine.errors import SwarmError, UserError
from engine.fold import apply
from engine.folders import StateFolder
from engine.history import History
from engine.journal import JournalReader
from engine.metrics import Tally
from engine.models.event import Event
from engine.state import State
from swarm_tui.sending import send_or_refuse

LOOK_S = (0.05, 0.1)
"""Between two looks at the journal: while events come, and when it is quiet."""
LOCK_LOOK_S = 0.5
SLICE = 250
"""Events that the feed decodes before it lets other threads run."""
BACKLOG = 20_000
"""Events that wait for the room at most: beyond it the feed stops reading. They stay in the journal."""
READ_ONLY = "this room is read-only: open one without --read-only to do that"

EngineWord = Literal["running", "stopped", "replay"]


class Source(Protocol):
    """What a room looks at. `state`, `history` and `tally` are only touched by the thread that calls `poll`."""

    folders: StateFolder
    read_only: bool

    @property
    def repository(self) -> Path: ...

    @property
    def state(self) -> State: ...

    @property
    def history(self) -> History: ...

    @property
    def tally(self) -> Tally: ...

    @property
    def past_read(self) -> float:
        """The share of the past that `history` and `tally` know, 0 to 1. Below 1 both are empty."""
        ...

    def start(self) -> None:
        """Open it. Returns at once with what there is to show; the past follows. Raises UserError."""
        ...

    def poll(self, budget_s: float) -> list[Event]:
        """Events since the last call, oldest first, already folded in; what does not fit the budget waits."""
        ...

    def now(self) -> float:
        """The night's clock, in UTC seconds."""
        ...

    def engine(self) -> EngineWord: ...

    def failed(self) -> str:
        """Why nothing more will come, in one sentence; "" while all is well."""
        ...

    def send(self, name: str, args: dict[str, Any] | None = None) -> Future[str]:
        """Send a command; the future has the answer's sentence, or raises SwarmError (UserError when refused)."""
        ...

    def events(self, after: int, limit: int) -> list[Event]:
        """A page of the journal: what there is of the `limit` seqs above `after`, never beyond what `state` has seen.

        For any thread. Raises SwarmError when it cannot be read.
        """
        ...

    def artifact(self, digest: str) -> bytes:
        """What an artifact holds. Raises SwarmError when it is gone or damaged."""
        ...

    def close(self) -> None: ...


def past(reader: JournalReader, upto: int) -> Iterator[tuple[list[Event], float]]:
    """All events up to a seq in slices, each with the share read so far."""
    events = reader.events(0, upto)
    done = 0
    while True:
        found = [event for _, event in zip(range(SLICE), events, strict=False)]
        if not found:
            return
        done += len(found)
        yield found, min(1.0, done / max(1, upto))


@dataclass
class LiveSource:
    """The journal of an engine in this process or another. A thread of its own reads; the room folds.

    The state comes first, from the newest snapshot. History and figures are folded from the first event on, while
    the room already lives.
    """

    folders: StateFolder
    root: Path
    read_only: bool = False
    _client: Client | None = None
    _history: History = field(default_factory=History)
    _tally: Tally = field(default_factory=Tally)
    _past_read: float = 0.0
    _handover: tuple[History, Tally] | None = None
    _waiting: deque[Event] = field(default_factory=deque[Event])
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: bool = False
    _failed: str = ""
    _thread: threading.Thread | None = None
    _sender: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="sender"))

    @property
    def repository(self) -> Path:
        return self.root

    @property
    def state(self) -> State:
        return self._open.state

    @property
    def history(self) -> History:
        return self._history

    @property
    def tally(self) -> Tally:
        return self._tally

    @property
    def past_read(self) -> float:
        return self._past_read

    @property
    def _open(self) -> Client:
        assert self._client is not None, "the source was not started"
        return self._client

    def start(self) -> None:
        self._client = Client.attach(self.folders)
        self._running = self._client.engine_runs()
        self._thread = threading.Thread(target=self._feed, args=(self._client.state.seq,), name="feed", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Events that the feed has read and the room has not."""
        return len(self._waiting)

    def poll(self, budget_s: float) -> list[Event]:
        self._take_past()
        events: list[Event] = []
        ends = time.perf_counter() + budget_s
        while self._waiting and (not events or time.perf_counter() < ends):
            event = self._waiting.popleft()
            self._take_past()  # behind the event: it may be one that came after the past was handed over
            apply(self.state, event)
            if self._past_read == 1.0:
                self._history.apply(event)
                self._tally.apply(event)
            events.append(event)
        return events

    def _take_past(self) -> None:
        if self._handover is not None:
            (self._history, self._tally), self._handover, self._past_read = self._handover, None, 1.0

    def now(self) -> float:
        return time.time()

    def engine(self) -> EngineWord:
        return "running" if self._running else "stopped"

    def failed(self) -> str:
        return self._failed

    def send(self, name: str, args: dict[str, Any] | None = None) -> Future[str]:
        if self.read_only:
            refused: Future[str] = Future()
            refused.set_exception(UserError(READ_ONLY))
            return refused
        return self._sender.submit(self._send, name, args or {})

    def _send(self, name: str, args: dict[str, Any]) -> str:
        # A client of its own: the room's state must not move under the thread that draws it.
        client = Client.attach(self.folders)
        try:
            return send_or_refuse(client, name, args)
        finally:
            client.close()

    def events(self, after: int, limit: int) -> list[Event]:
        limit = min(limit, self.state.seq - after)
        return list(self._open.reader.events(after, limit)) if limit > 0 else []

    def artifact(self, digest: str) -> bytes:
        return ArtifactStore(self.folders.artifacts).get(digest)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)
        self._sender.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    # -- the feed's thread ---------------------------------------------------------------------------------------

    def _feed(self, seq: int) -> None:
        try:
            with JournalReader(self.folders.journal) as reader:
                seq = self._read_past(reader, seq)
                looked_at, version, more, came = 0.0, -1, True, True
                while not self._stop.wait(0.001 if more and came else LOOK_S[0] if came else LOOK_S[1]):
                    before, version = version, reader.data_version()
                    last, came = seq, False
                    if more or version != before:
                        seq, more = self._read_new(reader, seq, None)
                        came = seq != last
                    if time.monotonic() - looked_at > LOCK_LOOK_S:
                        self._running, looked_at = self._open.engine_runs(), time.monotonic()
        except SwarmError as error:
            self._failed = str(error)
        except Exception as error:
            self._failed = f"reading the journal failed: {error!r}"

    def _read_past(self, reader: JournalReader, seq: int) -> int:
        """History and figures from the first event on; what happens meanwhile goes to the room as well."""
        history, tally = History(), Tally()
        since: list[Event] = []
        for events, share in past(reader, seq):
            for event in events:
                history.apply(event)
                tally.apply(event)
            self._past_read = min(0.99, share)
            seq, _ = self._read_new(reader, seq, since)
            if self._stop.wait(0.001):
                return seq
        for event in since:
            history.apply(event)
            tally.apply(event)
        self._handover = (history, tally)
        return seq

    def _read_new(self, reader: JournalReader, seq: int, also: list[Event] | None) -> tuple[int, bool]:
        """Up to one slice of events after `seq` for the room; the seq then, and whether there may be more."""
        if len(self._waiting) > BACKLOG:
            return seq, True
        events = list(reader.events(seq, SLICE))
        self._waiting.extend(events)
        if also is not None:
            also.extend(events)
        return (events[-1].seq if events else seq), len(events) == SLICE
