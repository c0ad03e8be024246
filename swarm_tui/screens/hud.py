"""The debug figures over whatever screen is open: they follow from screen to screen until they are put away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm_tui.widgets.hud import Hud, Meter

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp

FRAMES = 5
"""Frames between two looks."""


class _Following:
    """Called after each frame: measures it, and keeps one panel on the screen that is on top."""

    def __init__(self, app: RoomApp) -> None:
        self._app = app
        self._meter = Meter()
        self._frames = 0
        self.move()

    def __call__(self, cost_s: float) -> None:
        self._meter.take(self._app.lag_s, cost_s)
        self._frames += 1
        if not self._app.screen.query("#hud"):
            self.move()
        elif self._frames % FRAMES == 0:
            self._app.screen.query_one("#hud", Hud).look(self._app)

    def move(self) -> None:
        """To the screen on top."""
        self.leave()
        hud = Hud(self._meter)
        self._app.screen.mount(hud)
        hud.look(self._app)

    def leave(self) -> None:
        for screen in self._app.screen_stack:
            screen.query("#hud").remove()


def toggle_hud(app: RoomApp) -> None:
    """Show the debug figures at the top of the screen, or put them away."""
    for look in app.after_frame:
        if isinstance(look, _Following):
            app.after_frame.remove(look)
            look.leave()
            return
    app.after_frame.append(_Following(app))
