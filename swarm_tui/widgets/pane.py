"""A titled part of a screen with a rate of its own: the focused one is drawn each frame, the others less often."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from swarm_tui.room.changes import EVERYTHING, NOTHING, Changes

if TYPE_CHECKING:
    from swarm_tui.room.room import Room

BLURRED_FRAMES = 4
"""Frames between two looks of a pane that is not focused."""


class Pane(Vertical):
    """`look` is called with all changes since its last call, and also without any every few frames: clocks run on."""

    WORD: ClassVar[str] = ""
    NUMBER: ClassVar[int] = 0

    DEFAULT_CSS = """
    Pane {
        border: round $foreground 25%;
        border-title-color: $foreground-muted;
        border-subtitle-color: $foreground-muted;
        &:focus-within { border: round $border; border-title-color: $text; border-title-style: bold; }
        &.-slim { border: none; border-top: solid $foreground 25%; }
        &.-slim:focus-within { border: none; border-top: heavy $border; }
    }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pending: Changes = NOTHING
        self._offset = self.NUMBER
        self._told = ("", "")
        self.head(self.WORD)

    def contents(self) -> ComposeResult:
        """The pane's widgets. They come after the first paint, which shows the frame."""
        raise NotImplementedError

    def head(self, title: str, subtitle: str = "") -> None:
        """Clean text for the border. Nothing is drawn again when it is the same."""
        number = f"{self.NUMBER} " if self.NUMBER else ""
        if self._told != (told := (f"{number}{title}", subtitle)):
            self._told = told
            self.border_title, self.border_subtitle = Content(told[0]), Content(told[1])

    def frame(self, room: Room, changes: Changes, tick: int, *, focused: bool) -> None:
        """Called each frame by its screen. focused: whether the focus is within."""
        if changes:
            # Of a hidden pane no events are kept: it may be hidden all night.
            self._pending = self._pending | changes if self.display else EVERYTHING
        if focused or self._pending.everything or (tick + self._offset) % BLURRED_FRAMES == 0:
            if not self.display:
                return
            pending, self._pending = self._pending, NOTHING
            self.look(room, pending, tick)

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        """Draw what looks different."""
        raise NotImplementedError
