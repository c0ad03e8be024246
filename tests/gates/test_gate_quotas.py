"""Gates that use more than they may: they run what an agent wrote, so that is how a change can be, too."""

from __future__ import annotations

import sys

import pytest

from engine.executors.local import LocalExecutor
from engine.ports import Quota
from tests.gates.bench import Bench, gate, only

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the job object holds them")

CASE = "import subprocess, sys, time, unittest\nclass T(unittest.TestCase):\n"
GREEDY = CASE + "    def test_b(self):\n        x = bytearray(400_000_000)\n        time.sleep(SECONDS)\n"
MANY = (
    CASE + "    def test_b(self):\n        for each in [subprocess.Popen(['sleep', 'SECONDS']) for _ in range(60)]:"
    " each.wait()\n"
)


def limit(bench: Bench, quota: Quota) -> None:
    executor = LocalExecutor(bench.sandbox, f"{bench.state}/limited", quota=lambda: quota)
    bench.runner = bench.make_runner("limited", executor=executor)


@pytest.mark.parametrize(
    ("test", "quota", "reason"),
    [
        (GREEDY, Quota(memory=250_000_000), "MB of memory, of 250.0 MB that it may have."),
        (MANY, Quota(processes=40), "processes and threads at once, of 40 that it may have."),
    ],
)
async def test_a_gate_beyond_a_quota_is_red_and_says_which(bench: Bench, test: str, quota: Quota, reason: str) -> None:
    limit(bench, quota)
    report = (await bench.gates(bench.change({"test_b.py": test.replace("SECONDS", "60")}), gate())).report
    assert (report.result, only(report).result, only(report).exit_code) == ("red", "red", None)
    assert only(report).reason.startswith("it was stopped: it ")
    assert only(report).reason.endswith(reason)
    assert only(report).executed == 0


@pytest.mark.parametrize("test", [GREEDY, MANY])
async def test_the_same_gate_within_its_quota_is_green(bench: Bench, test: str) -> None:
    limit(bench, Quota(memory=2_000_000_000, processes=400))
    tree = bench.change({"test_b.py": test.replace("SECONDS", "0.6")})
    assert (await bench.gates(tree, gate())).report.result == "green"
