"""The timeline: what happened, sentence by sentence, from the first event of the journal to this moment?"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from engine.models.event import Event
from engine.text.sanitise import sanitise_line
from swarm_tui.room.changes import Changes
from swarm_tui.room.event_index import PROBLEMS, Entry, EntryFilter, EventIndex, EventPages, fields_of, told
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.event_detail import EventDetail
from swarm_tui.widgets.rows import Cell, Column, Rows

DAY = "d"
"""Before the seq of its first event: the key of a date line."""
FIRST_SHOWN = 200
"""Events that are shown as soon as they are read; then what is shown doubles, until all is."""
COLUMNS = (
    Column("seq", 7, right=True, from_width=100),
    Column("time", 8),
    Column("", 1),
    Column("about", 18, from_width=50),
    Column("what happened"),
)
EMPTY = "no event yet: `swarm demo` or a work order in roadmap.toml brings some"
READING = "reading the journal …"


class TimelineScreen(RoomScreen):
    """What happened? `order`: only what happened to this work order."""

    CSS_PATH = "timeline.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", id="timeline.close"),
        Binding("slash", "filter", "Filter", id="timeline.filter"),
        Binding("n", "problem(1)", "Next problem", id="timeline.next_problem"),
        Binding("N", "problem(-1)", "Previous", id="timeline.previous_problem"),
        Binding("v", "all", "All events", id="timeline.all"),
        Binding("1", "jump('order')", "Work order", id="timeline.order"),
        Binding("2", "jump('run')", "Run", id="timeline.run"),
        Binding("3", "jump('gates')", "Gates", id="timeline.gates"),
        Binding("4", "jump('canary')", "Canary", id="timeline.canary"),
        Binding("y", "copy", "Copy the event", show=False, id="timeline.copy"),
    ]

    def __init__(self, order: str = "") -> None:
        super().__init__()
        self._order = order
        self._words = ""
        self._all = False
        self._takes = EntryFilter(order=order)
        self._index: EventIndex | None = None
        self._pages: EventPages | None = None
        self._seqs: list[int] = []
        """Of the events that are shown, in order."""
        self._day = (0.0, 0.0)
        """When the day of the last date line begins and ends."""
        self._head = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Input(placeholder="words of work order, kind or tone (good, bad, attention, quiet)", id="filter")
        with Container(id="body"):
            yield Rows(COLUMNS, self._cells, empty=READING, id="events")
            yield EventDetail(id="detail")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.rows.focus()

    @property
    def rows(self) -> Rows:
        return self.query_one("#events", Rows)

    @property
    def following(self) -> bool:
        """Whether the cursor is on the newest event, and goes with the end."""
        return not self.rows.keys or self.rows.key == self.rows.keys[-1]

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        seq = self.room.state.seq
        if self._index is None or seq < self._index.last:
            self._index_from(seq)
        index = self._index
        assert index is not None
        if index.waiting and (index.past_read or index.waiting >= max(FIRST_SHOWN, len(index.entries))):
            index.take_past()
            self._show_all()
        if added := index.take_new(changes.events, seq):
            self.rows.append(self._keys_of(added))
        if index.past_read and not index.waiting and not self.rows.keys:
            self._say_empty()
        self._show_head(index)

    def _index_from(self, seq: int) -> None:
        """Begin at an event: at first, and when a replay jumped back."""
        source = self.room.source
        self._index, self._pages = EventIndex(source, seq), EventPages(source)
        self._seqs, self._day = [], (0.0, 0.0)
        self.rows.show([])
        self.rows.touch()
        index = self._index
        self.run_worker(
            lambda: index.read_past(_given_up()), thread=True, exclusive=True, group="index", exit_on_error=False
        )

    def _show_all(self) -> None:
        """Lay out all rows anew; what is on screen stays where it is."""
        assert self._index is not None
        rows, followed, before = self.rows, self.following, len(self.rows.keys)
        self._seqs, self._day = [], (0.0, 0.0)
        rows.show(self._keys_of(self._index.entries))
        if followed:
            rows.action_last()
            self.call_after_refresh(rows.action_last)  # once more when it has its size
            self.call_after_refresh(lambda: rows.select(rows.key))
        else:
            rows.scroll_to(y=rows.scroll_offset.y + max(0, len(rows.keys) - before), animate=False)

    def _show_chosen(self) -> None:
        """After another choice of events: the cursor stays on its event, or goes to the one before it."""
        if self._index is None:
            return
        rows, followed, seq = self.rows, self.following, self._seq
        self._takes = EntryFilter(self._words, self._order, hidden=self._all)
        self._seqs, self._day = [], (0.0, 0.0)
        rows.show(self._keys_of(self._index.entries))
        rows.touch()
        if followed:
            rows.action_last()
        elif self._seqs:
            rows.select(str(self._seqs[max(0, bisect_right(self._seqs, seq) - 1)]))
        rows.select(rows.key)
        if not rows.keys:
            self._say_empty()

    def _say_empty(self) -> None:
        empty = EMPTY
        if self._words:
            empty = "nothing matches: escape clears the filter"
        elif self._order:
            empty = f"nothing happened to {sanitise_line(self._order)} yet: it gets a run when it is ready"
        if self._index is not None and self._index.failed:
            empty = sanitise_line(self._index.failed)
        if self.rows.empty != empty:
            self.rows.empty = empty
            self.rows.refresh()

    def _keys_of(self, entries: Iterable[Entry]) -> list[str]:
        """Rows for those of the entries that are shown, which follow what is shown already; each day has a line."""
        keys: list[str] = []
        takes, (begins, ends) = self._takes, self._day
        for entry in entries:
            if not takes(entry):
                continue
            if not begins <= entry.at < ends:
                begins, ends = self._day = day_of(entry.at)
                keys.append(f"{DAY}{entry.seq}")
            keys.append(str(entry.seq))
            self._seqs.append(entry.seq)
        return keys

    def _show_head(self, index: EventIndex) -> None:
        parts = [f"Timeline · {sanitise_line(self._order)}" if self._order else "Timeline"]
        parts.append(f"{len(self._seqs):,} of {index.last:,} events")
        if self._words:
            parts.append(f"filter: {sanitise_line(self._words)}")
        if self._all:
            parts.append("all with kind and fields")
        if index.failed:
            parts.append(f"! {sanitise_line(index.failed)}")
        elif not index.past_read:
            parts.append(f"reading {index.share:.0%}")
        parts.append("following" if self.following else "G follows the end")
        head = " · ".join(parts)
        if head != self._head:
            self._head = head
            self.query_one("#head", Static).update(Text(head, no_wrap=True, overflow="ellipsis"))

    # -- rows ----------------------------------------------------------------------------------------------------

    def _event(self, seq: int) -> Event | None:
        return self._pages.event(seq) if self._pages is not None else None

    @property
    def _seq(self) -> int:
        """Of the event under the cursor, or below the date line under it; 0 for none."""
        key = self.rows.key.removeprefix(DAY)
        return int(key) if key else 0

    def _cells(self, key: str) -> Sequence[Cell]:
        if key.startswith(DAY):
            entry = self._index.entry(int(key.removeprefix(DAY))) if self._index else None
            date = time.strftime("%A %d %B %Y", time.localtime(entry.at)) if entry else ""
            return (Cell(""), Cell("────────", "quiet"), Cell(""), Cell(""), Cell(f"── {date} ──", "strong"))
        event = self._event(int(key))
        if event is None:
            return (Cell(key, "quiet"), Cell(""), Cell("!", "attention"), Cell(""), Cell("cannot be read", "attention"))
        said = told(event)
        text = said.text
        if self._all and (entry := self._index.entry(event.seq) if self._index else None) and entry.tone:
            text = f"{said.text}  ‹{fields_of(event)}›"
        about = "plain" if said.tone in PROBLEMS else "quiet"
        return (
            Cell(key, "quiet"),
            Cell(time.strftime("%H:%M:%S", time.localtime(event.at)), "quiet"),
            Cell(said.glyph, said.tone),
            Cell(said.about, about),
            Cell(text, said.tone),
        )

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._show_detail()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.toggle_class("-detail")
        self._show_detail()
        self.call_after_refresh(self.rows.select, self.rows.key)

    def _show_detail(self) -> None:
        if self.has_class("-detail"):
            seq = self._seq
            self.query_one(EventDetail).show(self._event(seq) if seq else None)

    # -- actions -------------------------------------------------------------------------------------------------

    def action_close(self) -> None:
        """The filter goes first, then the detail, then the screen."""
        field = self.query_one("#filter", Input)
        if field.has_class("-open"):
            field.value = ""
            field.set_class(False, "-open")
            self.rows.focus()
        elif self.has_class("-detail"):
            self.remove_class("-detail")
            self.rows.focus()
        else:
            self.room_app.go_back()

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.set_class(True, "-open")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._words = event.value.strip()
        self._show_chosen()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#filter", Input).set_class(bool(self._words), "-open")
        self.rows.focus()

    def action_all(self) -> None:
        self._all = not self._all
        self._show_chosen()

    def action_problem(self, way: int) -> None:
        """To the next event that is bad or wants attention, or the one before."""
        assert self._index is not None
        seq = self._seq
        at = bisect_right(self._seqs, seq) if way > 0 else bisect_left(self._seqs, seq) - 1
        while 0 <= at < len(self._seqs):
            entry = self._index.entry(self._seqs[at])
            if entry is not None and entry.tone in PROBLEMS:
                self.rows.select(str(entry.seq))
                return
            at += way
        earlier = "no earlier problem" if self._index.past_read else "no earlier problem so far: the past is being read"
        self.room_app.say("no later problem" if way > 0 else earlier)

    def action_jump(self, what: str) -> None:
        event = self._event(self._seq) if self._seq else None
        if event is None:
            return
        change, tree = gated(self.room.state.orders, event)
        if what == "order" and event.work_order:
            self.room_app.action_open_order(event.work_order)
        elif what == "run" and event.run:
            self.room_app.action_open_run(event.run)
        elif what == "gates" and (change or tree):
            self.room_app.action_open_gates(change, tree)
        elif what == "canary" and (about := canaried(event)):
            self.room_app.action_open_canary(about)
        else:
            has = {"order": "a work order", "run": "a run", "gates": "gates", "canary": "a canary"}[what]
            self.room_app.say(f"this event is not about {has}")

    def action_copy(self) -> None:
        if (event := self._event(self._seq) if self._seq else None) is not None:
            detail = EventDetail()
            detail.show(event)
            self.app.copy_to_clipboard(detail.text + "\n")
            self.room_app.say(f"event {event.seq} copied")


def _given_up() -> Any:
    worker = get_current_worker()
    return lambda: worker.is_cancelled


def day_of(at: float) -> tuple[float, float]:
    """When the local day of a moment begins and ends, in UTC seconds."""
    local = time.localtime(at)
    begins = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))
    ends = time.mktime((local.tm_year, local.tm_mon, local.tm_mday + 1, 0, 0, 0, 0, 0, -1))
    return begins, ends


def gated(orders: Any, event: Event) -> tuple[str, str]:
    """(change, tree) of the gates that an event is about; both "" for none. Change "" with a tree is main itself."""
    fields = event.fields
    if event.kind in ("gate_started", "gate_finished", "report_signed"):
        return str(fields.get("change", "")), str(fields.get("tree", ""))
    if change := fields.get("change"):
        return str(change), ""
    order = orders.get(event.work_order)
    return (order.change if order else ""), ""


def canaried(event: Event) -> str:
    """The commit whose canary an event is about; "" for none."""
    fields = event.fields
    if event.kind in ("canary_started", "canary_finished"):
        return str(fields.get("about", ""))
    if event.kind == "main_restored":
        return str(fields.get("red", ""))
    kinds = ("canary_judged", "change_landed", "culprit_found", "culprit_unresolved", "change_reverted",
             "work_order_healthy")  # fmt: skip
    return str(fields.get("commit", "")) if event.kind in kinds else ""
