"""Journals for tests of the room: written by the real journal, with the events a test asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.folders import StateFolder
from engine.journal import Journal
from engine.models.event import NewEvent
from swarm_tui.room.pulse import Sampler
from swarm_tui.room.room import Room
from swarm_tui.room.source import LiveSource

START = 1_790_000_000.0
COMMIT, TREE = "c" * 40, "d" * 40
SETTINGS = {"policy": "p", "settings": "s", "bootstrap": False, "implementer": "demo", "flows": 1}


@dataclass
class Clock:
    """Goes on by `step_s` with each event. Implements `engine.ports.Clock` as far as a journal asks for it."""

    at: float = START
    step_s: float = 1.0

    def now(self) -> float:
        self.at += self.step_s
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class Writer:
    """A journal that a test writes into, before and while a room looks at it."""

    folders: StateFolder
    clock: Clock = field(default_factory=Clock)

    def write(self, *events: NewEvent) -> None:
        """Append durably. Opens and closes the journal, so that it may be called from any loop or thread."""

        async def append() -> None:
            journal = Journal(self.folders.journal, clock=self.clock, ballast_bytes=0)
            journal.open()
            try:
                journal.start(asyncio.get_running_loop(), lambda _: None)
                await journal.append_all(events)
            finally:
                journal.close()

        _in_a_loop_of_its_own(append)


def _in_a_loop_of_its_own(make: Callable[[], Any]) -> None:
    import threading

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(make())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def opened_events(orders: Iterable[Mapping[str, Any]], items: Iterable[Mapping[str, str]] = ()) -> list[NewEvent]:
    """How every night begins: the engine, the repository, settings, the roadmap with these orders."""
    rows = [{"title": f"Do {order['id']}", "kind": "feature", "goal": "…", **order} for order in orders]
    return [
        NewEvent("engine_started", {"epoch": 1, "version": "0", "pid": 1}),
        NewEvent("repository_opened", {"commit": COMMIT, "tree": TREE, "repository": "r", "branch": "main"}),
        NewEvent("settings_read", SETTINGS),
        NewEvent(
            "roadmap_read",
            {"count": len(rows), "orders": rows, "gone": [], "items": list(items)},
        ),
    ]  # fmt: skip


def a_night(folder: Path, *events: NewEvent, orders: Iterable[Mapping[str, Any]] = ({"id": "one"},)) -> Writer:
    """A state folder whose journal has the usual beginning and then these events."""
    folders = StateFolder(folder / "state")
    folders.create()
    writer = Writer(folders)
    writer.write(*opened_events(orders), *events)
    return writer


def opener_of(folders: StateFolder, repository: Path, *, read_only: bool = False) -> Callable[[object], Room]:
    """What a `RoomApp` opens: the journal of a state folder."""

    def open_it(_say: object) -> Room:
        source = LiveSource(folders, repository, read_only)
        source.start()
        return Room(source, Sampler(folders))

    return open_it
