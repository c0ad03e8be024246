"""The main screen: how is the night, in five seconds? Roadmap, agents, gates, canary and a log, side by side."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from swarm_tui.room.changes import Changes
from swarm_tui.screens.room_screen import Framed
from swarm_tui.widgets.agents import AgentsPane
from swarm_tui.widgets.canary import CanaryPane
from swarm_tui.widgets.header import Header
from swarm_tui.widgets.log import LogPane
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.roadmap import RoadmapPane
from swarm_tui.widgets.rows import Rows
from swarm_tui.widgets.train import TrainPane, split_key

PANES = (RoadmapPane, AgentsPane, TrainPane, CanaryPane, LogPane)


class MainScreen(Framed, Screen[None]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """How is the night?"""

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short"), (32, "-tall")]

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(pane.NUMBER), f"pane({pane.NUMBER})", pane.WORD, show=False, id=f"main.pane_{pane.NUMBER}")
          for pane in PANES),
        Binding("z", "zoom", "Zoom", id="main.zoom"),
        Binding("l", "log", "Log", id="main.log"),
        Binding("escape", "back", "Back", show=False, id="main.back"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.filled = asyncio.Event()
        """All widgets are there."""
        self._picked = False
        """Whether a person chose whose log is shown."""

    def compose(self) -> ComposeResult:
        yield Header()
        yield Static(id="banner")
        with Vertical(id="body"):
            with Horizontal(id="upper"):
                yield RoadmapPane()
                with Vertical(id="right"):
                    yield AgentsPane()
                    yield TrainPane()
                    yield CanaryPane()
            yield LogPane()
        yield Vertical(id="foot")

    def on_mount(self) -> None:
        self.call_after_refresh(self._fill)

    async def _fill(self) -> None:
        """What is in the frames: the first paint does not wait for it."""
        foot = self.query_one("#foot")
        for part, contents in [*((pane, pane.contents()) for pane in self.panes), (foot, [_footer()])]:
            if not part.is_attached:
                return  # the person has left already
            await part.mount_all(contents)
        self.query_one("#roadmap-rows", Rows).focus()
        self.filled.set()

    def show_opening(self, text: str) -> None:
        """What is waited for, until the room is opened."""
        self.query_one(Header).show_opening(text)

    @cached_property
    def panes(self) -> list[Pane]:
        return [cast("Pane", self.query_one(f"#{name}")) for name in ("roadmap", "agents", "train", "canary", "log")]

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        room = self.room
        if changes or tick % 10 == 0:
            self.query_one(Header).look(room)
            self._banner()
        within = set(self.focused.ancestors_with_self) if self.focused is not None else set()
        for pane in self.panes:
            pane.frame(room, changes, tick, focused=pane in within)
        if changes:
            self._follow_newest_run(changes)

    def _banner(self) -> None:
        banner = self.query_one("#banner", Static)
        needs = self.room.needs
        banner.display = bool(needs)
        if needs:
            first = needs[0]
            count = f"! {len(needs)} need{'s' if len(needs) == 1 else ''} you, press a"
            why = f": {first.why}" if first.why else ""
            banner.update(Text(f"{count} · {first.title}{why}", no_wrap=True, overflow="ellipsis"))

    def _follow_newest_run(self, changes: Changes) -> None:
        """Until a person picks a run, the log is that of the run that started last, while it runs."""
        log = self.query_one(LogPane)
        shown = self.room.history.runs.get(log.run)
        if self._picked or (shown is not None and not shown.result):
            return
        running = [run.run for run in self.room.history.runs.values() if not run.result]
        if running or (changes.everything and self.room.history.runs):
            log.show(self.room, running[-1] if running else next(reversed(self.room.history.runs)))

    # -- messages ------------------------------------------------------------------------------------------------

    def on_rows_moved(self, event: Rows.Moved) -> None:
        if not self.room_app.opened or not event.key or not event.rows.has_focus:
            return
        room, log = self.room, self.query_one(LogPane)
        if event.rows.id == "agents-rows":
            run = event.key
        elif event.rows.id == "roadmap-rows" and (runs := room.history.runs_of.get(event.key)):
            run = runs[-1]
        else:
            return
        self._picked = True
        log.show(room, run)

    def on_rows_opened(self, event: Rows.Opened) -> None:
        app = self.room_app
        if event.rows.id == "roadmap-rows":
            app.action_open_order(event.key)
        elif event.rows.id == "agents-rows":
            app.action_open_run(event.key)
        elif event.rows.id == "train-rows":
            app.action_open_gates(*split_key(event.key))
        elif event.rows.id == "canary-rows":
            app.action_open_canary(self.room.history.canaries[int(event.key)].about)

    # -- actions -------------------------------------------------------------------------------------------------

    def action_pane(self, number: int) -> None:
        pane = next(pane for pane in self.panes if number == pane.NUMBER)
        if self.has_class("-zoomed"):
            self.zoom(pane)
        self.set_focus(pane.query("Rows, LogView").first())  # now: the key behind this one is for this pane

    def action_log(self) -> None:
        self.action_pane(5)

    def action_zoom(self) -> None:
        """The focused pane alone, and back."""
        if self.has_class("-zoomed"):
            self.zoom(None)
            return
        self.zoom(next((pane for pane in self.panes if pane.has_focus_within), self.panes[0]))

    def action_back(self) -> None:
        if self.query_one(RoadmapPane).clear_filter():
            return
        if self.has_class("-zoomed"):
            self.zoom(None)
        else:
            self._picked = False

    def zoom(self, chosen: Pane | None) -> None:
        """This pane alone; None: all of them."""
        self.set_class(chosen is not None, "-zoomed")
        for part in (*self.panes, self.query_one("#upper"), self.query_one("#right")):
            part.set_class(part is chosen, "-chosen")
            part.set_class(chosen is not None and chosen not in part.walk_children(with_self=True), "-aside")


def _footer() -> Footer:
    return Footer(compact=True, show_command_palette=False)
