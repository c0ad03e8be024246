"""What happens to processes when the engine dies: agents die with it, gates go on and are adopted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from real_processes import Bench, dead, until

from engine.executors.local import LocalExecutor
from engine.ports import ProcessSpec
from engine.process import tree
from engine.sandbox.none import NoSandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9")

ENGINE = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from engine.executors.local import LocalExecutor
from engine.ports import ProcessSpec
from engine.sandbox.none import NoSandbox

epoch, run_id, cwd, folder, leash, warm, code = sys.argv[1:]
spec = ProcessSpec(run_id, (sys.executable, "-I", "-S", "-c", code), Path(cwd), {"PATH": "/usr/bin:/bin"}, Path(folder),
                   wall_s=60.0, leash=leash == "leash")

async def main():
    executor = LocalExecutor(NoSandbox(), epoch)
    if warm:
        first = replace(spec, run_id=run_id + "-first", argv=("true",), folder=Path(folder + "-first"))
        assert (await executor.run(first)).exit_code == 0
    await executor.run(spec)

asyncio.run(main())
"""


class FirstEngine:
    """A small engine in a process of its own, to be killed. warm: the run is its shim's second."""

    def __init__(self, bench: Bench, spec: ProcessSpec, *, warm: bool = False) -> None:
        self.epoch = f"{bench.epoch}-first"
        leash = "leash" if spec.leash else "free"
        argv = [
            sys.executable,
            "-c",
            ENGINE,
            self.epoch,
            spec.run_id,
            str(spec.cwd),
            str(spec.folder),
            leash,
            "warm" * warm,
        ]
        self._process = subprocess.Popen([*argv, spec.argv[-1]], cwd=Path(tree.__file__).parents[2])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def test_a_killed_engine_takes_its_leashed_process_with_it_daemons_included(bench: Bench) -> None:
    spec, find = bench.daemon(then="time.sleep(600)", leash=True)
    engine = FirstEngine(bench, spec)
    daemon = await asyncio.to_thread(find)
    shim = bench.shim(spec)
    command = shim.children()[0]
    engine.kill()
    await asyncio.to_thread(
        until, lambda: all(map(dead, (daemon, command, shim))), "leash, command and daemon are dead"
    )
    assert (await bench.executor.run(spec)).end == "cancelled"


async def test_an_unleashed_process_outlives_a_killed_engine_and_is_adopted(bench: Bench) -> None:
    go = bench.folder / "go"
    wait = f"import os, sys, time\nprint('up', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    spec = bench.spec(wait + "sys.exit(7)", leash=False)
    engine = FirstEngine(bench, spec)
    await _up(spec)
    engine.kill()
    adopted = asyncio.create_task(bench.executor.run(spec))
    await asyncio.sleep(0)
    await bench.executor.sweep(bench.epoch)  # kills at most the dead engine's waiting shim
    assert not dead(bench.shim(spec))
    go.touch()
    result = await adopted
    assert (result.end, result.exit_code, result.log.read_bytes()) == ("exited", 7, b"up\n")


async def test_a_run_that_ended_while_no_engine_lived_is_known(bench: Bench) -> None:
    go = bench.folder / "go"
    code = f"import os, time\nprint('up', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    spec = bench.spec(code, leash=False)
    engine = FirstEngine(bench, spec)
    await _up(spec)
    engine.kill()
    go.touch()
    await asyncio.to_thread(until, lambda: (spec.folder / "result.json").exists(), "the shim wrote the result alone")
    assert (await bench.executor.run(spec)).exit_code == 0


async def test_cancelling_an_adopted_run_kills_its_tree(bench: Bench) -> None:
    spec, find = bench.daemon(then="time.sleep(600)", leash=False)
    engine = FirstEngine(bench, spec)
    daemon = await asyncio.to_thread(find)
    shim = bench.shim(spec)
    engine.kill()
    adopted = asyncio.create_task(bench.executor.run(spec))
    await asyncio.sleep(0.01)
    adopted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adopted
    assert dead(daemon)
    assert dead(shim)
    assert (await bench.executor.run(spec)).end == "cancelled"


