"""A repository that the swarm does not know yet is set up on screen: seen first, written on one key, never over."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from nights import a_night, opener_of
from textual.pilot import Pilot
from textual.widgets import Static

from swarm_tui.app import Leaving, NeedsSetUp, RoomApp
from swarm_tui.room.room import Room
from swarm_tui.screens.welcome import WelcomeScreen
from tests.conftest import GitRepo


class MakeRepo(Protocol):
    def __call__(self, files: Mapping[str, str], *, branch: str) -> GitRepo: ...


def a_room(folder: Path) -> RoomApp:
    def opener(_say: object) -> Room:
        raise NeedsSetUp(folder)

    return RoomApp(opener)


async def settled(app: RoomApp, pilot: Pilot[Leaving]) -> WelcomeScreen:
    for _ in range(500):
        await pilot.pause(0.01)
        if isinstance(app.screen, WelcomeScreen):
            break
    assert isinstance(app.screen, WelcomeScreen)
    for _ in range(500):
        await pilot.pause(0.01)
        if app.screen.query("#welcome-found") and "looking around" not in told(app.screen):
            break
    return app.screen


def told(screen: WelcomeScreen) -> str:
    return "\n".join(str(each.render()) for each in screen.query(Static))


async def test_what_would_be_written_is_shown_and_nothing_is_written(git_repo: MakeRepo) -> None:
    root = git_repo({"tests/test_a.py": "import pytest", "pyproject.toml": ""}, branch="main").path
    before = sorted(root.iterdir())
    app = a_room(root)
    async with app.run_test() as pilot:
        text = told(await settled(app, pilot))
        assert "Python" in text
        assert "-m pytest" in text
        assert "Press i to write swarm.toml and roadmap.toml" in text
        assert 'schema = "roadmap/1"' in text
        await pilot.press("c", "enter", "w", "a", "escape")
        assert isinstance(app.screen, WelcomeScreen)
    assert sorted(root.iterdir()) == before


async def test_one_key_writes_and_says_what_comes_next(git_repo: MakeRepo) -> None:
    root = git_repo({"a.txt": ""}, branch="main").path
    app = a_room(root)
    async with app.run_test() as pilot:
        screen = await settled(app, pilot)
        await pilot.press("i")
        await pilot.pause()
        text = told(screen)
        assert "wrote swarm.toml" in text
        assert "git commit" in text
        assert "press c to open the room" in text
    assert (root / "swarm.toml").is_file()
    assert (root / "roadmap.toml").is_file()


async def test_a_file_that_is_there_stays_as_it_is(git_repo: MakeRepo) -> None:
    root = git_repo({"roadmap.toml": "# mine\n"}, branch="main").path
    app = a_room(root)
    async with app.run_test() as pilot:
        screen = await settled(app, pilot)
        assert "roadmap.toml is there already and stays as it is" in told(screen)
        await pilot.press("i")
        await pilot.pause()
        assert "wrote swarm.toml" in told(screen)
    assert (root / "roadmap.toml").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.slow
async def test_outside_of_a_repository_it_says_what_to_do_and_looks_again(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    app = a_room(folder)
    async with app.run_test() as pilot:
        screen = await settled(app, pilot)
        assert "git init" in told(screen)
        await pilot.press("i")
        assert list(folder.iterdir()) == []
        GitRepo(folder).git("init", "--quiet")
        await pilot.press("r")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "has no commit yet" in told(screen)
        await pilot.press("i")
        await pilot.pause()
        assert (folder / "swarm.toml").is_file()


async def test_a_repository_that_vanished_is_said_and_does_not_end_the_room(git_repo: MakeRepo) -> None:
    root = git_repo({"a.txt": ""}, branch="main").path
    app = a_room(root)
    async with app.run_test() as pilot:
        screen = await settled(app, pilot)
        shutil.rmtree(root)
        await pilot.press("i")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "cannot be written" in told(screen)
        assert app.is_running


async def test_a_folder_that_may_not_be_written_is_said(git_repo: MakeRepo) -> None:
    if sys.platform == "win32" or os.geteuid() == 0:
        pytest.skip("needs a person whose permissions count")
    root = git_repo({"a.txt": ""}, branch="main").path
    root.chmod(0o555)
    app = a_room(root)
    try:
        async with app.run_test() as pilot:
            screen = await settled(app, pilot)
            await pilot.press("i")
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert "cannot be written" in told(screen)
    finally:
        root.chmod(0o755)


async def test_when_the_room_opens_the_welcome_goes(git_repo: MakeRepo, tmp_path: Path) -> None:
    root = git_repo({"swarm.toml": "", "roadmap.toml": ""}, branch="main").path
    open_it = opener_of(a_night(tmp_path).folders, root)
    asked: list[int] = []

    def opener(say: object) -> Room:
        asked.append(1)
        if len(asked) < 3:
            raise NeedsSetUp(root)
        return open_it(say)

    app = RoomApp(opener)
    async with app.run_test() as pilot:
        screen = await settled(app, pilot)
        assert "are there already" in told(screen)
        await pilot.press("c")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert len(app.screen_stack) == 2
        await pilot.press("c")
        for _ in range(500):
            await pilot.pause(0.01)
            if app.opened and len(app.screen_stack) == 1:
                break
        assert (app.opened, len(app.screen_stack)) == (True, 1)
