"""The log pane: what the selected run prints, live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from swarm_tui.room.changes import Changes
from swarm_tui.widgets.log_view import LogView
from swarm_tui.widgets.pane import Pane

if TYPE_CHECKING:
    from swarm_tui.room.room import Room


class LogPane(Pane):
    """What does the selected agent say?"""

    WORD, NUMBER = "Log", 5

    def __init__(self) -> None:
        super().__init__(id="log")
        self.run = ""

    def contents(self) -> ComposeResult:
        yield LogView(id="log-view")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        self.view.frame()
        name = self.run or "no run selected"
        self.head(f"Log · {name}", self.view.position if self.run else "")

    def show(self, room: Room, run: str) -> None:
        """The log of a run; "" for none."""
        if run == self.run:
            return
        self.run = run
        path = room.source.folders.runs / run / "log" if run else None
        self.view.show(path, run, empty="nothing was printed yet" if run else "choose a run to see its log")
