"""The control room: a Textual app that is a client of an engine. It never blocks on the engine, nor the engine on it.

The first screen is painted before anything is opened; everything of the engine is loaded behind it.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual import work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.timer import Timer

from engine.errors import Unanswered
from swarm_tui.bindings import APP_BINDINGS
from swarm_tui.room.preferences import FILE, Preferences, keymap_of, theme_of
from swarm_tui.room.themes import without_color
from swarm_tui.screens.main import MainScreen
from swarm_tui.screens.room_screen import Framed, RoomModal

if TYPE_CHECKING:
    from concurrent.futures import Future

    from textual.command import Provider

    from swarm_tui.room.attention import Attention
    from swarm_tui.room.changes import Changes
    from swarm_tui.room.desk import Desk
    from swarm_tui.room.remembered import ViewMemory
    from swarm_tui.room.room import Room
    from swarm_tui.screens.confirm import Asked

FRAME_S = 0.1
QUIET_FRAMES = 5
"""While nothing runs and nothing happens, every so many frames are drawn: keys are answered at once all the same. No
multiple of what panes take turns by, so that each has its turn."""
LIVELY_FRAMES = 8
"""After something happened all frames are drawn for so long: some panes draw it a few frames later."""
CALM_S = 0.25
"""Without another size for so long, a storm of sizes is over."""
THEMES = ("textual-dark", "textual-light", "nord", "gruvbox", "solarized-light", "ansi-dark", "ansi-light")

NEEDS_ROOM = ("approvals", "metrics", "timeline", "wall", "pause", "hud")
"""Actions that are not offered before the room is open."""

Say = Callable[[str], None]
Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True)
class Leaving:
    """How the room was left. `error`: why it could not be opened, or failed. `stopped`: the engine has stopped, or is
    about to because this room told it so."""

    error: BaseException | None = None
    stopped: bool = False


class NeedsSetUp(Exception):
    """Raised by an opener: `folder` has no settings yet, so the room leads through setting it up."""

    def __init__(self, folder: Path | str) -> None:
        super().__init__(f"{folder} has no swarm.toml yet; `swarm init` writes one")
        self.folder = Path(folder)


def _night_search() -> type[Provider]:
    from swarm_tui.room.palette import NightSearch

    return NightSearch


class RoomApp(App[Leaving]):
    """`opener` runs in a thread after the first paint: it finds or starts the engine and gives the room, or raises.

    It is given a function by which it says what it waits for.
    """

    TITLE = "swarm"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [*APP_BINDINGS]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = App.COMMANDS | {_night_search}
    CSS_PATH = ["app.tcss", "screens/main.tcss"]

    room: Room
    """What the screens draw; there once `opened`."""
    desk: Desk
    """The questions that wait for a person; there once `opened`."""
    attention: Attention

    def __init__(self, opener: Callable[[Say], Room], preferences: Preferences | None = None) -> None:
        super().__init__()
        self._filters = without_color(self, self._filters)
        self._opener = opener
        self.preferences = preferences or Preferences()
        self._follows_terminal = preferences is not None
        self._memory: ViewMemory | None = None
        self.typing_clock: Callable[[], float] = time.monotonic
        """In seconds: by it questions tell an answer from what was typed at something else."""
        self._typing = False
        self.opened = False
        self.waits_for = "opening"
        self._tick = self._lively_until = 0
        self._current: set[object] = set()
        """Screens that have seen everything up to the last frame."""
        self._said_of_engine = ""
        self._stop_sent = False
        """Whether this room has stopped the engine, and nothing has started one since."""
        self._calm: Timer | None = None
        """Looks at the terminal's size once more when it has stopped changing."""
        self._told_size: Size | None = None
        self._frame_due = time.monotonic()
        self.lag_s = 0.0
        """How late the last frame was."""
        self.after_frame: list[Callable[[float], None]] = []
        """Called after each frame with what it cost, in seconds: for the debug figures."""

    # -- opening -------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        return MainScreen()

    def on_mount(self) -> None:
        self._prefer()
        self.call_after_refresh(self.open_room)

    def _prefer(self) -> None:
        """Do as the person's preferences say; what is wrong with them is said, and left out."""
        chosen, wrong = self.preferences, ""
        if self._follows_terminal:
            # NO_COLOR asks for no colour at all: the themes with colours of their own would become greys.
            colors = None if self.no_color else self.console.color_system
            self.theme, wrong = theme_of(chosen, self.available_themes, colors)
        self._complain([*chosen.problems, *([wrong] if wrong else [])])
        if chosen.keys:
            self._choose_keys()

    @work(thread=True, exclusive=True, group="keys")
    def _choose_keys(self) -> None:
        """In the background, as only all screens together know every binding."""
        from swarm_tui.room.all_bindings import all_bindings

        keymap, problems = keymap_of(self.preferences.keys, all_bindings())
        self.call_from_thread(self.set_keymap, keymap)
        self.call_from_thread(self._complain, problems)

    def _complain(self, problems: Sequence[str]) -> None:
        from engine.text.sanitise import sanitise_line

        for problem in problems[:5]:
            self.notify(sanitise_line(problem), severity="warning", timeout=20, markup=False)
        if len(problems) > 5:
            self.notify(f"{len(problems) - 5} more are wrong in {FILE}", severity="warning", timeout=20, markup=False)

    @work(thread=True, exclusive=True, group="opener")
    def open_room(self) -> None:
        """Open the room in the background; again after it was set up."""
        try:
            room = self._opener(lambda text: self.call_from_thread(self._waiting, text))
        except NeedsSetUp as needs:
            self.call_from_thread(self._welcome, needs.folder)
        except Exception as error:
            self.call_from_thread(self.exit, Leaving(error=error))
        else:
            self.call_from_thread(self._opened, room)

    def _waiting(self, text: str) -> None:
        self.waits_for = text
        main = self.screen_stack[0]
        if isinstance(main, MainScreen):
            main.show_opening(text)

    def _welcome(self, folder: Path) -> None:
        from swarm_tui.screens.welcome import WelcomeScreen

        shown = next((each for each in self.screen_stack if isinstance(each, WelcomeScreen)), None)
        if shown is None:
            self.push_screen(WelcomeScreen(folder))
        else:
            shown.look_again()

    async def _opened(self, room: Room) -> None:
        if isinstance(main := self.screen_stack[0], MainScreen):
            await main.filled.wait()
        from swarm_tui.room.attention import Attention, voice_of
        from swarm_tui.room.desk import Desk

        chosen = self.preferences
        self.desk = Desk(popup=chosen.popup and not room.source.read_only and room.source.engine() != "replay")
        name, write = room.source.repository.name, voice_of(self)
        self.attention = Attention(name, write, time.monotonic, bell=chosen.bell, notify=chosen.notify)
        self.room, self.opened = room, True
        self._remember(room)
        self.refresh_bindings()
        self._frame()
        self.set_interval(FRAME_S, self._frame)

    def _remember(self, room: Room) -> None:
        """Look as the room looked when it was left."""
        from swarm_tui.room import remembered

        main = self.screen_stack[0]
        if room.source.engine() == "replay" or not isinstance(main, MainScreen):
            return
        path = room.source.folders.root / remembered.FILE
        memory = self._memory = remembered.ViewMemory(path, writes=not room.source.read_only)
        memory.restore(main)
        self.after_frame.append(lambda _: memory.frame(main, self._tick))

    def exit(self, result: Leaving | None = None, return_code: int = 0, message: Any | None = None) -> None:
        main = self.screen_stack[0] if self.screen_stack else None
        if self._memory is not None and isinstance(main, MainScreen):
            memory, self._memory = self._memory, None
            memory.close(main)
        super().exit(result, return_code, message)

    def on_resize(self, event: Resize) -> None:
        """Draw all: of sizes that come and go again before we look, the last may be the one we had, and the terminal
        has thrown away what did not fit in between."""
        self.refresh()
        if event.size != self._told_size:
            self._told_size = event.size
            if self._calm is not None:
                self._calm.stop()
            self._calm = self.set_timer(CALM_S, self._look_at_size)

    def _look_at_size(self) -> None:
        """In a storm the driver may tell sizes in the wrong order, since a signal interrupts the handler of the one
        before it. It is made to look once more."""
        if sys.platform != "win32":
            signal.raise_signal(signal.SIGWINCH)

    def on_unmount(self) -> None:
        if self.opened:
            self.attention.close()
            self.room.close()

    # -- the frame clock -----------------------------------------------------------------------------------------

    def _frame(self) -> None:
        """The one clock of the room: look, then let the screens that are seen draw what changed."""
        if not self.is_running:
            return  # it is being closed: the screens have begun to go
        now = time.monotonic()
        self.lag_s, self._frame_due = max(0.0, now - self._frame_due), now + FRAME_S
        self._tick += 1
        changes = self.room.look()
        if self._tick % 10 == 0:
            self._look_after_engine()
        self._look_after_person(changes)
        stale = any(screen not in self._current for screen in self._seen_screens() if isinstance(screen, Framed))
        if changes or stale or self.room.busy:
            self._lively_until = self._tick + LIVELY_FRAMES
        if self._tick <= self._lively_until or self._tick % QUIET_FRAMES == 0:
            self._draw(changes)
        for look in tuple(self.after_frame):
            look(time.monotonic() - now)

    def _draw(self, changes: Changes) -> None:
        with self.batch_update():
            seen = self._seen_screens()
            for screen in self._framed():
                if screen in seen:
                    known = screen in self._current
                    screen.frame(changes if known else replace(changes, everything=True), self._tick)
                    self._current.add(screen)
                elif changes:
                    self._current.discard(screen)
        self._current &= set(self.screen_stack)

    def _framed(self) -> list[Framed]:
        """The screens that look at the room, from below."""
        return [screen for screen in self.screen_stack if isinstance(screen, Framed) and screen.is_mounted]

    def _look_after_engine(self) -> None:
        """Say once that the engine has ended, or that the journal can be read no more."""
        source, ended = self.room.source, ""
        if source.failed() or source.engine() == "stopped":
            # What was said is not asked again: how an engine ended has to be looked up in the journal.
            ended = source.failed() or self._said_of_engine or self.room.engine_ended()
        if ended and ended != self._said_of_engine:
            self.say(ended, "warning")
        self._said_of_engine = ended

    def _look_after_person(self, changes: Changes) -> None:
        """New questions come up by themselves, unless the person is in the middle of something; and he is called."""
        if changes:
            answered = [event.fields for event in changes.events if event.kind == "approval_answered"]
            answers = {fields["approval"]: fields["answer"] for fields in answered}
            self.desk.look(self.room.state, answers)
        self.attention.look(self.room.needs, focused=self.app_focus)
        if self.app_focus:  # while the terminal has no focus nothing here has: then what was last known holds
            self._typing = self.focused is not None and self.focused.check_consume_key("a", "a")
        if not self._typing and not any(screen.is_modal for screen in self.screen_stack):
            self.open_approval(self.desk.next_popup())

    def _seen_screens(self) -> list[Screen[Any]]:
        """From the top of the stack down to the first that covers everything."""
        seen: list[Screen[Any]] = []
        for screen in reversed(self.screen_stack):
            seen.append(screen)
            if not screen.is_modal:
                break
        return seen

    # -- what screens ask for ------------------------------------------------------------------------------------

    def say(self, text: str, severity: Severity = "information") -> None:
        """A short note over the screen. The text may come from anywhere: it is drawn without markup."""
        from engine.text.sanitise import sanitise_line

        self.notify(sanitise_line(text), severity=severity, markup=False)

    def tell(self, name: str, args: dict[str, Any] | None = None, then: Callable[[bool], None] | None = None) -> None:
        """Send a command to the engine and say what it answered. `then` gets whether it was taken."""
        future = self.room.source.send(name, args)
        future.add_done_callback(lambda done: self.call_later(partial(self._answered, done, then)))

    def _answered(self, done: Future[str], then: Callable[[bool], None] | None) -> None:
        if done.cancelled():
            return
        error = done.exception()
        # Without an answer yet it lies in the inbox all the same: it is not to be sent again.
        waits = isinstance(error, Unanswered)
        self.say(str(error) if error else done.result(), "warning" if waits else "error" if error else "information")
        if then is not None:
            then(error is None or waits)

    def show(self, screen: Screen[Any]) -> None:
        """Put a screen on top; nothing before the room is opened."""
        if self.opened:
            self.push_screen(screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "command_palette" and isinstance(self.screen, RoomModal):
            return False  # a question is answered by its own keys, never by what happens to be first in a list
        return self.opened or action not in NEEDS_ROOM

    def open_approval(self, ident: str) -> None:
        """Open the one modal on this question, if it still waits."""
        if not ident or any(screen.is_modal for screen in self.screen_stack):
            return
        if self.desk.open(ident):
            from swarm_tui.screens.approval import ApprovalScreen

            self.show(ApprovalScreen())

    def ask_order(self, name: str, order: str) -> None:
        """Send `retry` or `cancel` for a work order, once the person has confirmed it."""
        from swarm_tui.screens.confirm import about_order

        if self.opened:
            self._confirm(about_order(name, order, self.room.state), name, {"work_order": order})

    def ask_first(self, asked: Asked, name: str, args: dict[str, Any]) -> None:
        """Send a command once the person has confirmed it."""
        if self.opened:
            self._confirm(asked, name, args)

    def _confirm(
        self,
        asked: Asked,
        name: str,
        args: dict[str, Any] | None = None,
        then: Callable[[bool], None] | None = None,
    ) -> None:
        from swarm_tui.room.source import READ_ONLY
        from swarm_tui.screens.confirm import ConfirmScreen

        if self.room.source.read_only:
            self.say(READ_ONLY, "warning")
        elif not any(screen.is_modal for screen in self.screen_stack):
            self.push_screen(ConfirmScreen(asked), lambda sure: self.tell(name, args, then) if sure else None)

    # -- actions -------------------------------------------------------------------------------------------------

    async def action_back(self) -> None:
        self.go_back()

    def go_back(self) -> None:
        """Leave the screen on top for the one below it; the main screen stays."""
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_open_order(self, order: str) -> None:
        from swarm_tui.screens.order import OrderScreen

        self.show(OrderScreen(order))

    def action_open_run(self, run: str) -> None:
        from swarm_tui.screens.run import RunScreen

        self.show(RunScreen(run))

    def action_open_gates(self, change: str, tree: str = "") -> None:
        from swarm_tui.screens.gate import GateScreen

        self.show(GateScreen(change, tree))

    def action_open_canary(self, about: str = "") -> None:
        from swarm_tui.screens.canary import CanaryScreen

        self.show(CanaryScreen(about))

    def action_open_goldens(self, about: str = "") -> None:
        """Open what canary runs propose to record as right."""
        from swarm_tui.screens.goldens import GoldensScreen

        self.show(GoldensScreen(about))

    def action_approvals(self) -> None:
        from swarm_tui.screens.inbox import InboxScreen

        if isinstance(self.screen, InboxScreen):
            self.go_back()
        else:
            self.show(InboxScreen())

    def action_metrics(self) -> None:
        from swarm_tui.screens.metrics import MetricsScreen

        self.show(MetricsScreen())

    def action_timeline(self) -> None:
        from swarm_tui.screens.timeline import TimelineScreen

        self.show(TimelineScreen())

    def action_wall(self) -> None:
        from swarm_tui.screens.wall import WallScreen

        self.show(WallScreen())

    def action_help(self) -> None:
        from swarm_tui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    def action_hud(self) -> None:
        from swarm_tui.screens.hud import toggle_hud

        toggle_hud(self)

    def action_pause(self) -> None:
        if not self.opened:
            return
        if self.room.source.engine() == "stopped" and not self.room.source.read_only:
            self.say("no engine runs, so there is nothing to pause", "warning")
            return
        self.tell("resume" if self.room.state.paused else "pause")

    @work(thread=True, exclusive=True, group="opener")
    def action_start_engine(self) -> None:
        """Start an engine when the one that was attached to has ended."""
        start = self.room.start_engine if self.opened else None
        if start is None or self.room.source.engine() == "running":
            self.call_from_thread(self.say, "an engine runs already" if start else "this room starts no engine")
            return
        try:
            start(lambda _: None)
        except Exception as error:
            self.call_from_thread(self.say, str(error), "error")
        else:
            self._stop_sent = False
            self.call_from_thread(self.say, "the engine runs again")

    def action_stop_engine(self) -> None:
        """Stop the engine now; asks first."""
        from swarm_tui.screens.confirm import STOP

        if self.opened:
            self._confirm(STOP, "stop", then=self._stop_taken)

    def _stop_taken(self, taken: bool) -> None:
        self._stop_sent = taken

    def action_finish_engine(self) -> None:
        """Let the engine finish what runs and stop then; asks first."""
        from swarm_tui.screens.confirm import FINISH

        if self.opened:
            self._confirm(FINISH, "drain")

    def action_detach(self) -> None:
        # An engine lets go of its lock a moment before its process ends: it still is the end that is wanted then.
        ends = self.opened and (self._stop_sent or self.room.source.engine() == "stopped")
        self.exit(Leaving(stopped=ends))

    def action_interrupt(self) -> None:
        self.say("q detaches, the engine goes on; stopping it is in the palette (ctrl+p)")

    def action_theme(self) -> None:
        themes = [name for name in THEMES if name in self.available_themes]
        at = themes.index(self.theme) if self.theme in themes else -1
        self.theme = themes[(at + 1) % len(themes)]
        self.say(f'theme {self.theme}; to keep it, write theme = "{self.theme}" into {self.preferences.path}')

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as an SVG picture in the current folder."""
        from swarm_tui.room.picture import save_picture

        served = self._driver is not None and self._driver.is_web
        if served and (not self.opened or self.room.source.read_only):
            self.say("a room in a browser that only looks writes nothing on this machine", "warning")
            return
        try:
            self.say(f"saved {save_picture(self.export_screenshot(title='swarm'), Path(path or '.'), filename)}")
        except OSError as error:
            self.say(f"the picture cannot be written here: {error.strerror}", "error")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        from swarm_tui.room.palette import commands_of

        return commands_of(self, screen)
