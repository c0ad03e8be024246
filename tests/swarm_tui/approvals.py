"""What the tests of questions share: a room on a journal with approvals, its clock of typing, and what it sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nights import START, Writer, opener_of
from textual import events
from textual.pilot import Pilot

from engine.journal import JournalReader
from engine.models.event import NewEvent
from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room.desk import GUARD_S
from swarm_tui.room.preferences import Preferences
from swarm_tui.screens.approval import ApprovalScreen
from swarm_tui.widgets.sheet import Sheet

SIZE = (100, 30)
DEADLINE_S = 10.0
HASH = "e" * 64


def asked(ident: str, order: str = "one", danger: str = "external", **fields: Any) -> NewEvent:
    """An agent of this work order asks for something."""
    argv = fields.pop("argv", ["curl", "example.org"])
    operation = {"argv": argv, "cwd": ".", "why": "because", "danger": danger}
    told = {
        "approval": ident, "danger": danger, "title": f"{order} asks to run: {ident}", "why": "because",
        "operation": operation, "hash": HASH, "expires_at": START + 40_000.0, "subject": f"{order}.1", **fields,
    }  # fmt: skip
    return NewEvent("approval_asked", told, work_order=order)


def answered(ident: str, answer: str = "approved", by: str = "Kim", order: str = "one") -> NewEvent:
    return NewEvent("approval_answered", {"approval": ident, "answer": answer, "by": by}, work_order=order)


@dataclass
class Hand:
    """Somebody at the keys of a room. `passes` moves the clock of typing: nothing sleeps."""

    app: RoomApp
    pilot: Pilot[Leaving]
    writer: Writer
    at: float = 1_000.0

    def passes(self, seconds: float = 10 * GUARD_S) -> None:
        self.at += seconds

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds on the screen. Fails after a deadline."""
        ends = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < ends, f"never came true: {what}"
            await self.pilot.pause(0.02)
        await self.pilot.pause()

    async def until_open(self, ident: str) -> None:
        """The modal shows this question, and all there is about it."""
        await self.until(lambda: self.shown == ident, f"{ident} is open")
        await self.until(lambda: "reading what" not in self.facts, f"the evidence of {ident} is read")

    async def until_closed(self) -> None:
        await self.until(lambda: not isinstance(self.app.screen, ApprovalScreen), "the modal is closed")

    async def opens(self, ident: str) -> None:
        """The question comes up, and enough time passes that keys count."""
        self.writer.write(asked(ident))
        await self.until_open(ident)
        self.passes()

    async def press(self, *keys: str) -> None:
        """One key after the other, by name or character."""
        for key in keys:
            await self.burst(key)

    async def burst(self, *keys: str) -> None:
        """Keys as fast as a terminal sends what was pasted."""
        for key in keys:
            character = {"space": " ", "slash": "/"}.get(key, key if len(key) == 1 else None)
            self.app.post_message(events.Key("space" if key == " " else key, character))
        await self.pilot.pause()
        await self.pilot.pause()

    @property
    def shown(self) -> str:
        screen = self.app.screen
        return self.app.desk.current if isinstance(screen, ApprovalScreen) and screen.is_mounted else ""

    @property
    def facts(self) -> str:
        return self.app.screen.query_one(Sheet).text

    def text(self, selector: str) -> str:
        """What a Static of the top screen says."""
        from textual.widgets import Static

        return str(self.app.screen.query_one(selector, Static).render())

    @property
    def status(self) -> str:
        return self.text("#status")

    @property
    def notes(self) -> str:
        return "\n".join(note.message for note in self.app._notifications)

    def commands(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What lies in the engine's inbox."""
        with JournalReader(self.writer.folders.journal) as reader:
            return [(command.name, command.args) for command in reader.open_commands()]


@asynccontextmanager
async def a_room(
    writer: Writer, *, read_only: bool = False, popup: bool = True, size: tuple[int, int] = SIZE
) -> AsyncIterator[Hand]:
    """A room on this journal, with somebody at its keys."""
    app = RoomApp(opener_of(writer.folders, Path("repo"), read_only=read_only))
    app.preferences = Preferences(popup=popup)
    async with app.run_test(size=size) as pilot:
        hand = Hand(app, pilot, writer)
        app.typing_clock = lambda: hand.at
        await hand.until(lambda: app.opened and app.room.source.past_read == 1.0, "the room is open")
        yield hand
        await asyncio.sleep(0)
