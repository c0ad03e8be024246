"""The catalogue is whole: every case has tests that exist or a reason, and a result is told as it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.redteam.__main__ import ROOT, outcomes, page, result_of
from tests.redteam.catalogue import Case, load

CATALOGUE = load()
COUNTS = {"A": 17, "B": 25, "C": 23, "D": 10, "E": 11, "F": 12, "G": 12, "H": 7}


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    named = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {name for name in named if name.startswith("test_")}


@pytest.mark.parametrize("test", sorted({test for case in CATALOGUE.cases for test in case.tests}))
def test_a_named_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert (ROOT / file).is_file()
    assert name in functions(ROOT / file) if name else functions(ROOT / file)


def test_every_case_is_there_once_with_tests_or_a_reason() -> None:
    ids = [case.id for case in CATALOGUE.cases]
    assert len(ids) == len(set(ids))
    assert {each.letter: len(each.cases) for each in CATALOGUE.classes} == COUNTS
    for each in CATALOGUE.classes:
        for case in each.cases:
            assert case.id.startswith(each.letter)
            assert case.layer in CATALOGUE.layers
            assert bool(case.tests) != bool(case.why), case.id


JUNIT = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_one[x]"/><testcase classname="tests.a" name="test_one[y]"/>
<testcase classname="tests.a" name="test_two"><failure/></testcase>
<testcase classname="tests.b" name="test_three"><skipped/></testcase>
<testcase classname="tests.c.CaseTest" name="test_four"/>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        (("tests/a.py::test_one",), "holds (2 checks)"),
        (("tests/a.py::test_one", "tests/a.py::test_two"), "**FAILS** (1 of 3 checks)"),
        (("tests/a.py",), "**FAILS** (1 of 3 checks)"),
        (("tests/a.py::test_one", "tests/b.py::test_three"), "**not shown**: 1 of 2 tests did not run here"),
        (("tests/c.py",), "holds (1 checks)"),
        (("tests/a.py::test_gone",), "**not shown**: 1 of 1 tests did not run here"),
        ((), "not tested here"),
    ],
)
def test_a_case_holds_only_if_all_of_its_tests_ran_and_passed(tests: tuple[str, ...], told: str) -> None:
    assert result_of(Case("A01", "t", "L1", tests, "" if tests else "why"), outcomes(JUNIT)) == told


def test_the_page_names_every_case() -> None:
    text = page(CATALOGUE, {}, "nowhere")
    assert all(f"| {case.id} | {case.title} |" in text for case in CATALOGUE.cases)
