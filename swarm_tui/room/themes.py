"""How the room is drawn without colour, for people who set NO_COLOR."""

from __future__ import annotations

from typing import Any

from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor


class WithoutColor(LineFilter):
    """Greys for themes with colours of their own; the terminal's two plain colours for those that use the terminal's.

    Textual chooses once, by the theme it starts with: greys made of the terminal's colours are black on black.
    """

    def __init__(self, app: App[Any]) -> None:
        super().__init__()
        self._app = app
        self._grey, self._plain = Monochrome(), NoColor()

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        chosen = self._plain if self._app.native_ansi_color else self._grey
        return chosen.apply(segments, background)


def without_color(app: App[Any], filters: list[LineFilter]) -> list[LineFilter]:
    """The filters of an app, whose own way to leave colour out is replaced by one that follows the theme."""
    return [WithoutColor(app) if isinstance(each, Monochrome | NoColor) else each for each in filters]
