"""Where the parts of a proof meet: tests that reach into others, judges that a change brings along, empty reds."""

from __future__ import annotations

import pytest

from engine.models.roadmap import WorkOrder
from engine.ports import AcceptanceRequest
from tests.gates.bench import Bench, Files, gate
from tests.gates.proof.test_prove import BUGGY, PYTEST, RIGHT, Proving, new_test, proof

pytestmark = pytest.mark.slow

BROKEN = "def add(a, b):\n    return a + b + 1\n"
PATCHES = "import kit\n\nkit.add = lambda a, b: a + b\n\n\ndef test_nothing():\n    pass\n"
OLD_FUNCTION = "from kit import add\n\n\ndef test_adds():\n    assert add(1, 2) == 3\n"


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench, PYTEST)
    made.start(
        {"kit.py": BUGGY, "tests/test_add.py": "import kit\n\n\ndef test_adds():\n    assert kit.add(1, 2) == 3\n"}
    )
    made.start({"test_a.py": None, "tests/docs/kit.txt": "3\n"})
    return made


@pytest.mark.parametrize(
    "files",
    [
        {"tests/test_aaa.py": PATCHES},
        {"tests/patches.py": PATCHES, "tests/test_aaa.py": "import patches\n\n\ndef test_nothing():\n    pass\n"},
        {"tests/kit.py": RIGHT},
    ],
    ids=["at-import", "in-a-helper", "by-standing-before-it"],
)
async def test_a_new_test_file_that_makes_old_tests_pass_is_found(proving: Proving, files: Files) -> None:
    report = await proving.prove({"kit.py": BROKEN, **files}, kind="refactor")
    assert (report.result, proof(report).weakened) == ("red", ["tests/test_add.py::test_adds"])
    assert "with the change's test files and not with base's" in report.reasons[0]
    assert (await proving.prove({"kit.py": RIGHT, **files}, kind="refactor")).result == "green"


async def test_a_changed_test_file_that_patches_for_another_one_is_found(proving: Proving) -> None:
    proving.start({"tests/test_aaa.py": "def test_nothing():\n    pass\n"})
    report = await proving.prove({"kit.py": BROKEN, "tests/test_aaa.py": PATCHES}, kind="refactor")
    assert proof(report).weakened == ["tests/test_add.py::test_adds"]


async def test_a_change_of_tests_alone_needs_no_second_run_of_old_ones(proving: Proving) -> None:
    report = await proving.prove({"tests/test_aaa.py": "def test_nothing():\n    pass\n"}, kind="refactor")
    assert report.result == "green"
    assert [run.purpose for run in proof(report).runs] == ["repeat", "repeat"]


async def test_an_old_test_that_runs_into_the_timeout_on_the_old_code_proves_nothing(bench: Bench) -> None:
    proving = Proving(bench, gate("unit", ("python", "-m", "pytest", "-q"), "pytest", timeout="3s"))
    proving.start({"test_a.py": None, "tests/test_add.py": OLD_FUNCTION, "kit.py": RIGHT})
    hangs = (
        "import time\ntry:\n    import more\nexcept ImportError:\n    time.sleep(60)\n\n\ndef test_more():\n    pass\n"
    )
    named = {"kind": "feature", "tests": ["tests/test_more.py::test_more"]}
    report = await proving.prove({"more.py": "x = 1\n", "tests/test_more.py": hangs}, **named)
    assert report.result == "red"
    assert "ran into the timeout" in report.reasons[-1]


async def test_a_feature_that_was_red_only_for_an_import_says_so(proving: Proving) -> None:
    named = {"kind": "feature", "tests": ["tests/test_more.py::test_more"]}
    weak = "import more\n\n\ndef test_more():\n    pass\n"
    report = await proving.prove({"more.py": "x = 1\n", "tests/test_more.py": weak}, **named)
    assert (report.result, "weak-proof" in report.flags) == ("green", True)
    strong = "import kit\n\n\ndef test_more():\n    assert kit.add(3, -1) == 2\n"
    report = await proving.prove({"kit.py": RIGHT, "tests/test_more.py": strong}, **named)
    assert (report.result, "weak-proof" in report.flags) == ("green", False)


