"""Coverage: the report that a gate leaves is read, kept and judged; one that lies there anyway is not."""

import sys
from pathlib import Path
from typing import Any

import pytest

from engine.models.report import VerificationReport
from engine.models.settings import Coverage
from tests.gates.bench import Bench, gate

WANTED = Coverage.model_validate({"gate": "unit", "report": "out/cover.info", "min": 80})
WRITE = "import os; os.makedirs('out', exist_ok=True); open('out/cover.info', 'w').write({text!r})"
LCOV = "SF:new.py\nDA:1,{0}\nDA:2,{1}\nend_of_record\n"
NEW = {"new.py": "a = 1\nb = 2\n"}


def covering(text: str | None, **fields: Any):
    source = WRITE.format(text=text) if text is not None else "open('README.md')"
    return gate("unit", ("python", "-c", source), "none", **fields)


def guard(report: VerificationReport):
    return next(each for each in report.guards if each.rule == "coverage")


@pytest.mark.parametrize(("counts", "result"), [((1, 1), "green"), ((1, 0), "red"), ((0, 0), "red")])
async def test_covered_lines_decide(bench: Bench, counts: tuple[int, int], result: str) -> None:
    text = LCOV.format(*counts)
    report = (await bench.gates(bench.change(NEW), covering(text), coverage=WANTED)).report
    assert report.result == result
    assert guard(report).ok == (result == "green")
    assert report.gates[0].result == "green"
    assert bench.store.get(report.gates[0].coverage).decode() == text
    assert (guard(report).reason in report.reasons) == (result == "red")


async def test_a_missing_report_is_denied_and_without_the_setting_nobody_asks(bench: Bench) -> None:
    tree = bench.change(NEW)
    report = (await bench.gates(tree, covering(None), coverage=WANTED)).report
    assert report.result == "red"
    assert "is missing" in guard(report).reason
    assert (await bench.gates(tree, covering(None))).report.guards == []


async def test_a_report_in_the_tree_itself_is_denied(bench: Bench) -> None:
    tree = bench.change({**NEW, "out/cover.info": LCOV.format(1, 1)})
    report = (await bench.gates(tree, covering(None), coverage=WANTED)).report
    assert report.result == "red"
    assert "take it out of git" in guard(report).reason


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
@pytest.mark.parametrize("how", ["file", "folder", "hard", "fifo"])
async def test_links_and_pipes_are_not_followed(bench: Bench, tmp_path: Path, how: str) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "cover.info").write_text(LCOV.format(1, 1), encoding="utf-8")
    lines = {
        "file": f"os.makedirs('out'); os.symlink({str(outside / 'cover.info')!r}, 'out/cover.info')",
        "folder": f"os.symlink({str(outside)!r}, 'out')",
        "hard": f"os.makedirs('out'); os.link({str(outside / 'cover.info')!r}, 'out/cover.info')",
        "fifo": "os.makedirs('out'); os.mkfifo('out/cover.info')",
    }
    one = gate("unit", ("python", "-c", f"import os; {lines[how]}"), "none")
    report = (await bench.gates(bench.change(NEW), one, coverage=WANTED)).report
    assert report.result == "red"
    assert "is missing" in guard(report).reason


async def test_what_another_gate_of_the_group_left_is_not_this_ones(bench: Bench) -> None:
    forge = gate("forge", ("python", "-c", WRITE.format(text=LCOV.format(1, 1))), "none")
    report = (await bench.gates(bench.change(NEW), forge, covering(None, needs=["forge"]), coverage=WANTED)).report
    assert report.result == "red"
    assert "is missing" in guard(report).reason


async def test_a_reused_result_brings_its_report_along_and_one_without_any_runs_again(bench: Bench) -> None:
    tree, one = bench.change(NEW), covering(LCOV.format(1, 1))
    assert (await bench.gates(tree, one)).report.guards == []
    first = (await bench.gates(tree, one, coverage=WANTED)).report
    again = (await bench.gates(tree, one, coverage=WANTED)).report
    assert [report.gates[0].cached for report in (first, again)] == [False, True]
    assert (again.result, guard(again).ok) == ("green", True)


async def test_a_run_without_the_gate_says_that_coverage_was_not_asked_for(bench: Bench) -> None:
    report = (await bench.gates(bench.change(NEW), gate(), coverage=WANTED.model_copy(update={"gate": "x"}))).report
    assert (report.result, "no-coverage" in report.flags) == ("green", True)
