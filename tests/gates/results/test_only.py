"""Runs of some tests only, the files that ids name, and what failed in a failed test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gates.results.table import adapter
from gates.results.unittest import UnittestResults
from tests.gates.test_results import Watched

CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_ab(self): pass\n"
FILES = {
    "tests/test_a.py": CASE,
    "tests/test_b.py": CASE.replace("T(", "U("),
    "tests/test_c.py": "import no_such_module\n",
}
DISCOVER = ("discover", "-s", "tests")


def run_only(watched: Watched, results: str, arguments: tuple[str, ...], *tests: str):
    argv = adapter(results).only((sys.executable, "-m", results, *arguments), tests)
    assert argv is not None
    assert adapter(results).problem(argv) == ""
    return watched.run(results, FILES, *argv[3:])


@pytest.mark.parametrize(
    ("tests", "outcomes"),
    [
        (("tests/test_a.py::T::test_a",), {"tests/test_a.py::T::test_a"}),
        (("tests/test_b.py",), {"tests/test_b.py::U::test_a", "tests/test_b.py::U::test_ab"}),
        (("tests/test_a.py::T::test_ab", "tests/none.py::test_x"), {"tests/test_a.py::T::test_ab"}),
        (("tests.test_a.T",), {"tests/test_a.py::T::test_a", "tests/test_a.py::T::test_ab"}),
        (("tests/none.py::test_x",), set()),
    ],
)
def test_pytest_runs_the_named_tests_only(tmp_path: Path, tests: tuple[str, ...], outcomes: set[str]) -> None:
    assert set(run_only(Watched(tmp_path), "pytest", ("tests",), *tests).outcomes) == outcomes


@pytest.mark.parametrize(
    ("tests", "outcomes"),
    [
        (("test_a.T.test_a",), {"test_a.T.test_a"}),
        (("tests/test_b.py",), {"test_b.U.test_a", "test_b.U.test_ab"}),
        (("test_none.T.test_a",), set()),
    ],
)
def test_unittest_runs_the_named_tests_only(tmp_path: Path, tests: tuple[str, ...], outcomes: set[str]) -> None:
    seen = run_only(Watched(tmp_path), "unittest", DISCOVER, *tests)
    assert set(seen.outcomes) == outcomes
    assert seen.tripwire == ("tripped" if outcomes else "")


def test_a_module_that_cannot_be_imported_is_an_error_and_no_assertion(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    seen = run_only(Watched(tmp_path / "one"), "pytest", (), "tests/test_c.py::test_x", "tests/test_a.py::T::test_a")
    assert seen.how == {"tests/test_c.py": "error"}
    assert seen.outcomes == {"tests/test_a.py::T::test_a": "passed"}
    seen = run_only(Watched(tmp_path / "two"), "unittest", DISCOVER, "test_c.T.test_x")
    assert set(seen.how.values()) == {"error"}


HOW = """
import unittest, product
class T(unittest.TestCase):
    def test_check(self): self.assertEqual(product.one(), 2)
    def test_missing(self): product.no_such_thing()
    def test_signature(self): product.one(size=3)
    def test_crash(self): product.crash()
    def test_wrong_value(self): product.wrong()
    def test_import(self): import no_such_module
"""
PRODUCT = "def one(): return 1\ndef crash(): return None.size\ndef wrong(): raise ValueError\n"


@pytest.mark.parametrize(("results", "prefix"), [("unittest", "test_a.T."), ("pytest", "test_a.py::T::")])
def test_what_failed_is_told_apart(tmp_path: Path, results: str, prefix: str) -> None:
    seen = Watched(tmp_path).run(results, {"test_a.py": HOW, "product.py": PRODUCT})
    assert {name.removeprefix(prefix): how for name, how in seen.how.items()} == {
        "test_check": "assertion",
        "test_missing": "error",
        "test_signature": "error",
        "test_crash": "assertion",
        "test_wrong_value": "assertion",
        "test_import": "error",
    }


def test_the_file_that_an_id_names() -> None:
    by_node = adapter("pytest").file_of
    assert by_node("tests/test_a.py::T::test_x[a/b::c]") == "tests/test_a.py"
    assert by_node("something else") == ""
    dotted = UnittestResults().file_of
    assert dotted("tests.test_a.T.test_x") == "tests/test_a.py"
    assert dotted("tests.test_a.Outer.Inner.test_x") == "tests/test_a.py"
    assert dotted("setUpClass (tests.test_a.T)") == "tests/test_a.py"
    assert dotted("unittest.loader._FailedTest.tests.test_a") == "tests/test_a.py"
    assert dotted("test_a.T.test_x", ("python", "-m", "unittest", "discover", "-s", "./tests/")) == "tests/test_a.py"
    assert dotted("test_a.T.test_x", ("python", "-m", "unittest", "discover", "tests")) == "tests/test_a.py"


def test_too_many_tests_to_name_are_all_run() -> None:
    many = tuple(f"tests/test_{number}.py::test_something" for number in range(5000))
    assert adapter("pytest").only(("python", "-m", "pytest"), many) is None


def test_a_file_whose_name_looks_like_parameters_can_be_run_alone(tmp_path: Path) -> None:
    name = "tests/test_a b[c].py"
    argv = adapter("pytest").only((sys.executable, "-m", "pytest"), (name,))
    assert argv is not None
    seen = Watched(tmp_path).run("pytest", {name: "def test_x(): pass\n", "tests/test_y.py": CASE}, *argv[3:])
    assert (dict(seen.outcomes), seen.problems) == ({f"{name}::test_x": "passed"}, ())
