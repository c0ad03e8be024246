"""The main screen of a replay: how was that night? The same panes, and keys that move its clock."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from swarm_tui import app as app_module
from swarm_tui.app import RoomApp
from swarm_tui.room.changes import Changes
from swarm_tui.room.replay import ReplaySource
from swarm_tui.screens.main import MainScreen
from swarm_tui.widgets.replay_bar import ReplayBar


class ReplayScreen(MainScreen):
    """How was that night?"""

    # Those with priority come before the same keys of the focused pane.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "replay_toggle", "Play/pause", id="replay.toggle", priority=True),
        Binding("plus,equals_sign", "replay_speed(1)", "Faster", key_display="+", id="replay.faster"),
        Binding("minus", "replay_speed(-1)", "Slower", key_display="-", id="replay.slower"),
        Binding("left", "replay_jump(-1)", "Back", id="replay.previous"),
        Binding("right", "replay_jump(1)", "Next event", id="replay.next"),
        Binding("home", "replay_edge(0)", "Start of the night", show=False, id="replay.start", priority=True),
        Binding("end", "replay_edge(1)", "End of the night", show=False, id="replay.end", priority=True),
        Binding("s", "replay_quiet", "Skip quiet", show=False, id="replay.quiet"),
    ]

    @property
    def source(self) -> ReplaySource:
        return cast("ReplaySource", self.room.source)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key of the replay before there is one, nor while somebody types."""
        if action.startswith("replay_"):
            return self.room_app.opened and not isinstance(self.focused, Input)
        return super().check_action(action, parameters)

    def frame(self, changes: Changes, tick: int) -> None:
        bars = self.query(ReplayBar)
        if not bars:
            self.mount(ReplayBar(self.source), before=self.query_one("#foot"))
            self.refresh_bindings()
        super().frame(changes, tick)
        for bar in bars:
            bar.look()

    def on_replay_bar_sought(self, event: ReplayBar.Sought) -> None:
        night = self.source.night
        self.source.seek(night.start + event.share * night.length_s)

    # -- actions -------------------------------------------------------------------------------------------------

    def action_replay_toggle(self) -> None:
        self.source.toggle()

    def action_replay_speed(self, steps: int) -> None:
        self.source.change_speed(steps)

    def action_replay_jump(self, step: int) -> None:
        if not self.source.jump(step):
            self.source.seek(self.source.night.end if step > 0 else self.source.night.start)

    def action_replay_edge(self, share: int) -> None:
        night = self.source.night
        self.source.seek(night.end if share else night.start)

    def action_replay_quiet(self) -> None:
        self.source.toggle_quiet()
        self.room_app.say("quiet stretches are " + ("skipped" if self.source.skips_quiet else "shown in full"))


class ReplayApp(RoomApp):
    """The room of a recorded night. Its opener gives a room over a `ReplaySource`."""

    CSS_PATH = [Path(app_module.__file__).parent / each for each in ("app.tcss", "screens/main.tcss")]

    def get_default_screen(self) -> Screen[None]:
        return ReplayScreen()

    def action_pause(self) -> None:
        """Let the night wait, on whatever screen."""
        source = self.room.source if self.opened else None
        if not isinstance(source, ReplaySource):
            return
        if source.ended:
            self.say("the night is over: home plays it from its start")
            return
        source.toggle()
        self.say("the night waits" if source.paused else "the night goes on")

    def action_interrupt(self) -> None:
        self.say("q leaves the replay")
