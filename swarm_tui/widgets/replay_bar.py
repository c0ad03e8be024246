"""The bar of a replay: which night, when in it, how fast, and where something happened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from swarm_tui.room import words

if TYPE_CHECKING:
    from swarm_tui.room.recording import Night
    from swarm_tui.room.replay import ReplaySource

MARKS: dict[str, tuple[str, str]] = {
    "red canary": ("✘", "bad"),
    "restore": ("↩", "attention"),
    "approval": ("?", "attention"),
    "landing": ("⬇", "good"),
}
"""Glyph and tone by kind of chapter; where several fall into one cell, the first here is shown."""
HEAD = ("●", "strong")
BAR_LEAST = 32
"""Cells of the track before the least important words go."""
Part = tuple[int, str, str]
"""(rank, text, tone): where room is short, the highest ranks go first."""


class ReplayBar(Widget):
    """One line. A click on its track is posted as `Sought`."""

    COMPONENT_CLASSES = {f"replay--{tone}" for tone in ("good", "bad", "attention", "busy", "quiet", "strong")}

    DEFAULT_CSS = """
    ReplayBar {
        height: 1;
        background: $surface;
        padding: 0 1;
        & > .replay--good { color: $text-success; }
        & > .replay--bad { color: $text-error; text-style: bold; }
        & > .replay--attention { color: $text-warning; text-style: bold; }
        & > .replay--busy { color: $text-primary; }
        & > .replay--quiet { color: $foreground-muted; }
        & > .replay--strong { text-style: bold; }
        &:ansi > .replay--good { color: ansi_green; }
        &:ansi > .replay--bad { color: ansi_red; }
        &:ansi > .replay--attention { color: ansi_yellow; }
        &:ansi > .replay--busy { color: ansi_cyan; }
    }
    """

    class Sought(Message):
        """Somebody clicked the track at this share of the night, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, source: ReplaySource) -> None:
        super().__init__(id="replay-bar")
        self._source = source
        self._drawn: tuple[list[Part], list[Part], int] | None = None
        self._track = (0, 0)
        """First column and width of the track, as drawn."""

    def look(self) -> None:
        """Called each frame; draws only what looks different."""
        before, after = parts_before(self._source), parts_after(self._source)
        drawn = before, after, round(self._source.share * 1_000)
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def render(self) -> Text:
        width = self.content_size.width
        before, after = fitted(parts_before(self._source), parts_after(self._source), width - BAR_LEAST - 2)
        text = Text(no_wrap=True, overflow="crop")
        for _, part, tone in before:
            self._append(text, f"{part}  ", tone)
        room = width - cell_len(text.plain) - sum(cell_len(part) + 2 for _, part, _ in after)
        self._track = (cell_len(text.plain), max(0, room))
        for glyph, tone in track(self._source.night, self._source.share, room):
            self._append(text, glyph, tone)
        for _, part, tone in after:
            self._append(text, f"  {part}", tone)
        return text

    def _append(self, text: Text, part: str, tone: str) -> None:
        text.append(part, style=self.get_component_rich_style(f"replay--{tone}", partial=True))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        first, width = self._track
        if offset is not None and width > 1 and first <= offset.x < first + width:
            event.stop()
            self.post_message(self.Sought((offset.x - first) / (width - 1)))


def parts_before(source: ReplaySource) -> list[Part]:
    """What stands left of the track: how it plays, which night, what time it was. As wide as ever, so that the track
    stays where it is."""
    if source.failed():
        how = "! broken off", "bad"
    elif source.ended:
        how = "■ over  ", "attention"
    elif source.paused:
        how = "‖ paused", "attention"
    else:
        how = "▶ replay", "busy"
    return [
        (0, how[0], how[1]),
        (1, f"{f'{source.speed}×':<4}", "strong"),
        (4, f"night {source.night.number}", "quiet"),
        (2, time.strftime("%H:%M:%S", time.localtime(source.now())), "strong"),
    ]


def parts_after(source: ReplaySource) -> list[Part]:
    """What stands right of it: how far, and what becomes of quiet stretches."""
    night = source.night
    far = f"{words.clock(source.now() - night.start)}/{words.clock(night.length_s)}"
    quiet = ("» skips quiet", "quiet") if source.skips_quiet else ("· keeps quiet", "quiet")
    if source.skipped_s:
        quiet = (f"» skipped {words.age(source.skipped_s):<3}", "attention")
    return [(3, far, "quiet"), (5, quiet[0], quiet[1])]


def fitted(before: list[Part], after: list[Part], width: int) -> tuple[list[Part], list[Part]]:
    """The parts that fit into `width` cells, each with two blanks, least important ones left out."""
    keep = sorted([*before, *after])
    while len(keep) > 1 and sum(cell_len(part) + 2 for _, part, _ in keep) > width:
        keep.pop()
    return [part for part in before if part in keep], [part for part in after if part in keep]


def track(night: Night, share: float, width: int) -> list[tuple[str, str]]:
    """A glyph and its tone for each of `width` cells: what was played, what comes, and where something happened."""
    if width <= 0:
        return []
    head = min(width - 1, max(0, int(share * (width - 1) + 0.5)))
    cells = [("━", "busy") if at < head else ("─", "quiet") for at in range(width)]
    length_s = night.length_s or 1.0
    for kind in reversed(MARKS):
        for chapter in night.chapters:
            if chapter.kind == kind:
                cells[int((chapter.at - night.start) / length_s * (width - 1) + 0.5)] = MARKS[kind]
    cells[head] = HEAD
    return cells
