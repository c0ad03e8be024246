"""A text to read: lines of toned spans, wrapped to the width, scrolled by keys. Only what is on screen is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, get_character_cell_size, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text.sanitise import sanitise_line

TONES = ("good", "bad", "attention", "busy", "quiet", "plain", "strong", "title", "added", "removed")
LEAST_WIDTH = 8
"""Below it a hanging indent would leave no room for text."""


class Span(NamedTuple):
    """Text of any origin (it is made safe when it is drawn), and a tone of `TONES`."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Line:
    """`hang`: cells by which its wrapped rest is indented. `key`: a name to jump to; "" for most lines."""

    spans: tuple[Span, ...] = ()
    hang: int = 0
    key: str = ""


BLANK = Line()


def line(*parts: str | Span, hang: int = 0, key: str = "") -> Line:
    """A line of parts; bare strings are plain."""
    return Line(tuple(part if isinstance(part, Span) else Span(part) for part in parts), hang, key)


def title(text: str, key: str = "") -> Line:
    """A heading."""
    return Line((Span(text, "title"),), 2, key)


def paragraph(text: str, tone: str = "plain", indent: int = 2) -> list[Line]:
    """Each line of a text as a line of its own, indented."""
    rows = text.strip("\n").split("\n")
    return [Line((Span(" " * indent + row.expandtabs(4), tone),), indent) for row in rows]


class _Row(NamedTuple):
    """One row on screen: characters `start` to `end` of a line."""

    line: int
    start: int
    end: int


