"""A fix is proved by the fault, and not by a sign that the change puts up."""

from __future__ import annotations

import ast

import pytest

from gates.proof.signs import additions
from tests.gates.bench import Bench, Files
from tests.gates.proof.test_prove import BUGGY, RIGHT, START, Proving, new_test, proof

TEST = "tests.test_new.NewTest.test_new"


def by(body: str, imports: str = "import kit") -> str:
    return new_test(body, imports=imports)


EMPTY = "try:\n    import more\nexcept ImportError:\n    more = None\n"
SIGNS: dict[str, Files] = {
    "a constant": {"kit.py": BUGGY + "FIXED = True\n", "tests/test_new.py": by("assert getattr(kit, 'FIXED', False)")},
    "a name made of parts": {
        "kit.py": BUGGY + "FIXED = True\n",
        "tests/test_new.py": by("assert vars(kit).get('FIX' + 'ED')"),
    },
    "how much there is": {"kit.py": BUGGY + "more = 1\n", "tests/test_new.py": by("assert 'more' in dir(kit)")},
    "a function": {
        "kit.py": BUGGY + "def mended():\n    return True\n",
        "tests/test_new.py": by("assert hasattr(kit, 'mended') and kit.mended()"),
    },
    "an attribute": {
        "kit.py": BUGGY + "add.mended = True\n",
        "tests/test_new.py": by("assert getattr(kit.add, 'mended', False)"),
    },
    "a file": {
        "mended.txt": "yes\n",
        "tests/test_new.py": by("self.assertTrue(os.path.exists('mended.txt'))", "import os"),
    },
    "an empty module, and its import hidden": {
        "more.py": "",
        "tests/test_new.py": by("self.assertIsNotNone(more)", EMPTY),
    },
    "a comment": {
        "kit.py": BUGGY + "# it is mended\n",
        "tests/test_new.py": by("self.assertIn('is mended', open('kit.py').read())"),
    },
}


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench)
    made.start(START)
    return made


@pytest.mark.parametrize("files", SIGNS.values(), ids=SIGNS.keys())
async def test_a_sign_proves_no_fix(proving: Proving, files: Files) -> None:
    report = await proving.prove(files)
    assert report.result == "red", (files, proof(report))
    assert proof(report).fail_to_pass == proof(report).weak == [TEST]
    assert f"{TEST} passes with the faulty code as it was" in report.reasons[0]


async def test_control_a_fix_that_also_adds_names_and_files_is_proved_by_the_fault(proving: Proving) -> None:
    code = "import math\n\nFIXED = True\n\n\ndef exactly(a):\n    return math.trunc(a)\n\n\n"
    code += RIGHT.replace("a + b", "exactly(a + b)")
    test = by("self.assertEqual(kit.add(3, -1), 2)")
    report = await proving.prove({"kit.py": code, "more.py": "x = 1\n", "tests/test_new.py": test})
    assert (report.result, report.reasons, proof(report).weak) == ("green", [], [])
    assert "signs" in [run.purpose for run in proof(report).runs]


async def test_control_a_name_that_the_old_code_missed_is_the_fault(proving: Proving) -> None:
    proving.start({"kit.py": "def add(a, b):\n    return a + b if b > 0 else below(a, b)\n"})
    code = "def below(a, b):\n    return a + b\n\n\ndef add(a, b):\n    return a + b if b > 0 else below(a, b)\n"
    report = await proving.prove({"kit.py": code, "tests/test_new.py": by("self.assertEqual(kit.add(3, -1), 2)")})
    assert (report.result, report.reasons) == ("green", [])


async def test_control_a_feature_may_be_proved_by_what_is_new(proving: Proving) -> None:
    files: Files = {"more.py": "def twice(a):\n    return 2 * a\n"}
    files |= {"tests/test_new.py": by("from more import twice; self.assertEqual(twice(2), 4)")}
    report = await proving.prove(files, kind="feature", tests=["tests.test_new"])
    assert report.result == "green"


OLD = "import os\n\nLIMIT = 3\n\n\nclass Kit:\n    size = 1\n\n    def run(self):\n        return self.size\n"


@pytest.mark.parametrize(
    ("added", "kept"),
    [
        ("NEW = 1\n", "NEW = 1"),
        ("LIMIT = 4\n", ""),
        ("def run(self):\n    return 2\n", ""),
        ("def fresh():\n    return NEW\n", "def fresh"),
        ("from more import *\n", "from more import *"),
        ("from more import LIMIT\n", ""),
        ("Kit.run = lambda self: 3\n", ""),
        ("print('at import')\n", ""),
    ],
)
def test_only_what_the_old_code_does_not_speak_of_is_an_addition(added: str, kept: str) -> None:
    found = additions(OLD, OLD + added)
    ast.parse(found)
    assert kept in found if kept else found == ""


def test_a_new_constant_of_an_old_class_is_an_addition_and_a_method_is_not() -> None:
    new = OLD.replace("size = 1\n", "size = 1\n    mended = True\n\n    def __hash__(self):\n        return 1\n")
    assert "Kit.mended = True" in additions(OLD, new)
    assert "__hash__" not in additions(OLD, new)


def test_what_is_no_python_adds_nothing() -> None:
    assert additions("def", "def f(): pass") == additions("x = 1", "x = ") == ""
