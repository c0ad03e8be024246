"""D03: memory that no process of a run has resident counts all the same, and what is somebody else's does not."""

from __future__ import annotations

import asyncio
import mmap
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from real_processes import Bench
from sandbox_cell import PYTHON, Cell

from engine.executors.local import LocalExecutor
from engine.models.settings import SandboxSettings
from engine.ports import ProcessResult, Quota
from engine.process.relatives import family, shared_memory
from engine.process.shared_memory import held
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not seen")
MB = 1 << 20
LITTLE, ENOUGH = Quota(memory=100 * MB), Quota(memory=900 * MB)
MEMFD = """
import os, time
descriptor = os.memfd_create("hidden")
for _ in range(200): os.write(descriptor, b"x" * (1 << 20))
"""
LET_GO = """
import mmap, time
shared = mmap.mmap(-1, 200 << 20)
for at in range(0, 200 << 20, 1 << 20):
    shared[at : at + (1 << 20)] = b"x" * (1 << 20)
    shared.madvise(mmap.MADV_DONTNEED, at, 1 << 20)
"""
FILE = """
import time
with open({path!r}, "wb") as file:
    for _ in range(200): file.write(b"x" * (1 << 20))
"""
STAY = "time.sleep(0.8)"


def said(result: ProcessResult) -> tuple[str, str, int | None]:
    return result.end, result.quota, result.exit_code


@pytest.mark.parametrize("code", [MEMFD, LET_GO], ids=["memfd", "let go"])
async def test_shared_memory_that_is_not_resident(bench: Bench, code: str) -> None:
    assert said(await bench.executor.run(bench.spec(code + "time.sleep(60)", quota=LITTLE))) == (
        *("quota", "memory"),
        None,
    )
    assert said(await bench.executor.run(bench.spec(code + STAY, quota=ENOUGH))) == ("exited", "", 0)


@pytest.mark.parametrize("path", ["/tmp/x", "/dev/shm/x", "/run/x"])
async def test_files_in_the_sandboxs_own_memory(tmp_path: Path, path: str) -> None:
    box = choose_sandbox(SandboxSettings(), tmp_path / "probe")
    if not isinstance(box, BubblewrapSandbox):
        pytest.skip("only bubblewrap gives a run such folders")
    cell = Cell(tmp_path / "cell", box.hiding(tmp_path / "cell" / "home"))
    executor = LocalExecutor(cell.sandboxes["caged"], "hidden")
    code = FILE.format(path=path)

    async def run(then: str, quota: Quota) -> ProcessResult:
        return await executor.run(replace(cell.spec((PYTHON, "-I", "-S", "-c", code + then)), quota=quota))

    try:
        assert said(await run("time.sleep(60)", LITTLE)) == ("quota", "memory", None)
        assert said(await run(STAY, ENOUGH)) == ("exited", "", 0)
    finally:
        await executor.close()


async def test_every_folder_in_memory_has_an_end(tmp_path: Path) -> None:
    box = choose_sandbox(SandboxSettings(), tmp_path / "probe")
    if not isinstance(box, BubblewrapSandbox):
        pytest.skip("only bubblewrap gives a run such folders")
    cell = Cell(tmp_path / "cell", box.hiding(tmp_path / "cell" / "home"))
    code = """
import os
for line in open("/proc/self/mountinfo"):
    folder, options = line.split()[4], line.split()[5]
    if " - tmpfs " in line and "ro" not in options.split(","):
        print(folder, os.statvfs(folder).f_blocks * 4096 <= 1_100_000_000)
"""
    result = await cell.python("caged", code)
    limited = result.log.read_text("utf-8").splitlines()
    assert {"/tmp True", "/dev/shm True"} <= set(limited)
    assert not [line for line in limited if not line.endswith(" True")]


async def test_shared_memory_of_somebody_else_does_not_count(bench: Bench) -> None:
    running = asyncio.create_task(bench.executor.run(bench.spec("import time; time.sleep(1.5)", quota=LITTLE)))
    await asyncio.sleep(0.3)
    ours = mmap.mmap(-1, 200 * MB)
    ours.write(b"x" * 200 * MB)
    assert said(await running) == ("exited", "", 0)
    ours.close()


def test_what_one_process_holds_counts_once_and_no_more_than_there_is() -> None:
    if sys.platform != "linux":
        pytest.skip("Linux only")
    before, own = held(family(os.getpid()), 1 << 40), os.memfd_create("own")
    try:
        os.write(own, b"x" * 20 * MB)
        twice, mapped = os.dup(own), mmap.mmap(own, 20 * MB)
        try:
            assert held(family(os.getpid()), 1 << 40) - before == 20 * MB
            assert held(family(os.getpid()), 5 * MB) == 5 * MB
        finally:
            os.close(twice)
            mapped.close()
    finally:
        os.close(own)
    assert shared_memory() > 0
    with tempfile.TemporaryFile():
        assert held(family(os.getpid()), 1 << 40) == before, "files of a disk are no memory"
