"""Which pictures there are, and how the room comes to look so: all are of the same night, while or after it was."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from screenshots.night import PlayedNight, played_night
from screenshots.picture import NO_BROWSER, browser, draw_png, neutral_svg, secrets_of
from swarm_tui.app import RoomApp
from swarm_tui.demo.story import ASKS, CANARY, PAIR
from swarm_tui.room.preferences import Preferences
from swarm_tui.room.replay import ReplaySource
from swarm_tui.room.room import Room

SIZES = ((120, 40), (80, 24))
THEMES = {"dark": "textual-dark", "light": "textual-light"}
DEADLINE_S = 120.0
LOOK_S = 0.1
REPLAY_SPEED = 10
KEYS = {"canary": ("d", "s")}
"""What is pressed on a screen: beside the story of the restore, the golden that it began with."""


class NothingToSee(Exception):
    """A picture has no moment in this night."""


@dataclass
class Album:
    """Where pictures go, and the folder of the night. `only`: names that are drawn; empty is all."""

    into: Path
    folder: Path
    only: frozenset[str]

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

    async def take(self, pilot: Pilot[Any], name: str, settle_s: float = 1.0) -> None:
        """The screen in every size and theme, as it looks now."""
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            for word, theme in THEMES.items():
                pilot.app.theme = theme
                await _settled(pilot, settle_s)
                svg = neutral_svg(pilot.app.export_screenshot(title="swarm"), self.folder, secrets_of(self.folder))
                path = self.into / f"{name}-{width}x{height}-{word}.svg"
                path.write_text(svg, encoding="utf-8", newline="\n")


def draw_all(into: Path, seed: int, only: frozenset[str] = frozenset()) -> Iterator[str]:
    """Draw every picture; yields what was done, a line each. Raises NotNeutral rather than show this machine,
    NothingToSee when the night was too quiet."""
    os.environ["TZ"] = "UTC"
    if sys.platform != "win32":
        time.tzset()
    os.environ.pop("NO_COLOR", None)
    yield f"playing the demo's night with seed {seed} …"
    with played_night(seed) as night:
        album = Album(into, night.folder, only)
        asyncio.run(_draw_live(album, night))
        asyncio.run(_draw_after(album, night))
        asyncio.run(_draw_replay(album, night))
    svgs = [path for path in sorted(into.glob("*.svg")) if album.wants(path.name.split("-")[0])]
    yield f"{len(svgs)} SVG files"
    program = browser()
    if program is None:
        yield NO_BROWSER
        return
    for svg in svgs:
        draw_png(svg, program)
    yield f"{len(svgs)} PNG files; all together {sum(each.stat().st_size for each in into.iterdir()) / 1e6:.1f} MB"


# -- while the night is --------------------------------------------------------------------------------------------


async def _draw_live(album: Album, night: PlayedNight) -> None:
    """The main screen where most is going on, and the question when it is asked."""
    app = RoomApp(night.open, Preferences(popup=False, bell=False, notify=False))
    best, asked = 0, False
    await asyncio.to_thread(night.start)
    async with _room(app) as pilot:
        while not night.over:
            room = app.room
            if album.wants("main") and (busy := _busy(room)) > best:
                best = busy
                await album.take(pilot, "main", 0.3)
            ready = best or not album.wants("main")
            if ready and not asked and album.wants("approval") and (ident := _question(room)):
                asked = True
                app.open_approval(ident)
                await album.take(pilot, "approval")
                app.screen.dismiss()
            await pilot.pause(LOOK_S)
    if night.engine.error is not None:
        raise night.engine.error
    if (album.wants("main") and not best) or (album.wants("approval") and not asked):
        raise NothingToSee(
            "in this night never enough went on at once: take another seed, or a machine with less to do"
        )


def _busy(room: Room) -> int:
    """How much there is to see: nothing unless agents work and say something, a canary runs, something has landed and
    a person is asked."""
    running, train = room.phases["running"], len(room.state.queue())
    canary = any(not record.verdict for record in room.history.canaries[-1:])
    landed = sum(room.phases[phase] for phase in ("landed", "healthy"))
    heard = sum(bool(pulse.last_line) for pulse in room.pulse.runs.values())
    if not (canary and landed and room.needs and heard and min(running, train) >= 2):
        return 0
    gates = len(room.history.running_gates())
    return 4 * heard + 3 * min(running, 3) + 2 * min(train, 5) + 2 * min(gates, 2) + 2 * min(landed, 3)


def _question(room: Room) -> str:
    return next((one.id for one in room.state.approvals.values() if one.status == "pending" and one.order == ASKS), "")


# -- after it ------------------------------------------------------------------------------------------------------


async def _draw_after(album: Album, night: PlayedNight) -> None:
    screens: dict[str, Callable[[RoomApp], None]] = {
        "gate": _open_gate,
        "canary": _open_canary,
        "metrics": lambda app: app.action_metrics(),
        "order": lambda app: app.action_open_order(CANARY),
        "timeline": lambda app: app.action_timeline(),
    }
    app = RoomApp(night.open, Preferences(popup=False, bell=False, notify=False))
    async with _room(app) as pilot:
        for name, open_it in screens.items():
            if album.wants(name):
                open_it(app)
                await pilot.pause(2 * LOOK_S)
                await pilot.press(*KEYS.get(name, ()))
                await album.take(pilot, name)
                app.go_back()
                await pilot.pause(LOOK_S)


def _open_gate(app: RoomApp) -> None:
    """The change that was green alone and red together with what had landed."""
    changes = app.room.state.changes
    reds = [gate for gate in app.room.history.gates if gate.result == "red" and gate.change in changes]
    red = next((gate for gate in reds if changes[gate.change].order in PAIR), reds[-1])
    app.action_open_gates(red.change, red.tree)


def _open_canary(app: RoomApp) -> None:
    app.action_open_canary(next(about for about, verdict in app.room.history.judged.items() if verdict == "FAIL"))


async def _draw_replay(album: Album, night: PlayedNight) -> None:
    if not album.wants("replay"):
        return
    from swarm_tui.screens.replay import ReplayApp

    app = ReplayApp(lambda _say: night.open_replay(REPLAY_SPEED))
    async with _room(app) as pilot:
        source = app.room.source
        assert isinstance(source, ReplaySource)
        restored = next(chapter for chapter in source.night.chapters if chapter.kind == "restore")
        source.seek(restored.at + 0.3)
        await pilot.pause(3 * LOOK_S)
        await album.take(pilot, "replay")


# -- the app ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _room(app: RoomApp) -> AsyncIterator[Pilot[Any]]:
    async with app.run_test(size=SIZES[0]) as pilot:
        ends = time.monotonic() + DEADLINE_S
        while not (app.opened and app.room.source.past_read == 1.0):
            if time.monotonic() > ends or not app.is_running:
                raise TimeoutError("the room did not open")
            await pilot.pause(LOOK_S)
        yield pilot


async def _settled(pilot: Pilot[Any], at_most_s: float) -> None:
    """Wait until two looks see the same, or long enough: a night that goes on never looks the same for long."""
    ends, before = time.monotonic() + at_most_s, ""
    while time.monotonic() < ends:
        await pilot.pause(1.5 * LOOK_S)
        now = pilot.app.export_screenshot()
        if now == before:
            return
        before = now
