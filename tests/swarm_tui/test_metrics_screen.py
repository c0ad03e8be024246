"""The metrics screen: figures, what they are counted from, and how they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nights import Writer, a_night, opener_of
from textual.pilot import Pilot

from engine.models.event import NewEvent
from engine.models.metrics import Effort, Lead, Metrics, Progress, Series, Share, Spent, Spread
from swarm_tui.app import RoomApp
from swarm_tui.room.tiles import compared, tiles_of, total_at
from swarm_tui.screens.metrics import MetricsScreen
from swarm_tui.widgets import plot
from swarm_tui.widgets.figures import FigureTable, Tile
from swarm_tui.widgets.plot import Curve, Plot, columns, sampled

EVIL = "de\x1b[31mmo [bold]x"


async def until(pilot: Pilot[Any], holds: Any) -> None:
    for _ in range(200):
        if holds():
            return
        await pilot.pause(0.02)
    assert holds()


async def opened(pilot: Pilot[Any], app: RoomApp) -> MetricsScreen:
    await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
    screen = MetricsScreen()
    app.show(screen)
    await until(pilot, lambda: screen.is_mounted and screen.metrics.seq)
    return screen


def healthy_night(folder: Path) -> Writer:
    """One work order that landed and is healthy, at a price."""
    order, change, tree = "one", "agent/one/1", "e" * 40
    counts: dict[str, Any] = {"executed": 3, "passed": 3, "failed": 0, "skipped": 0, "cached": False}
    return a_night(
        folder,
        NewEvent("work_order_ready", {}, order),
        NewEvent("run_started", {"attempt": 1, "role": "implementer", "agent": EVIL, "base": "c" * 40}, order, "one.1"),
        NewEvent("budget_spent", {"tokens": 900, "cost": 0.25, "agent": EVIL, "role": "implementer"}, order, "one.1"),
        NewEvent("run_finished", {"result": "done", "counted": True, "reason": "", "kept": "", "exit_code": 0,
                                  "duration_s": 1.0}, order, "one.1"),
        NewEvent("change_proposed", {"change": change, "base": "c" * 40, "head": "h", "tree": tree, "paths": [],
                                     "summary": "", "agent": EVIL}, order),
        NewEvent("gate_finished", {"gate": "unit", "tree": tree, "change": change, "result": "green", "reason": "",
                                   "duration_s": 90.0, **counts}, order),
        NewEvent("change_landed", {"change": change, "commit": "f" * 40, "tree": tree, "report": "sha256:0",
                                   "parent": "c" * 40, "effect_id": "land-1"}, order),
        NewEvent("work_order_healthy", {"commit": "f" * 40, "uncanaried": True}, order),
    )  # fmt: skip


def tile(screen: MetricsScreen, name: str) -> Tile:
    return next(each for each in screen.query(Tile) if each.told.name == name)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 50)])
async def test_a_night_is_told_in_tiles_plots_and_tables(tmp_path: Path, size: tuple[int, int]) -> None:
    app = RoomApp(opener_of(healthy_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot, app)
        assert tile(screen, "lead time").told.value == "7.0 s"
        assert tile(screen, "cost a landed change").told.value == "0.25"
        assert tile(screen, "tokens a landed change").told.value == "900"
        assert tile(screen, "merge success").told.note == "1 of 1 landed"
        (agent,) = screen.query_one("#by-agent", FigureTable).rows
        assert agent == ["de␛[31mmo [bold]x", "1", "1", "1.00", "1", "0.25", "0.25", "900"]
        (gate,) = screen.query_one("#by-gate", FigureTable).rows
        assert gate == ["unit", "1", "0", "1 m 30 s", "1 m 30 s", "100 % of 1", "1 m 30 s"]


async def test_what_is_unknown_is_called_so_with_the_reason(tmp_path: Path) -> None:
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        assert tile(screen, "lead time").told[1:3] == ("unknown", "no work order is healthy yet")
        assert tile(screen, "change failure rate").told[1:3] == ("unknown", "no change has landed yet")
        assert tile(screen, "cost a landed change").told[1:3] == ("unknown", "no run has ended yet")
        assert tile(screen, "deployments a day").told[1:3] == ("0.0", "no change has landed yet")


async def test_new_events_change_the_figures_while_they_are_seen(tmp_path: Path) -> None:
    night = healthy_night(tmp_path)
    app = RoomApp(opener_of(night.folders, tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        night.write(NewEvent("landing_frozen", {"reason": "red", "why": "canary"}))
        await until(pilot, lambda: tile(screen, "landing frozen").told.trend == "it is frozen now")


async def test_with_the_extra_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("textual_plotext", reason="curves are drawn with the extra `plots`")
    app = RoomApp(opener_of(healthy_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot, app)
        progress = screen.query_one("#progress", Plot)
        await until(pilot, lambda: "landed 1" in progress.drawn.plain)
        assert "┤" in progress.drawn.plain
        assert plot.EXTRA not in progress.drawn.plain


async def test_without_the_extra_there_are_blocks_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "has_curves", lambda: False)
    app = RoomApp(opener_of(healthy_night(tmp_path).folders, tmp_path))
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot, app)
        progress = screen.query_one("#progress", Plot)
        await until(pilot, lambda: "landed 1" in progress.drawn.plain)
        assert "█" in progress.drawn.plain
        assert plot.EXTRA in progress.drawn.plain
        assert all(len(line) <= progress.content_size.width for line in progress.drawn.plain.split("\n"))


def test_a_trend_is_told_in_a_word_as_well() -> None:
    assert compared(10.0, 5.0, str, less_is_better=True) == ("▲ better: 10.0 → 5.0", "good")
    assert compared(10.0, 5.0, str, less_is_better=False) == ("▼ worse: 10.0 → 5.0", "attention")
    assert compared(10.0, 10.1, str, less_is_better=True) == ("= as before: 10.1", "quiet")
    assert compared(None, 10.1, str, less_is_better=True) == ("", "quiet")


def test_the_newer_half_is_compared_with_the_older() -> None:
    leads = [Lead(t_s=at, ready_to_healthy_s=value, commit_to_healthy_s=None) for at, value in enumerate((9, 9, 3, 3))]
    progress = [Progress(t_s=at, landed=at, healthy=0, reverted=max(0, at - 5)) for at in range(1, 11)]
    spent = [Spent(t_s=at, tokens=100 * at, cost=float(at)) for at in range(1, 11)]
    metrics = Metrics(
        observed_s=10.0,
        ready_to_healthy=Spread(count=4, median_s=6.0, p90_s=9.0),
        series=Series(leads=leads, progress=progress, spent=spent),
        effort=Effort(name="all", runs=10, cost=10.0, cost_per_landed=1.0),
    )
    metrics.change_failure.rate = 0.5
    told = {each.name: each for each in tiles_of(metrics)}
    assert told["lead time"].trend == "▲ better: 9.0 → 3.0 s"
    assert told["change failure rate"].trend == "▼ worse: 0 → 100 %"
    assert told["cost a landed change"].trend == "= as before: 1.00"


def test_too_few_cases_are_not_compared() -> None:
    leads = [Lead(t_s=at, ready_to_healthy_s=value, commit_to_healthy_s=None) for at, value in enumerate((9, 3))]
    metrics = Metrics(ready_to_healthy=Spread(count=2, median_s=6.0, p90_s=9.0), series=Series(leads=leads))
    assert all(not told.trend for told in tiles_of(metrics))


def test_a_rate_of_nothing_is_unknown_everywhere() -> None:
    values = {told.name: told.value for told in tiles_of(Metrics(first_pass=Share()))}
    assert {name for name, value in values.items() if value != "unknown"} == {"landing frozen"}


def test_totals_are_sampled_as_they_stood_and_single_values_as_means() -> None:
    assert total_at([(1.0, 1.0), (5.0, 2.0)], 4.0) == 1.0
    total = Curve("landed", ((1.0, 1.0), (9.0, 2.0)))
    assert sampled(total, 10.0, 5) == [1.0, 1.0, 1.0, 1.0, 2.0]
    single = Curve("lead", ((1.0, 4.0), (1.5, 8.0), (9.0, 2.0)), total=False)
    assert sampled(single, 10.0, 5) == [6.0, None, None, None, 2.0]


def test_columns_are_as_high_as_their_values() -> None:
    assert columns([0.0, 4.0, 8.0, None], 2) == ["  █ ", " ██ "]
    assert columns([1.0, 1_000.0], 1) == ["▁█"]
