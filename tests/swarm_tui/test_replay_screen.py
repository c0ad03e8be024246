"""A replay in the room: its bar, its keys, and that they move the night."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from recorded_story import START
from replay_story import RealClock, two_nights, written
from textual.pilot import Pilot

from swarm_tui.app import Leaving
from swarm_tui.replaying import replay_app
from swarm_tui.room.recording import LinesRecording, nights_of
from swarm_tui.room.replay import REFUSED, ReplaySource
from swarm_tui.screens.replay import ReplayApp
from swarm_tui.widgets.replay_bar import HEAD, ReplayBar, track
from swarm_tui.widgets.roadmap import RoadmapPane
from swarm_tui.widgets.rows import Rows


async def until(pilot: Pilot[Leaving], holds: Callable[[], bool]) -> None:
    """Look again, a little later each time, until it holds."""
    for _ in range(600):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError("waited in vain")


@asynccontextmanager
async def replay(folder: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[Leaving], ReplaySource]]:
    """The room of the newest night of two, paused at its start, on a real clock that stands still."""
    recording = LinesRecording(written(folder / "night.jsonl", two_nights().events))
    app = replay_app(recording, folder)
    assert isinstance(app, ReplayApp)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.opened and bool(app.screen.query(ReplayBar)))
        source = app.room.source
        assert isinstance(source, ReplaySource)
        source.seek(START + 1000)
        source._monotonic = RealClock()
        source._set_clock(START + 1000)
        await until(pilot, lambda: source.state.seq == source.night.first)
        yield pilot, source


def at(source: ReplaySource) -> float:
    return round(source.now() - START)


def bar_text(pilot: Pilot[Leaving]) -> str:
    return pilot.app.screen.query_one(ReplayBar).render().plain


async def test_the_bar_tells_night_clock_speed_and_what_happened_when(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        text = bar_text(pilot)
        assert "▶ replay  1×    night 2" in text
        assert "0:00/6:40" in text
        assert [text.count(glyph) for glyph in "●⬇✘"] == [1, 1, 1]
        await pilot.press("space", "+")
        await until(pilot, lambda: "‖ paused  2×" in bar_text(pilot))
        source.seek(source.night.end)
        await until(pilot, lambda: "■ over" in bar_text(pilot))


async def test_space_pauses_and_goes_on(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        await pilot.press("space")
        assert source.paused
        await pilot.press("space")
        assert not source.paused


async def test_keys_choose_the_speed(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        await pilot.press("+", "+", "=")
        assert source.speed == 10
        await pilot.press("minus")
        assert source.speed == 5


async def test_keys_jump_and_the_room_follows_both_ways(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        rows = pilot.app.screen.query_one(RoadmapPane).rows
        await pilot.press("right")
        assert at(source) == 1020
        await until(pilot, lambda: "two" in rows.keys)
        await pilot.press("right", "right", "right", "right")
        assert at(source) == 1400
        await until(pilot, lambda: source.state.seq == source.night.last)
        await pilot.press("left")
        assert at(source) == 1350
        await pilot.press("home")
        assert at(source) == 1000
        await until(pilot, lambda: "two" not in rows.keys and "one" in rows.keys)
        await pilot.press("end")
        assert at(source) == 1400
        await until(pilot, lambda: "two" in rows.keys)


async def test_keys_of_the_replay_are_text_while_somebody_types(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        await pilot.press("slash")
        await pilot.press("a", "space", "s", "minus", "home")
        from textual.widgets import Input

        focused = pilot.app.screen.focused
        assert isinstance(focused, Input)
        assert focused.value == "a s-"
        assert (source.paused, source.speed, source.skips_quiet, at(source)) == (False, 1, True, 1000)


async def test_a_click_on_the_track_goes_there(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        bar = pilot.app.screen.query_one(ReplayBar)
        first, width = bar._track
        await pilot.click(ReplayBar, offset=(1 + first + width - 1, 0))
        await until(pilot, lambda: at(source) == 1400)
        await pilot.click(ReplayBar, offset=(1 + first, 0))
        await until(pilot, lambda: at(source) == 1000)


async def test_commands_say_that_it_is_a_recorded_night(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        app = pilot.app
        assert isinstance(app, ReplayApp)
        taken: list[bool] = []
        app.tell("stop", None, taken.append)
        await until(pilot, lambda: taken == [False])
        assert any(REFUSED in note.message for note in app._notifications)
        assert source.state.seq == source.night.first


async def test_the_night_can_be_held_on_any_screen(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        await pilot.press("t")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.app.run_action("pause")
        assert source.paused
        assert len(pilot.app.screen_stack) == 2


async def test_an_approval_asked_in_that_night_opens_nothing_by_itself(tmp_path: Path) -> None:
    story = two_nights()
    end = story.events.pop()
    operation = {"argv": ["make"], "cwd": "."}
    story.add(
        1390, "approval_asked", "two", approval="a1", danger="run", title="make", why="", operation=operation, hash="h",
        tree="t", base="b", expires_at=START + 9_000, subject="",
    )  # fmt: skip
    story.add(end.at - START, end.kind, **end.fields)
    recording = LinesRecording(written(tmp_path / "night.jsonl", story.events))
    app = replay_app(recording, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.opened and bool(app.screen.query(ReplayBar)))
        await pilot.press("end")
        await until(pilot, lambda: any(need.kind == "approval" for need in app.room.needs))
        await pilot.pause(0.3)  # three frames, in which a question would have opened
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)])
async def test_the_bar_fits_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    async with replay(tmp_path, size) as (pilot, source):
        await pilot.press("end", "home", "right")
        assert at(source) == 1020
        text = bar_text(pilot)
        assert len(text) <= size[0] - 2
        assert HEAD[0] in text


async def test_why_it_could_not_be_opened_is_the_rooms_last_word(tmp_path: Path) -> None:
    path = written(tmp_path / "night.jsonl", two_nights().events)
    app = replay_app(LinesRecording(path), tmp_path, 7)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert "there is no night 7" in str(app.return_value.error)


def test_every_mark_and_the_head_have_their_place_on_the_track(tmp_path: Path) -> None:
    night = nights_of(LinesRecording(written(tmp_path / "n", two_nights().events)))[1]
    cells = "".join(glyph for glyph, _ in track(night, 0.5, 401))
    assert (cells.index("⬇"), cells.index("✘"), cells.index("↩"), cells.index("●")) == (40, 340, 350, 200)
    assert cells.count("━") == 200 - 1
    assert track(night, 0.5, 0) == []
    assert [glyph for glyph, _ in track(night, 1.0, 1)] == ["●"]


async def test_rows_of_a_pane_that_was_hidden_during_a_jump_back_can_still_be_drawn(tmp_path: Path) -> None:
    async with replay(tmp_path) as (pilot, source):
        source.seek(source.night.end)
        hidden = [pilot.app.screen.query_one(f"#{name}-rows", Rows) for name in ("agents", "canary")]
        await until(pilot, lambda: all(each.keys for each in hidden))
        await pilot.press("1", "z")
        source.seek(source.night.start)
        await until(pilot, lambda: source.state.seq == source.night.first)
        for rows in hidden:
            rows.touch()
            assert not any(cell.text for cell in rows._draw(rows.keys[0])), "its run is not there yet"
        await pilot.press("z")
        await until(pilot, lambda: not hidden[1].keys)