# ---- what judges ---------------------------------------------------------------------------------------------------

JUDGE = "import sys\nfrom helper import wanted\nsys.path.insert(0, '.')\nfrom kit import add\n"
JUDGE += "assert add(3, -1) == wanted()\n"
HELPER = "def wanted():\n    return 2\n"
LENIENT = "class Any:\n    __eq__ = lambda self, other: True\n\n\nwanted = Any\n"


@pytest.mark.parametrize("flags", [(), ("-B",), ("-W", "ignore")], ids=" ".join)
async def test_what_lies_beside_a_judge_is_mains(proving: Proving, flags: tuple[str, ...]) -> None:
    proving.start({"checks/judge.py": JUDGE, "checks/helper.py": HELPER})
    named = {"kind": "fix", "acceptance": [{"name": "adds", "run": ["python", *flags, "checks/judge.py"]}]}
    report = await proving.prove({"more.py": "x = 1\n", "checks/helper.py": LENIENT}, **named)
    assert report.result == "red"
    assert "main's version of checks/helper.py, which judges the change" in report.reasons[-1]
    shadow = "class _Any:\n    __eq__ = lambda self, other: True\nimport builtins\nraise SystemExit(0)\n"
    report = await proving.prove({"more.py": "x = 1\n", "checks/kit.py": shadow}, **named)
    assert report.result == "red"
    report = await proving.prove({"kit.py": RIGHT}, **named)
    assert (report.result, report.reasons) == ("green", [])


async def test_what_the_order_may_change_beside_a_judge_is_judged(proving: Proving) -> None:
    proving.start(
        {"tools/say.py": "from part import say\nassert say() == 2\n", "tools/part.py": "def say():\n    return 1\n"}
    )
    named = {"kind": "fix", "acceptance": [{"name": "says", "run": ["python", "tools/say.py"]}]}
    files: Files = {"tools/part.py": "def say():\n    return 2\n"}
    assert (await proving.prove(files, **named)).result == "red"
    assert (await proving.prove(files, allow=["tools/part.py"], **named)).result == "green"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["-m", "pytest", "-q", "tests/test_more.py"], "tests/test_more.py, which is not on main"),
        (["-m", "pytest", "-q", "tests/test_more.py::test_more"], "tests/test_more.py, which is not on main"),
        (["-m", "unittest", "tests.test_more.MoreTest.test_more"], "tests/test_more.py, which is not on main"),
        (["-m", "pytest", "-q", "-k", "brand_new"], "is not there"),
        (["-m", "pytest", "-q", "tests/test_add.py::test_more"], "is not there"),
        (["checks/looks.py"], "which only looks whether a file is there"),
    ],
    ids=" ".join,
)
async def test_a_command_whose_red_is_only_an_absence_is_refused(proving: Proving, argv: list[str], why: str) -> None:
    proving.start({"checks/looks.py": "import os, sys\nsys.exit(0 if os.path.exists('more.py') else 1)\n"})
    found = await proving.accept(kind="feature", acceptance=[{"name": "more", "run": ["python", *argv]}])
    assert not found.ok
    assert why in found.reason, found


async def test_a_command_that_runs_a_red_test_of_main_is_a_goal(proving: Proving) -> None:
    proving.start({"tests/test_later.py": new_test("self.assertEqual(add(3, -1), 2)")})
    for argv in (["-m", "pytest", "-q", "tests/test_later.py"], ["-m", "unittest", "tests.test_later.NewTest"]):
        named = [{"name": "later", "run": ["python", *argv]}]
        order = WorkOrder.model_validate({"id": "wo", "title": "t", "kind": "feature", "acceptance": named})
        bench = proving.bench
        found = await bench.runner.accept(AcceptanceRequest(f"accept@{argv[1]}", order, bench.base_tree))
        assert found.ok, found
