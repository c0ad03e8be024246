"""The demo's night in a room: the engine runs in a thread of this process, with an event loop of its own."""

from __future__ import annotations

import time

from engine.client import Client
from engine.models.status import Status
from engine.status import status_of
from swarm_tui.app import RoomApp, Say
from swarm_tui.compose import make_host
from swarm_tui.headless import EngineThread
from swarm_tui.opening import make_room
from swarm_tui.place import Place
from swarm_tui.room.hangup import ends_with_its_terminal
from swarm_tui.room.preferences import load_preferences
from swarm_tui.room.room import Room

ENDED = "the night is over: look around, q leaves"


def play_in_room(place: Place) -> tuple[Status, bool]:
    """Show the night until the person leaves; its status, and whether it was left before the end.

    Leaving ends the engine. Raises what kept it from starting.
    """
    nights = _Nights(place)
    app = RoomApp(nights.open, load_preferences())
    try:
        with ends_with_its_terminal(app):
            leaving = app.run()
        # The engine lets go of its lock, and says so in the room, a moment before its thread ends.
        early = nights.running and not (leaving is not None and leaving.stopped)
    finally:
        nights.end()
    if leaving is not None and leaving.error is not None:
        raise leaving.error
    client = Client.attach(place.folders)
    try:
        return status_of(client.state, time.time(), running=False), early or bool(app.return_code)
    finally:
        client.close()


class _Nights:
    """The engine threads of one demo: one, and another for each start that the person asks for."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._engine: EngineThread | None = None

    @property
    def running(self) -> bool:
        return self._engine is not None and self._engine.thread.is_alive()

    def open(self, say: Say) -> Room:
        self.start(say)
        return make_room(self._place.folders, self._place.repository.root, ended=self._ended, start=self.start)

    def start(self, say: Say) -> None:
        say("starting the engine")
        engine = EngineThread(make_host(self._place), until_idle=True, duration_s=None)
        self._engine = engine
        engine.thread.start()
        while not engine.host.ready.wait(0.05) and engine.thread.is_alive():
            pass
        if engine.error is not None:
            raise engine.error

    def _ended(self) -> str:
        if self._engine is None or self.running:
            return ""
        return f"the engine failed: {self._engine.error}" if self._engine.error else ENDED

    def end(self) -> None:
        if self._engine is not None:
            if self.running:
                self._engine.host.stop_now()
            self._engine.thread.join()