async def test_a_sweep_kills_what_earlier_engines_left_and_spares_what_is_kept(bench: Bench) -> None:
    code = "import time; print('up', flush=True); time.sleep(600)"
    left, kept = bench.spec(code, leash=False), bench.spec(code, leash=False)
    engines = [FirstEngine(bench, spec) for spec in (left, kept)]
    for spec in (left, kept):
        await _up(spec)
    for engine in engines:
        engine.kill()
    shims = [bench.shim(spec) for spec in (left, kept)]
    own = asyncio.create_task(bench.executor.run(mine := bench.spec(code)))
    await _up(mine)
    await asyncio.to_thread(until, lambda: not _waiting(bench), "the shims without a run ended with their engines")
    assert await bench.executor.sweep(f"{bench.epoch}-first", keep=[kept.folder]) == 2
    assert [dead(shim) for shim in shims] == [True, False]
    assert await bench.executor.sweep(bench.epoch) == 2
    assert [dead(shim) for shim in shims] == [True, True]
    assert not own.done()
    own.cancel()
    with pytest.raises(asyncio.CancelledError):
        await own


async def test_a_recycled_pid_is_not_taken_for_the_shim(bench: Bench, stranger: psutil.Process) -> None:
    spec = bench.spec("pass", leash=False)
    spec.folder.mkdir(parents=True)
    (spec.folder / "shim.json").write_text(
        f'{{"pid": {stranger.pid}, "create_time": {stranger.create_time() - 3600}, "marker": "{bench.epoch}/x"}}',
        encoding="utf-8",
    )
    assert (await LocalExecutor(NoSandbox(), "other").run(spec)).end == "lost"
    assert not dead(stranger)


@pytest.mark.parametrize("leash", [True, False])
async def test_a_killed_engine_whose_shim_is_in_its_second_run(bench: Bench, leash: bool) -> None:
    go = bench.folder / "go"
    wait = f"import os, sys, time\nprint('up', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    spec = bench.spec(wait + "sys.exit(7)", leash=leash)
    engine = FirstEngine(bench, spec, warm=True)
    await _up(spec)
    first = spec.folder.with_name(f"{spec.folder.name}-first")
    shim = bench.shim(spec)
    assert json.loads((first / "shim.json").read_bytes())["pid"] == shim.pid
    engine.kill()
    if leash:
        await asyncio.to_thread(until, lambda: dead(shim), "the leashed run ended with its engine")
        assert (await bench.executor.run(spec)).end == "cancelled"
    else:
        adopted = asyncio.create_task(bench.executor.run(spec))
        await asyncio.sleep(0)
        await bench.executor.sweep(bench.epoch)
        assert not dead(shim)
        go.touch()
        assert (await adopted).exit_code == 7
        await asyncio.to_thread(until, lambda: dead(shim), "a shim without an engine ends after its run")
    assert (await bench.executor.run(replace(spec, run_id=f"{spec.run_id}-first", folder=first))).exit_code == 0


async def test_a_sweep_finds_a_shim_that_waits(bench: Bench) -> None:
    earlier = LocalExecutor(NoSandbox(), f"{bench.epoch}-earlier")
    spec = bench.spec("pass")
    await earlier.run(spec)
    shim = bench.shim(spec)
    assert not dead(shim)
    assert await bench.executor.sweep(f"{bench.epoch}-earlier") >= 1
    assert dead(shim)
    again = bench.spec("print('again')")
    assert (await earlier.run(again)).log.read_bytes() == b"again\n", "an executor goes on without it"


def _waiting(bench: Bench) -> list[psutil.Process]:
    """Shims of first engines that have no run."""
    found = tree.find_marked(f"{bench.epoch}-first/shim-")
    return [shim for shim in found if not dead(shim) and not shim.children()]


async def _up(spec: ProcessSpec) -> None:
    log = spec.folder / "log"
    await asyncio.to_thread(until, lambda: log.exists() and log.read_bytes() == b"up\n", "the command runs")
