"""What a command is held to by the system, and that whoever starts it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.process import child_limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/limits")

STARTER = """
import json, os, resource, sys, time
from engine.process.child_limits import fasten, limited
quota = json.loads(sys.argv[1])
if len(sys.argv) > 2: os.setuid(int(sys.argv[2]))
def own(): return [open("/proc/self/oom_score_adj").read(), open("/proc/self/limits").read()]
before = own()
waits, go = os.pipe()
with limited(quota):
    command = ["sh", "-c", "read go; cat /proc/self/limits /proc/self/oom_score_adj"]
    child = os.posix_spawn("/bin/sh", command, {}, file_actions=[(os.POSIX_SPAWN_DUP2, waits, 0)])
fasten(child, quota)
print(own() == before, flush=True)
os.write(go, b"go\\n")  # only now does it look: its limits are set in two steps
os.waitpid(child, 0)
"""
NOBODY = 65534


def told(quota: dict[str, int], *user: str) -> tuple[bool, dict[str, list[str]], int]:
    """Whether the starter is as before, the limits of its child (name -> soft and hard), and its place for the OOM."""
    argv = [sys.executable, "-S", "-c", STARTER, json.dumps(quota), *user]
    root = str(Path(child_limits.__file__).parents[2])
    done = subprocess.run(argv, env={"PYTHONPATH": root}, capture_output=True, check=True)
    first, *rows, score = done.stdout.decode().splitlines()
    limits = {row[:26].strip(): row[26:].split()[:2] for row in rows[1:]}
    return first == "True", limits, int(score)


def test_files_are_limited_for_good_and_only_those_of_the_command() -> None:
    unchanged, limits, score = told({"file_size": 5_000_000, "processes": 0})
    assert unchanged
    assert limits["Max file size"] == ["5000000", "5000000"]
    assert score >= child_limits.OOM_SCORE
    _, limits, _ = told({"file_size": 0, "processes": 0})
    assert limits["Max file size"] != ["5000000", "5000000"]


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs root, to be somebody else")
def test_processes_are_limited_for_all_but_root_beyond_what_there_is() -> None:
    _, free, _ = told({"file_size": 0, "processes": 0}, str(NOBODY))
    unchanged, limits, _ = told({"file_size": 0, "processes": 100}, str(NOBODY))
    assert unchanged
    soft, hard = limits["Max processes"]
    assert soft == hard != free["Max processes"][1]
    assert int(soft) > 100
    assert told({"file_size": 0, "processes": 100})[1]["Max processes"] == free["Max processes"]
