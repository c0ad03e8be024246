"""The lines at the top of a screen that say what it is about: always visible, as tall as they need to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from engine.text.sanitise import sanitise_line
from swarm_tui.widgets.prose import TONES, Line


class Head(Static):
    """`show` replaces the lines. Nothing is drawn again when they are the same."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"head--{tone}" for tone in TONES}

    DEFAULT_CSS = """
    Head {
        height: auto;
        max-height: 6;
        padding: 0 1;
        background: $panel;
        & > .head--good { color: $text-success; text-style: bold; }
        & > .head--bad { color: $text-error; text-style: bold; }
        & > .head--attention { color: $text-warning; text-style: bold; }
        & > .head--busy { color: $text-primary; text-style: bold; }
        & > .head--quiet { color: $foreground-muted; }
        & > .head--strong { text-style: bold; }
        & > .head--title { text-style: bold underline; }
        &:ansi > .head--good { color: ansi_green; }
        &:ansi > .head--bad { color: ansi_red; }
        &:ansi > .head--attention { color: ansi_yellow; }
        &:ansi > .head--busy { color: ansi_cyan; }
        &:ansi > .head--quiet { color: ansi_default; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._lines: Sequence[Line] = ()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    @property
    def text(self) -> str:
        """What it says, clean."""
        return "\n".join("".join(sanitise_line(span.text) for span in each.spans) for each in self._lines)

    def show(self, lines: Sequence[Line]) -> None:
        if lines != self._lines:
            self._lines = list(lines)
            self._draw()

    def _draw(self) -> None:
        text = Text()
        for number, each in enumerate(self._lines):
            text.append("\n" if number else "")
            for span in each.spans:
                style = self.get_component_rich_style(f"head--{span.tone}")
                text.append(sanitise_line(span.text), style=style)
        self.update(text)
