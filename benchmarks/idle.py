"""What an engine costs while there is nothing to do: processor time and memory of its process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

import psutil

from benchmarks.engine_process import PYTHON, environment, running, tinykit, wait_until_settled
from benchmarks.figure import Beside, Figure, Scale

GOAL_PERCENT = 1.0
GOAL_MB = 100.0
WINDOWS = 4
"""The time is cut into so many pieces, for a spread."""

BARE = "import asyncio; asyncio.run(asyncio.sleep(3600))"


def measure(scale: Scale) -> list[Figure]:
    bench = tinykit(scale.folder)
    bare = subprocess.Popen([PYTHON, "-c", BARE], env=environment())
    try:
        with running(bench) as engine:
            wait_until_settled(bench, engine)
            percents, sizes = observed([engine.pid, bare.pid], scale.idle_s)
    finally:
        bare.kill()
        bare.wait()
    # The bare process does nothing at all, so a ratio of processor time would say nothing.
    memory = [Beside("idle asyncio process", sizes[1])]
    return [
        Figure("idle engine, processor time", "%", percents[0], GOAL_PERCENT),
        Figure("idle engine, resident memory", "MB", sizes[0], GOAL_MB, beside=memory),
    ]


def observed(pids: Sequence[int], seconds: float) -> tuple[list[list[float]], list[list[float]]]:
    """(percent of one processor by window, resident megabytes by window), for each process."""
    processes = [psutil.Process(pid) for pid in pids]
    percents: list[list[float]] = [[] for _ in pids]
    sizes: list[list[float]] = [[] for _ in pids]
    for _ in range(WINDOWS):
        before, started = [_busy_s(process) for process in processes], time.perf_counter()
        time.sleep(seconds / WINDOWS)
        elapsed = time.perf_counter() - started
        for at, process in enumerate(processes):
            percents[at].append((_busy_s(process) - before[at]) / elapsed * 100)
            sizes[at].append(process.memory_info().rss / 1e6)
    return percents, sizes


def _busy_s(process: psutil.Process) -> float:
    """Its own time, and that of the children it has waited for."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system
