"""A log on screen: what is drawn, what keys do, and what happens while the log changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.pilot import Pilot

from swarm_tui.widgets.log_view import LogView

GIGABYTE = 1024**3
WIDTH, HEIGHT = 40, 6


class OneLog(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.log_view = LogView(empty="no log yet")
        self.told: list[tuple[str, bool]] = []

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_log_view_searched(self, message: LogView.Searched) -> None:
        self.told.append((message.text, message.found))


@asynccontextmanager
async def showing(path: Path | None, *, follow: bool = True) -> AsyncIterator[tuple[LogView, Pilot[None]]]:
    app = OneLog()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        app.log_view.focus()
        app.log_view.show(path, "agent", follow=follow, empty="no log yet")
        await pilot.pause()
        yield app.log_view, pilot


def screen(view: LogView) -> list[str]:
    """What is drawn, without the bar at the right and blanks at line ends."""
    strips = view.render_lines(Region(0, 0, view.size.width, view.size.height))
    assert all(strip.cell_length == view.size.width for strip in strips)
    return [strip.text[:-1].rstrip() for strip in strips]


def bar(view: LogView) -> str:
    return "".join(strip.text[-1] for strip in view.render_lines(view.size.region))


def marked(view: LogView, tone: str) -> list[str]:
    """What is drawn in a style of the view's own, row after row."""
    strips = view.render_lines(view.size.region)
    wanted = view.get_component_rich_style(f"log-view--{tone}")
    return [segment.text for strip in strips for segment in strip if segment.style == wanted]


