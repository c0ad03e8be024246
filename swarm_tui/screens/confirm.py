"""Is that really meant? Asked before what cannot simply be taken back: stopping the engine, cancelling a work order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Footer, Static

from engine.state import State
from engine.text.sanitise import sanitise_line
from swarm_tui.room.changes import Changes
from swarm_tui.room.question import Line
from swarm_tui.screens.guarded import RESTS, GuardedModal
from swarm_tui.widgets.sheet import Sheet


@dataclass(frozen=True)
class Asked:
    """Clean text. `does` is what happens, `leaves` what stays as it is."""

    heading: str
    does: Sequence[str]
    leaves: str


class ConfirmScreen(GuardedModal[bool]):
    """Shall it be done? Its result is True only for the one key that says so."""

    CSS_PATH = "confirm.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "confirm", "Do it", id="confirm.do"),
        Binding("escape", "leave", "Leave it", id="confirm.leave"),
    ]

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm"):
            yield Static(Text(self._asked.heading, style="bold"), id="heading")
            yield Sheet(id="facts")
            yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        super().on_mount()
        does = [Line("" if number else "it does", row) for number, row in enumerate(self._asked.does)]
        self.query_one(Sheet).show([*does, Line("it leaves", self._asked.leaves)])
        self._say_rest()

    def frame(self, changes: Changes, tick: int) -> None:
        self._say_rest()

    def _say_rest(self) -> None:
        dialog, said = self.query_one("#confirm"), "" if self.armed else RESTS
        if (dialog.border_subtitle or "") != said:
            dialog.border_subtitle = Content(said)
            dialog.set_class(bool(said), "-resting")

    def action_confirm(self) -> None:
        """Do it."""
        if self.armed and self.is_current:
            self.dismiss(True)

    def action_leave(self) -> None:
        """Change nothing."""
        if self.armed and self.is_current:
            self.dismiss(False)


def about_order(name: str, order: str, state: State) -> Asked:
    """What `retry` or `cancel` means for this work order as it is now."""
    ident, found = sanitise_line(order), state.orders.get(order)
    phase = f"it is {found.phase} now" if found else "the engine does not know it"
    if name == "cancel":
        ends = "its run is interrupted" if found and found.phase == "running" else phase
        return Asked(
            f"Cancel the work order {ident}?",
            [f"takes {ident} off the road for good; {ends}", "what depends on it waits for a person"],
            "what its agents wrote, under refs/swarm/keep/; main; every other work order",
        )
    spent = f", {found.spent} attempts spent" if found else ""
    return Asked(
        f"Try the work order {ident} again?",
        [f"makes {ident} ready with fresh attempts ({phase}{spent})", "runs cost time and money again"],
        "what earlier attempts left, and what was said about them",
    )


STOP = Asked(
    "Stop the engine now?",
    ["ends the engine, and with it every agent, gate and canary that runs", "interrupted runs keep their files"],
    "main and the journal as they are; the next `swarm` goes on from there",
)
FINISH = Asked(
    "Finish what runs, then stop the engine?",
    ["starts no new runs; what runs goes on, and what is green still lands", "then the engine ends by itself"],
    "every work order that has not begun; the next `swarm` goes on with them",
)
