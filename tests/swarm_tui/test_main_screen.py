"""The main screen: how the night is, at a glance, and where each key leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from approvals import Hand, a_room, asked
from nights import COMMIT, Writer, a_night

from engine.models.event import NewEvent
from swarm_tui.screens.canary import CanaryScreen
from swarm_tui.screens.gate import GateScreen
from swarm_tui.screens.main import MainScreen
from swarm_tui.screens.order import OrderScreen
from swarm_tui.screens.run import RunScreen
from swarm_tui.widgets.header import parts_of
from swarm_tui.widgets.log import LogPane
from swarm_tui.widgets.rows import Rows
from swarm_tui.widgets.train import latest, split_key

ORDERS = [
    {"id": "alpha", "item": "i", "title": "The first"},
    {"id": "beta", "item": "i", "title": "The second", "depends_on": ["alpha"]},
    {"id": "gamma", "title": "Without an item"},
]
ITEMS = [{"id": "i", "title": "An item"}]


def ready(order: str) -> NewEvent:
    return NewEvent("work_order_ready", {"fresh": False, "by": ""}, work_order=order)


def started(order: str, nth: int = 1) -> NewEvent:
    fields = {"attempt": nth, "role": "implementer", "agent": "demo", "base": COMMIT}
    return NewEvent("run_started", fields, work_order=order, run=f"{order}.{nth}")


def finished(order: str, nth: int = 1, result: str = "done") -> NewEvent:
    fields: dict[str, Any] = {"result": result, "counted": True, "reason": "why", "kept": "", "exit_code": 0}
    return NewEvent("run_finished", fields | {"duration_s": 1.0}, work_order=order, run=f"{order}.{nth}")


def proposed(order: str, change: str) -> NewEvent:
    fields = {"change": change, "base": COMMIT, "head": "h", "tree": "t", "paths": [], "summary": "", "agent": "demo"}
    return NewEvent("change_proposed", fields, work_order=order)


def gate(kind: str, change: str, result: str = "", tree: str = "t1", order: str = "alpha") -> NewEvent:
    fields: dict[str, Any] = {"gate": "unit", "tree": tree, "change": change}
    if kind == "gate_finished":
        counts = {"executed": 9, "passed": 8, "failed": 1, "skipped": 0, "duration_s": 1.0, "cached": False}
        fields |= {"result": result, "reason": "1 of 9 failed", **counts}
    return NewEvent(kind, fields, work_order=order)


def canary(verdict: str) -> list[NewEvent]:
    about = {"commit": COMMIT, "about": COMMIT, "purpose": "first"}
    flows = [{"flow": "resize", "verdict": verdict, "reason": "it broke"}]
    ended = about | {"verdict": verdict, "reason": "it broke", "flow": "resize", "flows": flows}
    return [NewEvent("canary_started", about), NewEvent("canary_finished", ended)]


@asynccontextmanager
async def main_screen(folder: Path, *events: NewEvent, **more: Any) -> AsyncIterator[Hand]:
    writer: Writer = a_night(folder, *events, orders=ORDERS)
    writer.write(NewEvent("roadmap_read", {"count": 3, "orders": [], "gone": [], "items": ITEMS}))
    async with a_room(writer, **more) as hand:
        await hand.until(lambda: hand.app.opened and hand.app.room.source.past_read == 1.0, "the room is open")
        await hand.until(lambda: bool(rows(hand, "roadmap").keys), "the roadmap is drawn")
        yield hand


def rows(hand: Hand, name: str) -> Rows:
    return hand.app.screen_stack[0].query_one(f"#{name}-rows", Rows)


def text(hand: Hand, name: str) -> str:
    table = rows(hand, name)
    return "\n".join(table.render_line(y).text for y in range(table.size.height))


def header(hand: Hand) -> str:
    return "  ".join(part for _, part, _ in parts_of(hand.app.room))


async def test_items_come_with_their_work_orders_and_the_rest_at_the_end(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        assert list(rows(hand, "roadmap").keys) == ["item:i", "alpha", "beta", "gamma"]


async def test_a_state_is_told_by_a_glyph_and_a_word_and_changes_live(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        assert "· draft" in text(hand, "roadmap")
        hand.writer.write(ready("alpha"), started("alpha"))
        await hand.until(lambda: "▶ running" in text(hand, "roadmap"), "alpha runs")
        await hand.until(lambda: "alpha" in text(hand, "agents"), "its run is shown")
        hand.writer.write(finished("alpha", result="idle"))
        await hand.until(lambda: "idle" in text(hand, "agents"), "its end is told")


async def test_an_item_folds_and_unfolds(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        rows(hand, "roadmap").select("beta")
        await hand.press("space")
        assert list(rows(hand, "roadmap").keys) == ["item:i", "gamma"]
        await hand.press("enter")
        assert "beta" in rows(hand, "roadmap").keys


async def test_the_filter_looks_at_id_title_state_and_item_and_escape_clears_it(tmp_path: Path) -> None:
    async with main_screen(tmp_path, ready("gamma")) as hand:
        for typed, kept in (("second", ["item:i", "beta"]), ("ready", ["gamma"]), ("item alp", ["item:i", "alpha"])):
            await hand.press("slash", *typed.replace(" ", "␣").replace("␣", " "), "enter")
            await hand.until(lambda kept=kept: list(rows(hand, "roadmap").keys) == kept, typed)
            await hand.press("escape")
            await hand.until(lambda: len(rows(hand, "roadmap").keys) == 4, "all are back")


@pytest.mark.slow
async def test_a_filtered_state_follows_the_night(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        await hand.press("slash", *"running", "enter")
        assert list(rows(hand, "roadmap").keys) == []
        hand.writer.write(ready("alpha"), started("alpha"))
        await hand.until(lambda: "alpha" in rows(hand, "roadmap").keys, "alpha is running now")


@pytest.mark.slow
async def test_enter_opens_what_is_under_the_cursor_of_each_pane(tmp_path: Path) -> None:
    events = (ready("alpha"), started("alpha"), finished("alpha"), proposed("alpha", "c1"), gate("gate_started", "c1"))
    async with main_screen(tmp_path, *events, *canary("PASS")) as hand:
        for pane, screen in (("1", OrderScreen), ("2", RunScreen), ("3", GateScreen), ("4", CanaryScreen)):
            await hand.press(pane)
            if pane == "1":
                rows(hand, "roadmap").select("alpha")
            await hand.press("enter")
            await hand.until(lambda screen=screen: isinstance(hand.app.screen, screen), screen.__name__)
            await hand.press("escape")
            await hand.until(lambda: isinstance(hand.app.screen, MainScreen), "back")


async def test_a_superseded_gate_is_not_told_as_failed(tmp_path: Path) -> None:
    events = (ready("alpha"), started("alpha"), finished("alpha"), proposed("alpha", "c1"))
    async with main_screen(
        tmp_path, *events, gate("gate_started", "c1"), gate("gate_started", "c1", tree="t2")
    ) as hand:
        await hand.until(lambda: "superseded" in text(hand, "train"), "the older tree is superseded")
        assert "✘" not in text(hand, "train")
        hand.writer.write(gate("gate_finished", "c1", "red", tree="t2"))
        await hand.until(lambda: "✘ unit 8/9" in text(hand, "train"), "the newer one is red, with its count")
        assert "1 of 9 failed" in text(hand, "train")


@pytest.mark.slow
async def test_the_log_follows_the_newest_run_until_a_person_picks_another(tmp_path: Path) -> None:
    async with main_screen(tmp_path, ready("alpha"), ready("gamma"), started("alpha")) as hand:
        log = hand.app.screen.query_one(LogPane)
        await hand.until(lambda: log.run == "alpha.1", "the first run")
        hand.writer.write(finished("alpha"), started("gamma"))
        await hand.until(lambda: log.run == "gamma.1", "the next, when the first has ended")
        await hand.until(lambda: "gamma" in text(hand, "agents"), "both runs are listed")
        await hand.press("2", "g", "G")
        await hand.until(lambda: log.run == "alpha.1", "the one that was picked")
        hand.writer.write(finished("gamma"), ready("beta"), started("beta"))
        await hand.until(lambda: "beta" in text(hand, "agents"), "another has started")
        assert log.run == "alpha.1"


async def test_a_red_canary_says_which_flow_and_why(tmp_path: Path) -> None:
    async with main_screen(tmp_path, *canary("FAIL"), size=(160, 40)) as hand:
        assert "✘ FAIL" in text(hand, "canary")
        assert "resize: it broke" in text(hand, "canary")


async def test_zoom_shows_one_pane_alone_and_escape_brings_all_back(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        await hand.press("3", "z")
        shown = {pane.id for pane in hand.app.screen.query("Pane") if pane.region.area}
        assert shown == {"train"}
        await hand.press("2")
        assert {pane.id for pane in hand.app.screen.query("Pane") if pane.region.area} == {"agents"}
        await hand.press("escape")
        assert len([pane for pane in hand.app.screen.query("Pane") if pane.region.area]) == 5


async def test_the_banner_says_what_is_needed_and_goes_when_it_is_done(tmp_path: Path) -> None:
    async with main_screen(tmp_path, asked("ap-1", "alpha"), ready("alpha")) as hand:
        banner = hand.app.screen.query_one("#banner")
        assert banner.display
        assert "! 1 needs you" in header(hand)
        answered = NewEvent(
            "approval_answered", {"approval": "ap-1", "answer": "denied", "by": "x"}, work_order="alpha"
        )
        hand.writer.write(answered)
        await hand.until(lambda: not banner.display, "nothing is needed any more")


async def test_the_header_says_what_is_not_known(tmp_path: Path) -> None:
    async with main_screen(tmp_path) as hand:
        assert "unknown" in header(hand)
        assert "last good unknown" in header(hand)
        assert "engine stopped" in header(hand)


@pytest.mark.parametrize(
    "size",
    [
        (40, 10),
        (1, 1),
        *(pytest.param(each, marks=pytest.mark.slow) for each in ((20, 5), (80, 24), (200, 50), (300, 100))),
    ],
)
async def test_no_size_of_the_terminal_is_too_small_or_too_large(tmp_path: Path, size: tuple[int, int]) -> None:
    async with main_screen(tmp_path, ready("alpha"), started("alpha")) as hand:
        await hand.pilot.resize_terminal(*size)
        await hand.pilot.pause()
        await hand.press("j", "2", "z", "5", "escape")
        assert isinstance(hand.app.screen, MainScreen)


def test_of_each_gate_the_newest_record_counts() -> None:
    assert split_key("agent/x/1|tree") == ("agent/x/1", "tree")
    assert split_key("|tree") == ("", "tree")
    assert latest([]) == []


@pytest.mark.parametrize(
    ("backend", "reason", "said"),
    [("bubblewrap", "", ""), ("landlock", "no bwrap", "sandbox landlock"), ("none", "no bwrap", "! no sandbox")],
)
async def test_a_sandbox_that_is_not_the_strongest_is_told_in_the_header(
    tmp_path: Path, backend: str, reason: str, said: str
) -> None:
    sandbox = {"backend": backend, "reason": reason, "guarantees": {}}
    again = NewEvent("engine_started", {"epoch": 2, "version": "0", "pid": 1, "sandbox": sandbox})
    async with main_screen(tmp_path, again) as hand:
        assert said in header(hand)
        assert ("sandbox" in header(hand)) is bool(said)
