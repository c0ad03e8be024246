"""The work order screen: what a person reads there, and what the keys do."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from told_night import Told, looking, told_night, until

from engine.errors import UserError
from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room.editor import editor_command, line_of_order
from swarm_tui.screens.order import OrderScreen
from swarm_tui.screens.run import RunScreen
from swarm_tui.widgets.diff_view import DiffView
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.prose import Prose
from swarm_tui.widgets.rows import Rows
from tests.conftest import MakeRepo


@pytest.fixture
def told(tmp_path: Path, git_repo: MakeRepo) -> Told:
    return told_night(tmp_path, git_repo({"src/a.py": "print('old')\n"}))


async def opened(app: RoomApp, pilot: Pilot[Leaving], order: str = "one") -> OrderScreen:
    app.action_open_order(order)
    await until(pilot, lambda: isinstance(app.screen, OrderScreen) and app.screen.is_mounted)
    screen = app.screen
    assert isinstance(screen, OrderScreen)
    await until(pilot, lambda: bool(screen.query_one(Head).text))
    return screen


def text(screen: OrderScreen, section: str) -> str:
    return screen.query_one(f"#order-{section}", Prose).text


def notes(app: RoomApp) -> list[str]:
    return [note.message for note in app._notifications]  # pyright: ignore[reportPrivateUsage]


async def test_the_head_says_what_it_is_and_how_far_it_is(told: Told) -> None:
    told.write("work_order_ready")
    told.run_starts()
    told.run_ends(result="idle", reason="it did nothing", kept="")
    told.write("change_rejected", change="", reasons=["it did nothing"])
    (told.repo.path / "swarm.toml").write_text("[limits]\nattempts = 5\n", encoding="utf-8")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        head = screen.query_one(Head)
        assert "✘ rejected  one  Do [b]one[/b]" in head.text
        assert "1.2k tokens  cost 0.50" in head.text
        await until(pilot, lambda: "attempts used 1 of 5" in head.text)


async def test_a_parked_order_says_why_and_what_to_do_in_its_head(told: Told) -> None:
    told.write("work_order_parked", why="it waits \x1b[2J", do="swarm retry one")
    async with looking(told) as (app, pilot):
        head = (await opened(app, pilot)).query_one(Head).text
        assert "P parked" in head
        assert "why  it waits ␛[2J" in head
        assert "do   swarm retry one" in head


async def test_the_specification_has_its_parts_and_leaves_empty_ones_out(told: Told) -> None:
    async with looking(told) as (app, pilot):
        spec = text(await opened(app, pilot), "spec")
        for part in ("The goal of it.", "it works  prove 'it now'", "tests.test_one", "src/**", "secret/**",
                     "take it back", "3 (1 is first)"):  # fmt: skip
            assert part in spec
        assert "draft     base  The base of it" in spec
        assert "? not on the roadmap" in spec
        for part in ("owner", "resolves", "budget", "How to see the fault"):
            assert part not in spec


async def test_a_dependency_changes_its_state_before_the_eyes(told: Told) -> None:
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        told.write("work_order_ready", order="base")
        await until(pilot, lambda: "○ ready     base" in text(screen, "spec"))


async def test_the_timeline_tells_in_sentences_and_goes_on_live(told: Told) -> None:
    told.run_starts()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await until(pilot, lambda: "attempt 1 by demo" in text(screen, "timeline"))
        told.hands_in()
        told.write("change_rejected", change="agent/one/1-aaaa", reasons=["first", "second"])
        await until(pilot, lambda: "rejected: first" in text(screen, "timeline"))
        lines = text(screen, "timeline").splitlines()
        told_in = ("attempt 1", "It is done.", "first")
        places = [next(n for n, row in enumerate(lines) if part in row) for part in told_in]
        assert places == sorted(places)
        assert "second" in lines[-1]


async def test_a_long_timeline_comes_whole_and_in_order(told: Told) -> None:
    for number in range(12):
        told.run_starts(f"one.{number}", number)
        told.write("work_order_ready", order="base")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await until(pilot, lambda: "attempt 11" in text(screen, "timeline"))
        found = [row.split()[3] for row in text(screen, "timeline").splitlines() if "attempt" in row]
        assert found == [str(number) for number in range(12)]


async def test_the_diff_of_the_newest_change_is_read_from_the_hub(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("3")
        diff = screen.query_one(DiffView)
        await until(pilot, lambda: "+ print('new')" in diff.text)
        assert "- print('old')" in diff.text
        assert "2 files  +2 -1" in diff.text
        assert "change agent/one/1-aaaa" in diff.text
        await pilot.press("y")
        assert app.clipboard == told.head


async def test_what_a_run_without_a_change_left_has_a_diff_too_and_o_goes_between_them(told: Told) -> None:
    told.run_starts()
    told.run_ends(result="idle", reason="it did nothing")
    told.run_starts("one.2", 2)
    told.hands_in("one.2", "agent/one/2-bbbb")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("3")
        diff = screen.query_one(DiffView)
        await until(pilot, lambda: "2 of 2  change agent/one/2-bbbb" in diff.text)
        await pilot.press("o")
        await until(pilot, lambda: "1 of 2  what one.1 left; it is no change" in diff.text)
        await pilot.press("O")
        await until(pilot, lambda: "2 of 2" in diff.text)


@pytest.mark.slow
async def test_without_a_change_and_with_a_lost_one_the_diff_says_so(told: Told) -> None:
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("3")
        diff = screen.query_one(DiffView)
        await until(pilot, lambda: "no agent has handed anything in" in diff.text)
        told.run_starts()
        told.run_ends(result="idle", kept="9" * 40)
        await until(pilot, lambda: "999999999999 is not in the hub any more" in diff.text)


async def test_the_evidence_shows_what_the_signed_report_says(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    digest = told.is_judged()
    told.lands()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("4")
        await until(pilot, lambda: "✔ holds" in text(screen, "evidence"))
        evidence = text(screen, "evidence")
        for part in ("✔ green  report 1 of 1", digest, "unit        3 passed, 0 failed, 0 skipped", "✔ ok     paths",
                     "bubblewrap  limits ✘ no  net ✔", "unproven-goal", f"landed      {told.head[:12]}",
                     "· not judged"):  # fmt: skip
            assert part in evidence


async def test_the_command_that_is_copied_proves_a_landed_commit(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    told.is_judged()
    told.lands()
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("4")
        await until(pilot, lambda: "check it" in text(screen, "evidence"))
        await pilot.press("y")
        argv = shlex.split(app.clipboard, posix=sys.platform != "win32")
        assert argv[:3] == ["swarm", "verify", told.head]
        assert str(told.folders.root) in argv
        assert app.clipboard in text(screen, "evidence")


@pytest.mark.slow
async def test_the_command_for_what_did_not_land_really_checks_its_report(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    told.is_judged("red", "agent/one/1-aaaa", "unit: it is red")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("4")
        await until(pilot, lambda: "check it" in text(screen, "evidence"))
        assert "unit: it is red" in text(screen, "evidence")
        await pilot.press("y")
    argv = shlex.split(app.clipboard, posix=sys.platform != "win32")
    done = subprocess.run(
        [sys.executable, "-m", "swarm_tui.cli", *argv[1:]], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, "red report for tree" in done.stdout) == (0, True), done.stderr


async def test_a_report_that_is_gone_or_was_changed_is_not_believed(told: Told) -> None:
    told.run_starts()
    told.hands_in()
    digest = told.is_judged()
    path = told.folders.artifacts / "sha256" / digest[7:9] / digest[9:]
    path.write_bytes(path.read_bytes() + b" ")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("4")
        await until(pilot, lambda: "not checked or not believed" in text(screen, "evidence"))
        assert "is damaged" in text(screen, "evidence")
        assert "3 passed" not in text(screen, "evidence")


@pytest.mark.slow
async def test_attempts_are_listed_and_enter_opens_the_run(told: Told) -> None:
    told.run_starts()
    told.run_ends(result="idle", reason="it did nothing")
    told.run_starts("one.2", 2)
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("5")
        rows = screen.query_one("#order-attempts", Rows)
        assert rows.keys == ["one.1", "one.2"]
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert isinstance(app.screen, RunScreen)
        assert app.screen.run == "one.2"


async def test_sections_are_switched_by_number_tab_and_arrows_and_escape_leaves(told: Told) -> None:
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        seen: list[str] = []
        for key in ("4", "tab", "tab", "shift+tab", "left", "right", "right"):
            await pilot.press(key)
            seen.append(screen.sections.name_shown)
        assert seen == ["evidence", "attempts", "spec", "attempts", "evidence", "attempts", "spec"]
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_l_opens_the_log_of_the_newest_run(told: Told) -> None:
    told.run_starts()
    async with looking(told) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_keys_without_anything_to_show_say_so(told: Told) -> None:
    async with looking(told) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("l", "g", "c", "o")
        said = " ".join(notes(app))
        for part in ("no log", "no gate has run", "has not landed yet", "no other one"):
            assert part in said


@pytest.mark.parametrize(("phase", "offered"), [("ready", {"cancel"}), ("parked", {"retry", "cancel"})])
async def test_retry_and_cancel_are_offered_only_where_they_can_be_done(
    told: Told, phase: str, offered: set[str]
) -> None:
    if phase == "ready":
        told.write("work_order_ready")
    else:
        told.write("work_order_parked", why="w", do="d")
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert {name for name in ("retry", "cancel") if screen.check_action(name, ())} == offered


@pytest.mark.slow
async def test_an_order_that_left_the_roadmap_and_one_that_never_was_are_said(told: Told) -> None:
    told.write("work_order_ready")
    told.write("roadmap_read", order="", count=1, orders=[], gone=["one"], items=[])
    async with looking(told) as (app, pilot):
        screen = await opened(app, pilot)
        assert "not on the roadmap any more" in screen.query_one(Head).text
        await pilot.press("2", "3", "4", "5", "e", "y")
        assert app.clipboard == "one"
        await pilot.press("escape")
        screen = await opened(app, pilot, "nobody")
        assert "this night knows no such work order" in screen.query_one(Head).text


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)])
async def test_every_section_is_drawn_at_every_size(told: Told, size: tuple[int, int]) -> None:
    told.run_starts()
    told.hands_in()
    told.is_judged()
    async with looking(told, size) as (app, pilot):
        screen = await opened(app, pilot)
        for key in "12345":
            await pilot.press(key)
            await pilot.pause()
            assert screen.sections.region.height > 3


async def test_without_an_editor_e_says_how_to_name_one(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    (told.repo.path / "roadmap.toml").write_text("", encoding="utf-8")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    async with looking(told) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("e")
        assert any("set VISUAL or EDITOR" in note for note in notes(app))


async def test_a_terminal_that_cannot_be_lent_is_said(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    (told.repo.path / "roadmap.toml").write_text("", encoding="utf-8")
    monkeypatch.setenv("VISUAL", shlex.quote(sys.executable) if sys.platform != "win32" else sys.executable)
    async with looking(told) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("e")
        assert any("cannot be lent to an editor" in note for note in notes(app))


def test_the_editor_is_split_into_words_and_gets_the_line_as_it_takes_it(tmp_path: Path) -> None:
    for name in ("nano", "code", "hx", "strange"):
        program = tmp_path / (f"{name}.exe" if sys.platform == "win32" else name)
        program.write_text("")
        program.chmod(0o755)
    file = tmp_path / "roadmap.toml"

    def argv(named: str) -> list[str]:
        return editor_command(file, 7, {"EDITOR": named, "PATH": str(tmp_path)})[1:]

    assert argv("nano -w") == ["-w", "+7", str(file)]
    assert argv("code") == ["--wait", "--goto", f"{file}:7"]
    assert argv("hx") == [f"{file}:7"]
    assert argv("strange '; rm -rf'" if sys.platform != "win32" else "strange x")[-1] == str(file)
    assert editor_command(file, 1, {"VISUAL": "hx", "EDITOR": "nano", "PATH": str(tmp_path)})[1:] == [f"{file}:1"]


@pytest.mark.parametrize("named", ["", "   ", "'unclosed", "no-such-editor-at-all"])
def test_an_editor_that_cannot_be_used_is_an_error_of_the_person(named: str, tmp_path: Path) -> None:
    if sys.platform == "win32" and named.startswith("'"):
        pytest.skip("a quote is a letter there")
    with pytest.raises(UserError):
        editor_command(tmp_path / "f", 1, {"EDITOR": named, "PATH": str(tmp_path)})


def test_the_line_of_a_work_order_is_found_also_in_a_broken_roadmap(tmp_path: Path) -> None:
    roadmap = tmp_path / "roadmap.toml"
    roadmap.write_text('# one\n[[work_order]]\nid = "a"\n\n[[work_order]]\ntitle = "B"\nid = "b"\n', encoding="utf-8")
    assert [line_of_order(roadmap, each) for each in ("a", "b", "none")] == [2, 5, 1]
    roadmap.write_text('[[work_order]\nid = "a"\n[[work_order]]\nid = "b"\n', encoding="utf-8")
    assert line_of_order(roadmap, "b") == 4
    with pytest.raises(UserError):
        line_of_order(tmp_path / "none.toml", "a")
