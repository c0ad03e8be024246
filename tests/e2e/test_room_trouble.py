"""Terminals that stall and storm, agents that print what no terminal should see: engine and room live on."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

import time
from pathlib import Path

from command_line import SETTINGS, Desk, order, until
from conftest import MakeDesk
from room_steps import COLS, ROWS, choose, engine, events, folders, left_in_order, room, room_desk, until_it_counts
from terminal import Terminal

HOSTILE = (
    "\x1b[2J\x1b[H\x1b]0;PWNED\x07\x1b]52;c;cHduZWQ=\x07\x1b[?1001h\x1b[?9h\x1b[?25h\x1b[41m\x1bc\x9b31m"
    "[red]markup[/red] [@click=app.quit]here[/] \u202eesrever\u202c \U000e0041\U000e0042 nul\x00nul \x07bell"
)
PRINTS = f"""\
import os, pathlib, sys, time

out = os.fdopen(1, "wb", buffering=0)
hostile = {HOSTILE!r}.encode()
out.write(hostile + b"\\n")
out.write(b"".join(b"line %d of very many\\n" % number for number in range(200_000)))
out.write(b"x" * 1_000_000 + b"\\n" + hostile + b" at the end\\n" + b"y" * 1_000_000)
pathlib.Path("a.txt").write_text("hello")
"""
GOES = ("wait", "write a.txt hello")


def go(desk: Desk, run: str) -> None:
    """Let an agent that waits go on."""
    folder = folders(desk).root / "workspaces" / "files" / run
    until(lambda: (folder / "tools").is_dir(), f"the workspace of {run}")
    (folder / "go").touch()


def alive(terminal: Terminal) -> None:
    """The room answers its keys."""
    terminal.press("?")
    terminal.expect("in a line")
    terminal.press("escape")
    terminal.expect("1 Roadmap")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3, 60])
def test_a_stalled_terminal_holds_up_nobody_else(make_desk: MakeDesk, seconds: int) -> None:
    desk = room_desk(make_desk, order("one", *GOES), order("two", "wait", "write b.txt hello"))
    terminal = room(desk)
    terminal.expect("2 running")
    terminal.stall()
    for _ in range(60):  # more than the terminal's buffer takes: the room is in the middle of a write then
        terminal.press("z")
    go(desk, "one.1")
    until(lambda: len(events(desk, "work_order_healthy")) == 1, "an order that lands behind the stalled room")
    go(desk, "two.1")
    until(lambda: len(events(desk, "work_order_healthy")) == 2, "the other order")
    time.sleep(seconds)  # what is tested: so long nobody reads
    terminal.unstall()
    terminal.expect("2/2 healthy")
    alive(terminal)
    terminal.press("q")
    assert terminal.wait() == 0
    left_in_order(terminal)
    assert engine(desk)


@pytest.mark.slow
def test_a_storm_of_sizes_leaves_the_room_alive(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"))
    terminal = room(desk)
    for number in range(200):
        far = abs(100 - number) / 100
        terminal.resize(int(20 + 180 * far), int(5 + 55 * far))
    terminal.resize(COLS, ROWS)
    terminal.expect("1/1 healthy")
    terminal.expect("5 Log")
    alive(terminal)
    terminal.press("q")
    assert terminal.wait() == 0, terminal.framed()


@pytest.mark.slow
def test_a_size_that_comes_back_before_the_room_looks_is_drawn_again(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "write a.txt hello"))
    terminal = room(desk)
    terminal.expect("1/1 healthy")
    terminal.freeze()
    terminal.resize(20, 5)
    terminal.resize(COLS, ROWS)
    assert terminal.find("5 Log") is None
    terminal.thaw()
    terminal.expect("5 Log")


@pytest.mark.slow
def test_what_an_agent_prints_is_text_and_nothing_else(make_desk: MakeDesk) -> None:
    title = "\x1b]0;PWNED\x07[red]title[/red] \u202eesrever \x1b[2J"
    settings = SETTINGS.replace("tools/agent.py", "tools/hostile.py")
    desk = room_desk(
        make_desk, order("one", "write a.txt", title=title), settings=settings, **{"tools/hostile.py": PRINTS}
    )
    terminal = room(desk)
    terminal.expect("1/1 healthy")
    before, colours = set(terminal.screen.private_modes), terminal.screen.colours()
    terminal.press("5", "z", "G")
    terminal.until(lambda: "y" * 40 in terminal.line(-4), "the end of the log at the foot of the whole screen")
    _untouched(terminal, before)
    terminal.press("g")
    terminal.expect("[red]markup[/red]")
    terminal.expect("[@click=app.quit]here")
    _untouched(terminal, before)
    terminal.press("z")
    terminal.expect("1 Roadmap")
    terminal.press("1", "enter")
    terminal.expect("[red]title[/red]")
    _untouched(terminal, before)
    assert "red" not in terminal.screen.colours() - colours
    terminal.press("escape")
    terminal.expect("1 Roadmap")
    alive(terminal)
    raw = (folders(desk).runs / "one.1" / "log").read_bytes()
    assert raw.count(HOSTILE.encode()) == 2, "the log file keeps what was printed"
    assert b"x" * 1_000_000 in raw
    terminal.press("q")
    assert terminal.wait() == 0


def _untouched(terminal: Terminal, modes: set[int]) -> None:
    """Nothing that an agent printed has reached the terminal as a command."""
    screen = terminal.screen
    assert "PWNED" not in screen.title
    assert not [osc for osc in screen.osc if "PWNED" in osc or osc.startswith("52;")]
    assert screen.private_modes == modes
    assert not set("\u202e\u202c\x00\U000e0041") & set(terminal.text())


@pytest.mark.slow
def test_a_log_of_ten_gigabytes_opens_and_stays_on_the_disk(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, order("one", "say the beginning", "write a.txt hello"))
    terminal = room(desk)
    terminal.expect("1/1 healthy")
    with (folders(desk).runs / "one.1" / "log").open("r+b") as log:
        log.seek(10_000_000_000)
        log.write(b"\nthe last line but one\nthe last line\n")
    choose(terminal, "one.1", "one.1")
    terminal.expect("the last line")
    terminal.press("g")
    terminal.expect("the beginning")
    terminal.press("G")
    terminal.expect("the last line but one")
    assert terminal.rss() < 200_000_000
    terminal.press("escape")
    alive(terminal)


def _demo(tmp_path: Path) -> Terminal:
    home = tmp_path / "home"
    home.mkdir()
    desk = Desk(tmp_path, home)
    return Terminal(
        [sys.executable, "-m", "swarm_tui.cli", "demo"], cwd=home, env=desk.environment, cols=COLS, rows=ROWS
    )


@pytest.mark.slow
def test_the_demo_plays_its_night_in_a_room(tmp_path: Path) -> None:
    with _demo(tmp_path) as terminal:
        terminal.expect("Approval", within_s=120)
        until_it_counts(terminal, "Approval")
        terminal.press("escape")
        terminal.expect_gone("─ Approval ─")
        terminal.expect("take on the proposed work order", within_s=180)
        until_it_counts(terminal, "Approval")
        terminal.press("escape")
        terminal.expect_gone("take on the proposed work order")
        terminal.expect("■ engine stopped", within_s=180)
        alive(terminal)
        terminal.press("q")
        assert terminal.wait() == 0
        assert "The night in a screenful" in terminal.text()
        assert "✘" not in terminal.text()
        left_in_order(terminal)


@pytest.mark.slow
def test_the_demo_is_left_before_its_end(tmp_path: Path) -> None:
    with _demo(tmp_path) as terminal:
        terminal.expect(" healthy")
        terminal.press("q")
        assert terminal.wait() == 130
        left_in_order(terminal)
