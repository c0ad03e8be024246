"""Recorded nights: where their events come from, and what a look through them finds before one is played.

A night is one `engine_started` and all that follows up to its `engine_stopped`, or up to the next start when the engine
died without a word.
"""

from __future__ import annotations

import gc
import json
import pickle
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.artifacts import ArtifactStore
from engine.errors import UserError
from engine.fold import apply
from engine.folders import StateFolder
from engine.history import History
from engine.journal import JournalReader
from engine.metrics import Tally
from engine.models.event import Event
from engine.state import State
from engine.text.sanitise import sanitise_line

MOST_KEPT = 8
"""Folded states that a night keeps at most, for seeking. Thawing one costs as much as folding some thousand events."""
FIRST_SPACING = 4_000
"""Events between two kept states, as long as there are few."""

ChapterKind = Literal["landing", "restore", "red canary", "rejection", "approval"]


class Recording(Protocol):
    """Events that somebody kept. `first` is the seq of the first one; they follow without gaps."""

    folders: StateFolder
    first: int

    def events(self, after: int, limit: int | None = None) -> Iterator[Event]:
        """Events with a seq above `after`, in order, at most `limit`. Raises UserError for what is no event."""
        ...

    def artifact(self, digest: str) -> bytes:
        """Raises SwarmError when it is not there."""
        ...

    def close(self) -> None: ...


class JournalRecording:
    """The journal of a state folder. An engine may be writing it."""

    def __init__(self, folders: StateFolder) -> None:
        self.folders = folders
        self.first = 1
        self._reader = JournalReader(folders.journal)
        self._artifacts = ArtifactStore(folders.artifacts)

    def events(self, after: int, limit: int | None = None) -> Iterator[Event]:
        return self._reader.events(after, limit)

    def artifact(self, digest: str) -> bytes:
        return self._artifacts.get(digest)

    def close(self) -> None:
        self._reader.close()


