"""What hostile agents, tests and pages try against the room and the served room."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nights import a_night, opener_of
from textual.content import Content

from engine.approvals.dangers import judge
from engine.artifacts import ArtifactStore
from engine.commands import execute
from engine.effects.operations import ask
from engine.folders import StateFolder
from engine.journal import Command
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import Settings
from engine.models.task import Operation
from engine.state import Approval, Order, State
from swarm_tui.app import RoomApp
from swarm_tui.room.canary_files import flow_files
from swarm_tui.room.palette import NightSearch, matcher_of
from swarm_tui.room.pulse import Sampler, Wanted
from swarm_tui.room.question import Line
from swarm_tui.room.results import live_results
from swarm_tui.screens import approval
from swarm_tui.widgets.pane import Pane
from tests.swarm_tui.approvals import HASH, a_room, asked
from tests.swarm_tui.canary_story import GOLDEN, a_hub_with_a_flow, a_row
from tests.swarm_tui.proofs import until
from tests.swarm_tui.test_gate_screen import opened, red_night

MARKUP = ("[/[b]", "[$error]gone[/$error]", "[B]", "[ b]gone", "[$x @click=app.detach]go[/]", "\\[b]", "end\\")
"""What an escape that knows less markup than the parser lets through."""


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


# -- markup ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", MARKUP)
async def test_a_work_orders_title_is_no_markup_in_the_palette(tmp_path: Path, text: str) -> None:
    night = a_night(tmp_path, orders=({"id": "one", "title": text},))
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.opened)
        (hit,) = [hit async for hit in NightSearch(app.screen).search("one")]
        drawn = Content.from_markup(getattr(hit, "help", ""))  # what the palette does with it
        assert drawn.plain.endswith(text)
        assert not drawn.spans


async def test_a_tests_name_is_no_markup_in_a_border(tmp_path: Path, folders: StateFolder) -> None:
    name = "tests.test_bar.BarTest.test_[/[b]"
    night = red_night(tmp_path, folders, outcomes={name: "failed"}, log_text=f"FAIL: {name}\n  because\n")
    async with opened(night) as (pilot, screen):
        await until(pilot, lambda: len(screen.tests.keys) == 1)
        await pilot.press("n")
        pane = screen.query_one("#gate-output", Pane)
        await until(pilot, lambda: bool(screen.log_view.test))
        await until(pilot, lambda: "test_[/[b]" in pane._border_title.plain)  # pyright: ignore


@pytest.mark.parametrize("text", MARKUP)
async def test_a_panes_head_is_drawn_as_it_is(tmp_path: Path, text: str) -> None:
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.opened)
        pane = app.screen.query(Pane).first()
        pane.head(text, text)
        for made in (pane._border_title, pane._border_subtitle):  # pyright: ignore
            assert made is not None
            assert made.plain.endswith(text)
            assert not made.spans


# -- files that agents leave -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes and links")
def test_a_pipe_or_link_in_place_of_live_results_is_not_waited_for_nor_followed(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    results = tmp_path / "exchange" / "results.jsonl"
    results.parent.mkdir()
    row = b"nonce " + json.dumps({"kind": "test", "id": "t", "outcome": "failed"}).encode() + b"\n"
    results.write_bytes(row)
    assert live_results(tmp_path).outcomes == {"t": "failed"}  # the control: a file is read
    results.rename(tmp_path / "elsewhere")
    results.symlink_to(tmp_path / "elsewhere")
    assert live_results(tmp_path).outcomes == {}
    results.unlink()
    os.mkfifo(results)
    found: list[object] = []
    reading = threading.Thread(target=lambda: found.append(live_results(tmp_path)), daemon=True)
    reading.start()
    reading.join(5.0)
    assert found, "it waits for somebody to write into the pipe"


def nested(depth: int, leaf: str) -> str:
    return '{"kind": "frame", "a": ' + '{"a": ' * depth + leaf + "}" * depth + "}\n"


@pytest.mark.parametrize("depth", [300, 700, 950])
def test_a_deep_trace_is_told_about_and_ends_nothing(tmp_path: Path, folders: StateFolder, depth: int) -> None:
    store = ArtifactStore(folders.artifacts)
    commit = a_hub_with_a_flow(tmp_path, folders)
    files = flow_files(folders, commit, a_row(store, GOLDEN + nested(depth, "1")))
    assert files.differing or files.notes


def test_a_flood_of_progress_neither_ends_the_sampler_nor_fills_memory(folders: StateFolder) -> None:
    folder = folders.runs / "main-x"
    folder.mkdir(parents=True)
    rows: list[str] = [
        "[" * 100_000,
        '{"gate": "huge", "done": 1e999, "failed": 0}',
        json.dumps({"gate": "unit", "done": 3, "failed": 1}),
        *(json.dumps({"gate": f"g{number}", "done": 1, "failed": 0}) for number in range(5_000)),
        json.dumps({"gate": "unit", "done": 4, "failed": 1}),
    ]
    (folder / "progress.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    sampler = Sampler(folders, Wanted(changes=("",)))
    sampler.sample()
    assert sampler.pulse.gates["", "unit"].done == 4  # the control: what is well-formed counts
    assert len(sampler.pulse.gates) <= 1_000


def test_a_name_of_many_equal_letters_is_searched_at_once() -> None:
    """A regular expression of these letters would try 10^20 ways: it would never return."""
    assert matcher_of("a" * 12 + "b")("a" * 400, "") == 0.0
    assert matcher_of("aab")("xa-a-ab", "") == 0.3 + 0.2 * 3 / 6  # the control: letters are found in their order
    assert matcher_of("ba")("xa-a-ab", "") == 0.0


# -- approvals -------------------------------------------------------------------------------------------------------


async def test_an_answer_names_the_hash_of_what_was_shown(tmp_path: Path) -> None:
    night = a_night(tmp_path)
    async with a_room(night) as hand:
        await hand.opens("ap-1")
        await hand.press("A")
        await hand.until(lambda: bool(hand.commands()), "it is sent")
        assert hand.commands() == [("approve", {"id": "ap-1", "hash": HASH})]


@pytest.mark.parametrize("name", ["approve", "deny"])
@pytest.mark.parametrize(
    ("named", "taken"), [({}, True), ({"hash": "h"}, True), ({"hash": "of something else"}, False)]
)
async def test_an_answer_to_something_else_under_the_same_id_is_refused(
    name: str, named: dict[str, str], taken: bool
) -> None:
    state = State()
    state.approvals["ap-1"] = an_approval("ap-1", "h")
    events: list[NewEvent] = []

    async def emit(event: NewEvent) -> None:
        events.append(event)

    answer = await execute(Command(1, 0.0, name, {"id": "ap-1", **named}), state, emit, lambda: None)
    assert (answer["ok"], len(events)) == (taken, int(taken))


async def test_a_question_takes_no_id_that_another_one_has() -> None:
    """Ids have 40 bits: with two questions of his own somebody finds two of one id in a second."""
    order = Order(WorkOrder(id="one", title="t", kind="feature", goal="g"))
    harvest: Any = SimpleNamespace(tree="1" * 40, base_commit="2" * 40)
    state = State()
    hub = SimpleNamespace(ids_at=lambda tree, paths: {}, entries=lambda tree: [])
    clock = SimpleNamespace(now=lambda: 0.0)
    world: Any = SimpleNamespace(state=lambda: state, settings=Settings, ports=SimpleNamespace(clock=clock), hub=hub)
    (first, *_) = await ask(world, order, "one.1", Operation(argv=["ls"]), harvest)
    ident = first.fields["approval"]
    (again, *_) = await ask(world, order, "one.1", Operation(argv=["ls"]), harvest)
    assert again.fields["approval"] == ident  # the control: nothing has it
    state.approvals[ident] = an_approval(ident, "of something else")
    (other, parked) = await ask(world, order, "one.1", Operation(argv=["ls"]), harvest)
    assert other.fields["approval"] != ident
    assert parked.fields["approval"] == other.fields["approval"]


def an_approval(ident: str, digest: str) -> Approval:
    return Approval(ident, "external", "t", "", {}, digest, 0.0, 1.0)


@pytest.mark.parametrize(
    "line", ["git push -uf origin x", "git push origin :main", "git push -d origin x", "git clean -xdf"]
)
def test_short_flags_among_others_and_empty_sources_raise_the_class(line: str) -> None:
    assert judge("network", line.split(), claimed=True).highest
    assert not judge("network", ["git", "push", "origin", "main"], claimed=True).highest  # the control


async def test_nothing_is_approved_before_its_evidence_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()

    def slow(*_: object) -> list[Line]:
        assert read.wait(10.0)
        return [Line("changes", "all of it")]

    monkeypatch.setattr(approval, "evidence_of", slow)
    night = a_night(tmp_path)
    async with a_room(night) as hand:
        try:
            night.write(asked("ap-1", tree="1" * 40, base="2" * 40))
            await hand.until(lambda: hand.shown == "ap-1", "it is open")
            hand.passes()
            await hand.press("A")
            assert "still" in hand.status
            assert hand.commands() == []
        finally:
            read.set()
        await hand.until_open("ap-1")
        hand.passes()
        await hand.press("A")  # the control: now it counts
        await hand.until(lambda: bool(hand.commands()), "it is sent")


# -- the served room -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("is_web", "pictures"), [(True, 0), (False, 1)])
async def test_a_served_room_that_only_looks_writes_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_web: bool, pictures: int
) -> None:
    """Anybody on this machine gets such a room; the control is a room in the person's own terminal."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path, read_only=True))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.opened)
        monkeypatch.setattr(type(app._driver), "is_web", is_web)
        await pilot.press("f12")
        await pilot.pause()
        assert len(list(folder.iterdir())) == pictures


