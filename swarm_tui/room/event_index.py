"""A journal of any length for a timeline: every event in a few words to filter and jump by, the rest read on demand."""

from __future__ import annotations

import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from engine.errors import SwarmError
from engine.models.event import Event
from engine.text.sanitise import sanitise_line
from swarm_tui.phrases import Phrase, phrase

CHUNK = 500
"""Events that are read at once from the past."""
PAGE = 200
PAGES = 24
"""Pages of events that are kept: what a person scrolls back and forth over."""
TOLD_CHARS = 400
HIDDEN = ""
"""The tone of an event that only the journal needs."""
PROBLEMS = ("bad", "attention")


class Events(Protocol):
    """The part of a source that is needed here."""

    def events(self, after: int, limit: int) -> list[Event]: ...


class Entry(NamedTuple):
    """`tone` is a phrase's, or `HIDDEN`."""

    seq: int
    at: float
    kind: str
    order: str
    tone: str


def told(event: Event) -> Phrase:
    """The sentence of an event; its kind and fields when there is none."""
    return _phrase(event) or Phrase("·", sanitise_line(event.work_order), fields_of(event), "quiet")


def fields_of(event: Event) -> str:
    """An event's kind and its own fields on one line, not all of them if they are long."""
    text = json.dumps(event.fields, ensure_ascii=False, default=str)
    more = "" if len(text) <= TOLD_CHARS else " …"
    return sanitise_line(f"{event.kind} {text[:TOLD_CHARS]}{more}")


def _phrase(event: Event) -> Phrase | None:
    # An engine of another version may have written other fields: such an event is told as it stands.
    try:
        return phrase(event)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Phrase("?", sanitise_line(event.work_order), fields_of(event), "quiet")


def entry_of(event: Event) -> Entry:
    made = _phrase(event)
    return Entry(event.seq, event.at, event.kind, event.work_order, made.tone if made else HIDDEN)


class EventIndex:
    """An entry for each event from `first` to `last`. It begins at the newest and grows at both ends.

    `read_past` runs in a thread of its own; everything else belongs to the room's thread.
    """

    def __init__(self, source: Events, last: int) -> None:
        self._source = source
        self._start = last
        self.entries: list[Entry] = []
        self.first, self.last = last + 1, last
        self._found: deque[list[Entry]] = deque()
        self._read_down_to = last + 1
        self._at_first = last < 1
        """Whether the past was read down to the first event there is."""
        self.failed = ""

    @property
    def complete(self) -> bool:
        """Whether there is an entry for every event up to `last`."""
        return self._at_first and not self.waiting

    @property
    def share(self) -> float:
        """How much of the past has been read, 0 to 1."""
        return 1.0 if self._start <= 0 else (self._start + 1 - self._read_down_to) / self._start

    @property
    def waiting(self) -> int:
        """Entries that `take_past` would add."""
        return self.first - self._read_down_to

    @property
    def past_read(self) -> bool:
        """Whether nothing more will come from the past."""
        return self._at_first or bool(self.failed)

    def read_past(self, given_up: Callable[[], bool]) -> None:
        """Read from the newest event down to the first, until `given_up`."""
        below = self._start + 1
        try:
            while below > 1 and not given_up():
                after = max(0, below - 1 - CHUNK)
                events = self._source.events(after, below - 1 - after)
                if events:
                    self._found.append([entry_of(event) for event in events])
                    self._read_down_to = below = events[0].seq
                if not events or below == 1:  # a recording may begin late
                    self._at_first = True
                    return
                time.sleep(0.001)  # so that the thread that draws gets its turn
        except SwarmError as error:
            self.failed = str(error)

    def take_past(self) -> None:
        """Add what was read of the past by now."""
        older: list[list[Entry]] = []
        while self._found:
            older.append(self._found.popleft())
        if older:
            self.entries = [entry for chunk in reversed(older) for entry in chunk] + self.entries
            self.first = self.entries[0].seq

    def take_new(self, came: Sequence[Event], upto: int) -> list[Entry]:
        """Add events behind the last up to `upto`: from `came` if they follow, else a chunk of them from the journal.

        Gives the entries that were added.
        """
        if self.last >= upto:
            return []
        follows = bool(came) and came[0].seq <= self.last + 1
        try:
            events = came if follows else self._source.events(self.last, min(CHUNK, upto - self.last))
        except SwarmError as error:
            self.failed = str(error)
            return []
        added = [entry_of(event) for event in events if event.seq > self.last]
        if added:
            self.entries += added
            self.last = added[-1].seq
        return added

    def entry(self, seq: int) -> Entry | None:
        at = seq - self.first
        return self.entries[at] if 0 <= at < len(self.entries) else None


class EventPages:
    """Events by seq, read page by page when they are asked for, the pages asked for last kept."""

    def __init__(self, source: Events) -> None:
        self._source = source
        self._pages: OrderedDict[int, list[Event]] = OrderedDict()

    def event(self, seq: int) -> Event | None:
        """None when there is no such event, or it cannot be read."""
        number = (seq - 1) // PAGE
        page = self._pages.get(number, [])
        if not page or seq > page[-1].seq:
            try:
                page = self._source.events(number * PAGE, PAGE)
            except SwarmError:
                return None
            self._pages[number] = page
            if len(self._pages) > PAGES:
                self._pages.popitem(last=False)
        self._pages.move_to_end(number)
        place = seq - page[0].seq if page else 0
        return page[place] if 0 <= place < len(page) else None


class EntryFilter:
    """Entries that a person asked for: each word must be in their work order, their kind or their tone.

    `order`: only those of this work order. `hidden`: also those that only the journal needs.
    """

    def __init__(self, words: str = "", order: str = "", *, hidden: bool = False) -> None:
        self._words = words.casefold().split()
        self._order = order
        self._hidden = hidden
        self._known: dict[tuple[str, str, str], bool] = {}

    def __call__(self, entry: Entry) -> bool:
        key = (entry.kind, entry.order, entry.tone)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._takes(entry)
        return known

    def _takes(self, entry: Entry) -> bool:
        if (self._order and entry.order != self._order) or not (entry.tone or self._hidden):
            return False
        text = f"{entry.order} {entry.kind} {entry.kind.replace('_', ' ')} {entry.tone}".casefold()
        return all(word in text for word in self._words)
