"""The same through the real runner: what the tree brings along beside its tests does not stand in for a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.gates.bench import Bench, gate, only

BAD_CASE = (
    "import unittest\nclass T(unittest.TestCase):\n    def test_good(self): pass\n"
    "    def test_bad(self): self.assertEqual(1, 2)\n"
)


async def test_a_python_of_the_tree_in_front_of_the_path_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = "#!/bin/sh\nexit 0\n"
    bench = Bench(tmp_path)
    tree = bench.change({"python": false, "bin/python": false, "test_b.py": BAD_CASE})
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k good")
    report = (await bench.gates(tree, gate())).report
    assert report.result == "red"
    assert only(report).failing == ["test_b.T.test_bad"]
    assert Path(only(report).program).parent == Path(sys.executable).parent
    watched = (await bench.gates(tree, gate(run=("python", "-m", "pytest", "-q"), results="pytest"))).report
    assert only(watched).failing == ["test_b.py::T::test_bad"]
    assert "PYTEST_ADDOPTS" in os.environ


@pytest.mark.slow
async def test_a_deselected_test_that_passed_on_the_base_is_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    one = gate(run=("python", "-m", "pytest", "-q"), results="pytest")
    base = await bench.base_report(one)
    tree = bench.change({"pytest.ini": "[pytest]\naddopts = --deselect test_a.py::T::test_two\n"})
    report = (await bench.gates(tree, one, base_report=base)).report
    assert only(report).lost == ["test_a.py::T::test_two"]
    other = bench.change({"pytest.ini": "[pytest]\naddopts = -q\n"})
    assert (await bench.gates(other, one, base_report=base)).report.result == "green"


JUNIT = '<testsuite name="s" tests="1"><testcase classname="a" name="b"/></testsuite>'
WRITES = f"open('out.xml', 'w').write('''{JUNIT}''')"


async def test_a_junit_file_that_the_tree_brings_is_refused_and_one_that_the_run_writes_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    quiet = gate(run=("python", "-c", "import os; assert os.sep"), results="junit:out.xml")
    planted = (await bench.gates(bench.change({"out.xml": JUNIT}), quiet)).report
    assert "was there before the run" in only(planted).reason
    missing = (await bench.gates(bench.base_tree, quiet)).report
    assert "left no out.xml" in only(missing).reason
    honest = (await bench.gates(bench.base_tree, gate(run=("python", "-c", WRITES), results="junit:out.xml"))).report
    assert (honest.result, only(honest).passed) == ("green", 1), honest.reasons
