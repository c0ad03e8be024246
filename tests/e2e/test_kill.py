"""kill -9 at the worst moments. The story goes on: nothing is lost, nothing lands twice, nobody is left running."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.process import tree
from tests.e2e.night import ENGINE_MOVES, Night

BOUNDARIES = (("intent", "before"), ("intent", "after"), (",".join(ENGINE_MOVES), "before"), (",".join(ENGINE_MOVES), "after"))
"""In this order each start gets exactly one boundary further: before the intent, between intent and ref, between ref
and outcome, and, while the next start settles it, after the outcome."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

HELLO_TEST = """\
import unittest
from tiny.words import WORDS


class HelloTest(unittest.TestCase):
    def test_hello_is_known(self):
        self.assertIn("hello", WORDS)
"""


def dies(night: Night, kinds: str, side: str, nth: int = 1) -> bool:
    """Run the engine that dies at this boundary; False when it came to its end without meeting it."""
    engine = night.start("tests.e2e.engine_that_dies", "--kinds", kinds, "--side", side, "--nth", str(nth))
    code = engine.wait(120)
    assert code in (0, -signal.SIGKILL), night.said()
    return code != 0


def test_one_landing_killed_at_each_of_its_boundaries(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    for kinds, side in BOUNDARIES:
        assert dies(night, kinds, side), f"no {kinds}"
    assert len(night.events("intent")) == 2
    assert len(night.events("intent_abandoned")) == 1
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    assert len(night.events("change_landed")) == len(night.landed()) == 1
    assert len(night.events("run_started")) == 1
    night.assert_sound()


@pytest.mark.slow
def test_a_whole_night_killed_at_every_boundary_of_every_move_of_main(tmp_path: Path) -> None:
    """A landing, one that the canary refuses, the restore, its fix, and a person's commits: each move dies four times."""
    night = Night(tmp_path, canary=True)
    night.until_idle()
    night.order("a", {"tiny/a.py": "A = 1\n"})
    night.order("b", {"tiny/words.py": "WORDS = set()\n"}, {"tiny/words.py": "WORDS = {'hello', 'b'}\n"}, depends_on=["a"])
    night.order("bug-b-1", {"tests/test_hello.py": HELLO_TEST}, offered=False)
    kills = kill_until_idle(night, 0)
    person = night.person_commits({"README.md": "Tiny.\n"}, "A word about it")
    kills = kill_until_idle(night, kills)
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy", "b": "healthy", "bug-b-1": "healthy"}
    told = {kind: len(night.events(kind)) for kind in ENGINE_MOVES}
    assert told["main_restored"] == told["commits_adopted"] == 1
    assert kills == 4 * sum(told.values())
    assert len(night.events("intent_abandoned")) == sum(told.values())
    assert person in night.git("rev-list", "main").splitlines()
    assert night.main_files()["tiny/words.py"] == "WORDS = {'hello', 'b'}\n"
    night.assert_sound()


def kill_until_idle(night: Night, kills: int) -> int:
    """Start and kill, one boundary further each time; how many kills there were, those before included."""
    while dies(night, *BOUNDARIES[kills % len(BOUNDARIES)]):
        kills += 1
        assert kills < 60, night.phases()
    return kills


WAITING = """\
import os, pathlib, time, unittest


class T(unittest.TestCase):
    def test_waits(self):
        with open({pids!r}, "a") as file:
            file.write("x\\n")
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.01)
"""


def waiting_test(night: Night) -> tuple[str, Path, Path]:
    """A test that says that it has begun (a line each time) and then waits for a word: its source, and both files.

    They lie in the interpreter's view of a gate: below the slot's cache, which nobody sweeps.
    """
    begun, go = night.scratch / "begun", night.scratch / "go"
    return WAITING.format(pids=str(begun), go=str(go)), begun, go


def gates(night: Night) -> dict[int, str]:
    """Pid -> marker of every living process of a gate's run."""
    found = {process.pid: tree.marker_of(process) for process in tree.find_marked(f"{night.folders.marker}-")}
    return {pid: marker for pid, marker in found.items() if "unit-" in marker}
