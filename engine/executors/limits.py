"""Whether this machine holds process trees to their quotas, found out by trees that go beyond them."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import threading
from pathlib import Path

from engine.errors import SwarmError
from engine.executors.local import LocalExecutor
from engine.ports import ProcessResult, ProcessSpec, Quota
from engine.sandbox.none import NoSandbox

MEMORY_BYTES = 120_000_000
PROCESSES = 12
STAYS_S = 1.0
WALL_S = 20.0
GREEDY = f"import time; x = bytearray({MEMORY_BYTES}); time.sleep({STAYS_S})"
MANY = f"""
import subprocess, sys, time
for _ in range({PROCESSES}): subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep({STAYS_S})"])
time.sleep({STAYS_S})
"""


def probe_limits() -> bool:
    """Whether a tree beyond its memory and one beyond its processes are killed, and the same trees without a quota are
    not. Takes 1.2 s; blocks; leaves nothing. The shims do it, whatever the sandbox is."""
    held: list[bool] = []

    def attempt() -> None:
        # In a thread of its own: the caller's may have a loop that runs.
        try:
            held.append(asyncio.run(_attempt()))
        except (OSError, SwarmError):
            held.append(False)

    thread = threading.Thread(target=attempt, name="probe-limits")
    thread.start()
    thread.join()
    return held == [True]


async def _attempt() -> bool:
    with tempfile.TemporaryDirectory(prefix="swarm-probe-") as name:
        executor = LocalExecutor(NoSandbox(), f"probe-{secrets.token_hex(6)}")

        def run(code: str, quota: Quota) -> asyncio.Future[ProcessResult]:
            run_id = secrets.token_hex(6)
            folder = Path(name, run_id)
            argv = (sys.executable, "-I", "-S", "-c", code)
            return asyncio.ensure_future(
                executor.run(ProcessSpec(run_id, argv, Path(name), {}, folder, WALL_S, quota=quota))
            )

        runs = (
            run(GREEDY, Quota(memory=MEMORY_BYTES // 2)),
            run(MANY, Quota(processes=PROCESSES // 2)),
            run(GREEDY, Quota()),
            run(MANY, Quota()),
        )
        try:
            greedy, many, *free = await asyncio.gather(*runs)
        finally:
            await executor.close()
    ends = [(each.end, each.quota) for each in (greedy, many)]
    return ends == [("quota", "memory"), ("quota", "processes")] and all(each.exit_code == 0 for each in free)
