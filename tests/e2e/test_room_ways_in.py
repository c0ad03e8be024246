"""How a room is entered: looking only, without an engine, a terminal or settings; and what keeps it shut."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

import re
from pathlib import Path

from command_line import Desk, order
from conftest import MakeDesk
from room_steps import LEFT_BEHIND, choose, engine, events, leave, left_in_order, room, room_desk
from terminal import Terminal


@pytest.mark.slow
def test_a_room_that_only_looks_refuses_commands_in_a_sentence(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"))
    assert desk.until_idle().code == 0
    before = len(events(desk, "engine_started", "work_order_ready"))
    terminal = room(desk, "--read-only")
    terminal.expect("engine stopped")
    terminal.expect("read-only")
    terminal.press("R")
    terminal.expect("this room is read-only")
    terminal.press("q")
    assert terminal.wait() == 0
    assert len(events(desk, "engine_started", "work_order_ready")) == before
    assert engine(desk) is None


@pytest.mark.parametrize("word", ["--attach", "--read-only"])
def test_without_an_engine_and_without_a_night_there_is_nothing_to_look_at(make_desk: MakeDesk, word: str) -> None:
    desk = room_desk(make_desk)
    terminal = desk.terminal(word)
    assert terminal.wait() == 2
    _said(terminal, "nothing has run in this repository yet")
    left_in_order(terminal)
    assert engine(desk) is None


@pytest.mark.slow
def test_attaching_only_takes_the_running_engine_and_starts_none(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk)
    night = desk.start()
    night.event("settings_read")
    terminal = room(desk, "--attach")
    terminal.press("p")
    terminal.expect("‖ paused")
    assert desk.swarm("stop").returncode == 0
    terminal.expect("engine stopped")
    terminal.press("ctrl+p")
    terminal.expect("Search for commands")
    terminal.type("Engine")
    terminal.expect("No matches found")
    assert "Engine: start" not in terminal.text()
    leave(terminal)
    assert len(events(desk, "engine_started")) == 1


@pytest.mark.parametrize(
    ("settings", "words", "part"),
    [
        ("[limits]\nimplementers = 'many'\n", (), "implementers"),
        ("[limits\n", (), "swarm.toml"),
        (None, ("--until", "soon"), "--until takes"),
    ],
    ids=["wrong-value", "no-toml", "wrong-until"],
)
def test_what_keeps_the_engine_from_starting_is_one_sentence_after_the_room_closed(
    make_desk: MakeDesk, settings: str | None, words: tuple[str, ...], part: str
) -> None:
    desk = room_desk(make_desk, **({"settings": settings} if settings else {}))
    terminal = desk.terminal(*words, cols=200)
    assert terminal.wait() == 2
    _said(terminal, part)
    left_in_order(terminal)


def test_a_folder_that_is_no_repository_is_told_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    desk = Desk(folder, tmp_path)
    with Terminal(desk._argv(()), cwd=folder, env=desk.environment, cols=200, rows=36) as terminal:  # pyright: ignore[reportPrivateUsage]
        terminal.expect("git init")
        terminal.press("q")
        assert terminal.wait() == 0
        left_in_order(terminal)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_repository_without_settings_is_led_through_init_into_its_room(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for name in ("swarm.toml", "roadmap.toml"):
        (desk.repo / name).unlink()
    desk.commit("Without settings")
    terminal = desk.terminal(cols=120, rows=36)
    terminal.expect("Press i to write swarm.toml and roadmap.toml")
    assert not (desk.repo / "swarm.toml").exists()
    terminal.press("i")
    terminal.expect("press c to open the room")
    assert (desk.repo / "swarm.toml").exists()
    desk.commit("Set up the swarm")
    terminal.press("c")
    terminal.expect("1 Roadmap")
    terminal.expect("0/1 healthy")
    terminal.press("q")
    assert terminal.wait() == 0


@pytest.mark.slow
def test_plain_lines_are_for_those_who_cannot_see_a_room(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"))
    terminal = desk.terminal("--plain", cols=120, rows=36)
    terminal.expect("healthy (uncanaried: no flows)")
    assert terminal.screen.private_modes & LEFT_BEHIND == set()
    terminal.press("ctrl+c")
    terminal.expect("the engine goes on")
    assert terminal.wait() == 0
    assert engine(desk)


@pytest.mark.slow
@pytest.mark.parametrize(("goal", "code"), [("write a.txt x", 0), ("fail", 4)], ids=["all-is-well", "parked"])
def test_plain_lines_end_with_the_engine_and_its_exit_code(make_desk: MakeDesk, goal: str, code: int) -> None:
    desk = room_desk(make_desk, order("one", goal))
    terminal = desk.terminal("--plain", "--until", "idle", cols=120, rows=36)
    assert terminal.wait() == code
    assert "work orders: 1 " in terminal.text()
    assert engine(desk) is None


@pytest.mark.slow
def test_a_dumb_terminal_gets_the_headless_run_and_is_told_so(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"))
    terminal = desk.terminal("--until", "idle", cols=120, rows=36, term="dumb", colorterm="")
    assert terminal.wait() == 0
    assert "no terminal that can show the room: this is the headless run" in terminal.text()
    assert "work orders: 1 healthy" in terminal.text()
    assert terminal.screen.private_modes & LEFT_BEHIND == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "look", [{"no_color": True}, {"term": "xterm", "colorterm": ""}], ids=["without-colour", "16-colours"]
)
def test_states_are_readable_with_few_colours_or_none(make_desk: MakeDesk, look: dict[str, str]) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"), order("two", "fail"))
    terminal = room(desk, **look)
    for words in ("♥ healthy", "P parked", "✔ done", "✘ failed", "✔ tests", "green", "need"):
        terminal.expect(words)
    choose(terminal, "timeline", "Timeline")
    terminal.expect("parked")
    found = terminal.screen.colours()
    if "no_color" in look:
        assert found == set()
    else:
        assert found, "a terminal with 16 colours gets some"
        assert not {each for each in found if re.fullmatch("[0-9a-f]{6}", each)}, "colours beyond the 16"
    leave(terminal)


def _said(terminal: Terminal, part: str) -> None:
    """Exactly one sentence is on the terminal, with this part."""
    lines = [line for line in terminal.text().split("\n") if line]
    assert lines[0].startswith("swarm: "), terminal.framed()
    said = "".join(lines)
    assert part in said, said
    assert "Traceback" not in said
    assert said.count("swarm: ") == 1
