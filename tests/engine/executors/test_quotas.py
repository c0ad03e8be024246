"""Quotas of real process trees: what is beyond one is killed with all that came of it, and what is not, is not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import psutil
import pytest
from real_processes import Bench, dead, until

from engine.executors.local import LocalExecutor
from engine.ports import ProcessResult, Quota, SandboxPolicy
from engine.process import tree
from engine.sandbox.none import NoSandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the job object holds them")

MB = 1_000_000
SPAWN = "import subprocess, sys, time\n"
GREEDY = "x = bytearray({size}); print('full', flush=True); import time; time.sleep({then})"
BOMB = """
import os, time
# Each of them forks again, up to a number at which the machine is still well.
alive = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for _ in range({depth}):
    try:
        os.fork()
    except OSError:
        break
    os.write(alive, b"x")
{apart}
time.sleep(600)
"""


def gone(bench: Bench) -> None:
    until(lambda: not tree.find_marked(f"{bench.epoch}/run-"), "nothing of the run is left")


def writes(bench: Bench) -> dict[str, object]:
    """A folder that a run may write, and works in."""
    folder = bench.folder / "workspace"
    folder.mkdir(exist_ok=True)
    return {"cwd": folder, "policy": SandboxPolicy(writable=(folder,))}


def said(result: ProcessResult) -> tuple[str, str, int | None]:
    return result.end, result.quota, result.exit_code


# ---- memory


async def test_a_tree_beyond_its_memory_is_killed_and_the_sentence_has_the_numbers(bench: Bench) -> None:
    spec = bench.spec(GREEDY.format(size=300 * MB, then=600), quota=Quota(memory=100 * MB))
    result = await bench.executor.run(spec)
    assert said(result) == ("quota", "memory", None)
    assert re.fullmatch(r"it used [\d.]+ MB of memory, of 100\.0 MB that it may have", result.note)
    assert json.loads((spec.folder / "result.json").read_bytes())["quota"] == "memory"
    assert await bench.executor.run(spec) == result
    gone(bench)


async def test_the_same_tree_within_its_memory_goes_on_to_its_end(bench: Bench) -> None:
    result = await bench.executor.run(
        bench.spec(GREEDY.format(size=300 * MB, then=0.5), quota=Quota(memory=1_000 * MB))
    )
    assert (said(result), result.note) == (("exited", "", 0), "")


async def test_memory_counts_over_the_whole_tree_daemons_included(bench: Bench) -> None:
    each = GREEDY.format(size=60 * MB, then=600)
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {each!r}], start_new_session=True)"
    code = SPAWN + f"for _ in range(4): subprocess.run([sys.executable, '-S', '-c', {middle!r}], env={{}})\n"
    many = bench.spec(code + "time.sleep(600)", quota=Quota(memory=150 * MB))
    assert said(await bench.executor.run(many)) == ("quota", "memory", None)
    enough = bench.spec(code + "time.sleep(1)", quota=Quota(memory=800 * MB))
    assert said(await bench.executor.run(enough)) == ("exited", "", 0)


async def test_pages_that_processes_share_count_once(bench: Bench) -> None:
    code = """
    import os, time
    shared = b"x" * 80_000_000
    for _ in range(5):
        if not os.fork():
            time.sleep(1.5)
            os._exit(0)
    time.sleep(1)
    """
    # Six times 80 MB are resident, of which 80 MB exist.
    result = await bench.executor.run(bench.spec(code, quota=Quota(memory=250 * MB)))
    assert said(result) == ("exited", "", 0)
    result = await bench.executor.run(bench.spec(code, quota=Quota(memory=70 * MB)))
    assert said(result) == ("quota", "memory", None)


# ---- processes


@pytest.mark.parametrize("apart", ["", "if os.getpgrp() != os.getpid(): os.setsid()"])
async def test_a_fork_bomb_ends_and_its_bystander_goes_on(bench: Bench, apart: str) -> None:
    alive = bench.folder / "alive"
    bystander = asyncio.create_task(bench.executor.run(bench.spec("import time; time.sleep(2); print('fine')")))
    bomb = bench.spec(BOMB.format(depth=9, file=str(alive), apart=apart), quota=Quota(processes=40))
    result = await bench.executor.run(bomb)
    assert said(result) == ("quota", "processes", None)
    assert re.fullmatch(r"it had \d+ processes and threads at once, of 40 that it may have", result.note)
    gone(bench)
    assert (await bystander).log.read_bytes() == b"fine\n"


async def test_as_many_processes_as_are_allowed_are_let(bench: Bench) -> None:
    code = SPAWN + "for each in [subprocess.Popen(['sleep', '0.7']) for _ in range(20)]: each.wait()"
    assert said(await bench.executor.run(bench.spec(code, quota=Quota(processes=40)))) == ("exited", "", 0)
    assert said(await bench.executor.run(bench.spec(code, quota=Quota(processes=10)))) == ("quota", "processes", None)


async def test_threads_count_as_processes(bench: Bench) -> None:
    code = """
    import threading, time
    for _ in range(30): threading.Thread(target=time.sleep, args=(1,)).start()
    """
    assert said(await bench.executor.run(bench.spec(code, quota=Quota(processes=10)))) == ("quota", "processes", None)
    assert said(await bench.executor.run(bench.spec(code, quota=Quota(processes=60)))) == ("exited", "", 0)


async def test_orphans_that_have_ended_do_not_count(bench: Bench) -> None:
    """Nobody but the supervisor buries what was double-forked."""
    code = """
    import os, time
    for _ in range(60):
        if not os.fork():
            if not os.fork():
                time.sleep(0.01)
            os._exit(0)
        os.wait()
        time.sleep(0.02)
    """
    assert said(await bench.executor.run(bench.spec(code, quota=Quota(processes=20)))) == ("exited", "", 0)


# ---- files


async def test_no_file_gets_larger_than_one_may_be(bench: Bench) -> None:
    code = "import signal; signal.signal(25, signal.SIG_DFL); open('big', 'wb').write(bytes(3_000_000)); print('done')"
    kept_to = bench.spec(code, **writes(bench), quota=Quota(file_size=MB))
    result = await bench.executor.run(kept_to)
    assert said(result) == ("quota", "file_size", None)
    assert result.note == "it wrote a file beyond 1.0 MB, the most that one file may have"
    assert (bench.folder / "workspace" / "big").stat().st_size == MB
    result = await bench.executor.run(bench.spec(code, **writes(bench), quota=Quota(file_size=4 * MB)))
    assert (said(result), result.log.read_bytes()) == (("exited", "", 0), b"done\n")


async def test_the_limit_of_a_file_cannot_be_lifted(bench: Bench) -> None:
    code = """
    import os, resource, sys
    if os.getuid() == 0: os.setuid(65534)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("lifted")
    except ValueError:
        print(resource.getrlimit(resource.RLIMIT_FSIZE))
    """
    held = await bench.executor.run(bench.spec(code, quota=Quota(file_size=MB)))
    assert held.log.read_bytes() == b"(1000000, 1000000)\n"
    assert (await bench.executor.run(bench.spec(code))).log.read_bytes() == b"lifted\n"


async def test_a_limit_of_files_is_not_the_supervisors_own(bench: Bench) -> None:
    spec = bench.spec("print('x' * 3_000_000)", quota=Quota(file_size=MB))
    result = await bench.executor.run(spec)
    assert (result.end, (spec.folder / "log").stat().st_size) == ("exited", 3_000_001)


async def test_a_run_that_fills_its_folders_is_killed(bench: Bench) -> None:
    code = """
    import os, time
    for number in range(8):
        with open(f"part{number}", "wb") as file:
            file.write(os.urandom(2_000_000)); file.flush(); os.fsync(file.fileno())
    print("written", flush=True)
    time.sleep(THEN)
    """
    full = bench.spec(code.replace("THEN", "600"), **writes(bench), quota=Quota(disk=6 * MB))
    result = await bench.executor.run(full)
    assert said(result) == ("quota", "disk", None)
    assert re.fullmatch(r"it wrote [\d.]+ MB into its folders, of 6\.0 MB that it may write", result.note)
    fine = bench.spec(code.replace("THEN", "1"), **writes(bench), quota=Quota(disk=60 * MB))
    assert said(await bench.executor.run(fine)) == ("exited", "", 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are not seen")
async def test_files_without_a_name_count_while_they_are_open(bench: Bench) -> None:
    code = """
    import mmap, os, time
    file = open("hidden", "w+b")
    os.unlink("hidden")
    for _ in range(12):
        file.write(os.urandom(1_000_000)); file.flush(); os.fsync(file.fileno())
    KEEP
    time.sleep(THEN)
    """
    for keep in ("pass", "kept = mmap.mmap(file.fileno(), 12_000_000); file.close()"):
        hides = code.replace("KEEP", keep)
        full = bench.spec(hides.replace("THEN", "600"), **writes(bench), quota=Quota(disk=6 * MB), wall_s=30.0)
        assert said(await bench.executor.run(full)) == ("quota", "disk", None)
        fine = bench.spec(hides.replace("THEN", "1"), **writes(bench), quota=Quota(disk=60 * MB))
        assert said(await bench.executor.run(fine)) == ("exited", "", 0)


@pytest.mark.slow
async def test_what_was_there_before_does_not_count(bench: Bench) -> None:
    changes = writes(bench)
    folder = bench.folder / "workspace"
    (folder / "old").write_bytes(os.urandom(8 * MB))
    for number in range(50):
        (folder / f"old{number}").touch()
    await asyncio.sleep(2.1)  # a second is what the times of files may be off
    code = "import time; open('new', 'wb').write(bytes(1_000_000)); time.sleep(1)"
    spec = bench.spec(code, **changes, quota=Quota(disk=4 * MB, files=20))
    assert said(await bench.executor.run(spec)) == ("exited", "", 0)


async def test_a_run_that_makes_too_many_files_is_killed(bench: Bench) -> None:
    code = """
    import time
    for number in range(300): open(f"f{number}", "w").close()
    time.sleep(THEN)
    """
    result = await bench.executor.run(
        bench.spec(code.replace("THEN", "600"), **writes(bench), quota=Quota(files=100), wall_s=30.0)
    )
    assert said(result) == ("quota", "files", None)
    assert re.fullmatch(r"it wrote \d+ files, of 100 that it may write", result.note)
    fine = bench.spec(code.replace("THEN", "0.5"), **writes(bench), quota=Quota(files=1_000))
    assert said(await bench.executor.run(fine)) == ("exited", "", 0)


# ---- output


async def test_a_flood_of_output_is_killed_by_its_rate(bench: Bench) -> None:
    result = await bench.executor.run(bench.command(("yes",), log_cap=100_000, quota=Quota(log_rate=200_000)))
    assert said(result) == ("quota", "log_rate", None)
    assert re.match(r"it printed [\d.]+ MB in 10 s, of 200\.0 kB a second that it may print; ", result.note)
    fine = await bench.executor.run(bench.spec("print('x' * 1_000_000)", quota=Quota(log_rate=200_000)))
    assert said(fine) == ("exited", "", 0)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
@pytest.mark.parametrize("flood", [("yes",), ("cat", "/dev/zero"), ("sh", "-c", "yes a | tr -d '\\n'")])
async def test_a_flood_without_a_quota_costs_neither_memory_nor_disk(bench: Bench, flood: tuple[str, ...]) -> None:
    spec = bench.command(flood, log_cap=2 * MB, wall_s=2.0)
    running = asyncio.create_task(bench.executor.run(spec))
    shim = await asyncio.to_thread(bench.shim, spec)
    own, most = psutil.Process(), 0
    before = own.memory_info().rss
    while not running.done():
        try:
            most = max(most, shim.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        await asyncio.sleep(0.05)
    result = await running
    assert result.end == "wall_timeout"
    assert re.fullmatch(r"\d+ bytes of output were dropped", result.note)
    assert (spec.folder / "log").stat().st_size < 2 * MB + 100
    assert (spec.folder / "log").read_bytes().endswith(b"[output cut here: the limit of 2000000 bytes is reached]\n")
    assert most < 64 * MB
    assert own.memory_info().rss - before < 32 * MB


# ---- what it costs


async def test_runs_without_a_quota_have_that_of_their_executor(bench: Bench) -> None:
    executor = LocalExecutor(NoSandbox(), bench.epoch, quota=lambda: Quota(memory=100 * MB))
    greedy = GREEDY.format(size=300 * MB, then=1)
    assert said(await executor.run(bench.spec(greedy))) == ("quota", "memory", None)
    assert said(await executor.run(bench.spec(greedy, quota=Quota(memory=900 * MB)))) == ("exited", "", 0)


async def test_without_quotas_nothing_is_watched(bench: Bench) -> None:
    result = await bench.executor.run(bench.spec(GREEDY.format(size=300 * MB, then=0.5)))
    assert said(result) == ("exited", "", 0)


async def test_a_run_with_quotas_can_be_cancelled_like_any_other(bench: Bench) -> None:
    spec, find = bench.daemon(then="time.sleep(600)", quota=Quota(memory=500 * MB, processes=100), **writes(bench))
    running = asyncio.create_task(bench.executor.run(spec))
    daemon = await asyncio.to_thread(find)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert dead(daemon)
