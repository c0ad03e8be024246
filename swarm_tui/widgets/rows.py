"""A table of any length, drawn line by line: only what is on screen is drawn, and only what changed is drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

GAP = 1
"""Blank cells between columns."""

TONES = ("good", "bad", "attention", "busy", "quiet", "plain", "strong")


@dataclass(frozen=True)
class Column:
    """`width` in cells; 0 takes what is left: several share it, those with a `most` take that first. Hidden in a table
    narrower than `from_width`."""

    title: str
    width: int = 0
    right: bool = False
    from_width: int = 0
    most: int = 0


@dataclass(frozen=True)
class Cell:
    """Clean text (no control characters) and a tone of `TONES`."""

    text: str
    tone: str = "plain"


Draw = Callable[[str], Sequence[Cell]]


class Rows(ScrollView, can_focus=True):
    """Rows named by keys. The owner gives the keys in order and draws a row's cells when asked.

    `show` sets the keys; `touch` says which rows look different now. Once the cursor was put on a row, or while the
    table has the focus, it stays on its key when rows move; else it stays on the first row.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"rows--{tone}" for tone in TONES), "rows--cursor", "rows--cursor-blurred", "rows--title", "rows--empty",
    }  # fmt: skip

    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        & > .rows--good { color: $text-success; }
        & > .rows--bad { color: $text-error; }
        & > .rows--attention { color: $text-warning; text-style: bold; }
        & > .rows--busy { color: $text-primary; }
        & > .rows--quiet { color: $foreground-muted; }
        & > .rows--strong { text-style: bold; }
        & > .rows--title { color: $foreground-muted; text-style: underline; }
        & > .rows--empty { color: $foreground-muted; }
        & > .rows--cursor { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        & > .rows--cursor-blurred { background: $panel; }
        &:ansi > .rows--good { color: ansi_green; }
        &:ansi > .rows--bad { color: ansi_red; }
        &:ansi > .rows--attention { color: ansi_yellow; }
        &:ansi > .rows--busy { color: ansi_cyan; }
        &:ansi > .rows--quiet { text-style: dim; }
        &:ansi > .rows--title { text-style: underline; }
        &:ansi > .rows--cursor { text-style: reverse; }
        &:ansi > .rows--cursor-blurred { text-style: bold; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "down", "Down", show=False, id="rows.down"),
        Binding("k,up", "up", "Up", show=False, id="rows.up"),
        Binding("g,home", "first", "First", show=False, id="rows.first"),
        Binding("G,end", "last", "Last", show=False, id="rows.last"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="rows.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="rows.page_up"),
        Binding("enter", "open", "Open", id="rows.open"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another row. `key` is "" when there are no rows."""

        rows: Rows
        key: str

        @property
        def control(self) -> Rows:
            return self.rows

    @dataclass
    class Opened(Message):
        """A row was opened by key or double click."""

        rows: Rows
        key: str

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(
        self,
        columns: Sequence[Column],
        draw: Draw,
        *,
        empty: str = "nothing yet",
        titles: bool = True,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._draw = draw
        self._titles = titles
        self._keys: list[str] = []
        self._at: dict[str, int] = {}
        self._cursor = 0
        self._chosen = False
        """Whether the cursor was ever put on a row. Unless it was, the newest rows are what is looked for."""
        self._strips: LRUCache[tuple[str, int, str], Strip] = LRUCache(512)
        self._drawn: dict[str, tuple[Cell, ...]] = {}
        """What the cached strips were drawn from."""
        self.empty = empty

    # -- what is shown -------------------------------------------------------------------------------------------

    @property
    def keys(self) -> Sequence[str]:
        return self._keys

    @property
    def key(self) -> str:
        """The key under the cursor; "" when there are no rows."""
        return self._keys[self._cursor] if self._keys else ""

    def show(self, keys: Sequence[str]) -> None:
        """Show these rows in this order. Rows whose keys stay are not drawn again unless they are touched."""
        if keys == self._keys:
            return
        before, key = self._keys, self.key
        self._keys = list(keys)
        self._at = {each: number for number, each in enumerate(self._keys)}
        stays = self._chosen or self.has_focus
        self._cursor = self._at.get(key, min(self._cursor, max(0, len(self._keys) - 1))) if stays else 0
        if len(before) != len(self._keys):
            self._measure()
        self.refresh()
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def append(self, keys: Sequence[str]) -> None:
        """Show these new rows below the others, however many there are. A cursor on the last row goes with the end."""
        if not self._keys:
            self.show(keys)
        elif keys:
            followed = self._cursor == len(self._keys) - 1
            self._at.update((key, number) for number, key in enumerate(keys, len(self._keys)))
            self._keys += keys
            self._measure()
            self.refresh()
            if followed:
                self.action_last()

    def touch(self, keys: Iterable[str] | None = None) -> None:
        """These rows (None: all) look different now."""
        if keys is None:
            self._strips.clear()
            self._drawn.clear()
            self.refresh()
            return
        top = self.scroll_offset.y
        for key in keys:
            number = self._at.get(key)
            if number is None:
                continue
            seen = top <= number < top + self._page
            if seen and self._drawn.get(key) == tuple(self._draw(key)):
                continue  # nothing in it changed
            self._forget(key)
            self._refresh_row(number)

    def select(self, key: str) -> None:
        """Put the cursor on a key, if it is there, and show it."""
        if (number := self._at.get(key)) is not None:
            self._chosen = True
            self._move(number)
            self._keep_in_sight()

    # -- keys and mouse ------------------------------------------------------------------------------------------

    def action_down(self) -> None:
        self._move(self._cursor + 1)

    def action_up(self) -> None:
        self._move(self._cursor - 1)

    def action_first(self) -> None:
        self._move(0)

    def action_last(self) -> None:
        self._move(len(self._keys) - 1)

    def action_page(self, way: int) -> None:
        self._move(self._cursor + way * max(1, self._page))

    def action_open(self) -> None:
        if self._keys:
            self.post_message(self.Opened(self, self.key))

    def on_click(self, event: events.Click) -> None:
        row = event.y + self.scroll_offset.y - self._head
        if event.y >= self._head and 0 <= row < len(self._keys):
            self._move(row)
            if event.chain == 2:
                self.action_open()

    # -- drawing -------------------------------------------------------------------------------------------------

    @property
    def _head(self) -> int:
        """Lines of the titles: none where room is short."""
        return 1 if self._titles and self.size.height > 5 else 0

    @property
    def _page(self) -> int:
        return self.size.height - self._head

    def on_mount(self) -> None:
        self._measure()
        self.app.theme_changed_signal.subscribe(self, lambda _: self.touch())

    def on_resize(self) -> None:
        self._strips.clear()
        self._measure()
        self._keep_in_sight()

    def on_focus(self) -> None:
        self._refresh_row(self._cursor)

    def on_blur(self) -> None:
        self._refresh_row(self._cursor)

    @property
    def _width(self) -> int:
        """Cells of a row: what the scrollbar leaves."""
        return self.scrollable_content_region.width

    def _measure(self) -> None:
        self.virtual_size = Size(1, len(self._keys) + self._head)  # as wide as there is room: never scrolled sideways

    def _move(self, row: int) -> None:
        row = max(0, min(row, len(self._keys) - 1))
        if not self._keys or row == self._cursor:
            return
        before, self._cursor, self._chosen = self._cursor, row, True
        self._refresh_row(before)
        self._refresh_row(row)
        self._keep_in_sight()
        self.post_message(self.Moved(self, self.key))

    def _keep_in_sight(self) -> None:
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._page > 0 and self._cursor >= top + self._page:
            self.scroll_to(y=self._cursor - self._page + 1, animate=False)

    def _refresh_row(self, row: int) -> None:
        line = row + self._head - self.scroll_offset.y
        if self._head <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _forget(self, key: str) -> None:
        self._drawn.pop(key, None)
        for state in ("", "cursor", "cursor-blurred"):
            self._strips.discard((key, self._width, state))

    def render_line(self, y: int) -> Strip:
        width = self._width
        base = self.rich_style
        if y < self._head:
            return self._title_strip(width)
        row = y - self._head + self.scroll_offset.y
        if row >= len(self._keys):
            if not self._keys and y == self._head:
                style = self.get_component_rich_style("rows--empty")
                return Strip([Segment(set_cell_size(" " + self.empty, width), style)], width)
            return Strip([Segment(" " * width, base)], width)
        state = "" if row != self._cursor else "cursor" if self.has_focus else "cursor-blurred"
        key = self._keys[row]
        strip = self._strips.get((key, width, state))
        if strip is None:
            cells = tuple(self._draw(key))
            if len(self._drawn) > 4 * self._strips.maxsize:
                self._drawn.clear()
            self._drawn[key] = cells
            strip = self._row_strip(cells, width, state)
            self._strips[key, width, state] = strip
        return strip

    def _title_strip(self, width: int) -> Strip:
        style = self.get_component_rich_style("rows--title")
        cells = [Cell(column.title) for column in self._columns]
        text = "".join(text for text, _ in self._laid_out(cells, width))
        return Strip([Segment(text, style)], width)

    def _row_strip(self, cells: Sequence[Cell], width: int, state: str) -> Strip:
        cursor = self.get_component_rich_style(f"rows--{state}", partial=True) if state else Style.null()
        segments: list[Segment] = []
        for text, tone in self._laid_out(cells, width):
            style = self.get_component_rich_style(f"rows--{tone}")
            segments.append(Segment(text, style + cursor))
        return Strip(segments, width)

    def _laid_out(self, cells: Sequence[Cell], width: int) -> list[tuple[str, str]]:
        """(text, tone) for each visible column, padded so that together they are `width` cells."""
        shown = [
            (column, cell) for column, cell in zip(self._columns, cells, strict=True) if width >= column.from_width
        ]
        fixed = sum(column.width for column, _ in shown) + GAP * len(shown)
        flexible = sum(column.width == 0 for column, _ in shown)
        left = max(0, width - fixed)
        found: list[tuple[str, str]] = [(" ", "plain")]
        for column, cell in shown:
            room = column.width
            if not room:
                room = min(column.most, left) if column.most and flexible > 1 else left // flexible
                flexible -= 1
                left -= room
            found.append((fitted(cell.text, room, right=column.right), cell.tone))
            found.append((" " * GAP, "plain"))
        found.pop()
        total = sum(cell_len(text) for text, _ in found)
        if total < width:
            found.append((" " * (width - total), "plain"))
        return found if total <= width else _cut(found, width)


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Exactly `width` cells of one line: padded, or cut with an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def _cut(parts: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text, tone in parts:
        if width <= 0:
            break
        found.append((set_cell_size(text, min(width, cell_len(text))), tone))
        width -= cell_len(text)
    return found
