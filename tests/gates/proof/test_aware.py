"""Product code that asks whether a test is running is said openly, and is no fix."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gates.proof.aware import aware_lines
from gates.proof.test_files import TestFiles
from gates.proof.trials import Changed
from tests.gates.bench import Bench
from tests.gates.proof.test_prove import BUGGY, PROVES, RIGHT, START, Proving

ASKS = "import os\n\n\ndef add(a, b):\n    if 'PYTEST_CURRENT_TEST' in os.environ or UNDER:\n        return a + b\n"
ASKS += "    return a - b if b < 0 else a + b\n\n\nimport sys\nUNDER = 'unittest' in sys.modules\n"


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench)
    made.start(START)
    return made


async def test_a_fix_that_holds_under_test_alone_is_refused(proving: Proving) -> None:
    report = await proving.prove({"kit.py": ASKS, "tests/test_new.py": PROVES})
    assert (report.result, "test-aware" in report.flags) == ("red", True)
    assert report.reasons[-1].startswith("kit.py:5, kit.py:11 ask whether a test is running (if 'PYTEST_CURRENT_TEST'")


async def test_another_kind_of_order_is_flagged_and_one_that_names_the_file_is_not(proving: Proving) -> None:
    report = await proving.prove({"kit.py": ASKS}, kind="refactor")
    assert (report.result, report.flags) == ("green", ["test-aware"])
    report = await proving.prove({"kit.py": ASKS, "tests/test_new.py": PROVES}, allow=["kit.py", "tests/**"])
    assert (report.result, report.flags) == ("green", [])


async def test_a_file_that_only_an_agent_named_in_full_is_not_named(proving: Proving) -> None:
    allow = ["kit.py", "tests/**"]
    for named, result in ((("kit.py",), "green"), ((), "red")):
        report = await proving.prove({"kit.py": ASKS, "tests/test_new.py": PROVES}, allow=allow, named=named)
        assert (report.result, "test-aware" in report.flags) == (result, result == "red")


async def test_control_tests_may_ask_and_what_was_there_is_not_added(proving: Proving) -> None:
    asks = PROVES.replace("import unittest\n", "import os, sys, unittest\nassert 'unittest' in sys.modules\n")
    report = await proving.prove({"kit.py": RIGHT, "tests/test_new.py": asks})
    assert (report.result, report.flags) == ("green", [])
    proving.start({"kit.py": ASKS.replace(BUGGY, RIGHT)})
    report = await proving.prove({"kit.py": "\n\n" + ASKS + "\nMORE = 1\n"}, kind="refactor")
    assert report.flags == []


class Two:
    """Two trees with one file."""

    def __init__(self, path: str, old: str, new: str) -> None:
        self.path, self.old, self.new = path, old, new

    def changed(self, base: str, head: str) -> list[Changed]:
        return [Changed(self.path, "100644", "100644", "0", "1")]

    def read(self, tree: str, path: str) -> bytes | None:
        return (self.old if tree == "old" else self.new).encode()

    def write(self, content: bytes) -> str:
        raise AssertionError

    def compose(self, tree: str, entries: Mapping[str, tuple[str, str] | None]) -> str:
        raise AssertionError


def lines(path: str, new: str, old: str = "") -> list[int]:
    return [one.number for one in aware_lines(Two(path, old, new), TestFiles(), "old", "new")]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("kit.py", "if 'pytest' in sys.modules:"),
        ("kit.py", "TESTING = any('pytest' in word for word in sys.argv)"),
        ("kit.py", 'if sys.modules.get("_pytest"):'),
        ("kit.py", "if os.environ.get('PYTEST_VERSION'):"),
        ("kit.py", "if 'SWARM_RUN' in os.environ:"),
        ("src/lib.rs", "if cfg!(test) { return 3; }"),
        ("src/lib.rs", "#[cfg(not(test))]"),
        ("src/lib.rs", "fn f() -> u32 { #[cfg(test)] return 3; }"),
        ("src/lib.rs", "fn f() -> u32 { #[cfg(test)] { return 3; } 2 }"),
        ("kit.go", "if testing.Testing() { return 3 }"),
        ("kit.go", 'if flag.Lookup("test.v") != nil { return 3 }'),
        ("kit.js", 'if (process.env.NODE_ENV === "test") return 3'),
        ("kit.ts", "if (process.env.JEST_WORKER_ID) return 3"),
    ],
)
def test_ways_to_ask(path: str, line: str) -> None:
    assert lines(path, f"\n{line}\n") == [2]
    assert lines(path, f"\n{line}\n", old=line) == []
    assert lines(f"tests/test_{path}", line) == [] or path.endswith(".rs")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kit.py", "# 'pytest' in sys.modules\nimport pytest_plugin\nfrom modules import run\n"),
        ("kit.py", "modules = ['kit']\n"),
        ("src/lib.rs", "#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() { assert!(cfg!(test)); }\n}\n"),
        ("src/lib.rs", "#[cfg(test)]\npub(crate) fn helper() {}\n#[cfg(test)] use std::fs;\n"),
        ("src/lib.rs", "#![cfg_attr(not(test), no_std)]\n"),
        ("kit.js", 'if (process.env.NODE_ENV === "production") return 3'),
        ("kit.go", "func Test() bool { return true }\n"),
        ("docs/notes.md", "PYTEST_CURRENT_TEST"),
    ],
)
def test_control_what_asks_nothing(path: str, text: str) -> None:
    assert lines(path, text) == []
