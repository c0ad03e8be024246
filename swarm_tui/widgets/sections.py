"""Sections of a screen, one at a time: a bar that names them by number, and keys that switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher

FIRST_FOCUS = "section-focus"
"""The class of what gets the focus in a section that holds several things which can have it."""


class SectionBar(Widget):
    """The names. The chosen one stands in brackets, so that no colour is needed to tell it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"section-bar--chosen", "section-bar--other"}

    DEFAULT_CSS = """
    SectionBar {
        height: 1;
        background: $surface;
        & > .section-bar--chosen { text-style: bold reverse; }
        & > .section-bar--other { color: $foreground-muted; }
        &:ansi > .section-bar--other { color: ansi_default; }
    }
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        self.chosen = 0

    def choose(self, number: int) -> None:
        self.chosen = number
        self.refresh()

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, label in enumerate(self._labels()):
            kind = "chosen" if number == self.chosen else "other"
            text.append(label, style=self.get_component_rich_style(f"section-bar--{kind}"))
        return text

    def _labels(self) -> list[str]:
        """Names with their numbers; where room is short, of the others only the numbers."""
        full = [self._label(number, name) for number, name in enumerate(self.names)]
        if sum(map(cell_len, full)) <= self.size.width:
            return full
        return [
            label if number == self.chosen else self._label(number, "").replace("  ", " ")
            for number, label in enumerate(full)
        ]

    def _label(self, number: int, name: str) -> str:
        left, right = "[]" if number == self.chosen else "  "
        return f"{left}{number + 1} {name}{right}"

    def on_click(self, event: events.Click) -> None:
        right = 0
        for number, label in enumerate(self._labels()):
            right += cell_len(label)
            if event.x < right:
                self.query_ancestor(Sections).choose(number)
                return


class Sections(Vertical):
    """One section at a time. Switched by its number, tab and shift+tab, left and right (unless the section itself
    needs these), or a click. The section that is shown has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "choose(0)", "Section 1", show=False, id="sections.1"),
        Binding("2", "choose(1)", "Section 2", show=False, id="sections.2"),
        Binding("3", "choose(2)", "Section 3", show=False, id="sections.3"),
        Binding("4", "choose(3)", "Section 4", show=False, id="sections.4"),
        Binding("5", "choose(4)", "Section 5", show=False, id="sections.5"),
        Binding("6", "choose(5)", "Section 6", show=False, id="sections.6"),
        Binding("tab,right", "step(1)", "Next section", show=False, id="sections.next"),
        Binding("shift+tab,left", "step(-1)", "Previous section", show=False, id="sections.previous"),
    ]

    DEFAULT_CSS = """
    Sections { height: 1fr; }
    Sections > ContentSwitcher { height: 1fr; }
    Sections > ContentSwitcher > * { height: 1fr; }
    """

    @dataclass
    class Shown(Message):
        """Another section is shown now."""

        sections: Sections
        name: str

        @property
        def control(self) -> Sections:
            return self.sections

    def __init__(self, parts: Sequence[tuple[str, Widget]], *, id: str | None = None) -> None:
        """`parts`: names and widgets; each widget needs an id, and can be focused or holds one that can."""
        super().__init__(id=id)
        self._parts = tuple(parts)
        self._bar = SectionBar([name for name, _ in parts])
        self._chosen = 0

    def compose(self) -> ComposeResult:
        yield self._bar
        with ContentSwitcher(initial=self._parts[0][1].id):
            for _, widget in self._parts:
                yield widget

    def on_mount(self) -> None:
        self._focus()

    @property
    def name_shown(self) -> str:
        return self._parts[self._chosen][0]

    def show(self, name: str) -> None:
        """Show the section of this name."""
        self.choose([each for each, _ in self._parts].index(name))

    def choose(self, number: int) -> None:
        if number == self._chosen or not 0 <= number < len(self._parts):
            return
        self._chosen = number
        self._bar.choose(number)
        self.query_one(ContentSwitcher).current = self._parts[number][1].id
        self._focus()
        self.post_message(self.Shown(self, self.name_shown))

    def action_choose(self, number: int) -> None:
        self.choose(number)

    def action_step(self, way: int) -> None:
        self.choose((self._chosen + way) % len(self._parts))

    def _focus(self) -> None:
        widget = self._parts[self._chosen][1]
        inside = [*widget.query(f".{FIRST_FOCUS}"), *widget.query("*")]
        target = widget if widget.can_focus else next((each for each in inside if each.can_focus), None)
        if target is not None:
            target.focus()
