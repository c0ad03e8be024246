"""The room of a repository in a real terminal: in, around, and out again, while the engine is a process of its own."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

from collections.abc import Callable
from pathlib import Path

from command_line import Desk, order, until
from conftest import MakeDesk
from room_steps import choose, confirm, engine, events, left_in_order, room, until_event

MakeRoomDesk = Callable[..., Desk]


@pytest.fixture
def desk_of(make_desk: MakeDesk, tmp_path: Path) -> MakeRoomDesk:
    """A desk whose state folder is known without asking."""

    def make(*orders: str, **more: str) -> Desk:
        desk = make_desk(*orders, **more)
        desk.options = ("--state", str(tmp_path / "state"))
        return desk

    return make


def test_the_room_starts_the_engine_and_leaves_it_running(desk_of: MakeRoomDesk) -> None:
    desk = desk_of(order("one", "write a.txt hello"), order("two", "wait"))
    terminal = room(desk)
    terminal.expect("1/2 healthy")
    terminal.expect("▶ running")
    assert terminal.screen.private_modes >= {1049, 2004}
    pid = engine(desk)
    terminal.press("q")
    assert terminal.wait() == 0
    assert "the engine goes on" in terminal.text()
    left_in_order(terminal)
    assert engine(desk) == pid is not None


def test_the_view_is_there_again_after_coming_back(desk_of: MakeRoomDesk) -> None:
    desk = desk_of(order("one", "write a.txt hello"), order("two", "write b.txt hello"))
    first = room(desk)
    first.expect("2/2 healthy")
    first.press("1", "slash" if False else "/")
    first.type("two")
    first.expect("filter two")
    first.press("enter")
    first.until(lambda: "one" not in first.line(5), "only what fits the filter")
    first.press("3", "z")
    first.expect_gone("1 Roadmap")
    first.press("q")
    assert first.wait() == 0
    starts = len(events(desk, "engine_started"))
    again = room(desk)
    again.expect_gone("1 Roadmap")
    again.expect("3 Gates")
    again.press("z")
    again.expect("filter two")
    again.expect("2/2 healthy")
    again.press("1", "escape")
    again.expect_gone("filter two")
    assert len(events(desk, "engine_started")) == starts


SCREENS = (
    ("a", "Needs you", "Needs you"),
    ("m", "Metrics", "lead time"),
    ("t", "Timeline", "engine_started"),
    ("w", "Logs side by side", "one.1"),
    ("?", "Help", "Keys"),
    ("ctrl+g", "Debug figures", "loop lag"),
)


@pytest.mark.slow
def test_every_screen_opens_by_its_key_and_by_its_name(desk_of: MakeRoomDesk) -> None:
    terminal = room(desk_of(order("one", "say hello", "write a.txt hello")))
    terminal.expect("1/1 healthy")
    for key, name, shown in SCREENS:
        print(key)
        terminal.press(key)
        terminal.until(lambda shown=shown: "1 Roadmap" not in terminal.text(), f"the screen behind {key}")
        print(terminal.framed())
        terminal.press("escape")
        terminal.expect("1 Roadmap")
