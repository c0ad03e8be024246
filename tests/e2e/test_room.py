"""The room of a repository in a real terminal: in, around, and out again, while the engine is a process of its own."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

from command_line import order, until
from conftest import MakeDesk
from room_steps import choose, confirm, engine, events, left_in_order, room, room_desk, until_it_counts
from terminal import Terminal


def test_the_room_starts_the_engine_and_leaves_it_running(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"), order("two", "wait"))
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


@pytest.mark.slow
def test_the_view_is_there_again_after_coming_back(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"), order("two", "write b.txt hello"))
    first = room(desk)
    first.expect("2/2 healthy")
    first.press("1", "/")
    first.expect("filter by id")
    first.type("two")
    first.expect("filter two")
    first.expect_gone(" Open")
    first.press("enter")
    first.expect(" Open")  # the keys are the table's again, as the footer says
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
    ("a", "Needs you", "nothing needs you: the swarm goes on"),
    ("m", "Metrics", "lead time"),
    ("t", "Timeline", "started (epoch 1)"),
    ("w", "Logs side by side", "─ 1 one"),
    ("?", "Help", "in a line"),
    ("ctrl+g", "Debug figures", "frame"),
)
"""(its key, its name in the palette, what only it shows)"""


@pytest.mark.slow
def test_every_screen_opens_by_its_key_and_by_its_name(make_desk: MakeDesk) -> None:
    terminal = room(room_desk(make_desk, order("one", "say hello", "write a.txt hello")))
    terminal.expect("1/1 healthy")
    for key, name, shown in SCREENS:
        terminal.press(key)
        terminal.expect(shown)
        terminal.press(key if key == "ctrl+g" else "escape")
        terminal.expect_gone(shown)
        terminal.expect("1 Roadmap")
        choose(terminal, name, name)
        terminal.expect(shown)
        terminal.press("ctrl+g" if key == "ctrl+g" else "escape")
        terminal.expect_gone(shown)
        terminal.expect("1 Roadmap")


@pytest.mark.slow
def test_panes_rows_and_screens_are_reached_by_keys_alone(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "say hello from one", "write a.txt x"), order("two", "write b.txt x"))
    terminal = room(desk)
    terminal.expect("2/2 healthy")
    for key, title in (("1", "1 Roadmap"), ("2", "2 Agents"), ("3", "3 Gates"), ("4", "4 Canary"), ("5", "5 Log")):
        terminal.press(key, "z")
        terminal.until(lambda title=title: title in terminal.text() and _panes(terminal) == 1, f"{title} alone")
        terminal.press("z")
        terminal.until(lambda: _panes(terminal) == 5, "all panes")
    terminal.press("1", "g", "j", "enter")
    terminal.expect("Do two")
    terminal.press("escape")
    terminal.until(lambda: _panes(terminal) == 5, "the main screen")
    terminal.press("k", "enter")
    terminal.expect("Do one")
    terminal.press("escape")
    terminal.until(lambda: _panes(terminal) == 5, "the main screen")
    terminal.press("2", "enter")
    terminal.expect("handoff")
    terminal.press("escape")
    terminal.until(lambda: _panes(terminal) == 5, "the main screen")
    terminal.press("3", "enter")
    terminal.expect("test_nothing_is_broken")
    terminal.press("escape")
    terminal.until(lambda: _panes(terminal) == 5, "the main screen")
    choose(terminal, "one.1", "one.1")
    terminal.expect("hello from one")
    terminal.press("ctrl+c")
    terminal.expect("q detaches")
    terminal.press("ctrl+q")
    assert terminal.wait() == 0


def _panes(terminal: Terminal) -> int:
    """How many panes of the main screen are seen."""
    titles = ("─ 1 Roadmap", "─ 2 Agents", "─ 3 Gates", "─ 4 Canary", "─ 5 Log")
    return sum(title in terminal.text() for title in titles)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "goal"), [(0, ("write a.txt x",)), (1, ()), (4, ("fail",))], ids=["all-is-well", "main-is-red", "parked"]
)
def test_stopping_from_the_palette_gives_the_engines_exit_code(
    make_desk: MakeDesk, code: int, goal: tuple[str, ...]
) -> None:
    desk = room_desk(make_desk, *([order("one", *goal)] if goal else []))
    if code == 1:
        desk.commit(broken__txt="it is")
    terminal = room(desk)
    terminal.expect({0: "1/1 healthy", 1: "red", 4: "P parked"}[code])
    choose(terminal, "stop now", "Engine: stop now")
    confirm(terminal, "Stop the engine now?")
    terminal.expect("engine stopped")
    terminal.press("q")
    assert terminal.wait() == code
    assert "the engine goes on" not in terminal.text()
    left_in_order(terminal)
    assert engine(desk) is None


@pytest.mark.slow
def test_a_question_about_stopping_is_answered_with_no_by_escape(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk)
    terminal = room(desk)
    choose(terminal, "stop now", "Engine: stop now")
    until_it_counts(terminal, "Stop the engine now?")
    terminal.press("enter", "y", "escape")
    terminal.expect_gone("Stop the engine now?")
    terminal.press("q")
    assert terminal.wait() == 0
    assert engine(desk)


@pytest.mark.slow
def test_leaving_right_after_stopping_waits_for_the_end_of_the_engine(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "fail"), order("long", "wait"))
    terminal = room(desk)
    terminal.expect("P parked")
    choose(terminal, "stop now", "Engine: stop now")
    confirm(terminal, "Stop the engine now?")
    until(lambda: bool(events(desk, "engine_stopped")), "the engine's end")
    terminal.press("q")
    assert terminal.wait() == 4
    assert engine(desk) is None


@pytest.mark.slow
def test_the_engine_is_started_again_from_the_palette(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk)
    terminal = room(desk)
    first = engine(desk)
    assert desk.swarm("stop").returncode == 0
    terminal.expect("engine stopped")
    choose(terminal, "Engine: start", "Engine: start")
    terminal.expect_gone("engine stopped")
    until(lambda: len(events(desk, "engine_started")) == 2, "a second start")
    assert engine(desk) not in (first, None)
    terminal.press("q")
    assert terminal.wait() == 0
    assert "the engine goes on" in terminal.text()
