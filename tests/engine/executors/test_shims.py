"""Shims that are used again: that they are, and that nothing of one run is seen by the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from real_processes import Bench, dead, until

from engine.executors import local
from engine.ports import ProcessSpec

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a shim takes one order")

STATE = """
import json, os, resource, signal, sys
blocked = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))
handled = {int(s): str(signal.getsignal(s)) for s in signal.valid_signals() if s not in (9, 19)}
umask = os.umask(0)
fds = sorted(os.listdir("/dev/fd"))
limits = [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)]
print(json.dumps([dict(os.environ), os.getcwd(), umask, fds, blocked, handled, limits, os.getpgrp() == os.getpid(),
                  os.getsid(0) == os.getpid(), os.nice(0)]))
"""
UPHEAVAL = """
import os, resource, signal
os.environ["LEAK"] = "1"; os.umask(0o777); os.chdir("/"); os.nice(5)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12])
for n in range(5): os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
"""


def shim_of(spec: ProcessSpec) -> int:
    return json.loads((spec.folder / "shim.json").read_bytes())["pid"]


async def state_of(bench: Bench) -> tuple[list[object], int]:
    """What a fresh command finds, less its run's marker, and its shim."""
    spec = bench.spec(STATE)
    result = await bench.executor.run(spec)
    found = json.loads(result.log.read_bytes())
    assert found[0].pop("SWARM_RUN").endswith(f"/{spec.run_id}")
    return found, shim_of(spec)


async def test_nothing_of_a_run_is_seen_by_the_next_of_the_same_shim(bench: Bench) -> None:
    before, shim = await state_of(bench)
    folder = bench.folder / "elsewhere"
    folder.mkdir()
    loud = bench.spec(UPHEAVAL, cwd=folder, env={"PATH": "/usr/bin:/bin", "SECRET": "x"})
    failing = [bench.command(("no-such-program",)), bench.spec("pass", cwd=bench.folder / "gone")]
    for spec in (loud, *failing, bench.command(("sh", "-c", "kill -9 $$"))):
        await bench.executor.run(spec)
        assert shim_of(spec) == shim
    after, same = await state_of(bench)
    assert same == shim
    assert after == before


async def test_a_waiting_shim_holds_no_folder_and_no_file_of_its_run(bench: Bench) -> None:
    spec = bench.spec("print('x')")
    await bench.executor.run(spec)
    first = psutil.Process(shim_of(spec))
    await asyncio.to_thread(until, lambda: first.cwd() == "/", "the shim left the folder")
    held = _open_descriptors(first)
    for _ in range(5):
        await bench.executor.run(bench.spec("print('x')"))
    await asyncio.to_thread(until, lambda: _open_descriptors(first) == held, "as many files are open as before")
    assert first.open_files() == []
    assert first.children() == []


async def test_runs_at_the_same_time_never_share_a_shim(bench: Bench) -> None:
    for _ in range(3):
        specs = [bench.spec("import time; time.sleep(0.05)") for _ in range(5)]
        await asyncio.gather(*map(bench.executor.run, specs))
        assert len({shim_of(spec) for spec in specs}) == 5


async def test_nice_work_and_normal_work_never_share_a_shim(bench: Bench) -> None:
    specs = [bench.spec("import os; print(os.nice(0))", nice=nice) for nice in (0, 7, 0, 7)]
    results = [await bench.executor.run(spec) for spec in specs]
    base = int(psutil.Process().nice())
    assert [int(result.log.read_bytes()) for result in results] == [base, base + 7, base, base + 7]
    assert shim_of(specs[0]) == shim_of(specs[2])
    assert shim_of(specs[1]) == shim_of(specs[3])


