"""Durable events a second of the journal, by producers, beside bare SQLite commits of the same bytes.

A producer appends its next event when the last one is durable, as an effect does.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path

from benchmarks.figure import Beside, Figure, Scale
from engine.journal import Journal
from swarm_tui.compose import SystemClock

FIELDS = {"gate": "unit", "result": "green", "executed": 212, "duration_s": 12.25, "log": "sha256:" + "0" * 64}
ROUNDS = 5


def measure(scale: Scale) -> list[Figure]:
    alone: list[float] = []
    together: list[float] = []
    bare: list[float] = []
    seconds = scale.journal_seconds / ROUNDS * 2
    for nth in range(ROUNDS):  # in turn, so that a drift of the disk meets all of them
        bare.append(bare_commits_per_s(scale.folder / f"bare-{nth}.db", seconds))
        alone.append(asyncio.run(durable_events_per_s(scale.folder / f"1-{nth}.db", 1, seconds)))
        together.append(asyncio.run(durable_events_per_s(scale.folder / f"8-{nth}.db", 8, seconds)))
    beside = [Beside("bare SQLite, one FULL commit an event", bare)]
    return [
        Figure("journal, 1 producer", "durable events/s", alone, beside=beside),
        Figure("journal, 8 producers", "durable events/s", together, beside=beside),
    ]


async def durable_events_per_s(path: Path, producers: int, seconds: float) -> float:
    journal = Journal(path, clock=SystemClock())
    journal.open()
    journal.start(asyncio.get_running_loop(), lambda events: None)
    started = time.perf_counter()
    end = started + seconds

    async def produce() -> int:
        count = 0
        while time.perf_counter() < end:
            await journal.append("gate_finished", FIELDS, work_order="resize-path", run="resize-path/1")
            count += 1
        return count

    total = sum(await asyncio.gather(*(produce() for _ in range(producers))))
    elapsed = time.perf_counter() - started
    journal.close()
    return total / elapsed


def bare_commits_per_s(path: Path, seconds: float) -> float:
    """What the disk allows: a table of one text column, WAL, synchronous=FULL, one commit a row."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchone()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, json TEXT NOT NULL)")
    body, count = json.dumps(FIELDS), 0
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO events (json) VALUES (?)", (body,))
        connection.execute("COMMIT")
        count += 1
    elapsed = time.perf_counter() - started
    connection.close()
    return count / elapsed
