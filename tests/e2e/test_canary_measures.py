"""What is judged after landing beside the flows' own verdicts: gates of `when = ["canary"]`, samples, budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.night import SETTINGS, Night

LATE_GATE = """
[[gate]]
name = "late"
kind = "integration"
run = [PYTHON, "late.py"]
when = ["canary"]
timeout = "60s"
"""
LATE = """\
import sys
from tiny.words import WORDS

sys.exit(0 if "hello" in WORDS else "hello is forgotten")
"""
SAMPLED = """
[[canary.flow]]
name = "pace"
start = { run = [PYTHON, "-m", "tiny.pace"] }
steps = [
    { wait = { until = { exit = 0 }, within = "20s" } },
    { sample = { name = "ms", event = "frame", path = "ms", unit = "ms" } },
]
"""
PACE = """\
import json

for _ in range(5):
    print(json.dumps({"kind": "frame", "ms": MS}), flush=True)
"""
BUDGET: dict[str, Any] = {"budget.ms": "+10%"}
HELLO_TEST = """\
import unittest
from tiny.words import WORDS


class HelloTest(unittest.TestCase):
    def test_hello_is_known(self):
        self.assertIn("hello", WORDS)
"""


@pytest.mark.slow
def test_a_gate_after_landing_takes_back_what_it_finds_red(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=SETTINGS + LATE_GATE)
    night.person_commits({"late.py": LATE}, "A late gate")
    night.order("a", {"tiny/a.py": "A = 1\n"})
    forgets, mended = "WORDS = set()\n", "WORDS = {'hello', 'b'}\n"
    night.order("b", {"tiny/words.py": forgets}, {"tiny/words.py": mended}, depends_on=["a"])
    night.order("bug-b-1", {"tests/test_hello.py": HELLO_TEST}, offered=False)
    night.until_idle()
    assert night.phases() == {"a": "healthy", "b": "healthy", "bug-b-1": "healthy"}
    (reverted,) = night.events("change_reverted")
    assert reverted.work_order == "b"
    assert "gate:late" in reverted.fields["evidence"][0]
    assert night.events("main_restored")
    assert {event.fields["gate"] for event in night.events("gate_finished")} == {"unit"}, "the train does not run it"
    night.assert_sound()


@pytest.mark.slow
def test_a_budget_that_is_broken_gets_a_bug_order_and_takes_nothing_back(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=SETTINGS + SAMPLED)
    night.person_commits({"tiny/pace.py": PACE.replace("MS", "10")}, "A pace")
    night.until_idle()
    night.order("same", {"tiny/a.py": "A = 1\n"}, **BUDGET)
    night.until_idle()
    assert [event.fields["verdict"] for event in night.events("canary_finished", purpose="compare")] == ["PASS"]
    night.order("slow", {"tiny/pace.py": PACE.replace("MS", "20")}, **BUDGET)
    night.order("bug-slow-1", {"tiny/pace.py": PACE.replace("MS", "11")}, offered=False)
    night.until_idle()
    compared = night.events("canary_finished", purpose="compare")
    worse = next(event.fields for event in compared if event.fields["verdict"] == "FAIL")
    (metric,) = worse["metrics"]
    assert (metric["sample"], metric["before"], metric["after"]) == ("ms", 10, 20)
    assert night.events("main_restored", "change_reverted") == []
    bug = night.folded().orders["bug-slow-1"]
    assert (bug.phase, bug.spec.kind) == ("healthy", "refactor")
    night.assert_sound()
