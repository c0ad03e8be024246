"""The run screen: what a person reads there of one attempt, and what is said when something is gone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input
from told_night import Told, looking, told_night, until

from engine.artifacts import ArtifactStore
from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room.run_files import as_readable, read_said
from swarm_tui.screens.order import OrderScreen
from swarm_tui.screens.run import RunScreen
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.log_view import LogView
from swarm_tui.widgets.prose import Prose
from tests.conftest import MakeRepo


@pytest.fixture
def told(tmp_path: Path, git_repo: MakeRepo) -> Told:
    night = told_night(tmp_path, git_repo({"src/a.py": "print('old')\n"}))
    night.write("work_order_ready")
    return night


async def opened(app: RoomApp, pilot: Pilot[Leaving], run: str = "one.1") -> RunScreen:
    app.action_open_run(run)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.is_mounted)
    screen = app.screen
    assert isinstance(screen, RunScreen)
    await until(pilot, lambda: bool(screen.query_one(Head).text) and "reading" not in text(screen, "result"))
    return screen


def text(screen: RunScreen, section: str) -> str:
    return screen.query_one(f"#run-{section}", Prose).text


def drawn_log(screen: RunScreen) -> str:
    log = screen.query_one(LogView)
    return "\n".join(strip.text for strip in log.render_lines(log.size.region))


def notes(app: RoomApp) -> str:
    return "\n".join(note.message for note in app._notifications)  # pyright: ignore[reportPrivateUsage]


async def test_a_run_that_goes_on_shows_its_log_as_it_grows(told: Told) -> None:
    told.run_starts()
    folder = told.run_folder()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert "▶ running  one.1  attempt 1 of one  implementer by demo" in screen.query_one(Head).text
        assert "memory unknown" in screen.query_one(Head).text
        with (folder / "log").open("a", encoding="utf-8") as log:
            log.write("grown \x1b[31mred\n")
        await until(pilot, lambda: "grown ␛[31mred" in drawn_log(screen))


async def test_it_tells_its_end_when_it_comes(told: Told) -> None:
    told.run_starts()
    told.run_folder()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert "it still runs" in text(screen, "result")
        told.run_ends(result="idle", reason="it did nothing \x07")
        await until(pilot, lambda: "◷ idle" in screen.query_one(Head).text)
        assert "why  it did nothing ␇" in screen.query_one(Head).text
        await until(pilot, lambda: told.head in text(screen, "result"))
        assert "1,200" in text(screen, "result")


async def test_the_handoff_that_was_taken_is_read_by_its_digest(told: Told) -> None:
    told.run_starts()
    (told.run_folder() / "side" / "handoff.json").write_text('{"summary": "changed afterwards"}', encoding="utf-8")
    told.hands_in(summary="Line one.\nLine [b]two[/b].")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await until(pilot, lambda: "Line [b]two[/b]." in text(screen, "handoff"))
        handoff = text(screen, "handoff")
        assert handoff.index("summary") < handoff.index("risk")
        assert "agent/one/1-aaaa" in handoff
        assert "changed afterwards" not in handoff
        await pilot.press("2", "y")
        assert app.clipboard == app.room.history.runs["one.1"].handoff


async def test_a_handoff_whose_artifact_is_gone_is_said(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    store = ArtifactStore(told.folders.artifacts)
    for path in (told.folders.artifacts / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await until(pilot, lambda: "is missing" in text(screen, "handoff"))
        assert not store.has(app.room.history.runs["one.1"].handoff)


async def test_what_was_left_and_not_taken_is_shown_as_such(told: Told) -> None:
    told.run_starts()
    (told.run_folder() / "side" / "handoff.json").write_text('{"summary": "never taken"}', encoding="utf-8")
    told.run_ends(result="failed", reason="exit code 1")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert "it was not taken" in text(screen, "handoff")
        assert "never taken" in text(screen, "handoff")


async def test_prompt_task_and_sandbox_are_read_from_its_folder_and_are_no_markup(told: Told) -> None:
    told.run_starts()
    told.run_folder()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert text(screen, "prompt") == "Do it [b]well[/b] ␛[31m"
        assert '"role": "implementer",' in text(screen, "task")
        sandbox = text(screen, "sandbox")
        for part in ("agent --now", "hosts     a.example", "write     /w", "read      /r", "PATH", "1:00 in all"):
            assert part in sandbox


async def test_the_limits_of_a_run_and_the_sandbox_are_told(told: Told) -> None:
    told.run_starts()
    spec = told.run_folder() / "spec.json"
    fields = json.loads(spec.read_bytes()) | {"quota": {"memory": 250_000_000, "processes": 40, "files": 0}}
    spec.write_text(json.dumps(fields), encoding="utf-8")
    sandbox = {"backend": "landlock", "reason": "no bwrap", "guarantees": {"fs_write": False, "net": True}}
    told.write("engine_started", order="", epoch=2, version="0", pid=1, sandbox=sandbox)
    async with looking(told) as (app, pilot):
        shown = text(await opened(app, pilot), "sandbox")
        assert "limits    memory 250.0 MB, processes 40" in shown
        assert "landlock, without fs_write (no bwrap)" in shown


async def test_y_copies_a_git_command_that_shows_what_it_left(told: Told) -> None:
    told.run_starts()
    told.run_ends(result="idle", reason="it did nothing")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("6", "y")
        assert app.clipboard in text(screen, "result")
    argv = shlex.split(app.clipboard, posix=sys.platform != "win32")
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, "+print('new')" in done.stdout) == (0, True), done.stderr


async def test_a_run_without_its_folder_says_what_is_gone(told: Told) -> None:
    told.run_starts()
    told.run_ends(result="failed", reason="lost", kept="")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert "the log is gone" in drawn_log(screen)
        assert "the prompt that it got is not there" in text(screen, "prompt")
        assert "the task that it got is not there" in text(screen, "task")
        assert "how its process was started is not known" in text(screen, "sandbox")
        assert "nothing was kept" in text(screen, "result")
        assert "it handed nothing in" in text(screen, "handoff")


async def test_a_run_that_the_journal_does_not_know_shows_what_its_folder_has(told: Told) -> None:
    told.run_folder("old.7")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot, "old.7")
        assert "this journal knows no such run" in screen.query_one(Head).text
        assert "Do it" in text(screen, "prompt")
        await pilot.press("o", "v", "6", "y")
        assert app.clipboard == "old.7"
        assert "no gate has run" in notes(app)


async def test_a_run_of_an_order_that_left_the_roadmap_says_so(told: Told) -> None:
    told.write("run_started", "ghost.1", order="ghost", attempt=1, role="implementer", agent="demo", base=told.base)
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot, "ghost.1")
        assert "ghost is not on the roadmap any more" in screen.query_one(Head).text


@pytest.mark.slow
async def test_slash_finds_in_the_log_and_escape_first_closes_the_field(told: Told) -> None:
    told.run_starts()
    told.run_folder()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        field = screen.query_one("#run-find", Input)
        await pilot.press("3", "slash")
        assert (screen.sections.name_shown, field.has_focus) == ("log", True)
        await pilot.press("escape")
        assert (app.screen, field.display) == (screen, False)
        await pilot.press("slash", *"zebra", "enter")
        await until(pilot, lambda: "“zebra” is not in this log" in notes(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_o_opens_its_work_order(told: Told) -> None:
    told.run_starts()
    async with looking(told) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, OrderScreen))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 10), (200, 50)])
async def test_every_section_is_drawn_at_every_size(told: Told, size: tuple[int, int]) -> None:
    told.run_starts()
    told.run_folder()
    async with looking(told, size) as (app, pilot):
        screen = await opened(app, pilot)
        for key in "123456":
            await pilot.press(key)
            await pilot.pause()
            assert screen.sections.region.height > 3


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in its folders")
def test_a_pipe_or_a_link_in_place_of_a_file_neither_hangs_nor_leads_away(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    for name in ("pipe", "link", "."):
        found = read_said(tmp_path / name)
        assert (found.text, bool(found.problem)) == ("", True)


def test_a_long_file_is_cut_and_says_how_much_is_missing(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_bytes(b"x" * 1_000)
    found = read_said(tmp_path / "prompt.md", 100)
    assert (len(found.text), found.note) == (100, "900 more bytes are not shown")


DEEP = '{"a": ' * 300 + "1" + "}" * 300


@pytest.mark.parametrize("said", ["not json", "[" * 20_000, DEEP, '"just text"', "\ufffd"])
def test_what_is_no_json_object_or_too_deep_a_one_is_shown_as_it_is(said: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(said, encoding="utf-8")
    assert read_said(tmp_path / "f").table == {}
    assert as_readable(said) == said


@pytest.mark.slow
async def test_a_folder_full_of_nonsense_is_drawn_all_the_same(told: Told) -> None:
    told.run_starts()
    side = told.run_folder() / "side"
    (side / "prompt.md").unlink()
    (side / "prompt.md").mkdir()
    (side / "task.json").write_bytes(b"\xff\xfe\n" * 9_000)
    (side / "handoff.json").write_text(DEEP, encoding="utf-8")
    (side / "usage.json").write_text('{"tokens": [[[1]]], "cost": "\\ud800"}', encoding="utf-8")
    (side.parent / "spec.json").write_text('{"argv": 7, "wall_s": "x", "hosts": 7, "env": {}}', encoding="utf-8")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        for key in "123456":
            await pilot.press(key)
            await pilot.pause()
        assert "prompt.md" in text(screen, "prompt")
        assert "5000 more lines are not shown" in text(screen, "task")
        assert "hosts     unknown" in text(screen, "sandbox")
