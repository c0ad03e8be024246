"""A difference on screen: what can be read of it, and how one goes from file to file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from swarm_tui.room.differences import Difference, DiffLine, FileDiff
from swarm_tui.widgets.diff_view import DiffView
from swarm_tui.widgets.prose import Prose, breaks, line
from swarm_tui.widgets.rows import Rows


def a_file(path: str, count: int, *, cut: bool = False) -> FileDiff:
    added = tuple(DiffLine("added", number, f"{path} {number}") for number in range(1, count + 1))
    return FileDiff(path, "A", count, 0, (DiffLine("hunk", 1, ""), *added), cut=cut)


THREE = Difference("1" * 40, "2" * 40, (a_file("a", 30), a_file("b", 30), a_file("c", 3)))


class OneDiff(App[None]):
    def compose(self) -> ComposeResult:
        yield DiffView(id="diff")


@asynccontextmanager
async def showing(
    difference: Difference, about: str = "a change", size: tuple[int, int] = (60, 14)
) -> AsyncIterator[tuple[DiffView, Pilot[None]]]:
    app = OneDiff()
    async with app.run_test(size=size) as pilot:
        view = app.query_one(DiffView)
        view.query_one(Prose).focus()
        view.show(difference, about)
        await pilot.pause()
        yield view, pilot


def screen(view: DiffView) -> list[str]:
    lines = view.query_one("#diff-lines", Prose)
    return [strip.text.rstrip() for strip in lines.render_lines(lines.size.region)]


async def test_it_shows_the_files_with_counts_and_then_their_lines() -> None:
    async with showing(THREE) as (view, _):
        assert "3 files  +63 -0  a change" in view.text
        assert screen(view)[:7] == [
            " A a  +30 -0", " A b  +30 -0", " A c  +3 -0", "", " a  new  +30 -0", "     1 + a 1", "     2 + a 2",
        ]  # fmt: skip


async def test_n_and_p_go_from_file_to_file() -> None:
    async with showing(THREE) as (view, pilot):
        await pilot.press("n", "n")
        await pilot.pause()
        assert screen(view)[0] == " b  new  +30 -0"
        await pilot.press("N")
        await pilot.pause()
        assert screen(view)[0] == " a  new  +30 -0"


async def test_files_that_share_the_last_screen_can_all_be_reached_and_left() -> None:
    short = Difference("1" * 40, "2" * 40, tuple(a_file(name, 2) for name in "abcdefgh"))
    async with showing(short, size=(120, 14)) as (view, pilot):
        files = view.query_one("#diff-files", Rows)
        seen: list[str] = []
        for _ in range(9):
            await pilot.press("n")
            await pilot.pause()
            seen.append(files.key)
        assert seen == ["0", "1", "2", "3", "4", "5", "6", "7", "7"]
        for _ in range(7):
            await pilot.press("N")
            await pilot.pause()
        assert files.key == "0"


@pytest.mark.parametrize(("width", "shown"), [(80, False), (120, True)])
async def test_a_wide_screen_has_a_list_of_files_beside_the_lines(width: int, shown: bool) -> None:
    async with showing(THREE, size=(width, 14)) as (view, _):
        assert (view.query_one("#diff-files", Rows).size.width > 0) is shown


async def test_choosing_in_the_list_goes_to_the_file() -> None:
    async with showing(THREE, size=(120, 14)) as (view, pilot):
        view.query_one("#diff-files", Rows).focus()
        await pilot.press("j")
        await pilot.pause()
        assert screen(view)[0] == " b  new  +30 -0"


async def test_what_is_cut_says_so_at_its_top_and_at_the_file() -> None:
    cut = Difference("1" * 40, "2" * 40, (a_file("a", 3, cut=True),), note="the diff is too big to be shown whole")
    async with showing(cut) as (view, _):
        assert screen(view)[0] == " ! the diff is too big to be shown whole"
        assert "the rest of this file is not shown" in view.text


async def test_text_of_the_repository_can_neither_steer_the_terminal_nor_be_markup() -> None:
    evil = "[bold red]x[/] \x1b]0;title\x07 \u202eabc"
    file = FileDiff(evil, "A", 1, 0, (DiffLine("added", 1, evil),))
    async with showing(Difference("1" * 40, "2" * 40, (file,)), about=evil, size=(100, 14)) as (view, _):
        drawn = "\n".join(screen(view)) + view.text
        assert "[bold red]x[/] ␛]0;title␇ \\u202eabc" in drawn
        assert not {"\x1b", "\x07", "\u202e"} & set(drawn)


async def test_a_problem_is_said_instead_and_there_are_no_files_to_go_to() -> None:
    async with showing(Difference("1", "2", problem="it is not in the hub any more")) as (view, pilot):
        await pilot.press("n", "N")
        assert "it is not in the hub any more" in view.text
        assert view.query_one("#diff-files", Rows).keys == []


async def test_another_difference_begins_at_its_top() -> None:
    async with showing(THREE) as (view, pilot):
        await pilot.press("G")
        await pilot.pause()
        view.show(Difference("1" * 40, "3" * 40, (a_file("z", 99),)), "another")
        await pilot.pause()
        assert screen(view)[0] == " z  new  +99 -0"


@pytest.mark.slow
async def test_no_character_of_a_long_line_is_lost_at_any_width() -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(300))
    long = Difference("1" * 40, "2" * 40, (FileDiff("a", "A", 1, 0, (DiffLine("added", 1, text),) * 9),))
    for width in (30, 61, 119):
        async with showing(long, size=(width, 60)) as (view, _):
            drawn = "".join(row.strip() for row in screen(view))
            assert text in drawn.replace("1 + ", "")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("one two three", ["one two ", "three"]),
        ("a_word_that_is_longer_than_a_row", ["a_word_tha", "t_is_longe", "r_than_a_r", "ow"]),
        ("in a_word_that_is_longer", ["in a_word_", "that_is_lo", "nger"]),
        ("日本語日本語日本語", ["日本語日本", "語日本語"]),
        ("          x y", ["          ", "x y"]),
    ],
)
def test_texts_break_at_blanks_and_long_words_anywhere(text: str, rows: list[str]) -> None:
    ends = [0, *breaks(text, 10, 10)]
    assert [text[start:end] for start, end in pairwise(ends)] == rows


async def test_a_text_that_is_followed_stays_at_its_end_until_the_reader_goes_up() -> None:
    class Followed(App[None]):
        def compose(self) -> ComposeResult:
            yield Prose(follow=True)

    app = Followed()
    async with app.run_test(size=(20, 5)) as pilot:
        prose = app.query_one(Prose)
        prose.focus()

        async def last(count: int) -> str:
            prose.show([line(str(number)) for number in range(count)])
            await pilot.pause()
            return prose.render_lines(prose.size.region)[-1].text.strip()

        assert await last(20) == "19"
        assert await last(40) == "39"
        await pilot.press("k")
        assert await last(60) == "38"
        await pilot.press("G")
        assert await last(80) == "79"