async def test_rooms_that_only_look_do_not_keep_out_who_may_command() -> None:
    pytest.importorskip("textual_serve", reason="the extra [web] is not installed")
    from aiohttp import WSServerHandshakeError

    from swarm_tui.web.server import MOST_ROOMS
    from tests.e2e.test_serve import TOKEN, own, served

    async with served() as client:
        lookers = [await client.ws_connect("/ws", headers=own(client)) for _ in range(MOST_ROOMS)]
        with pytest.raises(WSServerHandshakeError):  # the control: lookers are counted
            await client.ws_connect("/ws", headers=own(client))
        async with client.ws_connect("/ws", headers={**own(client), "Authorization": f"Bearer {TOKEN}"}) as room:
            assert "commanding" in (await room.receive_bytes(timeout=20.0)).decode()
        await asyncio.gather(*(looker.close() for looker in lookers))


@pytest.mark.parametrize("message", ["[" * 100_000, '["resize", {"width": 1e999, "height": 9}]', '[["stdin"], 1]', "7"])
async def test_a_message_that_is_none_does_not_end_a_room(message: str) -> None:
    pytest.importorskip("textual_serve", reason="the extra [web] is not installed")
    from tests.e2e.test_serve import own, served

    async with served() as client, client.ws_connect("/ws", headers=own(client)) as room:
        await room.receive_bytes(timeout=20.0)
        await room.send_str(message)
        await room.send_json(["stdin", "x"])
        assert (await room.receive_bytes(timeout=20.0)) == b"key x"
