"""Programs under test that use more than they may. What landed was written by agents, too."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from engine.ports import Quota
from engine.process.tree import find_marked
from tests.canary.worlds import World, flow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the job object holds them")

READY = 'print("ready", flush=True)\n'
GREEDY = READY + "x = bytearray(300_000_000)\nimport time; time.sleep(SECONDS)\n"
MANY = (
    READY + "import subprocess, time\nfor _ in range(60): subprocess.Popen(['sleep', 'SECONDS'])\ntime.sleep(SECONDS)\n"
)
LARGE = READY + "import os\nopen(os.environ['HOME'] + '/large', 'wb').write(bytes(3_000_000))\n"


def limited(folder: Path, quota: Quota) -> World:
    world = World(folder)
    world.ground = dataclasses.replace(world.ground, quota=quota)
    return world


@pytest.mark.parametrize(
    ("code", "quota", "seen"),
    [
        (GREEDY, Quota(memory=150_000_000), "MB of memory, of 150.0 MB that it may have"),
        (MANY, Quota(processes=30), "processes and threads at once, of 30 that it may have"),
    ],
)
async def test_a_program_beyond_its_quota_is_killed_and_fails(
    tmp_path: Path, code: str, quota: Quota, seen: str
) -> None:
    world = limited(tmp_path, quota)
    steps = [{"wait": {"until": {"event": "never"}, "within": "30s"}}]
    outcome = await world.run(flow(code.replace("SECONDS", "600"), steps=steps, start={"ready": {"log": "ready"}}))
    assert outcome.verdict == "FAIL"
    assert seen in outcome.reason
    assert find_marked(world.ground.marker) == []


@pytest.mark.parametrize("code", [GREEDY, MANY, LARGE])
async def test_the_same_program_within_its_quota_passes(tmp_path: Path, code: str) -> None:
    world = limited(tmp_path, Quota(memory=2_000_000_000, processes=200, file_size=4_000_000))
    outcome = await world.run(flow(code.replace("SECONDS", "0.7"), steps=[], start={"ready": {"log": "ready"}}))
    assert outcome.verdict == "PASS", outcome.reason


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
async def test_no_file_of_a_program_gets_larger_than_one_may_be(tmp_path: Path) -> None:
    world = limited(tmp_path, Quota(file_size=1_000_000))
    outcome = await world.run(flow(LARGE, steps=[], start={"ready": {"log": "ready"}}))
    assert outcome.verdict == "FAIL"
