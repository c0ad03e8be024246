"""Every screen looks as it was last accepted, to the cell: `--accept-snapshots` writes what is drawn now.

One night, told the same each time, on a clock that stands still (still_night.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn import compare, drawn
from still_night import CHANGE, DATES, FILES, open_still, still_night
from textual.pilot import Pilot
from told_night import Told

from swarm_tui.app import QUIET_FRAMES, Leaving, NeedsSetUp, RoomApp
from swarm_tui.room.preferences import Preferences
from tests.conftest import GitRepo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths and local time look different there")

SNAPSHOTS = Path(__file__).with_name("snapshots")
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50)}
THEMES = {"dark": "textual-dark", "light": "textual-light", "ansi": "ansi-dark", "nocolor": "textual-dark"}
EACH_THEME = ["dark", *(pytest.param(each, marks=pytest.mark.slow) for each in THEMES if each != "dark")]
DEADLINE_S = 20.0
LOOK_S = 0.03
STILL = 3
"""Looks in a row that must see the same."""
STILL_FRAMES = 2 * QUIET_FRAMES
"""And for so many frames: of a quiet room not every frame is drawn."""
FRAME_S = 0.02
"""Faster than a room's, so that the tests wait less."""
UNREAD = ("reading", "looking around", "opening")
"""Words of a screen that is not complete yet."""

Open = Callable[[RoomApp, Pilot[Leaving]], Awaitable[None]]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with pytest.MonkeyPatch.context() as patch:
        for name, date in DATES.items():
            patch.setenv(name, date)
        folder = tmp_path_factory.mktemp("still")
        repo = GitRepo(folder / "tinykit")
        repo.path.mkdir()
        repo.git("init", "--quiet", "--template=", "--initial-branch=main")
        repo.commit(FILES, "First commit")
        yield still_night(folder, repo)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks on the screen tell UTC, wherever the tests run."""
    assert sys.platform != "win32"
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# -- the screens -------------------------------------------------------------------------------------------------------


async def main(_app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    """What is there at once."""


async def approval(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.open_approval("ap-1")


async def gate(app: RoomApp, pilot: Pilot[Leaving]) -> None:
    """On the second failure: where the log stands at first depends on how much of the screen was laid out by then."""
    app.action_open_gates(CHANGE)
    await _still(pilot)
    await pilot.press("n")


async def canary(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_open_canary(next(iter(app.room.state.regressions)).commit)


async def order(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_open_order("one")


async def run(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_open_run("one.1")


async def inbox(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_approvals()


async def metrics(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_metrics()


async def timeline(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.action_timeline()


async def help(app: RoomApp, _pilot: Pilot[Leaving]) -> None:  # noqa: A001 - the name of the screen
    app.action_help()


async def confirm(app: RoomApp, _pilot: Pilot[Leaving]) -> None:
    app.ask_order("cancel", "one")


OVER_MAIN = (approval, confirm)
"""What lies over the main screen, which is complete by then."""


# -- the tests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", EACH_THEME)
@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
async def test_the_main_screen(told_like: Callable[..., Awaitable[None]], size: str, theme: str) -> None:
    await told_like(main, size, theme)


@pytest.mark.parametrize("theme", EACH_THEME)
@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_the_approval(told_like: Callable[..., Awaitable[None]], size: str, theme: str) -> None:
    await told_like(approval, size, theme)


@pytest.mark.slow
@pytest.mark.parametrize("opens", [gate, canary, order, run, inbox, metrics, timeline, help, confirm])
@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_a_screen(told_like: Callable[..., Awaitable[None]], opens: Open, size: str) -> None:
    await told_like(opens, size, "dark")


@pytest.mark.slow
@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_the_welcome(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    repo = GitRepo(tmp_path / "tinykit")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--template=", "--initial-branch=main")
    repo.commit({"pyproject.toml": "", "tests/test_a.py": "import pytest\n"})

    monkeypatch.chdir(tmp_path)

    def opener(_say: object) -> Any:
        raise NeedsSetUp(repo.path.name)

    app = RoomApp(opener)
    async with app.run_test(size=SIZES[size]) as pilot:
        await _until(pilot, lambda: len(app.screen_stack) > 1)
        await _still(pilot)
        seen = drawn(app)
    _compare(request, seen, f"welcome-{size}-dark", tmp_path)


@pytest.fixture
def told_like(
    night: Told, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Open, str, str], Awaitable[None]]:
    """Opens a screen in a size and a theme, and compares it with what was accepted."""

    async def look(opens: Open, size: str, theme: str) -> None:
        monkeypatch.setattr("swarm_tui.app.FRAME_S", FRAME_S)
        if theme == "nocolor":
            monkeypatch.setenv("NO_COLOR", "1")
        app = RoomApp(lambda _say: open_still(night.folders, night.repo.path))
        app.preferences = Preferences(popup=False, bell=False, notify=False)
        app.animation_level = "none"
        app.typing_clock = lambda: 1_000 * time.monotonic()  # a question takes keys at once
        async with app.run_test(size=SIZES[size]) as pilot:
            app.theme = THEMES[theme]
            await _until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
            if opens in OVER_MAIN:
                await _still(pilot)
            await opens(app, pilot)
            await pilot.pause()
            for below in app.screen_stack[:-1]:
                below.refresh_bindings()  # a footer below a question may or may not have been drawn anew
            await _still(pilot)
            seen = drawn(app)
        _compare(request, seen, f"{opens.__name__}-{size}-{theme}", night.folders.root.parent)

    return look


def _compare(request: pytest.FixtureRequest, seen: str, name: str, folder: Path) -> None:
    assert str(folder.parent) not in seen, "a picture must not show where the test ran"
    compare(seen, SNAPSHOTS / f"{name}.txt", accept=bool(request.config.getoption("--accept-snapshots")))


async def _still(pilot: Pilot[Leaving]) -> None:
    """Wait until all is read, no work is under way in the background, and several looks see the same."""
    app = pilot.app
    assert isinstance(app, RoomApp)
    before, same, frames = "", 0, 0

    def count(_spent_s: float) -> None:
        nonlocal frames
        frames += 1

    def is_still() -> bool:
        nonlocal before, same, frames
        now = drawn(app)
        busy = any(not worker.is_finished for worker in app.workers)
        text = now.partition("# styles")[0]
        same = same + 1 if now == before and not busy and not any(word in text for word in UNREAD) else 0
        if same == 0:
            frames = 0
        before = now
        return same >= STILL and (frames >= STILL_FRAMES or not app.opened)

    app.after_frame.append(count)
    await _until(pilot, is_still)
    app.after_frame.remove(count)


async def _until(pilot: Pilot[Leaving], holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < ends, f"it never came to rest:\n{drawn(pilot.app)}"
        await pilot.pause(LOOK_S)
