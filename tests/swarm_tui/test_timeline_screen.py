"""The timeline: every event as a sentence, whole on demand, however long the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nights import Writer, a_night, opener_of
from textual.pilot import Pilot
from textual.widgets import Input

from engine.models.event import Event, NewEvent
from swarm_tui.app import RoomApp
from swarm_tui.room.event_index import PAGE, EntryFilter, EventIndex, EventPages, entry_of, told
from swarm_tui.screens.timeline import DAY, TimelineScreen, canaried, gated
from swarm_tui.widgets.event_detail import EventDetail, json_of, wrapped


def gate(order: str, result: str, reason: str = "") -> NewEvent:
    counts: dict[str, Any] = {"executed": 1, "passed": 1, "failed": 0, "skipped": 0}
    fields = {"gate": "unit", "tree": "d" * 40, "change": f"agent/{order}/1", "result": result, "reason": reason}
    return NewEvent("gate_finished", {**fields, **counts, "duration_s": 1.0, "cached": False}, order)


def paused(count: int) -> list[NewEvent]:
    return [NewEvent("engine_paused" if at % 2 else "engine_resumed") for at in range(count)]


async def until(pilot: Pilot[Any], holds: Any) -> None:
    for _ in range(200):
        if holds():
            return
        await pilot.pause(0.02)
    assert holds()


async def opened(pilot: Pilot[Any], app: RoomApp, order: str = "") -> TimelineScreen:
    await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
    screen = TimelineScreen(order)
    app.show(screen)
    await until(pilot, lambda: screen.is_mounted and screen.rows.keys and screen._index and screen._index.complete)
    return screen


def app_on(night: Writer, folder: Path) -> RoomApp:
    return RoomApp(opener_of(night.folders, folder))


def said(screen: TimelineScreen) -> list[str]:
    return [screen._cells(key)[-1].text for key in screen.rows.keys]


async def test_it_begins_at_the_end_and_follows_it(tmp_path: Path) -> None:
    night = a_night(tmp_path, *paused(60))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        assert screen.following
        night.write(gate("one", "red", "boom"))
        await until(pilot, lambda: said(screen)[-1] == "gate unit red: boom")
        assert screen.following
        await until(pilot, lambda: screen.rows.scroll_offset.y == screen.rows.max_scroll_y > 0)


async def test_a_cursor_that_was_moved_up_stays_on_its_event(tmp_path: Path) -> None:
    night = a_night(tmp_path, *paused(60))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("k", "k")
        key = screen.rows.key
        night.write(*paused(3))
        await until(pilot, lambda: screen._index is not None and screen._index.last == 67)
        assert (screen.rows.key, screen.following) == (key, False)


@pytest.mark.slow
async def test_events_that_only_the_journal_needs_are_shown_on_demand(tmp_path: Path) -> None:
    app = app_on(a_night(tmp_path), tmp_path)
    async with app.run_test(size=(120, 24)) as pilot:
        screen = await opened(pilot, app)
        assert not any("repository_opened" in line for line in said(screen))
        await pilot.press("v")
        assert any(line.startswith("repository_opened {") for line in said(screen))


async def test_each_day_has_a_line(tmp_path: Path) -> None:
    night = a_night(tmp_path)
    night.clock.at += 3 * 86_400
    night.write(*paused(2))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        days = [key for key in screen.rows.keys if key.startswith(DAY)]
        assert len(days) == 2
        assert screen.rows.keys[0] == days[0]


async def test_words_of_order_kind_and_tone_filter(tmp_path: Path) -> None:
    night = a_night(tmp_path, gate("one", "red", "boom"), gate("one", "green"), gate("two", "red", "bang"))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("slash")
        screen.query_one("#filter", Input).value = "bad two"
        await pilot.press("enter")
        assert said(screen)[1:] == ["gate unit red: bang"]
        await pilot.press("escape")
        assert len(screen.rows.keys) > 3
        assert screen.query_one("#filter", Input).value == ""


async def test_a_timeline_of_one_work_order_has_nothing_else(tmp_path: Path) -> None:
    night = a_night(tmp_path, gate("one", "red", "boom"), gate("one-more", "red", "bang"))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, "one")
        assert said(screen)[1:] == ["gate unit red: boom"]


async def test_problems_are_one_key_apart(tmp_path: Path) -> None:
    events = [*paused(1), gate("one", "red", "boom"), *paused(1), gate("one", "red", "bang"), *paused(1)]
    app = app_on(a_night(tmp_path, *events), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("N")
        assert screen._cells(screen.rows.key)[-1].text == "gate unit red: bang"
        await pilot.press("N")
        assert screen._cells(screen.rows.key)[-1].text == "gate unit red: boom"
        await pilot.press("n")
        assert screen._cells(screen.rows.key)[-1].text == "gate unit red: bang"


async def test_enter_shows_the_whole_event_and_nothing_in_it_steers_the_terminal(tmp_path: Path) -> None:
    night = a_night(tmp_path, gate("one", "red", "bo\x1b[31mom \u202e[bold]x[/bold]"))
    app = app_on(night, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("enter")
        text = screen.query_one(EventDetail).text
        assert '"kind": "gate_finished"' in text
        assert "\\u001b[31m" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[bold]x[/bold]" in text
        await pilot.press("escape")
        assert not screen.has_class("-detail")
        assert app.screen is screen


async def test_an_empty_choice_says_what_to_do(tmp_path: Path) -> None:
    app = app_on(a_night(tmp_path), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#filter", Input).value = "nonsense"
        await pilot.pause()
        assert "escape clears" in screen.rows.empty


async def test_forty_by_ten_is_enough_to_live(tmp_path: Path) -> None:
    app = app_on(a_night(tmp_path, *paused(30)), tmp_path)
    async with app.run_test(size=(40, 10)) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("enter", "v", "g", "G")
        assert screen.rows.keys


class Recorded:
    """A journal in memory that tells how much of it was asked for."""

    def __init__(self, count: int, first: int = 1) -> None:
        self.all = [Event(seq, float(seq), "engine_paused", "", "", {}) for seq in range(first, count + 1)]
        self.asked: list[tuple[int, int]] = []

    def events(self, after: int, limit: int) -> list[Event]:
        self.asked.append((after, limit))
        return [event for event in self.all if after < event.seq <= after + limit]


def test_the_index_grows_at_both_ends() -> None:
    source = Recorded(1_800)
    index = EventIndex(source, 1_700)
    index.read_past(lambda: False)
    index.take_past()
    assert [entry.seq for entry in index.entries] == list(range(1, 1_701))
    assert index.complete
    while index.last < 1_800:
        assert index.take_new((), 1_800)
    entry = index.entry(1_750)
    assert entry is not None
    assert entry.seq == 1_750


def test_reading_the_past_stops_when_it_is_given_up() -> None:
    source = Recorded(10_000)
    index = EventIndex(source, 10_000)
    index.read_past(lambda: len(source.asked) >= 2)
    assert len(source.asked) == 2
    assert not index.past_read


def test_a_recording_that_begins_late_is_read_down_to_its_first_event() -> None:
    source = Recorded(1_800, first=700)
    index, pages = EventIndex(source, 1_800), EventPages(source)
    index.read_past(lambda: len(source.asked) > 10)
    index.take_past()
    assert [entry.seq for entry in index.entries] == list(range(700, 1_801))
    assert index.past_read
    assert not index.waiting
    found = [event.seq if (event := pages.event(seq)) else None for seq in (699, 700, 799, 801, 1_800)]
    assert found == [None, 700, 799, 801, 1_800]


def test_a_page_is_read_once() -> None:
    source = Recorded(PAGE * 3)
    pages = EventPages(source)
    for seq in range(PAGE + 1, 2 * PAGE + 1):
        event = pages.event(seq)
        assert event is not None
        assert event.seq == seq
    assert len(source.asked) == 1
    assert pages.event(PAGE * 3 + 1) is None


def test_an_event_that_another_version_wrote_is_told_as_it_stands() -> None:
    strange = Event(1, 0.0, "gate_finished", "one", "", {"new": "shape"})
    assert told(strange).text == 'gate_finished {"new": "shape"}'
    assert EntryFilter()(entry_of(strange))


def test_events_know_their_gates_and_their_canary() -> None:
    main = Event(1, 0.0, "gate_started", "", "", {"gate": "unit", "tree": "t", "change": ""})
    assert gated({}, main) == ("", "t")
    judged = Event(2, 0.0, "canary_finished", "", "", {"commit": "suspect", "about": "red"})
    assert canaried(judged) == "red"
    assert canaried(main) == ""


def test_long_values_go_on_below_and_nothing_is_lost() -> None:
    line = '  "reason": "' + "word " * 40 + '"'
    rows = wrapped(line, 30)
    assert all(len(text) <= 30 for text, _ in rows)
    assert "".join(text if not at else text[4:] for at, (text, _) in enumerate(rows)) == line
    assert json_of(Event(1, 0.0, "suspended", "", "", {"gap_s": 3})).startswith('{\n  "seq": 1')
