"""The help says every key as it is configured now, what here can be pressed first, and what the signs mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import a_night, opener_of
from textual.pilot import Pilot

from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room import words
from swarm_tui.room.all_bindings import all_bindings
from swarm_tui.room.glossary import SIGNS
from swarm_tui.room.preferences import parse_preferences
from swarm_tui.screens.help import Entry, HelpFilter, HelpScreen
from swarm_tui.screens.main import MainScreen


async def open_help(app: RoomApp, pilot: Pilot[Leaving]) -> HelpScreen:
    for _ in range(500):
        await pilot.pause(0.01)
        if app.opened:
            break
    await pilot.press("question_mark")
    await app.workers.wait_for_complete()
    await pilot.pause()
    assert isinstance(app.screen, HelpScreen)
    return app.screen


def entries(screen: HelpScreen) -> list[Entry]:
    shown = [screen._entries[key] for key in screen.rows.keys]
    return [each for each in shown if isinstance(each, Entry)]


def a_room(folder: Path, text: str = "") -> RoomApp:
    return RoomApp(opener_of(a_night(folder).folders, folder), parse_preferences(text, folder / "room.toml"))


async def test_every_binding_is_listed_once_more_than_here(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        screen = await open_help(app, pilot)
        assert {bound.ident for bound in all_bindings()} <= {entry.ident for entry in entries(screen)}
        headings = [screen._entries[key] for key in screen.rows.keys if not isinstance(screen._entries[key], Entry)]
        assert headings[0] == "Here"
        here = screen._sections[0][1]
        assert "roadmap.filter" in {entry.ident for entry in here}
        assert "order.retry" not in {entry.ident for entry in here}


async def test_keys_are_those_that_were_chosen(tmp_path: Path) -> None:
    app = a_room(tmp_path, '[keys]\n"app.detach" = "Q"\n"main.zoom" = "f7"\n')
    async with app.run_test() as pilot:
        screen = await open_help(app, pilot)
        assert {entry.first for entry in entries(screen) if entry.ident == "main.zoom"} == {"f7"}
        assert {entry.first for entry in entries(screen) if entry.ident == "app.detach"} == {"Q"}


@pytest.mark.slow
async def test_it_can_be_searched(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        screen = await open_help(app, pilot)
        everything = len(entries(screen))
        await pilot.press("slash")
        screen.query_one(HelpFilter).value = "parked"
        await pilot.pause()
        found = entries(screen)
        assert 0 < len(found) < everything
        assert all("parked" in f"{entry.what} {entry.line}" for entry in found)
        await pilot.press("escape")
        assert len(entries(screen)) == everything
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)


@pytest.mark.slow
async def test_it_says_where_settings_lie_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    app = a_room(tmp_path, "bel = true")
    async with app.run_test() as pilot:
        screen = await open_help(app, pilot)
        lines = [entry.line for entry in entries(screen)]
        assert any(line.startswith(f"{tmp_path / 'room.toml'}:") for line in lines)
        assert any("room.toml:1: there is no setting" in line for line in lines)


def test_every_sign_has_a_meaning() -> None:
    for _, signs, means in SIGNS:
        assert signs.keys() == means.keys()
    tables = [table for table in vars(words).values() if isinstance(table, dict) and table]
    signs = [table for table in tables if all(isinstance(each, words.Sign) for each in table.values())]
    assert [table for table in signs if table not in [each for _, each, _ in SIGNS]] == []


async def test_a_help_that_was_left_before_everything_was_read_shows_nothing_more(tmp_path: Path) -> None:
    app = a_room(tmp_path)
    async with app.run_test() as pilot:
        screen = await open_help(app, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)
        screen._add_all()
