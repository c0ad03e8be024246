"""One event of the journal, whole, as JSON that a person can read."""

from __future__ import annotations

import json
import re
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.models.event import Event
from engine.text.sanitise import sanitise, sanitise_line

MOST_LINES = 5_000
LINE_CAP = 100_000
_NAME = re.compile(r'( *)("(?:[^"\\]|\\.)*":)')

Line = tuple[str, int]
"""Text of a row, and how many of its characters are the name of a field."""


def json_of(event: Event) -> str:
    """All of an event, indented, with nothing in it that steers a terminal."""
    return sanitise(json.dumps(event.as_json(), indent=2, ensure_ascii=False, default=str), line_cap=LINE_CAP)


class EventDetail(ScrollView, can_focus=True):
    """Long lines go on below, under the beginning of their text; only what is on screen is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"event-detail--name"}

    DEFAULT_CSS = """
    EventDetail {
        border: round $border-blurred;
        border-title-color: $text-muted;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        &:focus { border: round $border; border-title-color: $text; }
        & > .event-detail--name { color: $text-primary; }
        &:ansi > .event-detail--name { color: ansi_cyan; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False, id="event.down"),
        Binding("k,up", "scroll_up", "Up", show=False, id="event.up"),
        Binding("g,home", "scroll_home", "Start", show=False, id="event.start"),
        Binding("G,end", "scroll_end", "End", show=False, id="event.end"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._seq = 0
        self._text = ""
        self._lines: list[Line] = []

    def show(self, event: Event | None) -> None:
        """Show this event; None for nothing."""
        seq = event.seq if event else 0
        if seq == self._seq:
            return
        self._seq, self._text = seq, json_of(event) if event else ""
        self.border_title = Content(f"event {seq} · {sanitise_line(event.kind)}") if event else None
        self._lay_out()
        self.scroll_to(y=0, animate=False)

    @property
    def text(self) -> str:
        return self._text

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        self._lines = []
        if width > 0 and self._text:
            for line in self._text.split("\n"):
                self._lines += wrapped(line, width)
                if len(self._lines) > MOST_LINES:
                    self._lines = [*self._lines[:MOST_LINES], ("… more; `swarm events --json` has all of it", 0)]
                    break
        self.virtual_size = Size(1, len(self._lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip([Segment(" " * width, base)], width)
        text, named = self._lines[at]
        name = base + self.get_component_rich_style("event-detail--name")
        text = set_cell_size(text, width)
        return Strip([Segment(text[:named], name), Segment(text[named:], base)], width)


def wrapped(line: str, width: int) -> list[Line]:
    """A line of JSON in rows of at most `width` cells; the rest of a value is indented below it."""
    found = _NAME.match(line)
    named = found.end() if found else 0
    if cell_len(line) <= width:
        return [(line, named)]
    indent = min(len(line) - len(line.lstrip(" ")) + 2, max(0, width - 8))
    rows: list[Line] = []
    start, room = 0, width
    while start < len(line):
        end = _fits(line, start, room)
        rows.append((" " * (indent if rows else 0) + line[start:end], min(named, end) if not rows else 0))
        start, room = end, width - indent
    return rows


def _fits(line: str, start: int, room: int) -> int:
    """Where a row of at most `room` cells from `start` ends: at a blank if there is one in its last third."""
    end = min(len(line), start + max(1, room))
    while end > start + 1 and cell_len(line[start:end]) > room:
        end -= 1
    if end < len(line) and (blank := line.rfind(" ", start + (end - start) * 2 // 3, end)) > start:
        return blank + 1
    return end
