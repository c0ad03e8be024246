"""What all screens of the room have in common: the room, and one frame clock that tells them to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from swarm_tui.room.changes import Changes

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp
    from swarm_tui.room.room import Room

Answer = TypeVar("Answer")


class Framed:
    """A screen that sees the room. Mixed into `Screen` or `ModalScreen`."""

    app: App[object]

    @property
    def room_app(self) -> RoomApp:
        return cast("RoomApp", self.app)

    @property
    def room(self) -> Room:
        return self.room_app.room

    @property
    def lives(self) -> bool:
        """Whether its widgets are there: it was mounted, and nobody has left it since. What was read in the background
        is only shown then; a screen that is being removed has lost its widgets before it is detached."""
        screen = cast("Screen[object]", self)
        return screen.is_mounted and screen.is_attached and screen in self.app.screen_stack

    def frame(self, changes: Changes, tick: int) -> None:
        """Look at the room. `changes` since the last frame that this screen saw; `tick` counts tenths of a second.

        Called within a batch update while the screen is seen; must be quick (a few milliseconds), and draw only what
        looks different. The first call has `changes.everything`.
        """


class RoomScreen(Framed, Screen[None]):  # pyright: ignore[reportIncompatibleMethodOverride] - `app` is the same app
    """A screen over the main one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.back", "Back", id="screen.back"),
    ]


class RoomModal(Framed, ModalScreen[Answer]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A question over everything, which must be answered or put off."""

    def on_mount(self) -> None:
        # What a footer below shows depends on what lies above: it is told at once, and not when it happens to look.
        for screen in self.app.screen_stack:
            screen.refresh_bindings()
