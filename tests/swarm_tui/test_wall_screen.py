"""The wall: the logs of what runs, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nights import Writer, a_night, opener_of
from textual.geometry import Size
from textual.pilot import Pilot

from engine.models.event import NewEvent
from swarm_tui.app import RoomApp
from swarm_tui.screens.wall import MOST, WallScreen, capacity, grid, hung

COMMIT = "c" * 40


def started(run: str) -> NewEvent:
    return NewEvent("run_started", {"attempt": 1, "role": "implementer", "agent": "demo", "base": COMMIT}, "one", run)


def ended(run: str, result: str = "done") -> NewEvent:
    fields = {"result": result, "counted": True, "reason": "", "kept": "", "exit_code": 0, "duration_s": 1.0}
    return NewEvent("run_finished", fields, "one", run)


def printed(night: Writer, run: str, text: str) -> None:
    folder = night.folders.runs / run
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a", encoding="utf-8") as log:
        log.write(text)


async def until(pilot: Pilot[Any], holds: Any) -> None:
    for _ in range(200):
        if holds():
            return
        await pilot.pause(0.02)
    assert holds()


async def opened(pilot: Pilot[Any], app: RoomApp) -> WallScreen:
    await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
    screen = WallScreen()
    app.show(screen)
    await until(pilot, lambda: screen.is_mounted and screen._told)
    return screen


def runs(screen: WallScreen) -> list[str]:
    return [log.run for log in screen._logs if log.run]


async def test_running_runs_come_first_then_those_that_ended_last(tmp_path: Path) -> None:
    night = a_night(tmp_path, started("a"), started("b"), started("c"), ended("b"), ended("a"))
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        assert runs(screen) == ["c", "a", "b"]


@pytest.mark.slow
async def test_a_new_run_takes_a_free_place_and_the_others_stay(tmp_path: Path) -> None:
    night = a_night(tmp_path, *(started(f"r{n}") for n in range(MOST)))
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot, app)
        night.write(ended("r3"), started("new"))
        await until(pilot, lambda: "new" in runs(screen))
        assert runs(screen) == ["r0", "r1", "r2", "new", "r4", "r5", "r6", "r7"]


async def test_every_log_is_followed_the_focused_one_too(tmp_path: Path) -> None:
    night = a_night(tmp_path, started("a"), started("b"))
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        for run in ("a", "b"):
            printed(night, run, f"{run} says hello\n")
        await until(pilot, lambda: all(log._rows and log._rows[0].text == f"{log.run} says hello"
                                       for log in screen._logs if log.run))  # fmt: skip
        assert "running" in str(screen._logs[0].border_subtitle)


@pytest.mark.slow
async def test_tab_moves_z_zooms_and_escape_goes_back_step_by_step(tmp_path: Path) -> None:
    night = a_night(tmp_path, started("a"), started("b"), started("c"))
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("tab", "z")
        assert [log.run for log in screen._logs if log.display] == ["b"]
        await pilot.press("escape")
        assert [log.run for log in screen._logs if log.display] == ["a", "b", "c"]
        await pilot.press("escape")
        assert app.screen is not screen


async def test_without_a_run_the_wall_says_where_they_come_from(tmp_path: Path) -> None:
    night = a_night(tmp_path)
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(40, 10)) as pilot:
        screen = await opened(pilot, app)
        assert screen.has_class("-empty")
        assert screen.query_one("#none").display


@pytest.mark.parametrize("size", [Size(40, 10), Size(80, 24), Size(120, 40), Size(200, 50), Size(10, 3)])
def test_the_grid_has_room_for_all_it_is_given(size: Size) -> None:
    for count in range(1, capacity(size) + 1):
        columns, rows = grid(count, size)
        assert columns * rows >= count
        assert columns * (rows - 1) < count


def test_eighty_by_twenty_four_shows_six_and_two_hundred_by_fifty_eight() -> None:
    assert capacity(Size(80, 24)) == 6
    assert capacity(Size(200, 50)) == MOST


def test_places_are_kept_while_they_are_wanted() -> None:
    assert hung(["a", "b", "c"], ["c", "d", "a"]) == ["a", "d", "c"]
    assert hung(["a", "b"], ["b"]) == ["b"]