class LinesRecording:
    """A file of JSON lines as `swarm events --json` writes them. Logs and artifacts are not in it.

    A last line without a seq, the summary of a headless run, is left out.
    """

    def __init__(self, path: Path) -> None:
        self.folders = StateFolder(path.with_name(path.name + ".folders"))  # there is none: nothing is found in it
        self._path = path
        self._starts = array("q")
        try:
            with path.open("rb") as file:
                at = 0
                for line in file:
                    if line.strip():
                        self._starts.append(at)
                    at += len(line)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        if not self._starts:
            raise UserError(f"{path} is empty: `swarm events --json` writes what belongs there")
        self.first = 1
        self.first = next(self._read(0, 1)).seq
        if self._is_summary(len(self._starts) - 1):
            self._starts.pop()

    def events(self, after: int, limit: int | None = None) -> Iterator[Event]:
        begin = max(0, after + 1 - self.first)
        end = len(self._starts) if limit is None else min(len(self._starts), begin + limit)
        for place, event in enumerate(self._read(begin, end), begin):
            if event.seq != self.first + place:
                raise self._bad(place, f"its seq is {event.seq} where {self.first + place} should be")
            yield event

    def artifact(self, digest: str) -> bytes:
        raise UserError("this recording has events only: logs and evidence stayed in the state folder of its night")

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _read(self, begin: int, end: int) -> Iterator[Event]:
        if begin >= end:
            return
        with self._path.open("rb") as file:
            file.seek(self._starts[begin])
            place = begin
            for line in file:
                if place == end:
                    return
                if line.strip():
                    yield self._event(place, line)
                    place += 1

    def _event(self, place: int, line: bytes) -> Event:
        try:
            return event_of(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._bad(place, str(error) or type(error).__name__) from error

    def _is_summary(self, place: int) -> bool:
        with self._path.open("rb") as file:
            file.seek(self._starts[place])
            try:
                data = json.loads(file.readline())
            except (ValueError, RecursionError):
                return False
        return isinstance(data, dict) and data.get("kind") == "summary" and "seq" not in data

    def _bad(self, place: int, why: str) -> UserError:
        why = sanitise_line(why)[:200]
        return UserError(f"{self._path}: line {place + 1} is no event as `swarm events --json` writes it ({why})")


def event_of(data: Any) -> Event:
    """The event of its flat JSON object (`Event.as_json`). Raises ValueError, KeyError or TypeError."""
    if not isinstance(data, dict):
        raise TypeError("it is no object")
    fields = dict(data)
    seq, at, kind, order, run = (fields.pop(name) for name in ("seq", "at", "kind", "work_order", "run"))
    if not isinstance(seq, int) or not all(isinstance(text, str) for text in (at, kind, order, run)):
        raise TypeError("seq is no number, or at, kind, work_order or run is no text")
    return Event(seq, datetime.fromisoformat(at).timestamp(), kind, order, run, fields)


def recording_of(path: Path) -> Recording:
    """What a path holds: a state folder, its journal, or JSON lines. Raises UserError, naming what could be meant."""
    if path.is_dir():
        return JournalRecording(StateFolder(path))
    if not path.is_file():
        raise UserError(
            f"there is no recorded night at {path}: name a state folder, its journal.db or a file of events"
        )
    with path.open("rb") as file:
        is_journal = file.read(16) == b"SQLite format 3\x00"
    return JournalRecording(StateFolder(path.parent)) if is_journal else LinesRecording(path)


@dataclass
class Folded:
    """State, history and figures after the same event."""

    state: State = field(default_factory=State)
    history: History = field(default_factory=History)
    tally: Tally = field(default_factory=Tally)

    def apply(self, event: Event) -> None:
        apply(self.state, event)
        self.history.apply(event)
        self.tally.apply(event)

    def freeze(self) -> bytes:
        """A copy that stays as it is. Never leaves this process."""
        return pickle.dumps((self.state, self.history, self.tally), pickle.HIGHEST_PROTOCOL)

    @classmethod
    def thaw(cls, frozen: bytes) -> Folded:
        # Nothing of what is made here is garbage: looking for some would double the time.
        collected = gc.isenabled()
        gc.disable()
        try:
            return cls(*pickle.loads(frozen))
        finally:
            if collected:
                gc.enable()


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something worth a jump. `at`: on the night's clock."""

    seq: int
    at: float
    kind: ChapterKind


@dataclass
class Night:
    """One night: its events are those from seq `first` to `last`. `at` of the n-th event is `times[n]`, in UTC seconds;
    it never goes back, even if the machine's clock did."""

    number: int
    first: int
    last: int = 0
    landed: int = 0
    rejected: int = 0
    parked: int = 0
    stopped: str = ""
    """Why the engine stopped; "" when no end was recorded."""
    times: array[float] = field(default_factory=lambda: array("d"))
    chapters: list[Chapter] = field(default_factory=list[Chapter])

    @property
    def start(self) -> float:
        return self.times[0]

    @property
    def end(self) -> float:
        return self.times[-1]

    @property
    def length_s(self) -> float:
        return self.end - self.start

    def take(self, event: Event) -> None:
        """The next event of this night."""
        at = max(event.at, self.times[-1]) if self.times else event.at
        self.times.append(at)
        self.last = event.seq
        self.landed += event.kind == "change_landed"
        self.rejected += event.kind == "change_rejected"
        self.parked += event.kind == "work_order_parked"
        if event.kind == "engine_stopped":
            self.stopped = str(event.fields.get("reason", "")) or "stopped"
        kind = chapter_of(event)
        if kind is not None:
            self.chapters.append(Chapter(event.seq, at, kind))


def chapter_of(event: Event) -> ChapterKind | None:
    """What kind of chapter begins with this event, if one does."""
    if event.kind == "canary_judged":
        return "red canary" if event.fields.get("verdict") == "FAIL" else None
    return _CHAPTERS.get(event.kind)


_CHAPTERS: dict[str, ChapterKind] = {
    "change_landed": "landing",
    "commits_adopted": "landing",
    "change_rejected": "rejection",
    "main_restored": "restore",
    "approval_asked": "approval",
}


def nights_of(recording: Recording) -> list[Night]:
    """All nights of a recording, oldest first."""
    nights: list[Night] = []
    for event, begins in _by_night(recording):
        if begins:
            nights.append(Night(len(nights) + 1, event.seq))
        if nights:
            nights[-1].take(event)
    return nights


def _by_night(recording: Recording) -> Iterator[tuple[Event, bool]]:
    """Each event, and whether a night begins with it. What a recording has before its first start is the past of the
    first night; a recording without any start is one night."""
    early: list[Event] | None = []
    for event in recording.events(0):
        if event.kind == "engine_started":
            yield from ((each, False) for each in early or ())
            early = None
        if early is None:
            yield event, event.kind == "engine_started"
        else:
            early.append(event)
    yield from ((event, place == 0) for place, event in enumerate(early or ()))


@dataclass
class Kept:
    """Folded states of a night by the seq of their last event, in order; the first is from before the night."""

    seqs: list[int]
    frozen: list[bytes]
    spacing: int = FIRST_SPACING

    def offer(self, seq: int, folded: Folded) -> None:
        """Keep this state if enough happened since the last one; of too many, every other goes."""
        if seq - self.seqs[-1] < self.spacing:
            return
        self.seqs.append(seq)
        self.frozen.append(folded.freeze())
        if len(self.seqs) > MOST_KEPT:
            self.seqs, self.frozen = self.seqs[::2], self.frozen[::2]
            self.spacing *= 2


def read_night(recording: Recording, number: int | None, said: Callable[[int], None]) -> tuple[Night, Kept]:
    """Look through a recording for one night (None: the newest). `said` is told now and then how many events were read.

    Raises UserError: there is no such night, or an event that cannot be folded.
    """
    folded = Folded()
    night: Night | None = None
    kept = Kept([recording.first - 1], [folded.freeze()])
    for count, (event, begins) in enumerate(_by_night(recording)):
        if begins:
            if night is not None and night.number == number:
                break
            night = Night((night.number if night else 0) + 1, event.seq)
            kept = Kept([event.seq - 1], [folded.freeze()])
        try:
            folded.apply(event)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = sanitise_line(f"{type(error).__name__}: {error}")[:200]
            raise UserError(f"event {event.seq} ({sanitise_line(event.kind)}) cannot be replayed: {why}") from error
        if night is not None:
            night.take(event)
            kept.offer(event.seq, folded)
        if count % 1_000 == 999:
            said(count + 1)
    if night is None:
        raise UserError("nothing is recorded yet: start the engine once with `swarm`")
    if number is not None and night.number != number:
        raise UserError(f"there is no night {number}: `swarm replay --list` lists the {night.number} there are")
    return night, kept
