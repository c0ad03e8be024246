"""What a person does in front of a room in a real terminal, and what is looked at behind his back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
from command_line import Desk, until
from conftest import MakeDesk
from terminal import Terminal

from engine.folders import StateFolder
from engine.journal import JournalReader
from engine.lock import InstanceLock
from engine.models.event import Event
from swarm_tui.screens.guarded import RESTS

COLS, ROWS = 120, 36
READING = "reading what it would change"
"""Stands in a question until its evidence is there, which makes keys rest once more."""
LEFT_BEHIND = {1000, 1003, 1004, 1006, 1049, 2004}
"""Modes that a room must not leave on: mouse, focus, alternate screen, bracketed paste."""
PALETTE = "▔" * 80
"""The edge of the palette, which no screen has."""


def room_desk(make_desk: MakeDesk, *orders: str, **more: Any) -> Desk:
    """A desk whose state folder is known without asking."""
    desk = make_desk(*orders, **more)
    desk.options = ("--state", str(desk.repo.parent / "state"))
    return desk


def room(desk: Desk, *words: str, **more: Any) -> Terminal:
    """`swarm` on a terminal, once its room shows the night."""
    terminal = desk.terminal(*words, **{"cols": COLS, "rows": ROWS, **more})
    terminal.until(lambda: " healthy" in terminal.text(), "an open room")
    return terminal


def choose(terminal: Terminal, words: str, title: str) -> None:
    """An action by its name, in the palette."""
    terminal.press("ctrl+p")
    terminal.expect("Search for commands")
    terminal.type(words)
    terminal.until(lambda: _first_hit(terminal, words).startswith(title), f"{title!r} as the first hit")
    terminal.press("enter")
    terminal.until(lambda: PALETTE not in terminal.text(), "the end of the palette")


def _first_hit(terminal: Terminal, words: str) -> str:
    """What stands in the palette behind the words that are searched; "" before there is anything."""
    lines = [line.strip(" │") for line in terminal.text().split("\n")]
    top = next((at for at, line in enumerate(lines) if line.startswith(PALETTE)), len(lines))
    found = [line for line in lines[top + 1 :] if line]
    return found[1] if len(found) > 1 and found[0].endswith(words) else ""


def until_it_counts(terminal: Terminal, question: str) -> None:
    """A question has come up, and keys count."""
    terminal.expect(question)
    terminal.expect(RESTS)
    terminal.until(lambda: not any(text in terminal.text() for text in (RESTS, READING)), "a question that takes keys")


def leave(terminal: Terminal) -> None:
    """Close what is open, and then the room: a key typed before the main screen is back may still be the other's."""
    terminal.press("escape")
    terminal.until(lambda: _main_is_back(terminal.text()), "the main screen")
    terminal.press("q")
    assert terminal.wait() == 0


def _main_is_back(text: str) -> bool:
    return "1 Roadmap" in text and not any(words in text for words in ("esc Back", PALETTE))


def confirm(terminal: Terminal, question: str) -> None:
    """Answer a question about stopping or cancelling with yes."""
    until_it_counts(terminal, question)
    terminal.press("A")
    terminal.expect_gone(question)


def folders(desk: Desk) -> StateFolder:
    assert desk.options[0] == "--state"
    return StateFolder(Path(desk.options[1]))


def events(desk: Desk, *kinds: str) -> list[Event]:
    """What the journal has of these kinds."""
    with JournalReader(folders(desk).journal) as reader:
        return [event for event in reader.events() if event.kind in kinds]


def until_event(desk: Desk, kind: str, count: int = 1) -> Event:
    until(lambda: len(events(desk, kind)) >= count, f"{kind} in the journal")
    return events(desk, kind)[count - 1]


def engine(desk: Desk) -> int | None:
    """The process that runs the engine, or None."""
    pid = InstanceLock(folders(desk).lock).holder()
    return pid if pid and psutil.pid_exists(pid) and pid != os.getpid() else None


def left_in_order(terminal: Terminal) -> None:
    """The terminal is as it was before the room."""
    assert terminal.screen.private_modes & LEFT_BEHIND == set()
    assert 25 in terminal.screen.private_modes, "the cursor is hidden"
    assert terminal.released()
