"""The terminal that the tests use, and a room whose terminal goes away, against a small app in a real pty."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from conftest import MakeDesk
from terminal import Terminal

TINY_ROOM = str(Path(__file__).with_name("tiny_room.py"))
LEFT_BEHIND = {1000, 1003, 1004, 1006, 1049, 2004}
"""Modes that a program must not leave on: mouse, focus, alternate screen, bracketed paste."""
WITHOUT_TERMINAL = """\
import signal, subprocess, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.exit(subprocess.call(sys.argv[1:], start_new_session=True))
"""
"""Starts a program whose descriptors are the terminal, but which no terminal sends a signal to."""
Start = Callable[..., Terminal]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the app with these words; it is killed at the end of the test."""
    terminals: list[Terminal] = []

    def begin(*words: str, **more: Any) -> Terminal:
        terminals.append(Terminal([sys.executable, TINY_ROOM, *words], **more))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()


@pytest.mark.slow
def test_keys_paste_and_clicks_reach_the_program(start: Start) -> None:
    terminal = start()
    terminal.expect("ready")
    for key in ("j", "G", "enter", "tab", "shift+tab", "up", "ctrl+up", "pagedown", "f5", "ctrl+d", "ü"):
        terminal.press(key)
        terminal.expect(f"key {key}")
    terminal.press("escape", "j")
    terminal.expect("key j")
    terminal.paste("two\nlines")
    terminal.expect("paste 'two\\nlines'")
    terminal.click(11, 3)
    terminal.expect("click 11,3")


def test_a_program_that_ends_leaves_the_terminal_as_it_was(start: Start) -> None:
    terminal = start()
    terminal.expect("ready")
    assert terminal.screen.private_modes >= LEFT_BEHIND
    terminal.press("q")
    assert terminal.wait() == 7
    assert terminal.text().strip() == "the room is left"
    assert terminal.screen.private_modes & LEFT_BEHIND == set()
    assert 25 in terminal.screen.private_modes, "the cursor is hidden"
    assert terminal.released()


def test_the_program_is_told_of_a_new_size(start: Start) -> None:
    terminal = start(cols=100, rows=30)
    terminal.expect("size 100x30")
    terminal.resize(40, 10)
    terminal.expect("size 40x10")
    assert len(terminal.text().split("\n")) == 10


@pytest.mark.slow
def test_no_color_leaves_no_colours(start: Start) -> None:
    coloured = start("busy")
    coloured.until(lambda: "ff8000" in coloured.screen.colours(), "colour")
    plain = start("busy", no_color=True)
    plain.expect("5 1 ")
    assert "ff8000" not in plain.screen.colours()


@pytest.mark.slow
def test_a_stalled_terminal_shows_nothing_until_it_goes_on(start: Start) -> None:
    terminal = start("busy")
    terminal.expect("3 1 ")
    terminal.stall()
    terminal.until(lambda: _is_blocked(terminal), "a program that waits for its terminal")
    before = terminal.text()
    time.sleep(0.3)
    assert terminal.text() == before
    terminal.unstall()
    terminal.press("j")
    terminal.expect("key j")


def _is_blocked(terminal: Terminal) -> bool:
    """Nothing is computed for a while: the app draws 30 times a second otherwise."""
    before = terminal.cpu_s()
    time.sleep(0.3)
    return terminal.cpu_s() == before


def test_a_desk_has_the_command_on_a_terminal(make_desk: MakeDesk) -> None:
    desk = make_desk()
    terminal = desk.terminal("where", cols=60, rows=10)
    assert terminal.wait() == 0
    assert str(desk.repo.name) in terminal.text()
    assert len(terminal.text().split("\n")) == 10


def test_what_never_comes_fails_with_the_screen(start: Start) -> None:
    terminal = start()
    terminal.expect("ready")
    with pytest.raises(AssertionError, match=r"(?s)'never'.*the program runs.*│ready"):
        terminal.expect("never", within_s=0.05)


def test_a_terminal_that_vanishes_without_a_signal_ends_the_room() -> None:
    in_another_session = [sys.executable, "-c", WITHOUT_TERMINAL, sys.executable, TINY_ROOM]
    with Terminal(in_another_session) as terminal:
        terminal.expect("ready")
        terminal.hang_up()
        assert terminal.wait(within_s=15) == 129


@pytest.mark.parametrize("words", [(), ("busy",)], ids=["quiet", "busy"])
def test_a_closed_terminal_ends_the_room_in_order(start: Start, words: tuple[str, ...]) -> None:
    terminal = start(*words)
    terminal.expect("1 1 " if words else "ready")
    terminal.hang_up()
    assert terminal.wait(within_s=15) == 129


@pytest.mark.slow
def test_a_terminal_that_is_closed_while_it_is_stalled_ends_the_room(start: Start) -> None:
    terminal = start("busy")
    terminal.expect("3 1 ")
    terminal.stall()
    terminal.until(lambda: _is_blocked(terminal), "a program that waits for its terminal")
    terminal.hang_up()
    assert terminal.wait(within_s=15) == 129


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_room_in_order(start: Start, number: signal.Signals) -> None:
    terminal = start("busy")
    terminal.expect("3 1 ")
    terminal.signal(number)
    assert terminal.wait(within_s=15) == 128 + number
    if number.name != "SIGHUP":
        assert terminal.text().strip() == "the room is left"
        assert terminal.screen.private_modes & LEFT_BEHIND == set()


@pytest.mark.slow
def test_a_signal_ends_a_room_whose_terminal_takes_nothing(start: Start) -> None:
    terminal = start("busy")
    terminal.expect("3 1 ")
    terminal.stall()
    terminal.until(lambda: _is_blocked(terminal), "a program that waits for its terminal")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait(within_s=15) == 128 + signal.SIGTERM
