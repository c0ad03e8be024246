from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.journal import Journal
from engine.journal.reader import JournalReader
from engine.models.event import Event, NewEvent

OpenJournal = Callable[..., Journal]


async def test_an_append_is_acknowledged_with_its_number_and_can_be_read_back(open_journal: OpenJournal) -> None:
    journal = open_journal()
    first = await journal.append("run_started", {"agent": "script"}, work_order="a", run="a/1")
    second = await journal.append("run_finished")
    assert (first.seq, second.seq) == (1, 2)
    assert list(journal.events()) == [first, second]
    assert list(journal.events(after=1)) == [second]
    assert journal.last_seq() == 2


async def test_the_json_form_is_flat_and_its_time_is_utc(open_journal: OpenJournal) -> None:
    event = await open_journal().append("change_landed", {"commit": "abc"}, work_order="a", run="a/1")
    form = event.as_json()
    assert list(form) == ["seq", "at", "kind", "work_order", "run", "commit"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", form["at"])
    assert Event(1, 0.0, "k", "", "", {}).as_json()["at"] == "1970-01-01T00:00:00.000Z"


async def test_what_subscribers_see_is_what_a_later_reader_sees(
    open_journal: OpenJournal, batches: list[list[Event]]
) -> None:
    journal = open_journal()
    fields: dict[str, Any] = {
        "paths": ("a", "b"),
        "text": "zwölf \udc80 \u202e",
        "deep": {"list": [1, 2.5, None, True]},
    }
    await journal.append("change_proposed", fields)
    fields["deep"]["list"].append("later")
    assert [event for batch in batches for event in batch] == list(journal.events())
    assert batches[0][0].fields["deep"] == {"list": [1, 2.5, None, True]}


async def test_a_batch_is_announced_before_its_futures_are_resolved(path: Path) -> None:
    seen: list[str] = []
    journal = Journal(path, clock=_Clock(), ballast_bytes=0)
    journal.open()
    futures: list[asyncio.Future[Event]] = []

    def on_batch(events: list[Event]) -> None:
        seen.extend(f"batch {event.seq}" for event in events)
        seen.extend("resolved too early" for future in futures if future.done())

    journal.start(asyncio.get_running_loop(), on_batch)
    future = journal.append("tick")
    futures.append(future)
    future.add_done_callback(lambda done: seen.append(f"done {done.result().seq}"))
    await future
    await asyncio.sleep(0)
    journal.close()
    assert seen == ["batch 1", "done 1"]


async def test_many_appends_share_transactions_and_keep_the_order_of_the_calls(
    open_journal: OpenJournal, batches: list[list[Event]]
) -> None:
    journal = open_journal()
    events = await asyncio.gather(*(journal.append("tick", {"n": n}) for n in range(2000)))
    assert [event.fields["n"] for event in events] == list(range(2000))
    assert [event.seq for event in events] == list(range(1, 2001))
    assert len(batches) < 200
    assert [event for batch in batches for event in batch] == events


async def test_events_that_belong_together_get_consecutive_numbers(open_journal: OpenJournal) -> None:
    journal = open_journal()
    pair = [NewEvent("intent"), NewEvent("started", {"pid": 5}, "wo", "r")]
    pairs = [journal.append_all(pair) for _ in range(50)]
    for number, both in enumerate([await waiting for waiting in pairs]):
        assert [event.seq for event in both] == [2 * number + 1, 2 * number + 2]
        assert both[1].work_order == "wo"
    assert await journal.append_all([]) == []


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("tick", {"seq": 1}, ValueError),
        ("tick", {"work_order": "a"}, ValueError),
        ("tick", {"value": float("nan")}, ValueError),
        ("tick", {"value": object()}, TypeError),
        ("tick", {"value": "x" * 1_000_001}, ValueError),
        ("Not a kind\n", {}, ValueError),
    ],
)
async def test_what_does_not_belong_in_a_journal_is_refused_at_once(
    open_journal: OpenJournal, kind: str, fields: dict[str, Any], error: type[Exception]
) -> None:
    journal = open_journal()
    with pytest.raises(error):
        journal.append(kind, fields)
    assert (await journal.append("tick")).seq == 1


async def test_a_cancelled_waiter_loses_neither_its_event_nor_the_others(open_journal: OpenJournal) -> None:
    journal = open_journal()
    waiting = journal.append("tick", {"n": 1})
    waiting.cancel()
    assert (await journal.append("tick", {"n": 2})).seq == 2
    assert [event.fields["n"] for event in journal.events()] == [1, 2]


async def test_a_subscriber_that_raises_does_not_leave_waiters_hanging(path: Path) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))

    def on_batch(events: list[Event]) -> None:
        raise LookupError("a bug")

    journal = Journal(path, clock=_Clock(), ballast_bytes=0)
    journal.open()
    journal.start(asyncio.get_running_loop(), on_batch)
    assert (await journal.append("tick")).seq == 1
    assert (await journal.append("tick")).seq == 2
    journal.close()
    assert isinstance(complaints[0]["exception"], LookupError)


async def test_closing_writes_what_was_queued_and_a_new_start_goes_on(open_journal: OpenJournal) -> None:
    journal = open_journal()
    waiting = [journal.append("tick", {"n": n}) for n in range(700)]
    journal.close()
    journal.close()
    assert [(await future).seq for future in waiting] == list(range(1, 701))
    with pytest.raises(RuntimeError, match="not started"):
        journal.append("tick")
    again = open_journal()
    assert (await again.append("tick")).seq == 701
    assert again.verify_chain() is None


