"""A second try: only for tests with a record of flaking, once, and on a checkout that the first try has not seen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.models.report import GateResult
from tests.gates.bench import Bench, gate, only

COUNTED = """
import pathlib, unittest
class T(unittest.TestCase):
    def test_shaky(self):
        count = pathlib.Path({count!r})
        count.write_text(count.read_text() + "x" if count.exists() else "x")
        self.assertGreater(len(count.read_text()), {red})
    def test_firm(self):
        self.assertTrue({firm})
"""
PYTEST = ("python", "-m", "pytest", "-q")
SHAKY, FIRM = "test_a.T.test_shaky", "test_a.T.test_firm"


def tree(bench: Bench, count: Path, red: int = 1, firm: str = "True", files: Mapping[str, str] | None = None) -> str:
    """The tree of a change beside a test of main that is red the first `red` times."""
    source = COUNTED.format(count=str(count), red=red, firm="True")
    bench.on_main({"test_a.py": source})
    more = {"test_a.py": source.replace("(True)", f"({firm})")} if firm != "True" else {}
    return bench.change({"beside.txt": "a change\n", **more, **(files or {})})


async def judged(bench: Bench, tree: str, *gates: Any, flaky: tuple[str, ...] = (SHAKY,)) -> GateResult:
    return (await bench.gates(tree, *(gates or (gate(),)), flaky=flaky)).report.gates[-1]


async def test_a_known_flaky_test_that_passes_the_second_time_is_green_and_named(bench: Bench, tmp_path: Path) -> None:
    report = (await bench.gates(tree(bench, tmp_path / "n"), gate(), flaky=(SHAKY,), key="k")).report
    result = only(report)
    assert (report.result, result.retried, result.failing) == ("green", [SHAKY], [])
    assert (result.passed, result.failed, "flaky" in report.flags) == (2, 0, True)
    assert bench.store.get_json(result.tests) == {SHAKY: "passed", FIRM: "passed"}
    assert b"tried again on a fresh checkout" in bench.store.get(result.log)
    rows = [json.loads(row) for row in (bench.runs / "k" / "progress.jsonl").read_text("utf-8").splitlines()]
    assert rows[-1]["purpose"] == "retry"


async def test_a_test_without_a_record_is_not_tried_again(bench: Bench, tmp_path: Path) -> None:
    result = await judged(bench, tree(bench, tmp_path / "n"), flaky=("test_a.T.test_other",))
    assert (result.result, result.retried, result.failing) == ("red", [], [SHAKY])
    assert (tmp_path / "n").read_text() == "x"


async def test_there_is_no_third_try(bench: Bench, tmp_path: Path) -> None:
    result = await judged(bench, tree(bench, tmp_path / "n", red=2))
    assert (result.result, result.retried) == ("red", [])
    assert result.reason.endswith("(and again on a fresh checkout).")
    assert (tmp_path / "n").read_text() == "xx"


async def test_a_firm_test_that_is_red_beside_a_flaky_one_ends_it(bench: Bench, tmp_path: Path) -> None:
    result = await judged(bench, tree(bench, tmp_path / "n", firm="False"))
    assert (result.result, result.retried) == ("red", [])
    assert (tmp_path / "n").read_text() == "x"


STATE = """
import os, unittest
class T(unittest.TestCase):
    def test_shaky(self):
        left = os.path.exists({mark!r})
        open({mark!r}, "w").close()
        self.assertTrue(left)
"""


@pytest.mark.parametrize(
    "mark", ["left", "__pycache__/left", ".hidden/left", "home"], ids=["tree", "bytecode", "hidden", "home"]
)
async def test_a_retry_does_not_profit_from_what_the_first_try_left(bench: Bench, mark: str) -> None:
    source = STATE.format(mark=mark)
    if mark == "home":
        source = source.replace("'home'", "os.path.expanduser('~/left')")
    elif "/" in mark:
        source = source.replace("left =", f"os.makedirs({mark.rpartition('/')[0]!r}, exist_ok=True); left =")
    bench.on_main({"test_a.py": source})
    result = await judged(bench, bench.change({"beside.txt": "a change\n"}))
    assert (result.result, result.retried) == ("red", [])


async def test_state_outside_of_everything_private_is_what_a_retry_can_see(bench: Bench, tmp_path: Path) -> None:
    """The positive control of the test above: without a sandbox, the rest of the machine is shared."""
    bench.on_main({"test_a.py": STATE.format(mark=str(tmp_path / "left"))})
    result = await judged(bench, bench.change({"beside.txt": "a change\n"}))
    assert (result.result, result.retried) == ("green", [SHAKY])


@pytest.mark.parametrize("later", [False, True], ids=["alone", "with a gate that needs it"])
async def test_a_retry_finds_what_its_needs_build_and_so_do_later_gates(
    bench: Bench, tmp_path: Path, later: bool
) -> None:
    build = gate("build", ("python", "-c", "open('built', 'w').close()"), "none")
    see = gate("see", ("python", "-c", "open('built')"), "none", needs=["build", *(["unit"] if later else [])])
    files = {"test_b.py": "import unittest\nclass B(unittest.TestCase):\n    def test_b(self): open('built').close()\n"}
    asked = tree(bench, tmp_path / "n", files=files)
    report = (await bench.gates(asked, build, gate(needs=["build"]), see, flaky=(SHAKY,))).report
    assert [result.result for result in report.gates] == ["green", "green", "green"]
    assert report.gates[1].retried == [SHAKY]


async def test_a_pass_by_retry_is_reused_for_this_tree_only(bench: Bench, tmp_path: Path) -> None:
    asked = tree(bench, tmp_path / "n")
    one = gate(inputs=["*.py"])
    assert (await judged(bench, asked, one)).retried == [SHAKY]
    assert (await judged(bench, asked, one)).cached
    other = bench.change({"beside.txt": "a change\n", "more.txt": "another\n"})
    assert not (await judged(bench, other, one)).cached


async def test_a_pass_by_retry_is_not_reused_when_the_record_is_gone(bench: Bench, tmp_path: Path) -> None:
    asked = tree(bench, tmp_path / "n")
    await judged(bench, asked)
    assert not (await judged(bench, asked, flaky=())).cached


async def test_pytest_gates_are_tried_again_too(bench: Bench, tmp_path: Path) -> None:
    flaky = "test_a.py::T::test_shaky"
    asked = tree(bench, tmp_path / "n")
    result = await judged(bench, asked, gate(run=PYTEST, results="pytest"), flaky=(flaky,))
    assert (result.result, result.retried, result.passed) == ("green", [flaky], 2)
