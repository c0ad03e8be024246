"""`swarm gates` as a person uses it: real processes, a real repository, interrupts and kills included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import SETTINGS, Desk
from conftest import MakeDesk

PATIENCE_S = 30.0
SLOW = """\
import pathlib, subprocess, sys, time, unittest

class Slow(unittest.TestCase):
    def test_slow(self):
        if not pathlib.Path("slow.txt").exists():
            return
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
        time.sleep(300)
"""
TWO = SETTINGS + '[[gate]]\nname = "second"\nkind = "unit"\nrun = ["python3", "-c", "import broken_not"]\n'


def started(desk: Desk, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "swarm_tui.cli", "gates", *words], cwd=desk.repo, env=desk.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def sleepers(desk: Desk, *, all_of_them: bool = True) -> list[int]:
    """Processes that work in a folder of this desk; or only the child of the slow test, which comes last."""
    found: list[int] = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        slow = "time.sleep(300)" in " ".join(process.info["cmdline"] or ())
        if str(process.info["cwd"] or "").startswith(str(desk.home)) and (all_of_them or slow):
            found.append(process.info["pid"])
    return found


def until(condition: Any) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def slow_desk(make_desk: MakeDesk) -> Desk:
    desk = make_desk()
    desk.write("tests/test_slow.py", SLOW)
    desk.commit("Slow when asked to be", slow__txt="yes\n")
    return desk


def leftovers(desk: Desk) -> list[Path]:
    return [path for folder in desk.home.rglob("runs") for path in folder.glob("hand*")]


@pytest.mark.slow
def test_a_red_gate_is_told_with_its_log_its_reason_and_what_to_do(make_desk: MakeDesk) -> None:
    desk = make_desk(settings=TWO.replace("import broken_not", "import tests.test_whole"))
    desk.commit("Break it", broken__txt="no\n")
    done = desk.swarm("gates")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"gating HEAD, {desk.head()[:12]} (Break it)")
    assert any(line.startswith("✘ tests ") and "1 failed" in line for line in lines)
    assert any(line.startswith("✔ second") for line in lines)
    assert "│ AssertionError: True is not false : broken.txt is there" in done.stdout
    assert "  → mend what they test; this runs the gate alone: swarm gates --gate tests" in lines
    assert lines[-2].startswith("✘ red: 1 of 2 gates not green;")
    assert Path(lines[-1].split(maxsplit=1)[1]).is_file()


@pytest.mark.slow
def test_the_second_time_nothing_runs_and_the_same_report_is_named(make_desk: MakeDesk) -> None:
    desk = make_desk()
    first, second = desk.ask("gates"), desk.ask("gates")
    assert (first["gates"][0]["cached"], second["gates"][0]["cached"]) == (False, True)
    assert (first["digest"], first["tree"]) == (second["digest"], second["tree"])
    assert "none had to run" in desk.swarm("gates").stdout
    assert desk.swarm("verify", second["report"]).returncode == 0
    desk.commit("Break it", broken__txt="no\n")
    assert desk.swarm("gates").returncode == 1, "an answer for another commit stands for nothing"


@pytest.mark.slow
def test_a_test_that_is_gone_is_noticed_once_the_base_was_gated(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.write("tests/test_more.py", "import unittest\nclass More(unittest.TestCase):\n    def test_a(self): pass\n")
    desk.commit("More tests")
    desk.git("switch", "-q", "-c", "topic")
    desk.git("rm", "-q", "tests/test_more.py")
    desk.commit("Away with it")
    unaware = desk.swarm("gates", "--json")
    assert (unaware.returncode, json.loads(unaware.stdout)["base_known"]) == (0, False)
    assert "gate it once with swarm gates main" in desk.swarm("gates").stdout
    assert desk.ask("gates", "main")["result"] == "green"
    aware = desk.swarm("gates", "--json")
    said = json.loads(aware.stdout)
    assert (aware.returncode, said["base_known"]) == (1, True)
    assert [name.endswith("More.test_a") for name in said["gates"][0]["lost"]] == [True]
    told = desk.swarm("gates").stdout
    assert "bring the lost tests back" in told
    assert ", 1 lost\n" in told


@pytest.mark.slow
def test_a_dirty_working_tree_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.swarm("gates").stderr == ""
    desk.write("broken.txt", "not committed\n")
    done = desk.swarm("gates")
    assert done.returncode == 0
    assert "HEAD is gated, and 1 file of the working tree is not committed" in done.stderr


@pytest.mark.slow
def test_fail_fast_ends_at_the_first_red_gate(make_desk: MakeDesk) -> None:
    third = '[[gate]]\nname = "third"\nrun = ["python3", "-m", "compileall", "-q", "tools"]\nneeds = ["tests"]\n'
    desk = make_desk(settings=SETTINGS + third)
    desk.commit("Break it", broken__txt="no\n")
    said = json.loads(desk.swarm("gates", "--json", "--fail-fast").stdout)
    assert [gate["result"] for gate in said["gates"]] == ["red", "skipped"]


@pytest.mark.slow
def test_explain_says_why_a_gate_runs_or_not(make_desk: MakeDesk) -> None:
    desk = make_desk()
    first = json.loads(desk.swarm("gates", "--json", "--explain").stdout)["explained"][0]
    second = json.loads(desk.swarm("gates", "--json", "--explain").stdout)["explained"][0]
    assert (first["gate"], first["reused"], second["reused"]) == ("tests", False, True)
    assert first["key"] == second["key"]
    desk.commit("Another tree", more__txt="x\n")
    third = json.loads(desk.swarm("gates", "--json", "--explain").stdout)["explained"][0]
    assert not third["reused"]
    assert third["differs"]
    desk.commit("Yet another", more__txt="y\n")
    assert "▶ runs  tests:" in desk.swarm("gates", "--explain").stdout


CLAMP = """\
def clamp(value, low):
    if value < low:
        return low
    return value
