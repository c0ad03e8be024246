"""How long an engine takes to start on a long journal: from the lock to `engine_started`, with and without a snapshot.

The journal is that of a real landing, repeated under other names until it is long enough: its fold has thousands of
work orders. With a snapshot means as an engine leaves it; without one is the first start of a version whose state has
another shape, and verifies and folds every event.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engine_process import Bench, environment
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.landing import notes
from engine.host import Host
from engine.journal import Journal, JournalReader
from engine.models.event import Event, NewEvent
from swarm_tui.compose import SystemClock, make_host
from swarm_tui.place import find_place

GOAL_S = 1.0
_ID = re.compile(r"\b[0-9a-f]{40,64}\b")


def measure(scale: Scale) -> list[Figure]:
    os.environ["PATH"] = environment()["PATH"]
    bench = notes(scale.folder, 1)
    _run(bench)
    asyncio.run(lengthen(bench.folders.journal, scale.journal_events))
    bench.folders.head.unlink()  # of the shorter one
    _run(bench)  # looks at the roadmap once, and leaves its snapshot
    repeats = max(1, scale.repeats // 2)
    with_snapshot = [started_s(bench) for _ in range(repeats)]
    bare = [_read_s(bench.folders.journal) for _ in range(repeats)]
    without = [started_s(bench, forget=True) for _ in range(repeats)]
    beside = [Beside("bare SQLite, reading all rows", bare)]
    events = f"{scale.journal_events:,} events"
    return [
        Figure(f"start on {events}, as an engine leaves them", "s", with_snapshot, GOAL_S, beside=beside),
        Figure(f"start on {events}, without a snapshot", "s", without, GOAL_S, beside=beside),
    ]


def started_s(bench: Bench, *, forget: bool = False) -> float:
    """Seconds from `Host.run` until its `engine_started` is durable. forget: throw the snapshots away before."""
    if forget:
        connection = sqlite3.connect(bench.folders.journal, isolation_level=None)
        connection.execute("DELETE FROM snapshots")
        connection.close()
    host = make_host(find_place(bench.repo, bench.state))
    found: list[float] = []

    def saw(events: list[Event]) -> None:
        if any(event.kind == "engine_started" for event in events):
            found.append(time.perf_counter())

    host.on_events = saw
    started = time.perf_counter()
    asyncio.run(_start_and_stop(host))
    return found[0] - started


async def _start_and_stop(host: Host) -> None:
    task = asyncio.create_task(host.run())
    await asyncio.to_thread(host.ready.wait)
    host.stop_now()
    await task


def _run(bench: Bench) -> None:
    asyncio.run(make_host(find_place(bench.repo, bench.state)).run(until_idle=True))


async def lengthen(path: Path, count: int) -> None:
    """Write the journal anew with `count` events: copies of it under other names, then itself, which is where its
    repository stands."""
    reader = JournalReader(path)
    real = list(reader.events())
    reader.close()
    path.rename(path.with_suffix(".short"))
    for rest in ("-wal", "-shm"):
        path.with_name(f"{path.name}{rest}").unlink(missing_ok=True)
    journal = Journal(path, clock=SystemClock())
    journal.open()
    journal.start(asyncio.get_running_loop(), lambda events: None)
    batch: list[NewEvent] = []
    for event in _repeated(real, count):
        batch.append(event)
        if len(batch) == 1000:
            await journal.append_all(batch)
            batch = []
    await journal.append_all(batch)
    journal.close()


def _repeated(real: list[Event], count: int) -> Iterator[NewEvent]:
    own = [event for event in real if event.work_order or event.kind in ("roadmap_read", "canary_started", "published")]
    nth = 0
    left = count - len(real)
    yield _new(real[0], real[0].fields)
    while left > 0:
        nth += 1
        for event in own[:left]:
            yield _copy(event, nth)
        left -= len(own)
    yield from (_new(event, event.fields) for event in real[1:])


def _new(event: Event, fields: dict[str, object]) -> NewEvent:
    if event.kind == "engine_started":
        fields = {**fields, "heads": False}  # the longer journal is from before there were any
    return NewEvent(event.kind, fields, event.work_order, event.run)


def _copy(event: Event, nth: int) -> NewEvent:
    """The same event about another work order, with other commits, trees and reports."""

    def other(found: re.Match[str]) -> str:
        return hashlib.sha256(f"{nth}:{found[0]}".encode()).hexdigest()[: len(found[0])]

    text = json.dumps([event.fields, event.work_order, event.run]).replace("note-1", f"copy-{nth}")
    fields, order, run = json.loads(_ID.sub(other, text))
    return NewEvent(event.kind, fields, order, run)


def _read_s(path: Path) -> float:
    started = time.perf_counter()
    connection = sqlite3.connect(path)
    for _ in connection.execute("SELECT seq, at, kind, json FROM events ORDER BY seq"):
        pass
    connection.close()
    return time.perf_counter() - started
