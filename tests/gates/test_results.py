"""The launchers, run as the runner runs them: every kind of outcome, and every way to lie that was thought of."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.models.report import TestOutcome
from gates.results.adapter import Seen, Watch
from gates.results.table import adapter


class Watched:
    """A tree and an exchange folder; `run` runs the tests there and says what was seen."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.exchange, self.folder = folder / "tree", folder / "exchange", folder
        self.tree.mkdir()
        self.exchange.mkdir()
        self.watch = Watch(self.exchange, secrets.token_hex(16), self.tree)
        (self.exchange / "nonce").write_text(self.watch.nonce, encoding="ascii")
        self.exit_code = -1
        self.output = ""

    def run(
        self, results: str, files: dict[str, str], *arguments: str, python: str = sys.executable, **env: str
    ) -> Seen:
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        reader = adapter(results)
        launch = reader.launch((python, "-m", results, *arguments), self.watch)

        done = subprocess.run(
            launch.argv, cwd=self.tree, env={"PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        self.exit_code, self.output = done.returncode, done.stdout.decode("utf-8", "replace")
        return reader.read(done.returncode, self.watch)

    def read_again(self, results: str, exit_code: int) -> Seen:
        return adapter(results).read(exit_code, self.watch)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


UNITTEST = """
import unittest
class A(unittest.TestCase):
    def test_ok(self): pass
    def test_bad(self): self.fail()
    def test_error(self): raise ValueError
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    @unittest.skip("x")
    def test_skip(self): pass
    def test_subskip(self):
        with self.subTest(i=1): self.skipTest("x")
class B(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError
    def test_b(self): pass
class C(unittest.TestCase):
    def tearDown(self): raise ValueError
    def test_c(self): pass
class D(unittest.IsolatedAsyncioTestCase):
    async def test_d(self): pass
"""


def test_unittest_outcomes_per_test(watched: Watched) -> None:
    seen = watched.run("unittest", {"tests/__init__.py": "", "tests/test_a.py": UNITTEST})
    assert seen == Seen(
        {
            "tests.test_a.A.test_ok": "passed",
            "tests.test_a.A.test_bad": "failed",
            "tests.test_a.A.test_error": "failed",
            "tests.test_a.A.test_sub": "failed",
            "tests.test_a.A.test_expected": "skipped",
            "tests.test_a.A.test_unexpected": "failed",
            "tests.test_a.A.test_skip": "skipped",
            "tests.test_a.A.test_subskip": "skipped",
            "setUpClass (tests.test_a.B)": "failed",
            "tests.test_a.C.test_c": "failed",
            "tests.test_a.D.test_d": "passed",
        },
        how={
            "tests.test_a.A.test_bad": "assertion",
            "tests.test_a.A.test_error": "assertion",
            "tests.test_a.A.test_sub": "assertion",
            "tests.test_a.A.test_unexpected": "assertion",
            "setUpClass (tests.test_a.B)": "error",
            "tests.test_a.C.test_c": "assertion",
        },
        tripwire="tripped",
    )
    assert watched.exit_code == 1
    assert adapter("unittest").progress(watched.exchange) == (11, 6)


PYTEST = """
import pytest, unittest
def test_ok(): pass
def test_bad(): assert 0
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.mark.xfail
def test_xpass(): pass
@pytest.fixture
def broken(): raise ValueError
def test_setup(broken): pass
@pytest.fixture
def breaks():
    yield
    raise ValueError
def test_teardown(breaks): pass
def test_skip(): pytest.skip("x")
@pytest.mark.parametrize("x", ["a/b", "c d"])
def test_each(x): pass
class T(unittest.TestCase):
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
"""


def test_pytest_outcomes_per_test(watched: Watched) -> None:
    seen = watched.run("pytest", {"tests/test_a.py": PYTEST})
    assert seen == Seen(
        {
            "tests/test_a.py::test_ok": "passed",
            "tests/test_a.py::test_bad": "failed",
            "tests/test_a.py::test_xfail": "skipped",
            "tests/test_a.py::test_xpass": "skipped",
            "tests/test_a.py::test_setup": "failed",
            "tests/test_a.py::test_teardown": "failed",
            "tests/test_a.py::test_skip": "skipped",
            "tests/test_a.py::test_each[a/b]": "passed",
            "tests/test_a.py::test_each[c d]": "passed",
            "tests/test_a.py::T::test_sub": "failed",
        },
        how={
            "tests/test_a.py::test_bad": "assertion",
            "tests/test_a.py::test_setup": "error",
            "tests/test_a.py::test_teardown": "error",
            "tests/test_a.py::T::test_sub": "assertion",
        },
        tripwire="tripped",
    )


@pytest.mark.parametrize("results", ["unittest", "pytest"])
def test_a_module_that_cannot_be_imported_is_never_green(watched: Watched, results: str) -> None:
    seen = watched.run(results, {"test_a.py": "import no_such_module\n", "test_b.py": "def test_b(): pass\n"})
    assert seen.problems or "failed" in seen.outcomes.values()


@pytest.mark.parametrize("results", ["unittest", "pytest"])
def test_the_tree_is_imported_first_but_cannot_stand_in_for_the_runner(watched: Watched, results: str) -> None:
    test = "import json, product, unittest\nclass T(unittest.TestCase):\n    def test_a(self): assert product.x == 1\n"
    false = "import os\nos._exit(0)\n"
    files = {"product.py": "x = 1\n", "test_a.py": test, f"{results}.py": false, "hmac.py": false, "recorder.py": false}
    seen = watched.run(results, files)
    assert set(seen.outcomes.values()) == {"passed"}
    assert seen.problems == ()


@pytest.mark.parametrize("results", ["unittest", "pytest"])
def test_declared_python_paths_count(watched: Watched, results: str) -> None:
    test = "import product, unittest\nclass T(unittest.TestCase):\n    def test_a(self): assert product.x == 1\n"
    assert watched.run(results, {"src/product.py": "x = 1\n", "test_a.py": test}, PYTHONPATH="src").problems == ()
    assert watched.exit_code == 0


@pytest.mark.parametrize("results", ["unittest", "pytest"])
def test_the_nonce_is_gone_before_the_tree_runs(watched: Watched, results: str) -> None:
    test = "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): assert not os.path.exists({!r})\n"
    seen = watched.run(results, {"test_a.py": test.format(str(watched.exchange / "nonce"))})
    assert set(seen.outcomes.values()) == {"passed"}


@pytest.mark.parametrize("results", ["unittest", "pytest"])
def test_every_cut_and_every_swap_of_the_records_is_noticed(watched: Watched, results: str) -> None:
    test = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): pass\n"
    assert watched.run(results, {"test_a.py": test}).problems == ()
    file = watched.exchange / "results.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for at in range(len(lines)):
        file.write_bytes(b"".join(lines[:at]))
        assert watched.read_again(results, 0).problems, f"only {at} lines"
        file.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        assert watched.read_again(results, 0).problems, f"without line {at}"
        file.write_bytes(b"".join([*lines[:at], lines[at], *lines[at:]]))
        assert watched.read_again(results, 0).problems, f"line {at} twice"
    file.write_bytes(b"".join(lines).replace(b"passed", b"failed", 1))
    assert watched.read_again(results, 0).problems
    file.unlink()
    assert watched.read_again(results, 0).problems
    file.write_bytes(b"".join(lines))
    assert watched.read_again(results, 1).problems == (
        f"the test process ended with exit code 1 although {results} ended with 0",
    )
    assert watched.read_again(results, 0).problems == ()


def test_a_forked_child_cannot_add_records(watched: Watched) -> None:
    test = (
        "import os, unittest\nclass T(unittest.TestCase):\n"
        "    def test_a(self):\n        if os.fork() == 0: return\n        os.wait()\n    def test_b(self): pass\n"
    )
    if not hasattr(os, "fork"):
        pytest.skip("this platform does not fork")
    seen = watched.run("unittest", {"test_a.py": test})
    assert seen == Seen({"test_a.T.test_a": "passed", "test_a.T.test_b": "passed"}, tripwire="tripped")


def test_a_conftest_that_reports_nothing_is_noticed(watched: Watched) -> None:
    silent = "def pytest_runtest_protocol(item, nextitem): return True\n"
    seen = watched.run("pytest", {"conftest.py": silent, "test_a.py": "def test_a(): assert 0\n"})
    assert "have no result" in seen.problems[0]


@pytest.mark.parametrize("early", ["", "    item._excinfo = None\n    call.excinfo = None\n"])
def test_a_conftest_that_flips_outcomes_is_contradicted(watched: Watched, early: str) -> None:
    flip = (
        "import pytest\n@pytest.hookimpl(hookwrapper=True, tryfirst=True)\n"
        f"def pytest_runtest_makereport(item, call):\n{early}    done = yield\n"
        "    done.get_result().outcome = 'passed'\n"
    )
    seen = watched.run("pytest", {"conftest.py": flip, "test_a.py": "def test_a(): assert 0\n"})
    assert seen.outcomes == {"test_a.py::test_a": "failed"}
    assert "although it raised" in seen.problems[0]


@pytest.mark.slow
def test_where_xdist_is_asked_for_all_tests_run_in_the_watched_process(watched: Watched) -> None:
    pytest.importorskip("xdist")
    seen = watched.run("pytest", {"test_a.py": "def test_a(): pass\ndef test_b(): assert 0\n"}, "-n", "2")
    outcomes: dict[str, TestOutcome] = {"test_a.py::test_a": "passed", "test_a.py::test_b": "failed"}
    assert seen == Seen(outcomes, how={"test_a.py::test_b": "assertion"}, tripwire="tripped")


def test_a_python_without_pytest_is_a_fault_that_says_what_to_do(watched: Watched) -> None:
    bare = watched.folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = bare / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    seen = watched.run("pytest", {"test_a.py": "def test_a(): pass\n"}, python=str(python))
    assert "install it" in seen.fault


def test_the_wrong_arguments_are_a_problem_with_a_name(watched: Watched) -> None:
    assert (
        "called wrongly" in watched.run("pytest", {"test_a.py": "def test_a(): pass\n"}, "--no-such-option").problems[0]
    )


def test_records_are_numbered_from_one_and_end_with_a_finish(watched: Watched) -> None:
    watched.run("unittest", {"test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"})
    lines = (watched.exchange / "results.jsonl").read_text(encoding="ascii").splitlines()
    records = [json.loads(line.partition(" ")[2]) for line in lines]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert [record["kind"] for record in records] == ["begin", "test", "tripwires", "finish"]


def test_a_format_that_is_not_known_is_a_user_error_that_names_those_that_are() -> None:
    with pytest.raises(UserError, match="junit:PATH"):
        adapter("xunit")


def test_a_name_that_cannot_be_written_is_red_and_breaks_nothing(watched: Watched) -> None:
    odd = "import unittest\nclass T(unittest.TestCase): pass\n"
    odd += "for name in (%s): setattr(T, name, lambda self: None)\n"
    seen = watched.run("unittest", {"test_a.py": odd % r"'test_\ud800', 'test_a\0b', 'test_[b] -- \x1b'"})
    assert all(name.encode("utf-8") and "\0" not in name for name in seen.outcomes)
    assert len(seen.problems) == 2
    assert all("signs in its name that cannot be written" in problem for problem in seen.problems)
