"""Questions that cannot be answered by mistake: what is typed, pasted or clicked before a person can have read them
does nothing, nothing is focused, and neither enter nor `y` means anything."""

from __future__ import annotations

import math
from typing import ClassVar

from textual import events
from textual._time import get_time
from textual.binding import Binding, BindingType

from swarm_tui.room.desk import Guard
from swarm_tui.screens.room_screen import Answer, RoomModal
from swarm_tui.widgets.sheet import Sheet

RESTS = "just opened: keys do not count yet"
GUARDED = (events.Key, events.Paste, events.MouseDown, events.MouseUp, events.Click)


class GuardedModal(RoomModal[Answer]):
    """A question. `restart_guard` whenever it shows something else; an action does nothing unless `armed`."""

    AUTO_FOCUS: ClassVar[str | None] = ""
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "Scroll", show=False, id="question.down"),
        Binding("up,k", "scroll(-1)", "Scroll up", show=False, id="question.up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="question.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="question.page_up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.guard = Guard(lambda: -math.inf)

    def on_mount(self) -> None:
        self.guard = Guard(self.room_app.typing_clock)
        self.restart_guard()
        # Whoever comes back to the terminal by a click or a key has not read anything yet.
        self.watch(self.app, "app_focus", self._focus_changed, init=False)

    @property
    def armed(self) -> bool:
        return self.guard.armed

    def restart_guard(self) -> None:
        """What is shown has changed: nothing typed counts for a while, from when it is really on the screen."""
        self.guard.restart()
        self.call_after_refresh(self.guard.restart)

    def _focus_changed(self, focused: bool) -> None:
        if focused:
            self.guard.restart()

    def _forward_event(self, event: events.Event) -> None:
        # All keys, pastes and clicks for this screen come through here before anything else sees them. What counts is
        # when they were typed, not when they are looked at.
        if isinstance(event, GUARDED) and not event.is_forwarded:
            typed_at = self.guard.clock() - max(0.0, get_time() - event.time)
            if not self.guard.lets(typed_at):
                event.stop()
                return
        super()._forward_event(event)

    def action_scroll(self, lines: int) -> None:
        self._scrolled.scroll_relative(y=lines, animate=False)

    def action_page(self, way: int) -> None:
        self._scrolled.scroll_relative(y=way * max(1, self._scrolled.size.height - 1), animate=False)

    @property
    def _scrolled(self) -> Sheet:
        return self.query_one(Sheet)