"""
TESTED = """\
import sys, unittest
sys.path.insert(0, ".")
from clamp import clamp

class Clamp(unittest.TestCase):
    def test_below(self):
        self.assertEqual(clamp(1, 3), 3)
    def test_above(self):
        self.assertEqual(clamp(5, 3), 5)
"""


@pytest.mark.slow
def test_sabotage_tells_what_no_gate_notices(make_desk: MakeDesk) -> None:
    desk = make_desk()
    same = desk.swarm("gates", "--sabotage", "2")
    assert same.returncode == 2
    assert "nothing was changed" in same.stderr
    desk.write("clamp.py", CLAMP)
    desk.commit("Untested")
    untested = desk.swarm("gates", "--base", "HEAD~1", "--sabotage", "3", "--json")
    said = json.loads(untested.stdout)
    assert (untested.returncode, said["share"], len(said["survivors"])) == (1, 0.0, 3)
    assert all(one["path"] == "clamp.py" and one["before"] != one["after"] for one in said["survivors"])
    desk.write("tests/test_clamp.py", TESTED)
    desk.commit("Tested")
    tested = desk.swarm("gates", "--base", "HEAD~2", "--sabotage", "3")
    assert "caught" in tested.stdout
    assert "0 of 3" not in tested.stdout
    assert leftovers(desk) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a console's ctrl+c cannot be sent to one process there")
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_whatever_ends_it_no_gate_is_left(make_desk: MakeDesk, number: str, code: int) -> None:
    desk = slow_desk(make_desk)
    process = started(desk)
    until(lambda: sleepers(desk, all_of_them=False))
    process.send_signal(getattr(signal, number))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, out + err
    until(lambda: not sleepers(desk))
    assert "Traceback" not in err
    if number == "SIGINT":
        assert "interrupted: what ran was ended" in err
    if number != "SIGKILL":
        assert leftovers(desk) == []
    desk.git("rm", "-q", "slow.txt")
    desk.commit("Quick again")
    assert desk.swarm("gates").returncode == 0
    assert leftovers(desk) == [], "what a killed one left is cleared by the next"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a console's ctrl+c cannot be sent to one process there")
def test_watch_gates_the_working_tree_and_each_commit_until_ctrl_c(make_desk: MakeDesk) -> None:
    desk = make_desk()
    process = started(desk, "--watch", "--json")
    assert process.stdout is not None

    def next_one() -> dict[str, Any]:
        return json.loads(process.stdout.readline())  # pyright: ignore[reportOptionalMemberAccess]

    first = next_one()
    assert (first["result"], first["commit"]) == ("green", desk.head())
    index = (desk.repo / ".git" / "index").read_bytes()
    desk.write("broken.txt", "not committed\n")
    second = next_one()
    assert (second["result"], second["commit"]) == ("red", "")
    assert (desk.repo / ".git" / "index").read_bytes() == index
    commit = desk.commit("Broken")
    third = next_one()
    assert (third["result"], third["commit"], third["tree"]) == ("red", commit, second["tree"])
    desk.git("rm", "-q", "broken.txt")
    assert next_one()["result"] == "green"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert leftovers(desk) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a console's ctrl+c cannot be sent to one process there")
def test_what_is_newer_supersedes_what_runs(make_desk: MakeDesk) -> None:
    desk = slow_desk(make_desk)
    process = started(desk, "--watch", "--json")
    assert process.stdout is not None
    until(lambda: sleepers(desk, all_of_them=False))
    os.remove(desk.repo / "slow.txt")  # noqa: PTH107
    said = json.loads(process.stdout.readline())
    assert (said["result"], said["commit"]) == ("green", "")
    assert not sleepers(desk)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "superseded" in err
