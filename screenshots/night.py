"""The demo's night for the pictures: played in a thread, in a folder whose name may be seen."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.git.removal import remove_tree
from swarm_tui.compose import make_host
from swarm_tui.demo.build import build_demo
from swarm_tui.headless import EngineThread
from swarm_tui.opening import make_room
from swarm_tui.place import Place, find_place
from swarm_tui.room.pulse import Sampler
from swarm_tui.room.recording import JournalRecording
from swarm_tui.room.replay import ReplaySource
from swarm_tui.room.room import Room

NAME = "tinykit"
"""What the room calls the repository: the name of its folder."""


@dataclass
class PlayedNight:
    """`folder` is temporary. The engine runs once `start` was called."""

    folder: Path
    place: Place
    engine: EngineThread

    def start(self) -> None:
        """Raises what kept the engine from starting."""
        self.engine.thread.start()
        while not self.engine.host.ready.wait(0.05) and self.engine.thread.is_alive():
            pass
        if self.engine.error is not None:
            raise self.engine.error

    @property
    def over(self) -> bool:
        return not self.engine.thread.is_alive()

    def open(self, _say: object = None) -> Room:
        """The room on what the night has written so far."""
        return make_room(self.place.folders, self.place.repository.root)

    def open_replay(self, speed: int) -> Room:
        """The room of the replay. Its clock stands still wherever it is put."""
        recording = JournalRecording(self.place.folders)
        source = ReplaySource(recording, self.place.repository.root, speed=speed, monotonic=lambda: 0.0)
        source.start()
        return Room(source, Sampler(source.folders))


@contextmanager
def played_night(seed: int) -> Iterator[PlayedNight]:
    """A night that can be started; its folder goes at the end, and the engine with it."""
    folder = Path(tempfile.mkdtemp(prefix="night-")).resolve()
    # The demo's gates and agents are Python programs: they run with the interpreter that runs this.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        repository = build_demo(folder, seed).rename(folder / NAME)
        place = find_place(repository, folder / "state")
        engine = EngineThread(make_host(place), until_idle=True, duration_s=None)
        night = PlayedNight(folder, place, engine)
        try:
            yield night
        finally:
            if engine.thread.is_alive():
                engine.host.stop_now()
                engine.thread.join()
    finally:
        remove_tree(folder)
