"""The gate screen: from the tree to the failing test and what its log says, and never more than was seen."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.models.event import NewEvent
from swarm_tui.app import RoomApp
from swarm_tui.screens.gate import GateScreen
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.prose import Prose
from tests.swarm_tui.nights import START, Writer, a_night, opener_of
from tests.swarm_tui.proofs import (
    CHANGE,
    LOG,
    OTHER_TREE,
    TREE,
    a_gate,
    gate_finished,
    gate_started,
    report_signed,
    shown,
    signed,
    until,
)

Opened = Callable[..., AbstractAsyncContextManager[tuple[Pilot[Any], GateScreen]]]


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


@asynccontextmanager
async def opened(
    writer: Writer, tree: str = "", change: str = CHANGE, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[Any], GateScreen]]:
    app = RoomApp(opener_of(writer.folders, writer.folders.root))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
        app.action_open_gates(change, tree)
        await until(pilot, lambda: isinstance(app.screen, GateScreen) and app.screen.is_mounted)
        screen = app.screen
        assert isinstance(screen, GateScreen)
        yield pilot, screen


def red_night(tmp_path: Path, folders: StateFolder, *events: NewEvent, **fields: Any) -> Writer:
    """A change whose unit gate is red on a tree, with a signed report about it."""
    gate = a_gate(ArtifactStore(folders.artifacts), **fields)
    digest = signed(folders, gate)
    return a_night(tmp_path, *events, gate_started(), gate_finished(gate), report_signed(digest))


async def test_it_opens_on_the_red_gate_at_its_first_failure(tmp_path: Path, folders: StateFolder) -> None:
    async with opened(red_night(tmp_path, folders)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        assert screen.tests.key == "tests.test_bar.BarTest.test_cut"
        await until(pilot, lambda: "ERROR: test_cut (tests" in shown(pilot.app))
        text = shown(pilot.app)
        assert "✘ failed  test_cut" in text
        assert "✔ passed" in text
        assert "2 failed, 1 skipped, 2 passed" in text
        assert "✘ report red · merged with main eeeeeeeeee" in text


async def test_n_and_p_go_from_failure_to_failure_and_round(tmp_path: Path, folders: StateFolder) -> None:
    async with opened(red_night(tmp_path, folders, lost=["x.y.test_gone"])) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 6)
        seen: list[str] = []
        for key in ("n", "n", "n", "N"):
            await pilot.press(key)
            seen.append(screen.tests.key.rpartition(".")[2])
        assert seen == ["test_wide", "test_gone", "test_cut", "test_gone"]
        await pilot.press("N")
        await until(pilot, lambda: screen.log_view.test.endswith("test_wide"))


@pytest.mark.slow
async def test_the_log_goes_to_the_failing_test_even_far_down(tmp_path: Path, folders: StateFolder) -> None:
    log = "before\n" * 5_000 + LOG + "behind\n" * 5_000
    async with opened(red_night(tmp_path, folders, log_text=log)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        await pilot.press("n")
        await until(pilot, lambda: "AssertionError: 3 != 4" in shown(pilot.app))


@pytest.mark.slow
async def test_the_filter_keeps_matching_tests_and_escape_brings_all_back(tmp_path: Path, folders: StateFolder) -> None:
    async with opened(red_night(tmp_path, folders)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        await pilot.press("slash", *"passed", "space", *"t.test_b", "enter")
        assert [key.rpartition(".")[2] for key in screen.tests.keys] == ["test_b"]
        assert screen.tests.has_focus
        await pilot.press("slash", "n")  # typed, no jump
        assert screen.query_one(Input).value.endswith("n")
        await pilot.press("escape")
        assert len(screen.tests.keys) == 5
        assert pilot.app.screen is screen
        await pilot.press("escape")
        assert pilot.app.screen is not screen


@pytest.mark.slow
async def test_in_the_log_slash_searches_the_log(tmp_path: Path, folders: StateFolder) -> None:
    async with opened(red_night(tmp_path, folders)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        await pilot.press("l", "slash", *"AssertionError", "enter")
        assert screen.log_view.has_focus
        assert screen.log_view.searched
        assert len(screen.tests.keys) == 5
        await pilot.press("n")
        assert screen.tests.key.endswith("test_cut")


@pytest.mark.slow
async def test_earlier_trees_of_the_change_are_stepped_through(tmp_path: Path, folders: StateFolder) -> None:
    before = [gate_started(tree=OTHER_TREE), gate_started("stress", OTHER_TREE)]
    async with opened(red_night(tmp_path, folders, *before)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.shown == OTHER_TREE and "» superseded" in shown(pilot.app))
        text = screen.query_one(Head).text
        assert "no failure" in text
        assert "1 newer tree" in text
        await until(pilot, lambda: "superseded before any test ended" in shown(pilot.app))
        await pilot.press("left_square_bracket")
        assert screen.shown == OTHER_TREE
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.shown == TREE and len(screen.tests.keys) == 5)


async def test_a_running_gate_is_followed_until_it_is_signed(tmp_path: Path, folders: StateFolder) -> None:
    writer = a_night(tmp_path, gate_started())
    run = folders.runs / "agent-one-1-aaaaaaaa-x" / "unit-0123"
    (run / "exchange").mkdir(parents=True)
    (run / "log").write_text("so far so good\n", encoding="utf-8")
    spec = run / "spec.json"
    spec.write_text("{}", encoding="utf-8")
    os.utime(spec, (START + 5, START + 5))
    row = {"kind": "test", "id": "tests.test_bar.BarTest.test_a", "outcome": "passed"}
    (run / "exchange" / "results.jsonl").write_text(f"00 {json.dumps(row)}\n", encoding="utf-8")
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 1)
        await until(pilot, lambda: "so far so good" in shown(pilot.app))
        assert "live, not signed" in shown(pilot.app)
        assert "nothing is signed yet" in screen.query_one(Head).text
        gate = a_gate(ArtifactStore(folders.artifacts))
        writer.write(gate_finished(gate), report_signed(signed(folders, gate)))
        await until(pilot, lambda: len(screen.tests.keys) == 5)
        await until(pilot, lambda: "ERROR: test_cut" in shown(pilot.app))
        assert "live, not signed" not in shown(pilot.app)


async def test_a_newer_tree_is_followed_unless_one_was_chosen(tmp_path: Path, folders: StateFolder) -> None:
    writer = red_night(tmp_path, folders)
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: screen.shown == TREE)
        writer.write(gate_started(tree=OTHER_TREE))
        await until(pilot, lambda: screen.shown == OTHER_TREE)
        await pilot.press("left_square_bracket")
        writer.write(gate_started(tree="8" * 40))
        await until(pilot, lambda: len(screen.trees()) == 3)
        assert screen.shown == TREE


async def test_the_facts_have_report_command_and_exit_code_and_y_copies(tmp_path: Path, folders: StateFolder) -> None:
    async with opened(red_night(tmp_path, folders)) as (pilot, screen):
        await until(pilot, lambda: "sha256:" in screen.query_one(Prose).text)
        text = screen.query_one(Prose).text
        assert "python -m unittest -k 'a b'" in text
        assert "exit code   1" in text
        assert "2 of 4 tests failed." in text
        await pilot.press("y")
        copied = pilot.app.clipboard
        assert f"archive {TREE} | tar -x\n" in copied
        assert copied.endswith("python -m unittest -k 'a b'\n")


async def test_hostile_names_and_reasons_are_drawn_as_they_are(tmp_path: Path, folders: StateFolder) -> None:
    outcomes = {"[bold]x[/bold].\x1b[2Jtest_[red]": "failed"}
    writer = red_night(tmp_path, folders, outcomes=outcomes, reason="[link=evil]\x1b]0;owned\x07")
    async with opened(writer, size=(160, 40)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 1)
        await until(pilot, lambda: "[link=evil]" in shown(pilot.app))
        text = shown(pilot.app)
        assert "test_[red]" in text or "test_[red]" in text.replace("␛", "")
        assert "\x1b" not in text
        assert "\x07" not in text


@pytest.mark.slow
async def test_missing_logs_and_reports_are_said(tmp_path: Path, folders: StateFolder) -> None:
    store = ArtifactStore(folders.artifacts)
    gate = a_gate(store)
    digest = signed(folders, gate)
    store.path(gate.log).unlink()
    writer = a_night(tmp_path, gate_started(), gate_finished(gate), report_signed(digest))
    async with opened(writer) as (pilot, _):
        await until(pilot, lambda: "no log of this gate is left" in shown(pilot.app))
    store.path(digest).unlink()
    async with opened(writer) as (pilot, _):
        await until(pilot, lambda: "the report cannot be shown" in shown(pilot.app))


@pytest.mark.slow
async def test_main_itself_and_a_change_without_any_gate(tmp_path: Path, folders: StateFolder) -> None:
    writer = a_night(tmp_path, gate_started(change=""))
    async with opened(writer, change="") as (pilot, screen):
        await until(pilot, lambda: "▶ running" in shown(pilot.app))
        assert screen.query_one(Head).text.startswith("main itself")
    async with opened(writer, change="agent/none/1-0") as (pilot, screen):
        await until(pilot, lambda: "no gate has run here yet" in shown(pilot.app))
        await pilot.press("n", "y", "o", "left_square_bracket", "l", "f", "enter")
        assert pilot.app.screen is screen


@pytest.mark.parametrize(
    "size", [(40, 10), *(pytest.param(each, marks=pytest.mark.slow) for each in ((80, 24), (200, 50)))]
)
async def test_every_size_shows_the_gates_and_zooms(
    tmp_path: Path, folders: StateFolder, size: tuple[int, int]
) -> None:
    async with opened(red_night(tmp_path, folders), size=size) as (pilot, screen):
        await until(pilot, lambda: "unit" in shown(pilot.app) and len(screen.tests.keys) == 5)
        await pilot.press("tab", "z")
        assert screen.has_class("-zoomed")
        assert screen.query_one(".-chosen").has_focus_within
        await pilot.press("escape", "f", "f", "l")
        assert not screen.has_class("-zoomed")


@pytest.mark.slow
async def test_thousands_of_tests_are_listed_and_filtered(tmp_path: Path, folders: StateFolder) -> None:
    outcomes = {f"tests.test_{n % 50}.T.test_{n}": "failed" if n == 7_777 else "passed" for n in range(20_000)}
    async with opened(red_night(tmp_path, folders, outcomes=outcomes)) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 20_000)
        assert screen.tests.key.endswith("test_7777")
        await pilot.press("slash", *"test_1999", "enter")
        await until(pilot, lambda: len(screen.tests.keys) == 11)
