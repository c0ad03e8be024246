"""Weakening tests in two steps: the first is said openly, the second is red where a test is gone."""

from __future__ import annotations

import pytest

from tests.gates.bench import Bench, Files
from tests.gates.proof.test_prove import BUGGY, OLD_TEST, RIGHT, START, WEAKER, Proving, proof

STRICT = "        self.assertEqual(add(1, 2), 3)\n"
TWIN = OLD_TEST + "\n    def test_adds_loosely(self):\n        self.assertTrue(add(1, 2))\n"
HIDDEN = OLD_TEST + "\n    def test_adds(self):\n        self.assertTrue(add(1, 2))\n"
INHERITED = """import unittest
from kit import add

class Loose:
    def test_adds(self):
        self.assertTrue(add(1, 2))

class AddTest(Loose, unittest.TestCase):
    pass
"""


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench)
    made.start({**START, "kit.py": RIGHT})
    return made


@pytest.mark.parametrize("text", [WEAKER, HIDDEN, INHERITED, OLD_TEST.replace(STRICT, "        add(1, 2)\n")])
async def test_the_first_step_is_said_openly(proving: Proving, text: str) -> None:
    report = await proving.prove({"tests/test_add.py": text}, kind="refactor")
    assert (report.result, "looser-tests" in report.flags) == ("green", True)
    assert proof(report).looser == ["tests/test_add.py"]
    report = await proving.prove(
        {"tests/test_add.py": text}, kind="refactor", tests_changed=["tests.test_add.AddTest.test_adds"]
    )
    assert (report.result, "looser-tests" in report.flags) == ("green", False)


async def test_a_looser_twin_does_not_stand_in_for_the_test_that_is_renamed_away(proving: Proving) -> None:
    report = await proving.prove({"tests/test_add.py": TWIN}, kind="refactor")
    assert (report.result, report.flags) == ("green", [])
    proving.start({"tests/test_add.py": TWIN})
    renamed = TWIN.replace("def test_adds(self)", "def adds(self)")
    report = await proving.prove({"tests/test_add.py": renamed}, kind="refactor")
    assert (report.result, report.gates[0].lost) == ("red", ["tests.test_add.AddTest.test_adds"])


async def test_a_looser_helper_is_said_openly(proving: Proving) -> None:
    helper = "def same(a, b):\n    assert a == b\n    assert type(a) is type(b)\n"
    proving.start({"tests/helper.py": helper})
    report = await proving.prove({"tests/helper.py": helper.replace("    assert a == b\n", "")}, kind="refactor")
    assert proof(report).looser == ["tests/helper.py"]


MOVED: Files = {"tests/test_add.py": None, "tests/test_more.py": OLD_TEST}


@pytest.mark.parametrize("text", [OLD_TEST.replace("import add\n", "import add\n\n# more\n"), TWIN])
async def test_control_what_loses_no_check(proving: Proving, text: str) -> None:
    report = await proving.prove({"kit.py": RIGHT + "\n", "tests/test_add.py": text}, kind="refactor")
    assert (report.result, report.flags, proof(report).looser) == ("green", [], [])


async def test_control_checks_that_move_to_another_file_are_not_gone(proving: Proving) -> None:
    named = ["tests.test_add"]
    report = await proving.prove(MOVED, kind="refactor", tests_removed=named)
    assert (report.result, proof(report).looser) == ("green", [])
    report = await proving.prove({**MOVED, "kit.py": BUGGY}, kind="refactor", tests_removed=named)
    assert proof(report).looser == []
