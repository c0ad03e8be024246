"""Figures on screen: a tile for one that matters, a table for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from swarm_tui.room.tiles import Told
from swarm_tui.widgets.rows import fitted

MOST_ROWS = 60
GAP = "  "


class Tile(Widget):
    """A figure, what it is counted from, and how it goes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tile--name", "tile--value", "tile--unknown", "tile--good", "tile--attention", "tile--quiet",
    }  # fmt: skip

    DEFAULT_CSS = """
    Tile {
        height: 5;
        padding: 0 0 0 1;
        border-left: outer $border-blurred;
        & > .tile--name { text-style: bold; }
        & > .tile--value { color: $text-primary; text-style: bold; }
        & > .tile--unknown { color: $text-muted; text-style: italic; }
        & > .tile--good { color: $text-success; }
        & > .tile--attention { color: $text-warning; text-style: bold; }
        & > .tile--quiet { color: $text-muted; }
        &:ansi > .tile--value { color: ansi_cyan; }
        &:ansi > .tile--unknown { text-style: dim italic; }
        &:ansi > .tile--good { color: ansi_green; }
        &:ansi > .tile--attention { color: ansi_yellow; }
        &:ansi > .tile--quiet { text-style: dim; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = Told("", "", "")

    def show(self, told: Told) -> None:
        if told != self.told:
            self.told = told
            self.refresh()

    def render(self) -> Text:
        told = self.told
        value = "unknown" if told.value == "unknown" else "value"
        text = Text(no_wrap=True, overflow="ellipsis")
        for line, style in ((told.name, "name"), (told.value, value), (told.note, "quiet"), (told.trend, told.tone)):
            text.append(fitted(line, self.content_size.width), self.get_component_rich_style(f"tile--{style}"))
            text.append("\n")
        return text  # fmt: skip


class FigureTable(Widget):
    """Few rows of clean text below titles; the first column takes what is left, the others stand at the right.

    Where room is short the columns at the right go first.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"figure-table--title", "figure-table--quiet"}

    DEFAULT_CSS = """
    FigureTable {
        height: auto;
        padding: 0 1;
        & > .figure-table--title { text-style: bold; }
        & > .figure-table--quiet { color: $text-muted; }
        &:ansi > .figure-table--quiet { text-style: dim; }
    }
    """

    def __init__(self, titles: Sequence[str], *, empty: str, id: str) -> None:
        super().__init__(id=id)
        self._titles = list(titles)
        self._empty = empty
        self.rows: list[list[str]] = []

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        shown = [list(row) for row in rows]
        if shown != self.rows:
            changed = len(shown) != len(self.rows)
            self.rows = shown
            self.refresh(layout=changed)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2 + max(1, min(len(self.rows), MOST_ROWS + 1))  # with a blank line below

    def render(self) -> Text:
        width = self.content_size.width
        shown = self.rows[:MOST_ROWS]
        columns = self._columns(shown, width)
        title = self.get_component_rich_style("figure-table--title")
        quiet = self.get_component_rich_style("figure-table--quiet")
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(_laid_out(self._titles, columns), title)
        for row in shown:
            text.append("\n" + _laid_out(row, columns))
        if not shown:
            text.append("\n" + fitted(self._empty, width), quiet)
        if len(self.rows) > MOST_ROWS:
            text.append(f"\n… {len(self.rows) - MOST_ROWS} more: `swarm metrics` has all of them", quiet)
        return text

    def _columns(self, rows: Sequence[Sequence[str]], width: int) -> list[int]:
        widths = [max(len(row[at]) for row in (self._titles, *rows)) for at in range(len(self._titles))]
        first = max(12, min(widths[0], width // 3))
        while len(widths) > 2 and first + sum(widths[1:]) + len(GAP) * (len(widths) - 1) > width:
            widths.pop()
        return [max(1, min(widths[0], width - sum(widths[1:]) - len(GAP) * (len(widths) - 1))), *widths[1:]]


def _laid_out(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [fitted(cell, width, right=at > 0) for at, (cell, width) in enumerate(zip(row, widths, strict=False))]
    return GAP.join(cells)
