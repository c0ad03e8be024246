"""A sheet: labelled lines that are wrapped to the room there is, however long they are, and drawn as they come
in sight.

Nothing on it is cut, and nothing on it can be focused: its screen scrolls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from swarm_tui.room.question import Line

TONES = ("good", "bad", "attention", "busy", "quiet", "plain", "strong", "label")
LABEL = 12
"""Cells of the label's column."""
NARROW = 40
"""Below this width labels stand on lines of their own."""
MORE = "↪ "
"""Before each further line of something exact: it is still the same argument."""


class Sheet(ScrollView, can_focus=False):
    """`show` takes clean lines. Wrapping is done once for a width."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"sheet--{tone}" for tone in TONES}

    DEFAULT_CSS = """
    Sheet {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        & > .sheet--good { color: $text-success; }
        & > .sheet--bad { color: $text-error; }
        & > .sheet--attention { color: $text-warning; text-style: bold; }
        & > .sheet--busy { color: $text-primary; }
        & > .sheet--quiet { color: $text-muted; }
        & > .sheet--strong { text-style: bold; }
        & > .sheet--label { color: $text-muted; }
        &:ansi > .sheet--good { color: ansi_green; }
        &:ansi > .sheet--bad { color: ansi_red; }
        &:ansi > .sheet--attention { color: ansi_yellow; }
        &:ansi > .sheet--busy { color: ansi_cyan; }
        &:ansi > .sheet--quiet { text-style: dim; }
        &:ansi > .sheet--label { text-style: dim; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._rows: list[tuple[str, str, str]] = []
        """(label, text, tone) of each row on the screen."""
        self._wrapped_to = -1

    @property
    def text(self) -> str:
        """All that is on it, one line a line."""
        return "\n".join(f"{line.label}\t{line.text}" for line in self._lines)

    def show(self, lines: Sequence[Line], *, top: bool = False) -> None:
        """Show these lines. `top`: scroll up; else stay where it is."""
        if lines != self._lines:
            self._lines = tuple(lines)
            self._wrapped_to = -1
            self._wrap()
            self.refresh()
        if top:
            self.scroll_home(animate=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.refresh())

    def on_resize(self) -> None:
        self._wrap()
        self.refresh()

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width > 0 and width != self._wrapped_to:
            self._rows = list(laid_out(self._lines, width))
            self._wrapped_to = width
            self.virtual_size = Size(width, len(self._rows))

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        row = y + self.scroll_offset.y
        if row >= len(self._rows):
            return Strip([Segment(" " * width, base)], width)
        label, text, tone = self._rows[row]
        segments: list[Segment] = []
        if label:
            style = base + self.get_component_rich_style("sheet--label")
            segments.append(Segment(label, style))
        style = base + self.get_component_rich_style(f"sheet--{tone}")
        segments.append(Segment(set_cell_size(text, max(0, width - cell_len(label))), style))
        return Strip(segments, width).crop(0, width)


def laid_out(lines: Sequence[Line], width: int) -> Iterator[tuple[str, str, str]]:
    """Rows (label, text, tone) of at most `width` cells. All text of every line is on them."""
    narrow = width < NARROW
    column = 0 if narrow else LABEL
    for line in lines:
        if narrow and line.label:
            yield "", line.label, "label"
        rows = _broken(line.text, width - column) if line.exact else _filled(line.text, width - column)
        for number, row in enumerate(rows):
            label = line.label if not number and not narrow else ""
            yield set_cell_size(label, column), row, line.tone


def _broken(text: str, width: int) -> Iterator[str]:
    """Cut hard at the width; further rows say that they go on."""
    text = text.expandtabs(4)
    at = _end(text, 0, width)
    yield text[:at]
    while at < len(text):
        end = _end(text, at, width - len(MORE))
        yield MORE + text[at:end]
        at = end


def _end(text: str, at: int, width: int) -> int:
    """Where a row that begins at this character ends: as much as fits into so many cells, and at least one."""
    piece = text[at : at + max(1, width)]
    if not piece.isascii() and cell_len(piece) > width:
        piece = chop_cells(piece, max(2, width))[0] or piece[:1]
    return at + len(piece)


def _filled(text: str, width: int) -> Iterator[str]:
    """Wrapped at spaces; a word that is too long is cut hard."""
    row = ""
    for word in text.expandtabs(4).split(" "):
        joined = f"{row} {word}" if row else word
        if cell_len(joined) <= width:
            row = joined
            continue
        if row:
            yield row
        *full, row = _pieces(word, width)
        yield from full
    yield row


def _pieces(word: str, width: int) -> Iterator[str]:
    at = _end(word, 0, width)
    yield word[:at]
    while at < len(word):
        end = _end(word, at, width)
        yield word[at:end]
        at = end
