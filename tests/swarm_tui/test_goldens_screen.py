"""The goldens that wait: seen with their difference, accepted and rejected only after a question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.journal import JournalReader
from engine.models.event import NewEvent
from swarm_tui.app import RoomApp
from swarm_tui.screens.canary import CanaryScreen
from swarm_tui.screens.confirm import ConfirmScreen
from swarm_tui.screens.goldens import GoldensScreen
from swarm_tui.screens.inbox import InboxScreen
from swarm_tui.widgets.prose import Prose
from tests.swarm_tui.canary_story import BAD, GOLDEN, REASON, a_row
from tests.swarm_tui.nights import COMMIT, Writer, a_night, opener_of
from tests.swarm_tui.proofs import canary_finished, canary_started, shown, until

PATH = "canary/golden/resize.jsonl"
DIFFERENCE = '--- golden\n+++ seen\n@@ -1 +1 @@\n-{"kind": "frame", "w": 3}\n+{"kind": "frame", "w": 4}\n'


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    made = StateFolder(tmp_path / "state")
    made.create()
    return ArtifactStore(made.artifacts)


def proposing(store: ArtifactStore, **fields: Any) -> list[NewEvent]:
    """A red run that proposes what it showed instead of the golden."""
    proposed = {
        "name": "golden", "path": PATH, "keyed": "canary/golden/resize.linux.jsonl", "digest": store.put(BAD.encode()),
        "was": store.put(GOLDEN.encode()), "difference": store.put(DIFFERENCE.encode()), **fields,
    }  # fmt: skip
    row = a_row(store, BAD, ms=20.0, proposed=[proposed])
    return [canary_started(COMMIT), canary_finished(COMMIT, [row])]


@asynccontextmanager
async def opened(writer: Writer, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[Any], GoldensScreen]]:
    app = RoomApp(opener_of(writer.folders, writer.folders.root))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
        app.action_open_goldens()
        await until(pilot, lambda: isinstance(app.screen, GoldensScreen) and app.screen.is_mounted)
        screen = app.screen
        assert isinstance(screen, GoldensScreen)
        yield pilot, screen


def detail(screen: GoldensScreen) -> str:
    return screen.query_one("#golden-text", Prose).text


def sent(writer: Writer) -> list[tuple[str, dict[str, Any]]]:
    with JournalReader(writer.folders.journal) as reader:
        return [(command.name, command.args) for command in reader.open_commands()]


async def test_the_difference_is_shown_with_where_it_comes_from(tmp_path: Path, store: ArtifactStore) -> None:
    async with opened(a_night(tmp_path, *proposing(store))) as (pilot, screen):
        await until(pilot, lambda: '+ {"kind": "frame", "w": 4}' in detail(screen))
        assert '- {"kind": "frame", "w": 3}' in detail(screen)
        assert f"flow resize on {COMMIT[:10]}" in detail(screen)
        assert REASON in detail(screen)
        assert "1 waits for you" in shown(pilot.app)


async def test_a_new_golden_is_shown_whole(tmp_path: Path, store: ArtifactStore) -> None:
    async with opened(a_night(tmp_path, *proposing(store, was="", difference=""))) as (pilot, screen):
        await until(pilot, lambda: '+ {"kind": "ready", "t": 0.1}' in detail(screen))
        assert "is not recorded yet" in detail(screen)


async def test_of_a_picture_it_is_said_where_it_lies(tmp_path: Path, store: ArtifactStore) -> None:
    new, old = store.put(b"\x89PNG\r\n\x1a\n\0new"), store.put(b"\x89PNG\r\n\x1a\n\0old")
    writer = a_night(tmp_path, *proposing(store, digest=new, was=old, difference=""))
    async with opened(writer, (200, 40)) as (pilot, screen):
        await until(pilot, lambda: str(store.path(new)) in detail(screen))
        assert str(store.path(old)) in detail(screen)


@pytest.mark.parametrize(
    ("key", "command", "path"),
    [
        ("A", "golden_accept", PATH),
        ("H", "golden_accept", "canary/golden/resize.linux.jsonl"),
        ("X", "golden_reject", ""),
    ],
)
async def test_a_decision_is_asked_about_first_and_then_sent(
    tmp_path: Path, store: ArtifactStore, key: str, command: str, path: str
) -> None:
    writer = a_night(tmp_path, *proposing(store))
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: screen.golden is not None)
        one = screen.golden
        assert one is not None
        for answer in ("escape", "A") if key == "A" else ("A",):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            question = pilot.app.screen
            assert isinstance(question, ConfirmScreen)
            await until(pilot, lambda q=question: q.armed)
            assert sent(writer) == []
            await pilot.press(answer)
            await until(pilot, lambda: pilot.app.screen is screen)
        await until(pilot, lambda: bool(sent(writer)))
        args = {"golden": one.id, "path": path} if path else {"golden": one.id}
        assert sent(writer) == [(command, args)]


async def test_what_is_decided_leaves_and_nothing_waits(tmp_path: Path, store: ArtifactStore) -> None:
    writer = a_night(tmp_path, *proposing(store))
    async with opened(writer) as (pilot, screen):
        await until(pilot, lambda: screen.golden is not None)
        one = screen.golden
        assert one is not None
        fields = {"golden": one.id, "path": one.path, "digest": one.digest, "by": "ada", "why": "it is wrong"}
        writer.write(NewEvent("golden_rejected", fields))
        await until(pilot, lambda: screen.golden is None)
        assert "no golden waits" in shown(pilot.app)
        await pilot.press("A", "X")
        assert pilot.app.screen is screen


async def test_the_inbox_counts_it_and_leads_there_as_does_the_canary(tmp_path: Path, store: ArtifactStore) -> None:
    app = RoomApp(opener_of(a_night(tmp_path, *proposing(store)).folders, tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.opened and [need.kind for need in app.room.needs] == ["golden"])
        app.action_approvals()
        await until(pilot, lambda: isinstance(app.screen, InboxScreen) and app.screen.is_mounted)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, GoldensScreen))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CanaryScreen))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, GoldensScreen))