async def test_secrets_are_redacted_at_every_depth(open_journal: OpenJournal) -> None:
    journal = open_journal(redact=lambda text: text.replace("hunter22", "[redacted]"))
    await journal.append("tick", {"a": "hunter22", "b": [{"hunter22": ("x hunter22 y", 5)}]})
    assert "hunter22" not in json.dumps([event.as_json() for event in journal.events()])
    assert next(journal.events()).fields == {"a": "[redacted]", "b": [{"[redacted]": ["x [redacted] y", 5]}]}


async def test_pages_and_limits_give_every_event_once(open_journal: OpenJournal) -> None:
    journal = open_journal()
    await journal.append_all([NewEvent("tick", {"n": n}) for n in range(2500)])
    assert [event.seq for event in journal.events()] == list(range(1, 2501))
    assert [event.seq for event in journal.events(after=999, limit=1001)] == list(range(1000, 2001))
    assert list(journal.events(limit=0)) == []
    assert list(journal.events(after=2500)) == []


async def test_the_newest_two_snapshots_are_kept(open_journal: OpenJournal, path: Path) -> None:
    journal = open_journal()
    assert journal.newest_snapshot() is None
    for seq in (10, 20, 30):
        await journal.save_snapshot(seq, b"state %d" % seq)
    assert journal.newest_snapshot() == (30, b"state 30")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT seq FROM snapshots ORDER BY seq").fetchall() == [(20,), (30,)]
    database.close()


async def test_a_damaged_snapshot_is_passed_over(open_journal: OpenJournal, path: Path) -> None:
    journal = open_journal()
    await journal.save_snapshot(10, b"old")
    await journal.save_snapshot(20, b"new")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE snapshots SET state = x'00' WHERE seq = 20")
    database.close()
    assert journal.newest_snapshot() == (10, b"old")


@pytest.mark.parametrize(
    ("tampering", "expected"),
    [
        ("UPDATE events SET json = replace(json, '\"n\":5', '\"n\":6') WHERE seq = 6", 6),
        ("UPDATE events SET at = at + 1 WHERE seq = 3", 3),
        ("UPDATE events SET kind = 'tock' WHERE seq = 1", 1),
        ("UPDATE events SET boot_id = 'other' WHERE seq = 9", 9),
        ("DELETE FROM events WHERE seq = 4", 4),
        ("UPDATE events SET hash = x'00' WHERE seq = 7", 7),
        ("UPDATE events SET json = CAST(x'ff' AS TEXT) WHERE seq = 2", 2),
        ("INSERT INTO events SELECT 11, at, boot_id, monotonic, kind, json, hash, hash FROM events WHERE seq = 10", 11),
        ("UPDATE inbox SET name = 'other'", None),
    ],
)
async def test_tampering_breaks_the_chain_where_it_happened(
    open_journal: OpenJournal, path: Path, tampering: str, expected: int | None
) -> None:
    journal = open_journal()
    await journal.append_all([NewEvent("tick", {"n": n}) for n in range(10)])
    assert journal.verify_chain() is None
    with sqlite3.connect(path) as database:
        database.execute(tampering)
    database.close()
    assert journal.verify_chain() == expected


async def test_a_flipped_byte_in_the_file_is_found(open_journal: OpenJournal, path: Path) -> None:
    journal = open_journal()
    await journal.append_all([NewEvent("tick", {"word": f"needle{n}"}) for n in range(10)])
    journal.close()
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"needle7")] ^= 1
    path.write_bytes(raw)
    again = open_journal()
    assert again.verify_chain() == 8
    assert again.verify_chain(after=8) is None
    assert again.verify_chain(after=3) == 8
    assert again.verify_chain(after=99) == 99


def test_a_state_of_a_newer_version_is_refused_in_one_sentence(open_journal: OpenJournal, path: Path) -> None:
    open_journal().close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    database.close()
    with pytest.raises(UserError, match=r"newer swarm .*upgrade swarm"):
        open_journal()
    with pytest.raises(UserError, match="newer swarm"):
        JournalReader(path)


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named_damaged(open_journal: OpenJournal, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        open_journal()
    assert path.read_bytes() == content


async def test_a_page_of_rubbish_is_an_error_with_what_to_do(open_journal: OpenJournal, path: Path) -> None:
    journal = open_journal()
    await journal.append_all([NewEvent("tick", {"word": "w" * 500}) for _ in range(100)])
    journal.close()
    raw = bytearray(path.read_bytes())
    for page in range(8, len(raw) // 4096):
        raw[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(raw)
    with pytest.raises(UserError, match="is damaged"):
        list(open_journal().events())


def test_a_folder_that_cannot_be_made_is_a_user_error(open_journal: OpenJournal, path: Path) -> None:
    path.parent.write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="--state"):
        open_journal()


def test_a_reader_without_a_journal_says_how_to_get_one(path: Path) -> None:
    with pytest.raises(UserError, match="start the engine"):
        JournalReader(path)
    path.parent.mkdir()
    path.touch()
    with pytest.raises(UserError, match="start the engine"):
        JournalReader(path)


class _Clock:
    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 5.0
