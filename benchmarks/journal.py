"""The journal's figures: durable events a second by producers, and the start on a journal of 100,000 events.

    python -m benchmarks.journal [--seconds 2] [--events 100000]

A producer appends its next event when the last one is durable, as an effect does. "start" opens the journal, reads the
newest snapshot if there is one, and decodes every event behind it; folding them into the state comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from engine.journal import Journal
from engine.models.event import NewEvent

FIELDS = {"gate": "unit", "result": "green", "executed": 212, "duration_s": 12.25, "log": "sha256:" + "0" * 64}


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def opened(path: Path) -> Journal:
    journal = Journal(path, clock=SystemClock())
    journal.open()
    return journal


async def durable_events_per_s(folder: Path, producers: int, seconds: float) -> float:
    journal = opened(folder / f"{producers}.db")
    journal.start(asyncio.get_running_loop(), lambda events: None)
    end = time.perf_counter() + seconds

    async def produce() -> int:
        count = 0
        while time.perf_counter() < end:
            await journal.append("gate_finished", FIELDS, work_order="resize-path", run="resize-path/1")
            count += 1
        return count

    started = time.perf_counter()
    total = sum(await asyncio.gather(*(produce() for _ in range(producers))))
    elapsed = time.perf_counter() - started
    journal.close()
    return total / elapsed


async def fill(path: Path, events: int) -> None:
    journal = opened(path)
    journal.start(asyncio.get_running_loop(), lambda batch: None)
    event = NewEvent("gate_finished", FIELDS, "resize-path", "resize-path/1")
    for start in range(0, events, 1000):
        await journal.append_all([event] * min(1000, events - start))
    journal.close()


async def snapshot(path: Path, seq: int, size_bytes: int) -> None:
    journal = opened(path)
    journal.start(asyncio.get_running_loop(), lambda batch: None)
    await journal.save_snapshot(seq, bytes(size_bytes))
    journal.close()


def start_s(path: Path) -> tuple[float, int]:
    """Seconds of a start, and how many events it decoded."""
    started = time.perf_counter()
    journal = opened(path)
    found = journal.newest_snapshot()
    count = sum(1 for _ in journal.events(after=found[0] if found else 0))
    elapsed = time.perf_counter() - started
    journal.close()
    return elapsed, count


def chain_s(path: Path) -> float:
    """Seconds to verify the hash chain from the first event on."""
    journal = opened(path)
    started = time.perf_counter()
    assert journal.verify_chain() is None
    elapsed = time.perf_counter() - started
    journal.close()
    return elapsed


def show_start(how: str, elapsed_s: float, decoded: int) -> None:
    print(f"journal: start {how:17} {elapsed_s * 1000:10,.0f} ms, {decoded:,} events decoded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each producer count is measured")
    parser.add_argument("--events", type=int, default=100_000, help="the length of the journal that is started on")
    parser.add_argument("--dir", type=Path, default=None, help="a folder on the disk to measure (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        for producers in (1, 8, 64):
            rate = asyncio.run(durable_events_per_s(folder, producers, options.seconds))
            print(f"journal: {producers:3} producers  {rate:10,.0f} durable events/s")
        path = folder / "long.db"
        asyncio.run(fill(path, options.events))
        show_start("without snapshot", *start_s(path))
        asyncio.run(snapshot(path, options.events - 2_500, 1_000_000))
        show_start("with snapshot", *start_s(path))
        print(f"journal: hash chain of {options.events:,} events verified in {chain_s(path) * 1000:,.0f} ms")


if __name__ == "__main__":
    main()