def numbers(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


@pytest.fixture
def hundred(log: Path) -> Path:
    append(log, "".join(f"line {number}\n" for number in range(100)))
    return log


async def test_without_a_log_or_before_there_is_one_it_says_so(log: Path) -> None:
    async with showing(None) as (view, _):
        assert (screen(view)[0], view.position) == ("no log yet", "")
        view.show(log, empty="waiting for output")
        assert (screen(view)[0], view.position) == ("waiting for output", "not there yet")
        assert not view.frame()
        append(log, "here\n")
        assert view.frame()
        assert (screen(view)[0], view.position) == ("here", "following")
        view.show(None)
        assert (screen(view)[0], view.position) == ("nothing yet", "")


async def test_it_follows_a_growing_log_and_draws_only_when_something_changed(hundred: Path) -> None:
    async with showing(hundred) as (view, _):
        assert screen(view) == numbers(94, 99)
        assert not view.frame()
        append(hundred, "".join(f"line {number}\n" for number in range(100, 20_000)))
        assert view.frame()
        assert screen(view) == numbers(19_994, 19_999)


async def test_scrolling_up_stops_following_and_the_end_follows_again(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        await pilot.press("k")
        assert screen(view) == numbers(93, 98)
        assert view.position == "98 %"
        append(hundred, "line 100\n")
        view.frame()
        assert screen(view) == numbers(93, 98)
        await pilot.press("G")
        assert screen(view) == numbers(95, 100)
        assert view.position == "following"


@pytest.mark.parametrize(
    ("keys", "first", "position"),
    [
        ("g", 0, "0 %"),
        ("home", 0, "0 %"),
        ("g j", 1, "0 %"),
        ("g down down up", 1, "0 %"),
        ("g pagedown", 5, "4 %"),
        ("g ctrl+d ctrl+d ctrl+u", 3, "2 %"),
        ("pageup", 89, "94 %"),
        ("up j", 94, "following"),
        ("g end", 94, "following"),
    ],
)
async def test_keys_move_by_lines_and_pages(hundred: Path, keys: str, first: int, position: str) -> None:
    async with showing(hundred) as (view, pilot):
        await pilot.press(*keys.split())
        assert screen(view) == numbers(first, first + 5)
        assert view.position == position


async def test_a_log_can_be_shown_from_its_beginning(hundred: Path) -> None:
    async with showing(hundred, follow=False) as (view, _):
        assert screen(view) == numbers(0, 5)
        append(hundred, "line 100\n")
        view.frame()
        assert screen(view) == numbers(0, 5)


async def test_the_same_log_shown_again_stays_where_it_is(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        await pilot.press("g")
        view.show(hundred, "agent")
        assert screen(view) == numbers(0, 5)


async def test_another_size_of_the_screen_shows_more_or_fewer_lines(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        await pilot.resize_terminal(WIDTH, 10)
        await pilot.pause()
        assert screen(view) == numbers(90, 99)
        await pilot.resize_terminal(2, 1)
        await pilot.pause()
        assert len(screen(view)) == 1
        assert view.position == "following"


async def test_a_truncated_and_a_deleted_log_are_told(hundred: Path) -> None:
    async with showing(hundred) as (view, _):
        hundred.write_text("anew\n", encoding="utf-8")
        assert view.frame()
        assert screen(view)[:2] == ["anew", ""]
        hundred.unlink()
        assert view.frame()
        assert (screen(view)[0], view.position) == ("anew", "gone")


async def test_long_lines_go_on_beside_the_screen_and_are_marked_as_cut(log: Path) -> None:
    append(log, "0123456789" * 10 + "\nshort\n" + "日本" * 30 + "\n")
    async with showing(log) as (view, pilot):
        assert screen(view)[0] == ("0123456789" * 4)[:38] + "›"
        assert screen(view)[1] == "short"
        assert screen(view)[2] == "日本" * 9 + "日›"
        await pilot.press("right")
        assert screen(view)[0] == "‹" + ("0123456789" * 10)[17:54] + "›"
        assert screen(view)[1] == "‹"
        for _ in range(20):
            view.action_side(1)
        assert screen(view)[0] == "‹" + ("0123456789" * 10)[82:]
        for _ in range(20):
            view.action_side(-1)
        assert screen(view)[1] == "short"


async def test_the_rest_of_a_line_without_an_end_is_marked_as_such(log: Path) -> None:
    append(log, "x" * 3_000_000)
    async with showing(log) as (view, _):
        assert screen(view)[0] == "↳" + "x" * 37 + "›"
        assert len(view._rows) == HEIGHT


async def test_nothing_in_a_log_reaches_the_terminal_as_it_is(log: Path) -> None:
    append(log, "\x1b[2J\x1b]0;title\x07[bold]no markup[/bold]\n\u202egnp.exe\n50%\r60%\r\n\0\n")
    async with showing(log) as (view, _):
        drawn = "".join(screen(view))
        assert drawn.isprintable()
        assert screen(view)[:5] == ["␛[2J␛]0;title␇[bold]no markup[/bold]", "\\u202egnp.exe", "50%␍", "60%", "␀"]


async def test_a_title_from_outside_is_shown_without_markup(hundred: Path) -> None:
    async with showing(hundred) as (view, _):
        view.show(hundred, "[red]run\x1b[0m 1[/red]")
        assert view._border_title is not None
        assert view._border_title.plain == "[red]run␛[0m 1[/red]"


async def test_the_bar_shows_how_far_down_the_view_is_and_a_click_on_it_goes_there(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        assert bar(view) == "│││││┃"
        await pilot.press("g")
        assert bar(view) == "┃│││││"
        await pilot.click(LogView, offset=(WIDTH - 1, 2))
        assert view.position in ("39 %", "40 %", "41 %", "42 %")
        assert bar(view).index("┃") == 2
        await pilot.click(LogView, offset=(WIDTH - 1, HEIGHT - 1))
        assert view.position == "following"


async def test_a_log_that_fits_has_no_bar(log: Path) -> None:
    append(log, "one\ntwo\n")
    async with showing(log) as (view, pilot):
        assert bar(view).strip() == ""
        await pilot.press("k", "pageup")
        assert view.position == "following"


async def test_the_wheel_scrolls(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        await pilot._post_mouse_events([MouseScrollUp], LogView)
        assert screen(view) == numbers(91, 96)
        await pilot._post_mouse_events([MouseScrollDown], LogView)
        assert view.position == "following"


# -- search ------------------------------------------------------------------------------------------------------------


async def test_a_search_shows_the_hit_and_marks_all_hits_on_screen(log: Path) -> None:
    append(log, "".join(f"line {number}\n" for number in range(50)))
    append(log, "an Error and an error\nÉTÉ\n")
    append(log, "".join(f"line {number}\n" for number in range(50)))
    async with showing(log) as (view, pilot):
        assert await view.find("ERROR", backward=True)
        assert "an Error and an error" in screen(view)
        assert not view.following
        await pilot.pause()
        assert (marked(view, "current"), marked(view, "hit")) == (["error"], ["Error"])
        await pilot.press("N")
        await pilot.app.workers.wait_for_complete()
        assert (marked(view, "current"), marked(view, "hit")) == (["Error"], ["error"])
        await pilot.press("n")
        await pilot.app.workers.wait_for_complete()
        assert marked(view, "current") == ["error"]
        assert await view.find("été")
        assert marked(view, "current") == ["ÉTÉ"]
        view.end_find()
        assert marked(view, "current") == marked(view, "hit") == []


async def test_a_search_for_what_is_nowhere_says_so_and_leaves_the_view_where_it_is(hundred: Path) -> None:
    async with showing(hundred) as (view, _):
        assert not await view.find("absent")
        assert not await view.find("")
        assert screen(view) == numbers(94, 99)
        assert view.following


async def test_a_hit_far_to_the_right_is_brought_on_screen(log: Path) -> None:
    append(log, "first\n" + "x" * 500 + "needle" + "x" * 500 + "\n")
    async with showing(log) as (view, _):
        assert await view.find("needle")
        assert marked(view, "current") == ["needle"]


async def test_a_hit_across_the_break_of_a_long_line_is_marked_on_both_sides(log: Path) -> None:
    append(log, "x" * 1022 + "needle" + "x" * 3000)
    async with showing(log) as (view, _):
        assert await view.find("needle")
        view.action_start()
        assert marked(view, "current") == ["edle"]
        assert screen(view)[1].startswith("↳edlexxx")


async def test_keys_work_during_a_search_and_another_search_replaces_it(tmp_path: Path) -> None:
    big = tmp_path / "big.log"
    with big.open("wb") as file:
        file.truncate(200 * GIGABYTE)
        file.seek(200 * GIGABYTE)
        file.write(b"\n" + b"".join(b"last %d\n" % number for number in range(100)))
    async with showing(big) as (view, pilot):
        app = pilot.app
        assert isinstance(app, OneLog)
        view.start_find("absent")
        await until(lambda: bool(view.searching))
        app.simulate_key("k")  # the pilot's own press waits for the thread that searches as well
        await until(lambda: view.position != "following")
        assert view.searching == "searching 0 %"
        view.start_find("LAST 95")
        await until(lambda: bool(app.told))
        assert app.told == [("LAST 95", True)]
        assert view.searching == ""
        assert marked(view, "current") == ["last 95"]


async def test_a_search_in_a_log_that_is_no_longer_shown_is_given_up_silently(tmp_path: Path, hundred: Path) -> None:
    big = tmp_path / "big.log"
    with big.open("wb") as file:
        file.truncate(200 * GIGABYTE)
    async with showing(big) as (view, pilot):
        app = pilot.app
        assert isinstance(app, OneLog)
        view.start_find("absent")
        await until(lambda: bool(view.searching))
        view.show(hundred)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.told == []
        assert screen(view) == numbers(94, 99)


# -- the rest ----------------------------------------------------------------------------------------------------------


async def test_copy_takes_the_whole_visible_lines(log: Path) -> None:
    long = "y" * 3000
    append(log, f"one \x1b\n{long}\n")
    async with showing(log) as (_, pilot):
        await pilot.press("y")
        assert pilot.app.clipboard == f"one ␛\n{long}\n"


def test_every_key_has_an_id_and_a_description() -> None:
    for binding in LogView.BINDINGS:
        assert isinstance(binding, Binding)
        assert binding.id
        assert binding.id.startswith("log.")
        assert binding.description
        assert hasattr(LogView, "action_" + binding.action.partition("(")[0])


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_hits_stand_out_in_every_theme(hundred: Path, theme: str) -> None:
    async with showing(hundred) as (view, pilot):
        pilot.app.theme = theme
        assert await view.find("line")
        await pilot.pause()
        text, hit, current = (marked(view, each) for each in ("mark", "hit", "current"))
        assert text == []
        assert (hit, current) == (["line"] * 5, ["line"])


async def test_the_bar_tells_whether_keys_go_to_the_log(hundred: Path) -> None:
    async with showing(hundred) as (view, pilot):
        assert marked(view, "thumb") == ["┃"]
        focused = view.get_component_rich_style("log-view--thumb")
        pilot.app.set_focus(None)
        await pilot.pause()
        assert view.get_component_rich_style("log-view--thumb") != focused
        assert marked(view, "thumb") == ["┃"]


async def test_without_colour_hits_are_told_apart_by_their_style(
    hundred: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with showing(hundred) as (view, _):
        assert await view.find("line")
        hit = view.get_component_rich_style("log-view--hit")
        current = view.get_component_rich_style("log-view--current")
        assert hit.underline
        assert current.reverse