class Prose(ScrollView, can_focus=True):
    """`show` replaces the text; the reader stays where he is, or at the end if he was there and it follows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"prose--{tone}" for tone in TONES}

    DEFAULT_CSS = """
    Prose {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
        & > .prose--good { color: $text-success; }
        & > .prose--bad { color: $text-error; }
        & > .prose--attention { color: $text-warning; text-style: bold; }
        & > .prose--busy { color: $text-primary; }
        & > .prose--quiet { color: $foreground-muted; }
        & > .prose--strong { text-style: bold; }
        & > .prose--title { text-style: bold underline; }
        & > .prose--added { color: $text-success; }
        & > .prose--removed { color: $text-error; }
        &:ansi > .prose--good { color: ansi_green; }
        &:ansi > .prose--bad { color: ansi_red; }
        &:ansi > .prose--attention { color: ansi_yellow; }
        &:ansi > .prose--busy { color: ansi_cyan; }
        &:ansi > .prose--quiet { text-style: dim; }
        &:ansi > .prose--added { color: ansi_green; }
        &:ansi > .prose--removed { color: ansi_red; }
    }
    """

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "line(1)", "Line down", show=False, id="prose.down"),
        Binding("k,up", "line(-1)", "Line up", show=False, id="prose.up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="prose.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="prose.page_up"),
        Binding("ctrl+d", "half_page(1)", "Half a page down", show=False, id="prose.half_page_down"),
        Binding("ctrl+u", "half_page(-1)", "Half a page up", show=False, id="prose.half_page_up"),
        Binding("g,home", "first", "Start", show=False, id="prose.first"),
        Binding("G,end", "last", "End", show=False, id="prose.last"),
    ]

    def __init__(self, *, follow: bool = False, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._follow = follow
        self._lines: Sequence[Line] = ()
        self._texts: list[str] = []
        self._rows: list[_Row] = []
        self._row_of: dict[str, int] = {}
        self._width = 0
        self._at_end = follow
        self._strips: LRUCache[int, Strip] = LRUCache(256)

    # -- what is shown -------------------------------------------------------------------------------------------

    @property
    def lines(self) -> Sequence[Line]:
        return self._lines

    @property
    def text(self) -> str:
        """All of it as plain, clean text."""
        return "\n".join(self._texts)

    def show(self, lines: Sequence[Line], *, stay: bool = True) -> None:
        """Show these lines. Nothing is drawn again when they are the same. Without `stay` it begins at the top."""
        if lines == self._lines:
            return
        self._lines = list(lines)
        self._texts = ["".join(sanitise_line(span.text) for span in each.spans) for each in self._lines]
        self._wrap()
        if self._at_end or not stay:
            self._settle(0)

    def jump(self, key: str) -> None:
        """Put the line with this key at the top, as far as there is enough text below it."""
        if (row := self._row_of.get(key)) is not None:
            self.scroll_to(y=row, animate=False)

    @property
    def key(self) -> str:
        """The key of the line at the top, or of the nearest one above it that has one."""
        found = ""
        for key, row in self._row_of.items():
            if row > self.scroll_offset.y:
                break
            found = key
        return found

    # -- keys ----------------------------------------------------------------------------------------------------

    def action_line(self, way: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + way, animate=False)

    def action_page(self, way: int) -> None:
        self.action_line(way * max(1, self.size.height - 1))

    def action_half_page(self, way: int) -> None:
        self.action_line(way * max(1, self.size.height // 2))

    def action_first(self) -> None:
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False)

    # -- drawing -------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw_anew())

    def on_resize(self) -> None:
        top = self._rows[self.scroll_offset.y].line if self.scroll_offset.y < len(self._rows) else 0
        if self._text_width != self._width:
            self._wrap()
            self._settle(next((at for at, row in enumerate(self._rows) if row.line >= top), 0))
        elif self._at_end:
            self._settle(0)

    def _settle(self, row: int) -> None:
        """Go to a row, or to the end if that is followed, once the new size is known."""

        def settle() -> None:
            self.scroll_to(y=self.max_scroll_y if self._at_end else row, animate=False)

        self.call_after_refresh(settle)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._follow and new_value != old_value:
            self._at_end = new_value >= self.max_scroll_y

    @property
    def _text_width(self) -> int:
        """Cells beside the scrollbar, whose place is kept free also while there is none."""
        return self.scrollable_content_region.width

    def _draw_anew(self) -> None:
        self._strips.clear()
        self.refresh()

    def _wrap(self) -> None:
        self._width = self._text_width
        room = max(1, self._width - 1)
        self._rows, self._row_of = [], {}
        if self._width <= 0:
            return  # not shown yet: nothing is known of the width
        for number, (each, text) in enumerate(zip(self._lines, self._texts, strict=True)):
            if each.key:
                self._row_of.setdefault(each.key, len(self._rows))
            start = 0
            for end in breaks(text, room, room - self._hang(each)):
                self._rows.append(_Row(number, start, end))
                start = end
        self.virtual_size = Size(self._width, len(self._rows))
        self._draw_anew()

    def _hang(self, each: Line) -> int:
        return each.hang if self._width - each.hang > LEAST_WIDTH else 0

    def render_line(self, y: int) -> Strip:
        width, row = self._width, y + self.scroll_offset.y
        if row >= len(self._rows):
            return Strip([Segment(" " * width, self.rich_style)], width)
        strip = self._strips.get(row)
        if strip is None:
            strip = self._strips[row] = self._strip(self._rows[row], width)
        return strip

    def _strip(self, row: _Row, width: int) -> Strip:
        base, each = self.rich_style, self._lines[row.line]
        segments = [Segment(" " * (1 + (self._hang(each) if row.start else 0)), base)]
        at = 0
        for span in each.spans:
            text = sanitise_line(span.text)
            piece = text[max(0, row.start - at) : max(0, row.end - at)]
            at += len(text)
            if piece:
                segments.append(Segment(piece, base + self._style(span.tone)))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, tone: str) -> Style:
        return self.get_component_rich_style(f"prose--{tone}")  # whole, as a partial one knows no muted colours


def breaks(text: str, first: int, rest: int) -> Iterator[int]:
    """Where to break a text: the end of each row in characters, at blanks if there are any. `first` and `rest` are the
    cells of the first row and of those that follow."""
    if len(text) <= first and (text.isascii() or cell_len(text) <= first):
        yield len(text)
        return
    start, room = 0, first
    while True:
        end = _fitting(text, start, max(1, room))
        if end >= len(text):
            yield len(text)
            return
        blank = text.rfind(" ", start + 1, end + 1)
        if blank > start and text[start:blank].strip() and _word(text, blank + 1) <= rest:
            end = blank + 1
        yield end
        start, room = end, rest


def _word(text: str, start: int) -> int:
    """Cells of the word that begins there."""
    end = text.find(" ", start)
    return cell_len(text[start : end if end >= 0 else len(text)])


def _fitting(text: str, start: int, room: int) -> int:
    """The end of as many characters from `start` as fit into `room` cells; at least one."""
    if text.isascii():
        return start + room
    at, used = start, 0
    while at < len(text):
        used += get_character_cell_size(text[at])
        if used > room and at > start:
            break
        at += 1
    return at


def shortened(text: str, width: int) -> str:
    """Clean text of at most `width` cells, cut with an ellipsis."""
    text = sanitise_line(text)
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"
