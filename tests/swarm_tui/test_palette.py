"""The palette offers everything that can be done here, and finds a work order among thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nights import a_night, opener_of
from textual.command import Hit
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room.palette import MOST_HITS, NightSearch, commands_of, matcher_of


async def until_open(app: RoomApp, pilot: Pilot[Leaving]) -> None:
    for _ in range(500):
        await pilot.pause(0.01)
        if app.opened:
            return


ONE = ({"id": "one"},)


def a_room(folder: Path, orders: Sequence[Mapping[str, str]] = ONE, *, read_only: bool = False) -> RoomApp:
    return RoomApp(opener_of(a_night(folder, orders=orders).folders, folder, read_only=read_only))


async def found(screen: Screen[Any], query: str) -> list[Hit]:
    return [hit async for hit in NightSearch(screen).search(query) if isinstance(hit, Hit)]


async def test_every_active_binding_is_offered_with_its_key(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        await pilot.pause()
        offered = {command.title: command.help for command in commands_of(app, app.screen)}
        wanted = {
            active.binding.description
            for active in app.screen.active_bindings.values()
            if active.enabled and active.binding.action not in ("command_palette", "interrupt")
        }
        titles = {title.rpartition(": ")[2] for title in offered}
        assert {"Needs you", "Zoom", "Filter", "Down"} <= wanted <= titles
        assert offered["Roadmap: Filter"].startswith("/")
        assert offered["Needs you"].startswith("a")


async def test_a_chosen_action_acts_where_it_belongs(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        commands = {command.title: command.callback for command in commands_of(app, app.screen)}
        await commands["Roadmap: Filter"]()
        await pilot.pause()
        assert isinstance(app.focused, Input)


async def test_the_palette_shows_them(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        await pilot.press("ctrl+p", *"solarized", "enter")
        await pilot.pause()
        for _ in range(200):
            await pilot.pause(0.01)
            if app.theme.startswith("solarized"):
                break
        assert app.theme.startswith("solarized")


async def test_a_room_that_only_looks_offers_no_engine(tmp_path: Path) -> None:
    app = a_room(tmp_path, read_only=True)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        assert [each.title for each in commands_of(app, app.screen) if each.title.startswith("Engine")] == []


async def test_before_the_room_is_open_nothing_of_it_is_offered(tmp_path: Path) -> None:
    import threading

    go_on = threading.Event()
    opener = opener_of(a_night(tmp_path).folders, tmp_path)

    def slow(say: object) -> Any:
        go_on.wait(20)
        return opener(say)

    app = RoomApp(slow)
    async with app.run_test() as pilot:
        try:
            await pilot.pause()
            titles = {command.title for command in commands_of(app, app.screen)}
            assert {"Needs you", "Copy the path of the state folder"} & titles == set()
            assert await found(app.screen, "one") == []
        finally:
            go_on.set()


async def test_a_work_order_is_found_among_three_thousand_while_the_room_goes_on(tmp_path: Path) -> None:
    orders = [{"id": f"order-{number}", "title": f"[b]Part {number}[/b]"} for number in range(3_000)]
    app = a_room(tmp_path, orders)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        hits = await found(app.screen, "order-777")
        beside.cancel()
        assert turns >= 5
        assert hits[0].text == "order-777"
        assert str(hits[0].help).startswith("work order")
        assert len(await found(app.screen, "order")) == MOST_HITS


def test_better_matches_come_first() -> None:
    rated = matcher_of("list view")
    names = ["list view", "list views", "a view of a list", "other", "lxixsxtxvxixexw"]
    abouts = ["", "", "", "about a list and a view", ""]
    scores = [rated(name, about) for name, about in zip(names, abouts, strict=True)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert rated("weiv tsil", "nothing") == 0


async def test_a_picture_is_saved_in_the_current_folder_and_never_over_another(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        app.action_screenshot("x", str(tmp_path))
        app.action_screenshot("x", str(tmp_path))
        assert sorted(each.name for each in tmp_path.glob("*.svg")) == ["x-2.svg", "x.svg"]
        app.action_screenshot("x", str(tmp_path / "gone"))
        await pilot.pause()
        assert any("cannot be written" in note.message for note in app._notifications)
