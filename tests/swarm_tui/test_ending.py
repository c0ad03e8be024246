"""What a command started is gone when it ends: shims that wait for more, and what a signal interrupts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from swarm_tui.ending import EXIT_TERMINATED, finished
from swarm_tui.gating.asked import Asked
from swarm_tui.gating.command import run_gates
from swarm_tui.gating.watching import _end  # pyright: ignore[reportPrivateUsage]
from swarm_tui.proving import open_bench
from tests.conftest import MakeRepo

SETTINGS = """\
[project]
main = "main"
[[gate]]
name = "unit"
kind = "unit"
run = ["python3", "-m", "unittest", "-q"]
results = "unittest"
"""
TEST = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self): pass\n"


def shims() -> list[int]:
    """The shims that are children of this process."""
    found: list[int] = []
    for child in psutil.Process().children():
        try:
            if child.cmdline()[-1:] and child.cmdline()[-1].endswith("shim.py"):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)


def test_a_bench_that_is_closed_leaves_no_shim(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"swarm.toml": SETTINGS, "roadmap.toml": "", "test_a.py": TEST})
    before = set(shims())
    bench = open_bench(repo.path, tmp_path / "state")
    bench.wings.executor.warm_up()
    until(lambda: set(shims()) - before)

    async def work() -> int:
        return 5

    assert finished(bench.closing(work())) == 5
    assert not set(shims()) - before


def test_gates_that_ran_leave_no_shim(git_repo: MakeRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repo = git_repo({"swarm.toml": SETTINGS, "roadmap.toml": "", "test_a.py": TEST})
    before = set(shims())
    assert run_gates(Asked(repo=repo.path, state=tmp_path / "state")) == 0
    assert "green" in capsys.readouterr().out
    assert not set(shims()) - before


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_that_ends_a_process_cancels_the_work_first() -> None:
    ended: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(20)
        finally:
            ended.append("in order")

    with pytest.raises(SystemExit) as raised:
        finished(work())
    assert (raised.value.code, ended) == (EXIT_TERMINATED, ["in order"])


async def test_watching_that_is_ended_while_it_waits_for_a_superseded_run_ends() -> None:
    """A cancellation of its own is not taken for the one of the run that it waits for."""
    cancelled, go_on = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        try:
            await asyncio.sleep(20)
        finally:
            cancelled.set()
            await go_on.wait()

    running = asyncio.create_task(run())
    await asyncio.sleep(0)
    watching = asyncio.create_task(_end(running))
    await cancelled.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    go_on.set()
    await _end(running)
    assert running.cancelled()
