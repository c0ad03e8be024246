"""The table: draws what is on screen, keeps its cursor on a key, and draws again only what changed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from swarm_tui.widgets.rows import Cell, Column, Rows, fitted

COLUMNS = (Column("name"), Column("state", 8), Column("about", 0, from_width=60))


class Table(App[None]):
    """A table of words; `state` is what a row says, `drawn` how often each was drawn."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self.keys = keys
        self.state: dict[str, str] = {}
        self.drawn: Counter[str] = Counter()
        self.said: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield Rows(COLUMNS, self.cells, empty="nothing is here", id="rows")

    def cells(self, key: str) -> list[Cell]:
        self.drawn[key] += 1
        return [Cell(key), Cell(self.state.get(key, "ready"), "good"), Cell(f"about {key}")]

    def on_mount(self) -> None:
        self.rows.show(self.keys)
        self.rows.focus()

    def on_rows_moved(self, event: Rows.Moved) -> None:
        self.said.append(("moved", event.key))

    def on_rows_opened(self, event: Rows.Opened) -> None:
        self.said.append(("opened", event.key))

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def text(self) -> list[str]:
        return [self.rows.render_line(y).text for y in range(self.rows.size.height)]


def names(count: int) -> list[str]:
    return [f"row-{number:05}" for number in range(count)]


async def test_only_what_is_on_screen_is_drawn() -> None:
    app = Table(names(10_000))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert "row-00000" in app.text()[1]
        assert set(app.drawn) <= set(names(25))
        await pilot.press("G")
        await pilot.pause()
        assert app.rows.key == "row-09999"
        assert any("row-09999" in line for line in app.text())
        assert "row-05000" not in app.drawn


async def test_keys_move_the_cursor_and_keep_it_in_sight() -> None:
    app = Table(names(100))
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("j", "down", "k")
        assert app.rows.key == "row-00001"
        await pilot.press("pagedown", "pagedown")
        assert any(app.rows.key in line for line in app.text())
        await pilot.press("g")
        assert app.rows.key == "row-00000"
        await pilot.press("enter")
        assert app.said[-1] == ("opened", "row-00000")


async def test_the_cursor_stays_on_its_row_when_rows_move_and_goes_near_it_when_it_leaves() -> None:
    app = Table(names(10))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("j", "j", "j")
        app.rows.show(["new", *names(10)])
        assert app.rows.key == "row-00003"
        app.rows.show([key for key in names(10) if key != "row-00003"])
        assert app.rows.key == "row-00005"  # the place where it stood
        app.rows.show([])
        assert app.rows.key == ""
        await pilot.press("enter", "j", "G")
        assert app.said[-1] == ("moved", "")


async def test_a_touched_row_is_drawn_again_only_when_it_says_something_else() -> None:
    app = Table(names(5))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        app.state["row-00002"] = "parked"
        app.rows.touch(names(5))
        await pilot.pause()
        assert "parked" in app.text()[3]
        assert "parked" not in app.text()[2]
        before = dict(app.drawn)
        app.rows.touch()
        await pilot.pause()
        assert all(app.drawn[key] > before[key] for key in names(5))


async def test_an_empty_table_says_what_to_do_next() -> None:
    async with Table([]).run_test(size=(80, 10)) as pilot:
        assert isinstance(pilot.app, Table)
        assert any("nothing is here" in line for line in pilot.app.text())


@pytest.mark.parametrize("width", [1, 5, 12, 40, 59, 60, 100])
async def test_every_line_is_as_wide_as_the_table_whatever_its_text(width: int) -> None:
    nasty = ["漢字漢字漢字漢字漢字", "a" * 500, "e\u0301" * 30, "👩\u200d🚀" * 9, ""]
    app = Table(nasty)
    async with app.run_test(size=(width, 12)) as pilot:
        await pilot.pause()
        assert {app.rows.render_line(y).cell_length for y in range(app.rows.size.height)} == {app.rows._width}


async def test_narrow_tables_leave_columns_out() -> None:
    app = Table(names(3))
    async with app.run_test(size=(100, 10)) as pilot:
        await pilot.pause()
        assert "about row-00000" in app.text()[1]
        await pilot.resize_terminal(50, 10)
        await pilot.pause()
        assert "about" not in "".join(app.text())


async def test_a_click_chooses_and_a_double_click_opens() -> None:
    app = Table(names(10))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.click(Rows, offset=(3, 4))
        assert app.rows.key == "row-00003"
        await pilot.click(Rows, offset=(3, 5), times=2)
        assert app.said[-1] == ("opened", "row-00004")


async def test_markup_in_a_cell_is_only_text() -> None:
    app = Table(["[red]x[/red]", "[@click=app.quit]y"])
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.pause()
        assert "[red]x[/red]" in app.text()[1]
        strip: Any = app.rows.render_line(2)
        assert all(not (segment.style and segment.style.meta) for segment in strip)


@pytest.mark.parametrize("text", ["abc", "漢字漢字", "x" * 90, ""])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 10])
def test_fitted_text_has_exactly_the_width(text: str, width: int) -> None:
    assert cell_len(fitted(text, width)) == width
    assert cell_len(fitted(text, width, right=True)) == width


async def test_without_the_focus_the_first_row_stays_in_sight_when_new_ones_come_above() -> None:
    app = Table(["b", "c"])
    async with app.run_test(size=(80, 8)) as pilot:
        app.set_focus(None)
        await pilot.pause()
        app.rows.show([*names(7), "b", "c"])
        await pilot.resize_terminal(80, 7)
        await pilot.pause()
        assert (app.rows.key, app.rows.scroll_offset.y) == ("row-00000", 0)


async def test_a_row_that_was_chosen_stays_chosen_without_the_focus() -> None:
    app = Table(["b", "c"])
    async with app.run_test(size=(80, 8)) as pilot:
        app.set_focus(None)
        await pilot.pause()
        app.rows.select("b")
        app.rows.show(["a", "b", "c"])
        assert app.rows.key == "b"


async def test_while_a_person_is_in_the_list_enter_opens_what_was_looked_at() -> None:
    app = Table(["b", "c"])
    async with app.run_test(size=(80, 8)) as pilot:
        app.rows.show(["a", "b", "c"])
        await pilot.press("enter")
        assert app.said[-1] == ("opened", "b")


def test_a_column_with_a_limit_leaves_the_rest_to_the_others() -> None:
    columns = (Column("who", 0, most=6), Column("doing", 0, from_width=20), Column("time", 4, right=True))
    rows = Rows(columns, lambda _key: ())
    cells = (Cell("somebody"), Cell("reads"), Cell("3s"))
    wide = "".join(text for text, _ in rows._laid_out(cells, 30))  # pyright: ignore[reportPrivateUsage]
    assert wide == " someb… reads               3s"
    narrow = "".join(text for text, _ in rows._laid_out(cells, 18))  # pyright: ignore[reportPrivateUsage]
    assert narrow == " somebody       3s"
