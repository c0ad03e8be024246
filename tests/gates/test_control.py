"""A red test is run once more on main; quarantined ones do not count; what is to become steady has to be."""

from pathlib import Path

import pytest

from engine.flakes import flakes_in, is_excused
from engine.models.report import VerificationReport
from engine.models.roadmap import WorkOrder
from tests.gates.bench import Bench, gate, only

SHAKY, FIRM = "test_a.T.test_shaky", "test_b.B.test_firm"
CALLS = """
import pathlib, unittest
import value
class T(unittest.TestCase):
    def test_shaky(self):
        calls = pathlib.Path({calls!r})
        told = calls.read_text() if calls.exists() else ""
        calls.write_text(told[1:])
        self.assertFalse(told[:1] == "r", "chance")
"""
FIRM_TEST = (
    "import unittest, value\nclass B(unittest.TestCase):\n    def test_firm(self): self.assertEqual(value.V, 1)\n"
)


class Main:
    """main with a test that does as `calls` says, one letter a run: r is red, anything else green."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.calls = bench, folder / "calls"
        files = {"test_a.py": CALLS.format(calls=str(self.calls)), "test_b.py": FIRM_TEST, "value.py": "V = 1\n"}
        bench.on_main(files)

    async def gated(self, calls: str, tree: str = "", **fields: object) -> VerificationReport:
        bench = self.bench
        base = await bench.base_report(gate()) if "kind" not in fields else ""
        self.calls.write_text(calls)
        known: dict[str, object] = {"control": bench.base_tree, "base_report": base}
        asked = tree or bench.change({"beside.txt": "a change\n"})
        return (await bench.gates(asked, gate(), **{**known, **fields})).report


@pytest.fixture
def main(bench: Bench, tmp_path: Path) -> Main:
    return Main(bench, tmp_path)


async def test_green_on_main_means_the_change_is_guilty(main: Main) -> None:
    report = await main.gated("rg")
    result = only(report)
    assert (report.result, result.control, is_excused(report)) == ("red", {SHAKY: "passed"}, False)
    assert result.reason.endswith("(green on main as it is).")
    assert flakes_in(report) == {}


async def test_red_on_main_too_is_a_flake_and_not_held_against_the_change(main: Main) -> None:
    report = await main.gated("rr")
    assert (report.result, only(report).control, is_excused(report)) == ("red", {SHAKY: "failed"}, True)
    assert flakes_in(report) == {"unit": [SHAKY]}


async def test_a_firm_failure_beside_a_flake_is_the_changes(main: Main) -> None:
    report = await main.gated("rr", main.bench.change({"value.py": "V = 2\n"}))
    assert only(report).control == {SHAKY: "failed", FIRM: "passed"}
    assert not is_excused(report)
    assert flakes_in(report) == {"unit": [SHAKY]}


async def test_a_green_gate_needs_no_control_run(main: Main) -> None:
    report = await main.gated("g" + "r")
    assert (report.result, only(report).control) == ("green", {})
    assert main.calls.read_text() == "r"


async def test_a_test_that_the_change_adds_has_no_control_run(main: Main) -> None:
    new = "import unittest\nclass N(unittest.TestCase):\n    def test_new(self): self.fail()\n"
    report = await main.gated("g", main.bench.change({"test_n.py": new}))
    assert (report.result, only(report).control, is_excused(report)) == ("red", {}, False)


async def test_without_a_tree_to_control_on_nothing_is_run_again(main: Main) -> None:
    report = await main.gated("rg", control="")
    assert (only(report).control, main.calls.read_text()) == ({}, "g")


async def test_main_itself_is_run_once_more_and_green_then_is_a_flake(main: Main) -> None:
    report = await main.gated("rg", main.bench.base_tree, kind="gates")
    assert (report.result, is_excused(report), flakes_in(report)) == ("red", True, {"unit": [SHAKY]})
    broken = await main.gated("rr", main.bench.base_tree, kind="gates")
    assert (broken.result, is_excused(broken), flakes_in(broken)) == ("red", False, {})


async def test_a_failure_in_quarantine_is_told_and_does_not_count(main: Main) -> None:
    report = await main.gated("r", quarantined=(SHAKY,))
    result = only(report)
    assert (report.result, result.quarantined, result.failing, result.failed) == ("green", [SHAKY], [], 1)
    assert "quarantined" in report.flags
    assert (await main.gated("r")).result == "red"  # the same, without quarantine


async def test_quarantine_does_not_cover_what_the_change_touches(main: Main) -> None:
    touched = CALLS.format(calls=str(main.calls)) + "# touched\n"
    report = await main.gated("r", main.bench.change({"test_a.py": touched}), quarantined=(SHAKY,), control="")
    assert (report.result, only(report).quarantined, only(report).failing) == ("red", [], [SHAKY])


async def test_quarantine_covers_no_other_test(main: Main) -> None:
    report = await main.gated("r", main.bench.change({"value.py": "V = 2\n"}), quarantined=(SHAKY,))
    assert (report.result, only(report).quarantined, only(report).failing) == ("red", [SHAKY], [FIRM])


async def test_a_result_beside_a_quarantined_failure_is_not_reused_after_the_quarantine(main: Main) -> None:
    tree = main.bench.change({"beside.txt": "a change\n"})
    base = await main.bench.base_report(gate())
    fields = {"base_report": base}
    await main.gated("r", tree, quarantined=(SHAKY,), **fields)
    assert only(await main.gated("r", tree, quarantined=(SHAKY,), **fields)).cached
    assert not only(await main.gated("g", tree, **fields)).cached


def mending(**more: object) -> WorkOrder:
    return WorkOrder.model_validate({"id": "mend", "title": "t", "kind": "fix", "steady": [SHAKY], **more})


async def test_a_test_that_became_steady_is_proof_enough_for_its_order(main: Main) -> None:
    report = await main.gated("", order=mending())
    assert (report.result, report.reasons) == ("green", [])
    assert report.proof is not None
    assert len([run for run in report.proof.runs if run.purpose == "steady"]) == 10
    without = await main.gated("", order=mending(steady=[]))
    assert without.result == "red"  # a fix that proves nothing


async def test_one_red_run_of_many_shows_that_it_still_flakes(main: Main) -> None:
    report = await main.gated("ggggr", order=mending())
    assert report.result == "red"
    assert "still flakes (run 4 of 10 was not green)" in report.reasons[-1]


async def test_a_flaky_test_that_is_taken_away_is_not_steady(main: Main) -> None:
    gone = main.bench.change({"test_a.py": None})
    report = await main.gated("", gone, order=mending(tests_removed=[SHAKY]), tests_gone=(SHAKY,))
    assert report.result == "red"
    assert any("did not run: bring the test back" in reason for reason in report.reasons)
