"""Whether quotas hold on this machine: small programs that use more than theirs, under the real supervisor."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SwarmError
from engine.executors.local import LocalExecutor
from engine.ports import ProcessResult, ProcessSpec, Quota, SandboxPolicy
from engine.sandbox.none import NoSandbox

WALL_S = 15.0
STAYS_S = 10.0
"""How long a greedy program stays, to be seen."""
MB = 1_000_000


@dataclass(frozen=True)
class Greedy:
    """A program, less than it wants to use, and more than that."""

    code: str
    less: Quota
    enough: Quota


_CHILD = "[sys.executable, '-I', '-S', '-c', 'import sys; sys.stdin.read()']"
GREEDY = {
    "memory": Greedy("kept = bytearray(100 * 10**6)", Quota(memory=50 * MB), Quota(memory=2_000 * MB)),
    "processes": Greedy(
        f"import subprocess; kept = [subprocess.Popen({_CHILD}, stdin=subprocess.PIPE) for _ in range(6)]",
        Quota(processes=3),
        Quota(processes=1_000),
    ),
    "disk": Greedy(
        "file = open('big', 'wb'); file.write(os.urandom(20 * 10**6)); file.close()",
        Quota(disk=2 * MB),
        Quota(disk=500 * MB),
    ),
}


def probe_limits() -> bool:
    """Whether memory, processes and disk each stop a program that uses more, and let the same program be that may.

    False also where it cannot be tried. Blocks for about half a second; may be called beside a running event loop.
    """
    held: list[bool] = []

    def probing() -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="swarm-probe-", ignore_cleanup_errors=True) as folder:
                held.append(asyncio.run(_all_hold(Path(folder).resolve())))
        except (OSError, SwarmError):
            held.append(False)

    thread = threading.Thread(target=probing, name="probe-limits")
    thread.start()
    thread.join()
    return held == [True]


async def _all_hold(folder: Path) -> bool:
    executor = LocalExecutor(NoSandbox(), f"probe-{secrets.token_hex(6)}")
    try:
        return all(await asyncio.gather(*(_holds(executor, folder / name, one) for name, one in GREEDY.items())))
    finally:
        await executor.close()


async def _holds(executor: LocalExecutor, folder: Path, greedy: Greedy) -> bool:
    async def run(name: str, seconds: float, quota: Quota) -> ProcessResult:
        work = folder / name / "work"
        work.mkdir(parents=True)
        spec = ProcessSpec(
            run_id=f"{folder.name}-{name}",
            argv=(sys.executable, "-I", "-S", "-c", f"import os, sys, time; {greedy.code}; time.sleep({seconds})"),
            cwd=work,
            env={each: os.environ[each] for each in ("SYSTEMROOT", "LD_LIBRARY_PATH") if each in os.environ},
            folder=folder / name / "run",
            wall_s=WALL_S,
            policy=SandboxPolicy(writable=(work,)),
            quota=quota,
        )
        return await executor.run(spec)

    beyond, within = await asyncio.gather(run("less", STAYS_S, greedy.less), run("enough", 0.0, greedy.enough))
    # Where the system itself refuses more (a job object), the program fails by itself.
    stopped = beyond.end == "quota" or (beyond.end == "exited" and beyond.exit_code != 0)
    return stopped and (within.end, within.exit_code) == ("exited", 0)
