"""Where a room gets what it shows: nothing is lost, nothing comes twice, whatever is written meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nights import Writer, a_night

from engine.client import Client
from engine.errors import SwarmError, UserError
from engine.history import History
from engine.journal import JournalReader
from engine.metrics import Tally
from engine.models.event import Event, NewEvent
from swarm_tui.room.source import SLICE, LiveSource

PATIENCE_S = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends, f"never came true: {what}"
        time.sleep(0.005)


@pytest.fixture
def night(tmp_path: Path) -> Writer:
    return a_night(tmp_path, orders=[{"id": f"o{number}"} for number in range(5)])


@pytest.fixture
def source(night: Writer, tmp_path: Path) -> Iterator[LiveSource]:
    found = LiveSource(night.folders, tmp_path)
    found.start()
    yield found
    found.close()


def ready(order: str) -> NewEvent:
    return NewEvent("work_order_ready", {"fresh": False, "by": ""}, work_order=order)


def test_the_state_is_there_at_once_and_the_past_follows(source: LiveSource) -> None:
    assert set(source.state.orders) == {f"o{number}" for number in range(5)}
    until(lambda: bool(source.poll(1.0)) or source.past_read == 1.0, "the past is read")
    assert source.history.seq == source.state.seq


def test_what_is_written_later_comes_in_order_and_once(source: LiveSource, night: Writer) -> None:
    seen: list[int] = []
    first = source.state.seq
    for _ in range(3):
        night.write(ready("o1"), NewEvent("engine_paused"), NewEvent("engine_resumed"))
    until(lambda: seen.extend(event.seq for event in source.poll(1.0)) or len(seen) >= 9, "nine events")
    assert seen == list(range(first + 1, first + 10))
    assert source.state.orders["o1"].phase == "ready"


def test_state_history_and_figures_are_those_of_the_whole_journal(source: LiveSource, night: Writer) -> None:
    for number in range(5):
        night.write(*(ready(f"o{number}") for _ in range(SLICE // 3)))
        source.poll(0.0)
    with_all = Client.attach(night.folders)
    until(lambda: bool(source.poll(1.0) or 1) and source.state.seq == with_all.state.seq, "all events are folded")
    until(lambda: bool(source.poll(1.0) or 1) and source.past_read == 1.0, "the past is read")
    history, tally = History(), Tally()
    for event in with_all.reader.events():
        history.apply(event)
        tally.apply(event)
    assert source.state == with_all.state
    assert source.history == history
    assert source.tally.figures(0.0) == tally.figures(0.0)
    with_all.close()


def spent(order: str) -> NewEvent:
    fields = {"role": "implementer", "agent": "demo", "tokens": 10, "cost": 1.0}
    return NewEvent("budget_spent", fields, work_order=order, run=f"{order}.1")


def all_of(night: Writer) -> tuple[History, Tally]:
    history, tally = History(), Tally()
    client = Client.attach(night.folders)
    for event in client.reader.events():
        history.apply(event)
        tally.apply(event)
    client.close()
    return history, tally


def test_what_comes_while_the_past_is_read_is_counted_once(night: Writer, tmp_path: Path) -> None:
    source = LiveSource(night.folders, tmp_path)
    source._client = Client.attach(night.folders)
    night.write(spent("o1"), spent("o2"))
    with JournalReader(night.folders.journal) as reader:
        source._read_past(reader, source.state.seq)
    assert len(source.poll(1.0)) == 2
    history, tally = all_of(night)
    assert source.tally.figures(0.0) == tally.figures(0.0)
    assert source.history == history
    source.close()


def test_what_comes_right_behind_the_past_in_the_middle_of_a_look_is_not_lost(night: Writer, tmp_path: Path) -> None:
    source = LiveSource(night.folders, tmp_path)
    source._client = Client.attach(night.folders)
    night.write(spent("o1"))
    reader = JournalReader(night.folders.journal)

    class FeedGoesOn(deque[Event]):
        """The feed's thread gets its turn between the room's look at the past and its look at what waits."""

        def __bool__(self) -> bool:
            if source._handover is None and source.past_read < 1.0:
                seq = source._read_past(reader, source.state.seq)
                night.write(spent("o2"))
                source._read_new(reader, seq, None)
            return len(self) > 0

    source._waiting = FeedGoesOn()
    assert len(source.poll(5.0)) == 2
    source.poll(5.0)
    history, tally = all_of(night)
    assert source.history == history
    assert source.tally.figures(0.0) == tally.figures(0.0)
    reader.close()
    source.close()


def test_a_small_budget_leaves_the_rest_for_the_next_look(source: LiveSource, night: Writer) -> None:
    night.write(*(ready("o1") for _ in range(50)))
    until(lambda: source.waiting >= 50, "the feed has read them")
    assert len(source.poll(0.0)) == 1
    assert len(source.poll(5.0)) == 49


def test_a_page_of_the_journal_never_goes_beyond_what_was_seen(source: LiveSource, night: Writer) -> None:
    seen = source.state.seq
    night.write(ready("o1"))
    assert [event.seq for event in source.events(seen - 2, 100)] == [seen - 1, seen]
    assert source.events(seen, 100) == []


def test_a_command_without_an_engine_waits_in_the_inbox(source: LiveSource, night: Writer) -> None:
    said = source.send("cancel", {"work_order": "o1"}).result(PATIENCE_S)
    assert "next engine" in said
    client = Client.attach(night.folders)
    assert [command.name for command in client.reader.open_commands()] == ["cancel"]
    client.close()


def test_a_command_that_can_never_be_done_is_refused(source: LiveSource) -> None:
    with pytest.raises(UserError, match="no work order nowhere"):
        source.send("cancel", {"work_order": "nowhere"}).result(PATIENCE_S)


def test_a_read_only_source_sends_nothing(night: Writer, tmp_path: Path) -> None:
    source = LiveSource(night.folders, tmp_path, read_only=True)
    source.start()
    try:
        with pytest.raises(UserError, match="read-only"):
            source.send("pause").result(PATIENCE_S)
    finally:
        source.close()
    client = Client.attach(night.folders)
    assert client.reader.open_commands() == []
    client.close()


def test_no_journal_is_said_in_a_sentence(tmp_path: Path) -> None:
    from engine.folders import StateFolder

    folders = StateFolder(tmp_path / "state")
    folders.create()
    with pytest.raises(UserError, match="no journal"):
        LiveSource(folders, tmp_path).start()


def test_a_missing_artifact_is_an_error_and_not_a_crash(source: LiveSource) -> None:
    with pytest.raises(SwarmError):
        source.artifact(f"sha256:{'a' * 64}")
