"""The debug figures: on whatever screen is open, until they are put away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nights import a_night, opener_of
from textual.pilot import Pilot

from swarm_tui.app import RoomApp
from swarm_tui.screens.metrics import MetricsScreen
from swarm_tui.widgets.hud import Hud, Meter, laid_out


async def until(pilot: Pilot[Any], holds: Any) -> None:
    for _ in range(200):
        if holds():
            return
        await pilot.pause(0.02)
    assert holds()


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_one_key_shows_the_figures_and_puts_them_away(tmp_path: Path, size: tuple[int, int]) -> None:
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
        before = list(app.after_frame)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen.query(Hud) and "own cpu" in app.screen.query_one(Hud).text)
        text = app.screen.query_one(Hud).text
        words = ("lag", "frame", "p90", "events 0/s", "feed waits 0", "engine stopped", "seq 4", "past 100%", "widgets")
        assert [word for word in (*words, "theme textual-dark", f"size {size[0]}x{size[1]}") if word not in text] == []
        await pilot.press("ctrl+g")
        await until(pilot, lambda: not app.screen.query(Hud))
        assert app.after_frame == before


@pytest.mark.slow
async def test_the_figures_follow_to_the_next_screen_and_back(tmp_path: Path) -> None:
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.opened)
        first = app.screen
        await pilot.press("ctrl+g")
        app.show(MetricsScreen())
        await until(pilot, lambda: len(app.screen.query(Hud)) == 1 and app.screen is not first)
        await until(pilot, lambda: not first.query(Hud))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is first and len(first.query(Hud)) == 1)


def test_the_meter_forgets_what_was_long_ago() -> None:
    meter = Meter()
    meter.take(9.0, 9.0)
    for _ in range(100):
        meter.take(0.001, 0.002)
    assert max(meter.lags_s) == 0.001
    assert meter.p90_cost_s() == 0.002
    assert meter.rss_bytes


def test_figures_stand_in_as_many_columns_as_fit() -> None:
    figures = [(f"name{at}", "value") for at in range(6)]
    for width in (10, 30, 80, 200):
        rows = laid_out(figures, width)
        assert [name for row in rows for name, _, _ in row] == [name for name, _ in figures]
    assert len(laid_out(figures, 200)) < len(laid_out(figures, 40)) < 6
