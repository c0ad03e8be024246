"""The canary screen: the judgement, its runs and flows, and who did it, live as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.models.event import NewEvent
from swarm_tui.app import RoomApp
from swarm_tui.screens.canary import CanaryScreen
from swarm_tui.screens.order import OrderScreen
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.prose import Prose
from tests.swarm_tui.canary_story import BAD, RED, a_hub_with_a_flow, a_row, culprit, green, red, restored
from tests.swarm_tui.nights import COMMIT, Writer, a_night, opener_of
from tests.swarm_tui.proofs import canary_finished, canary_judged, canary_started, shown, until


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


@pytest.fixture
def store(folders: StateFolder) -> ArtifactStore:
    return ArtifactStore(folders.artifacts)


@asynccontextmanager
async def opened(
    writer: Writer, about: str = "", size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[Any], CanaryScreen]]:
    app = RoomApp(opener_of(writer.folders, writer.folders.root))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
        app.action_open_canary(about)
        await until(pilot, lambda: isinstance(app.screen, CanaryScreen) and app.screen.is_mounted)
        screen = app.screen
        assert isinstance(screen, CanaryScreen)
        yield pilot, screen


def story(screen: CanaryScreen) -> str:
    return screen.query_one("#canary-story-text", Prose).text


def detail(screen: CanaryScreen) -> str:
    return screen.query_one("#canary-text", Prose).text


def red_night(tmp_path: Path, store: ArtifactStore, *more: NewEvent) -> Writer:
    return a_night(tmp_path, *green(store, COMMIT), *red(store, COMMIT), *more)


async def test_a_red_judgement_tells_who_did_it(tmp_path: Path, store: ArtifactStore) -> None:
    async with opened(red_night(tmp_path, store, restored(COMMIT), *culprit())) as (pilot, screen):
        await until(pilot, lambda: "culprit: one, 7777777777 (probability 0.998)" in story(screen))
        assert "main was put back to last good cccccccccc" in story(screen)
        assert "Suspects, in landing order" in story(screen)
        assert screen.query_one(Head).text.startswith("✘ FAIL at ")
        assert "commit 7777777777 of one" in screen.query_one(Head).text
        assert [screen.room.history.canaries[int(key)].purpose for key in screen.runs.keys] == [
            "first", "rerun", "control", "rerun",
        ]  # fmt: skip
        await pilot.press("s", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, OrderScreen))
        order = pilot.app.screen
        assert isinstance(order, OrderScreen)
        assert order.order == "one"


async def test_the_night_goes_on_while_it_is_looked_at(tmp_path: Path, store: ArtifactStore) -> None:
    writer = red_night(tmp_path, store)
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: "landing is frozen" in story(screen))
        assert "❄ landing is frozen" in screen.query_one(Head).text
        writer.write(restored(COMMIT))
        await until(pilot, lambda: "the culprit is searched" in story(screen))
        await until(pilot, lambda: "landing is open" in screen.query_one(Head).text)
        writer.write(*culprit())
        await until(pilot, lambda: "one is reverted" in story(screen))
        assert story(screen).count("landing is frozen") == 1


async def test_the_golden_is_shown_event_by_event(tmp_path: Path, folders: StateFolder, store: ArtifactStore) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    bad = [a_row(store, BAD, ms=20.0)]
    writer = a_night(tmp_path, *green(store, COMMIT), canary_started(commit), canary_finished(commit, bad))
    async with opened(writer) as (pilot, screen):
        await pilot.press("d")
        await until(pilot, lambda: "Event 2 frame" in detail(screen))
        assert "-   |a|" in detail(screen)
        assert "+   |[b]|" in detail(screen)
        assert "As the canary said it" in detail(screen)
        await pilot.press("f")
        await until(pilot, lambda: "frame-time in ms, lower is better" in detail(screen))
        assert "median 21, 20 to 22, 3 values" in detail(screen)
        assert "6 times the median of cccccccccc" in detail(screen)
        await pilot.press("l")
        await until(pilot, lambda: "0.001 out hello" in shown(pilot.app))
        await pilot.press("e")
        await until(pilot, lambda: '"kind": "ready"' in shown(pilot.app))


async def test_missing_files_are_said(tmp_path: Path, store: ArtifactStore) -> None:
    row = a_row(store)
    for digest in row["artifacts"].values():
        store.path(digest).unlink()
    writer = a_night(tmp_path, canary_started(COMMIT), canary_finished(COMMIT, [row]))
    async with opened(writer) as (pilot, screen):
        await pilot.press("f")
        await until(pilot, lambda: "its trace is gone from the artifact store" in detail(screen))
        assert "the flow's definition cannot be read" in detail(screen)
        await pilot.press("l")
        await until(pilot, lambda: "this run left no log" in shown(pilot.app))


@pytest.mark.slow
async def test_older_and_newer_judgements_are_stepped_through(tmp_path: Path, store: ArtifactStore) -> None:
    async with opened(red_night(tmp_path, store)) as (pilot, screen):
        await until(pilot, lambda: screen.about == RED and "judgement 2 of 2" in shown(pilot.app))
        await pilot.press("left_square_bracket")
        assert screen.about == COMMIT
        await until(pilot, lambda: "judged PASS, so it is last good now" in story(screen))
        assert "(this one)" in screen.query_one(Head).text
        await pilot.press("left_square_bracket")
        assert screen.about == COMMIT
        await pilot.press("right_square_bracket", "right_square_bracket")
        assert screen.about == RED


async def test_the_newest_judgement_is_followed_unless_one_was_chosen(tmp_path: Path, store: ArtifactStore) -> None:
    writer = a_night(tmp_path, *green(store, COMMIT))
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: screen.about == COMMIT)
        writer.write(canary_started(RED))
        await until(pilot, lambda: screen.about == RED)
        await until(pilot, lambda: "being judged" in screen.query_one(Head).text)
        assert list(screen.flows.keys) == ["resize"]
        await pilot.press("left_square_bracket")
        writer.write(canary_started("5" * 40))
        await until(pilot, lambda: len(screen.room.history.canaries) == 3)
        assert screen.about == COMMIT


@pytest.mark.slow
async def test_a_verdict_without_flows_says_its_reason(tmp_path: Path) -> None:
    fields = {
        "commit": COMMIT, "about": COMMIT, "purpose": "first", "verdict": "ENVIRONMENT", "flow": "",
        "reason": "the canary could not run: [bold]no disk\x1b[2J",
    }  # fmt: skip
    writer = a_night(tmp_path, canary_started(COMMIT), NewEvent("canary_finished", fields))
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: "no flow was run: the canary could not run: [bold]no disk" in detail(screen))
        assert "\x1b" not in shown(pilot.app)
        await pilot.press("d", "l", "e", "f", "s", "o", "z", "z")
        assert pilot.app.screen is screen


async def test_a_night_without_a_canary_says_so(tmp_path: Path) -> None:
    async with opened(a_night(tmp_path)) as (pilot, screen):
        await until(pilot, lambda: "no canary has run yet" in screen.query_one(Head).text)
        await pilot.press("left_square_bracket", "right_square_bracket", "d", "l", "f", "s", "o", "z")
        await pilot.press("escape", "escape")
        assert pilot.app.screen is not screen


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)])
async def test_every_size_shows_the_verdict(tmp_path: Path, store: ArtifactStore, size: tuple[int, int]) -> None:
    writer = a_night(tmp_path, *green(store, COMMIT), *red(store, COMMIT), canary_judged(RED, "FAIL", "again"))
    async with opened(writer, size=size) as (pilot, screen):
        await until(pilot, lambda: "✘ FAIL" in shown(pilot.app))
        await pilot.press("z")
        assert screen.query_one(".-chosen").has_focus_within
        await pilot.press("escape", "d", "s")
        assert not screen.has_class("-zoomed")


async def test_the_story_has_what_happened_while_another_screen_was_in_front(
    tmp_path: Path, store: ArtifactStore
) -> None:
    writer = red_night(tmp_path, store)
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: "landing is frozen" in story(screen))
        screen.room_app.action_open_order("one")
        await until(pilot, lambda: isinstance(pilot.app.screen, OrderScreen))
        writer.write(restored(COMMIT), *culprit())
        await until(pilot, lambda: any(each.kind == "restored" for each in screen.room.history.moves))
        await until(pilot, lambda: screen.room.history.seq == screen.room.state.seq)
        await pilot.pause(0.2)  # frames that the story does not see
        screen.room_app.go_back()
        await until(pilot, lambda: "one is reverted" in story(screen))
        assert story(screen).count("landing is frozen") == 1
