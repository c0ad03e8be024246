"""`swarm` on a terminal: the room, with the repository's engine in a process of its own behind it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine import read_only
from engine.errors import SwarmError, UserError
from swarm_tui.app import Leaving, NeedsSetUp, RoomApp, Say
from swarm_tui.room.hangup import ends_with_its_terminal
from swarm_tui.room.preferences import load_preferences
from swarm_tui.terminal import Asked

if TYPE_CHECKING:
    from engine.folders import StateFolder
    from swarm_tui.room.engine_process import EngineProcess
    from swarm_tui.room.room import Room
    from swarm_tui.room.source import Source

SILENT_S = 0.5
"""How long the command waits for the engine's end without a word."""


def run_room(asked: Asked) -> int:
    """Open the room, and return the exit code. Raises what kept it from opening, a UserError for people.

    0 when it was left while the engine runs on; the engine's own exit code when that has ended meanwhile.
    """
    opening = _Opening(asked)
    app = RoomApp(opening.open, load_preferences())
    with ends_with_its_terminal(app):
        leaving = app.run()
    if app.return_code:
        return app.return_code
    return _left(app, leaving, opening)


def _left(app: RoomApp, leaving: Leaving | None, opening: _Opening) -> int:
    if leaving is not None and leaving.error is not None:
        raise leaving.error
    if not app.opened or opening.engine is None:
        return 0
    from swarm_tui.room.engine_process import PATIENCE_S, running_engine

    if opening.engine.ended() is not None and (newer := running_engine(opening.engine.folders)) is not None:
        opening.engine = newer  # somebody else has started it meanwhile
    # A stop that was just asked for takes a moment; whoever stops the engine wants to hear how it ended.
    began = time.monotonic()
    patience_s = PATIENCE_S if leaving is not None and leaving.stopped else 0.0
    told = False
    while (ending := opening.engine.ended()) is None and (waited_s := time.monotonic() - began) < patience_s:
        if waited_s > SILENT_S and not told:
            sys.stdout.write("waiting for the end of the engine; ctrl+c leaves it\n")
            sys.stdout.flush()
            told = True
        time.sleep(0.05)
    if ending is None:
        sys.stdout.write("the engine goes on; `swarm` attaches again, `swarm stop` ends it\n")
        return 0
    if ending.said:
        sys.stderr.write(f"swarm: {ending.said}\n")
    return ending.exit_code or 0


class _Opening:
    """Finds or starts the engine; called in a thread of the app, again after the repository was set up."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.engine: EngineProcess | None = None

    def open(self, say: Say) -> Room:
        from engine.loading import SETTINGS_FILE
        from swarm_tui.place import find_place
        from swarm_tui.room.engine_process import PATIENCE_S, running_engine, start_engine
        from swarm_tui.running import parse_until

        parse_until(self._asked.until)
        say("finding the repository")
        try:
            place = find_place(self._asked.repo, self._asked.state)
        except UserError:
            folder = self._asked.repo or Path.cwd()
            if self._asked.attach or self._asked.state is not None or not folder.is_dir():
                raise
            raise NeedsSetUp(folder) from None  # no repository, or one without a commit: the room says what to do
        self.engine = running_engine(place.folders)
        if self.engine is None and not self._asked.attach:
            if not (place.repository.root / SETTINGS_FILE).exists() and not place.folders.journal.exists():
                raise NeedsSetUp(place.repository.root)
            try:
                self.engine = start_engine(
                    place,
                    until=self._asked.until,
                    log_levels=self._asked.log_levels,
                    patience_s=PATIENCE_S,
                    progress=say,
                )
            except UserError:
                if not (broken := read_only.reason(place.folders)):
                    raise
                # What is left to do is to look at the evidence.
                return make_room(place.folders, place.repository.root, read_only=True, ended=lambda: broken)

        def start(tell: Say) -> None:
            self.engine = start_engine(place, patience_s=PATIENCE_S, progress=tell)

        return make_room(
            place.folders,
            place.repository.root,
            read_only=self._asked.read_only,
            ended=self._ended,
            start=None if self._asked.attach else start,
        )

    def _ended(self) -> str:
        try:
            ending = self.engine.ended() if self.engine is not None else None
        except SwarmError as error:
            return str(error)
        if ending is None:
            return ""
        return ending.said or f"the engine has ended: {ending.reason}"


def make_room(
    folders: StateFolder,
    repository: Path,
    *,
    read_only: bool = False,
    ended: Callable[[], str] = lambda: "",
    start: Callable[[Say], None] | None = None,
) -> Room:
    """A room over the journal of a state folder. Raises UserError when there is none."""
    from swarm_tui.room.source import LiveSource

    source = LiveSource(folders, repository, read_only)
    if not folders.journal.is_file():
        raise UserError("nothing has run in this repository yet, so there is nothing to look at: start with `swarm`")
    source.start()
    return room_of(source, ended=ended, start=start)


def room_of(
    source: Source, *, ended: Callable[[], str] = lambda: "", start: Callable[[Say], None] | None = None
) -> Room:
    """A room over a source that was started."""
    from swarm_tui.room.pulse import Sampler
    from swarm_tui.room.room import Room

    sampler = Sampler(source.folders)
    sampler.start()
    return Room(source, sampler, engine_ended=ended, start_engine=start)