async def test_a_shim_that_was_cancelled_takes_no_other_order(bench: Bench) -> None:
    spec = bench.spec("import time; print('up', flush=True); time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    await asyncio.to_thread(until, lambda: _said(spec) == b"up\n", "the command runs")
    shim = bench.shim(spec)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert dead(shim)
    assert (await bench.executor.run(bench.spec("pass"))).exit_code == 0


async def test_a_shim_that_died_while_it_waited_costs_nothing(bench: Bench) -> None:
    for _ in range(3):
        spec = bench.spec("print('x')")
        assert (await bench.executor.run(spec)).exit_code == 0
        for process in {psutil.Process(shim_of(spec)), *_idle(bench)}:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    assert (await bench.executor.run(bench.spec("print('x')"))).exit_code == 0


async def test_a_shim_that_is_killed_in_its_second_run_means_lost_and_the_next_gets_another(bench: Bench) -> None:
    first = bench.spec("pass")
    await bench.executor.run(first)
    spec = bench.spec("import time; print('up', flush=True); time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    shim = await asyncio.to_thread(bench.shim, spec)
    assert shim.pid == shim_of(first)
    log = spec.folder / "log"
    await asyncio.to_thread(until, lambda: log.exists() and log.read_bytes() == b"up\n", "the command runs")
    command = shim.children()[0]
    shim.kill()
    assert (await running).end == "lost"
    assert dead(command)
    assert (await bench.executor.run(bench.spec("pass"))).exit_code == 0


async def test_a_second_wish_for_a_run_can_be_cancelled_and_the_shim_is_not_taken_from_the_next(bench: Bench) -> None:
    spec = bench.spec("import time; print('up', flush=True); time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    log = spec.folder / "log"
    await asyncio.to_thread(until, lambda: log.exists() and log.read_bytes() == b"up\n", "the command runs")
    second = asyncio.create_task(bench.executor.run(spec))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (await running).end == "cancelled"
    finished = bench.spec("pass")
    await bench.executor.run(finished)
    assert (await bench.executor.run(finished)).exit_code == 0


async def test_an_order_larger_than_a_pipe_arrives(bench: Bench) -> None:
    env = {"PATH": "/usr/bin:/bin", **{f"V{number}": "x" * 10_000 for number in range(30)}}
    spec = bench.spec("import os; print(sum(map(len, os.environ.values())))", env=env)
    assert int((await bench.executor.run(spec)).log.read_bytes()) > 300_000
    running = asyncio.create_task(bench.executor.run(replace(spec, run_id="cut", folder=spec.folder.with_name("cut"))))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_order_that_is_cancelled_before_a_thread_has_said_it_is_cancelled_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    held = threading.Event()
    busy = asyncio.ensure_future(asyncio.to_thread(held.wait, 20))
    monkeypatch.setattr(local, "STOP_S", 60.0)
    env = {"PATH": "/usr/bin:/bin", **{f"V{number}": "x" * 10_000 for number in range(30)}}
    running = asyncio.create_task(bench.executor.run(bench.spec("import time; time.sleep(600)", env=env)))
    await asyncio.sleep(0)
    running.cancel()
    held.set()
    await busy
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_closing_ends_all_that_wait_and_later_runs_still_work(bench: Bench) -> None:
    await asyncio.gather(*(bench.executor.run(bench.spec("pass")) for _ in range(3)))
    idle = _idle(bench)
    assert idle
    await bench.executor.close()
    assert all(map(dead, idle))
    assert (await bench.executor.run(bench.spec("pass"))).exit_code == 0


def test_an_executor_serves_one_loop_after_the_other_and_its_shims_end_with_it(tmp_path: Path) -> None:
    other = Bench(tmp_path, f"loops-{tmp_path.name}")
    specs = [other.spec("pass") for _ in range(3)]
    for spec in specs:
        assert asyncio.run(other.executor.run(spec)).exit_code == 0
    assert len({shim_of(spec) for spec in specs}) == 1
    shims = _idle(other)
    del other
    until(lambda: all(map(dead, shims)), "the shims ended with their executor")
    until(lambda: not [t for t in threading.enumerate() if t.name == "shim"], "nobody listens to them any more")


def _idle(bench: Bench) -> list[psutil.Process]:
    from engine.process import tree

    return [process for process in tree.find_marked(f"{bench.epoch}/shim-") if not process.children()]


def _said(spec: ProcessSpec) -> bytes:
    log = spec.folder / "log"
    return log.read_bytes() if log.exists() else b""


def _open_descriptors(process: psutil.Process) -> int:
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    return process.num_fds()
