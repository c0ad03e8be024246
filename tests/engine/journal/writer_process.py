"""A program for tests: writes a journal until it is killed, and prints `seq producer count` once an event is durable.

argv: journal path, number of producers, events of each producer (0: without end).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from engine.journal import Journal


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


async def produce(journal: Journal, producer: int, count: int) -> None:
    at = 0
    while not count or at < count:
        event = await journal.append("counted", {"producer": producer, "count": at, "pad": "x" * (at % 700)})
        os.write(1, f"{event.seq} {producer} {at}\n".encode())
        if at % 40 == 39:
            await journal.save_snapshot(event.seq, b"state" * 1000)
        at += 1


async def main(path: Path, producers: int, count: int) -> None:
    journal = Journal(path, clock=SystemClock(), ballast_bytes=100_000)
    journal.open()
    journal.start(asyncio.get_running_loop(), lambda events: None)
    async with asyncio.TaskGroup() as group:
        for producer in range(producers):
            group.create_task(produce(journal, producer, count))
    journal.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
