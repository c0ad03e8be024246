"""A log of any size on screen. It draws one screenful from a `LogWindow` and holds nothing else of the file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.text.sanitise import sanitise_line
from swarm_tui.room.log_search import LogSearch, Needle
from swarm_tui.room.log_window import LogWindow, Row

SIDE_STEP = 16
"""Columns that one press of left or right moves."""
WHEEL_ROWS = 3
MOST_COLUMNS = 16_384
MOST_MARKS = 100
"""Hits marked in one row."""

CONTINUED, CUT_LEFT, CUT_RIGHT = "↳", "‹", "›"
TONES = ("empty", "hit", "current", "mark", "track", "thumb")
THUMB, TRACK = "┃", "│"


class LogView(Widget, can_focus=True):
    """Shows a log file and follows it. `frame` has to be called for it to notice growth; it has no timer.

    A row that is the rest of a long line begins with ↳; ‹ and › say that a row goes on beside the screen. The column
    at the right shows how far down the view is, in bytes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log-view--{name}" for name in TONES}

    DEFAULT_CSS = """
    LogView {
        height: 1fr;
        background: $background;
        color: $text;
        & > .log-view--empty { color: $foreground-muted; }
        & > .log-view--mark { color: $text-warning; text-style: bold; }
        & > .log-view--hit { color: $text-warning; text-style: bold underline; }
        & > .log-view--current { background: $warning; color: auto; text-style: bold; }
        & > .log-view--track { color: $text-disabled; }
        & > .log-view--thumb { color: $foreground-muted; }
        &:focus > .log-view--thumb { color: $primary; }
        &:nocolor > .log-view--current { background: $background; color: $foreground; text-style: reverse bold; }
        &:ansi > .log-view--empty { text-style: dim; }
        &:ansi > .log-view--mark { color: ansi_yellow; text-style: bold; }
        &:ansi > .log-view--hit { color: ansi_yellow; text-style: bold underline; }
        &:ansi > .log-view--current { background: ansi_default; color: ansi_default; text-style: reverse bold; }
        &:ansi > .log-view--track { text-style: dim; }
        &:ansi > .log-view--thumb { color: ansi_default; text-style: none; }
        &:ansi:focus > .log-view--thumb { color: ansi_cyan; }
    }
    """

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "line(1)", "Line down", show=False, id="log.down"),
        Binding("k,up", "line(-1)", "Line up", show=False, id="log.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="log.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("ctrl+d", "half_page(1)", "Half a page down", show=False, id="log.half_page_down"),
        Binding("ctrl+u", "half_page(-1)", "Half a page up", show=False, id="log.half_page_up"),
        Binding("g,home", "start", "Start", show=False, id="log.start"),
        Binding("G,end", "end", "Follow", id="log.end"),
        Binding("left", "side(-1)", "Left", show=False, id="log.left"),
        Binding("right", "side(1)", "Right", show=False, id="log.right"),
        Binding("n", "find_next", "Next hit", show=False, id="log.find_next"),
        Binding("N", "find_previous", "Previous hit", show=False, id="log.find_previous"),
        Binding("y", "copy", "Copy", show=False, id="log.copy"),
    ]

    @dataclass
    class Searched(Message):
        """A search that `start_find` or a key began is over. Not sent for one that another search replaced."""

        log_view: LogView
        text: str
        found: bool

        @property
        def control(self) -> LogView:
            return self.log_view

    def __init__(self, *, empty: str = "nothing yet", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.title = ""
        self.empty = empty
        self._window: LogWindow | None = None
        self._left = 0
        self._needle: Needle | None = None
        self._hit: tuple[int, int] | None = None
        self._search: LogSearch | None = None
        self._drawn: tuple[object, ...] = ()
        self._tones: dict[str, Style] = {}
        self._at = (0, 0, (0, 0))

    # -- what the owner says and asks ----------------------------------------------------------------------------

    def show(self, path: Path | None, title: str = "", *, follow: bool = True, empty: str = "nothing yet") -> None:
        """Show this log: its end, and go with it as it grows; without `follow` its beginning. None shows `empty`.

        `title` becomes the border's title, if there is a border. The log that is shown already stays where it is.
        """
        self.title = sanitise_line(title)
        self.border_title = Content(self.title) if self.title else None
        self.empty = sanitise_line(empty)
        if (self._window.path if self._window else None) != path:
            self._window = LogWindow(path, follow=follow) if path else None
            self._left, self._hit, self._search = 0, None, None
            if self._window:
                self._window.resize(self.size.height)
                self._window.refresh()
        self._draw()

    def frame(self) -> bool:
        """Look whether the file changed, and draw if what is seen did. True when it is drawn or `position` changed."""
        if self._window is None:
            return False
        before = self.position
        changed = self._window.refresh()
        if changed and self._drawn != self._picture():
            self._draw()
            return True
        return self.position != before

    @property
    def path(self) -> Path | None:
        return self._window.path if self._window else None

    @property
    def following(self) -> bool:
        return self._window is not None and self._window.following

    @property
    def position(self) -> str:
        """For a person: "following", "37 %", "not there yet", "gone", "not readable"; "" when no log is shown."""
        if self._window is None:
            return ""
        return self._window.problem or ("following" if self.following else f"{int(self._window.share * 100)} %")

    @property
    def searching(self) -> str:
        """What a search under way is at, such as "searching 12 %"; "" when there is none."""
        if self._search is None:
            return ""
        return f"searching {100 * self._search.searched_bytes // max(1, self._search.size_bytes)} %"

    def jump(self, share: float) -> None:
        """Show what lies at this share (0 to 1) of the file; 1 is its end, and follows."""
        if self._window:
            self._window.to_share(share)
            self._draw()

    # -- search --------------------------------------------------------------------------------------------------

    async def find(self, text: str, backward: bool = False) -> bool:
        """Show and mark the next hit below (above) the last one, or else what is on screen; goes round at the ends.

        Any case. False: it is nowhere in the file, or another search or log came in between. The file is read in a
        thread; cancelling is safe. In a handler use `start_find`, so that keys are not kept waiting.
        """
        return bool(await self._seek(text, backward))

    def start_find(self, text: str, backward: bool = False) -> None:
        """`find` beside everything else; its end is told by `Searched`. A search under way is given up."""
        self.run_worker(self._find_and_tell(text, backward), group="log-find", exclusive=True)

    def end_find(self) -> None:
        """Give up a search under way, and mark no hits any more."""
        self._needle = self._hit = self._search = None
        self._draw()

    async def _find_and_tell(self, text: str, backward: bool) -> None:
        found = await self._seek(text, backward)
        if found is not None:
            self.post_message(self.Searched(self, text, found))

    async def _seek(self, text: str, backward: bool) -> bool | None:
        """None: it was given up for another search or log."""
        window, needle = self._window, Needle(text)
        if window is None or not text:
            self.end_find()
            return False
        if self._needle is None or self._needle.text != needle.text:
            self._needle, self._hit = needle, None
        search = LogSearch(window.path, needle, self._search_start(window, backward), backward=backward)
        self._search = search
        try:
            while not search.done and self._search is search:
                await asyncio.to_thread(search.step)
            if self._search is not search:
                return None
        finally:
            if self._search is search:
                self._search = None
        self._hit = search.hit
        if search.hit:
            window.reveal(search.hit[0])
            self._show_column_of(search.hit)
        self._draw()
        return search.hit is not None

    def _search_start(self, window: LogWindow, backward: bool) -> int:
        if self._hit and window.top <= self._hit[0] < window.bottom:
            return self._hit[0] if backward else self._hit[0] + 1
        return window.bottom if backward else window.top

    def _show_column_of(self, hit: tuple[int, int]) -> None:
        row = next((row for row in self._rows if row.start <= hit[0] < row.end), None)
        if row is None:
            return
        first = cell_len(_drawn_text(row)[: _drawn_column(row, hit[0])])
        if not self._left < first < self._left + self._text_width - (hit[1] - hit[0]):
            self._left = max(0, first - self._text_width // 2) if first >= self._text_width // 2 else 0

    # -- keys and mouse ------------------------------------------------------------------------------------------

    def action_line(self, way: int) -> None:
        self._scroll(way)

    def action_page(self, way: int) -> None:
        self._scroll(way * max(1, self.size.height - 1))

    def action_half_page(self, way: int) -> None:
        self._scroll(way * max(1, self.size.height // 2))

    def action_start(self) -> None:
        if self._window:
            self._window.to_start()
            self._left = 0
            self._draw()

    def action_end(self) -> None:
        if self._window:
            self._window.to_end()
            self._draw()

    def action_side(self, way: int) -> None:
        widest = max((cell_len(_drawn_text(row)) for row in self._rows), default=0)
        most = min(MOST_COLUMNS, max(self._left, widest - self._text_width)) if way > 0 else MOST_COLUMNS
        self._left = max(0, min(self._left + way * SIDE_STEP, most))
        self._draw()

    def action_find_next(self) -> None:
        if self._needle:
            self.start_find(self._needle.text)

    def action_find_previous(self) -> None:
        if self._needle:
            self.start_find(self._needle.text, backward=True)

    def action_copy(self) -> None:
        """Copy the rows on screen, whole, the parts of a long line as one."""
        rows = self._rows
        if rows:
            text = "".join(("" if row.continued or not number else "\n") + row.text for number, row in enumerate(rows))
            self.app.copy_to_clipboard(text + "\n")
            self.notify(f"{text.count(chr(10)) + 1} lines copied", timeout=2)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(-WHEEL_ROWS)

    def on_click(self, event: events.Click) -> None:
        """A click on the bar at the right goes there."""
        at = event.get_content_offset(self)
        if at and at.x == self.size.width - 1 and self._thumb != (0, self.size.height):
            self.jump(at.y / max(1, self.size.height - 1))

    def on_resize(self) -> None:
        if self._window:
            self._window.resize(self.size.height)
            self._draw()

    def _scroll(self, rows: int) -> None:
        if self._window and self._window.scroll(rows):
            self._draw()

    # -- drawing -------------------------------------------------------------------------------------------------

    @property
    def _rows(self) -> tuple[Row, ...]:
        return self._window.rows if self._window else ()

    @property
    def _text_width(self) -> int:
        return max(0, self.size.width - 1)

    @property
    def _thumb(self) -> tuple[int, int]:
        """(first line, lines) of the bar's thumb; the whole height when nothing is hidden."""
        height, window = self.size.height, self._window
        if window is None or window.bottom - window.top >= window.size_bytes:
            return 0, height
        lines = max(1, min(height - 1, round(height * (window.bottom - window.top) / window.size_bytes)))
        return round((height - lines) * window.share), lines

    def _picture(self) -> tuple[object, ...]:
        """All of the log that is seen: if it is the same, nothing has to be drawn."""
        return self._rows, self._thumb, self._window.problem if self._window else ""

    def _draw(self) -> None:
        self._drawn = self._picture()
        self.refresh()

    def notify_style_update(self) -> None:
        self._tones.clear()
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        # Asked once for all lines, because these are slow to ask for.
        base = self.rich_style
        if self._tones.get("text") != base:
            self._tones = {name: self.get_component_rich_style(f"log-view--{name}") for name in TONES}
            self._tones["text"] = base
        self._at = (self.size.width, self.size.height, self._thumb)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width, height, (first, lines) = self._at
        if not width:
            return Strip([], 0)
        rows = self._rows
        if y < len(rows):
            segments = self._row_segments(rows[y], width - 1)
        elif rows or y:
            segments = [Segment(" " * (width - 1), self._tones["text"])]
        else:
            segments = [Segment(set_cell_size(self._nothing, width - 1), self._tones["empty"])]
        if lines >= height:
            segments.append(Segment(" ", self._tones["text"]))
        elif first <= y < first + lines:
            segments.append(Segment(THUMB, self._tones["thumb"]))
        else:
            segments.append(Segment(TRACK, self._tones["track"]))
        return Strip(segments, width)

    @property
    def _nothing(self) -> str:
        return "not readable" if self._window and self._window.problem == "not readable" else self.empty

    def _row_segments(self, row: Row, width: int) -> list[Segment]:
        """The part of a row that is on screen, exactly `width` cells."""
        text, left, mark = _drawn_text(row), self._left, self._tones["mark"]
        # A row is far longer than a screen only if it is cut anyway; what lies behind need not be measured.
        within = text[: 4 * (left + width) + 64]
        cells = len(within) if within.isascii() else cell_len(within)
        before, behind = left > 0 and cells > 0, cells > left + width
        low, high = left + before, left + width - behind
        if low >= high:
            return [Segment(" " * width, self._tones["text"])]
        if self._needle is None and not row.continued and len(within) == cells:
            inner = [Segment(within[low:high].ljust(high - low), self._tones["text"])]
        else:
            inner = list(Strip(self._pieces(row, within)).crop_extend(low, high, self._tones["text"]))
        return [*[Segment(CUT_LEFT, mark)] * before, *inner, *[Segment(CUT_RIGHT, mark)] * behind]

    def _pieces(self, row: Row, text: str) -> Iterator[Segment]:
        at = 0
        if row.continued:
            yield Segment(CONTINUED, self._tones["mark"])
            at = 1
        for start, end, tone in self._marks(row):
            if at < start:
                yield Segment(text[at:start], self._tones["text"])
            if max(at, start) < end:
                yield Segment(text[max(at, start) : end], self._tones[tone])
            at = max(at, end)
        if at < len(text):
            yield Segment(text[at:], self._tones["text"])

    def _marks(self, row: Row) -> list[tuple[int, int, str]]:
        """(first, last + 1, style) of the hits in a row, in columns of what is drawn, in order."""
        if self._needle is None:
            return []
        marks = [(row.start + start, row.start + end, "hit") for start, end in self._needle.each(row.raw)]
        if self._hit and self._hit[0] < row.end and self._hit[1] > row.start:
            low, high = self._hit
            marks = [each for each in marks if each[1] <= low or each[0] >= high]
            marks.append((max(low, row.start), min(high, row.end), "current"))
        marks = sorted(marks)[:MOST_MARKS]
        if row.raw.isascii() and len(row.text) == len(row.raw):
            first = row.start - row.continued
            return [(start - first, end - first, tone) for start, end, tone in marks]
        return [(_drawn_column(row, start), _drawn_column(row, end), tone) for start, end, tone in marks]


def _drawn_text(row: Row) -> str:
    return CONTINUED + row.text if row.continued else row.text


def _drawn_column(row: Row, offset: int) -> int:
    return row.column(offset) + row.continued
