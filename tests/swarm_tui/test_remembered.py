"""The room looks as it looked when it was left, and nothing in the file can keep it from opening."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nights import Writer, a_night, opener_of
from proofs import until
from textual.pilot import Pilot

from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room.remembered import read_view, write_view
from swarm_tui.widgets.roadmap import RoadmapPane

ORDERS = [{"id": f"order-{number}"} for number in range(20)]


async def until_open(app: RoomApp, pilot: Pilot[Leaving]) -> None:
    for _ in range(500):
        await pilot.pause(0.01)
        if app.opened and app.room.source.past_read == 1.0:
            break
    await pilot.pause()


def room(writer: Writer, *, read_only: bool = False) -> RoomApp:
    return RoomApp(opener_of(writer.folders, writer.folders.root.parent, read_only=read_only))


async def leave_changed(writer: Writer, *, read_only: bool = False) -> None:
    app = room(writer, read_only=read_only)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_open(app, pilot)
        await pilot.press("slash", "1", "enter", "j", "2", "z", "q")


async def test_focus_zoom_filter_and_cursor_come_back(tmp_path: Path) -> None:
    writer = a_night(tmp_path, orders=ORDERS)
    await leave_changed(writer)
    app = room(writer)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_open(app, pilot)
        main = app.screen_stack[0]
        roadmap = main.query_one(RoadmapPane)
        assert main.has_class("-zoomed")
        assert [pane.id for pane in main.query("Pane") if pane.has_focus_within] == ["agents"]
        await pilot.press("z")  # what is hidden is drawn when it is shown
        await until(pilot, lambda: len(roadmap.rows.keys) == 11)
        await until(pilot, lambda: roadmap.rows.key == "order-10")


async def test_a_room_that_only_looks_writes_nothing(tmp_path: Path) -> None:
    writer = a_night(tmp_path, orders=ORDERS)
    await leave_changed(writer, read_only=True)
    assert not (writer.folders.root / "room.json").exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"not json", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * 2_000_000 + b'"',
        b'{"pane": "two", "roadmap": [], "zoomed": 1}',
        b'{"pane": 99, "roadmap": {"folded": "x", "filter": 3, "key": []}, "zoomed": true}',
        b'{"pane": [], "roadmap": {"folded": [1, null], "filter": "[bold", "key": "gone"}, "more": {}}',
        b'{"pane": 1e999, "roadmap": null}',
    ],
    ids=range(10),
)  # fmt: skip
async def test_rubbish_does_not_keep_the_room_from_opening(tmp_path: Path, raw: bytes) -> None:
    writer = a_night(tmp_path)
    (writer.folders.root / "room.json").write_bytes(raw)
    app = room(writer)
    async with app.run_test() as pilot:
        await until_open(app, pilot)
        assert app.opened
        assert app.is_running
        assert not app.screen_stack[0].has_class("-zoomed")


async def test_the_last_room_that_closes_wins(tmp_path: Path) -> None:
    writer = a_night(tmp_path, orders=ORDERS)
    first, second = room(writer), room(writer)
    async with first.run_test(size=(100, 30)) as one:
        await until_open(first, one)
        await one.press("3")
        async with second.run_test(size=(100, 30)) as two:
            await until_open(second, two)
            await two.press("4", "q")
        await one.press("q")
    assert read_view(writer.folders.root / "room.json")["pane"] == 3


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "room.json"
    write_view(path, {"pane": 1})
    write_view(path, {"pane": 2, "filter": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"pane": 2, "filter": "ü"}
    assert [each.name for each in tmp_path.iterdir()] == ["room.json"]


def test_where_nothing_can_be_written_nothing_is_said(tmp_path: Path) -> None:
    write_view(tmp_path / "gone" / "room.json", {"pane": 1})
    target = tmp_path / "room.json"
    target.mkdir()
    write_view(target, {"pane": 1})
    assert [each.name for each in tmp_path.iterdir()] == ["room.json"]
