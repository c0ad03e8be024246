"""What a change proves, with real gates on real trees: base, the old code with the new tests, and the change."""

from typing import Any

import pytest

from engine.models.proof import Proof
from engine.models.report import VerificationReport
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate
from engine.ports import Acceptance, AcceptanceRequest
from tests.gates.bench import Bench, Files, gate

UNIT = gate("unit", ("python", "-m", "unittest", "discover", "-s", "tests", "-t", "."), "unittest")
PYTEST = gate("unit", ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider"), "pytest")
BUGGY = "def add(a, b):\n    return a - b if b < 0 else a + b\n"
RIGHT = "def add(a, b):\n    return a + b\n"
OLD_TEST = """import unittest
from kit import add

class AddTest(unittest.TestCase):
    def test_adds(self):
        self.assertEqual(add(1, 2), 3)
"""
START: Files = {"kit.py": BUGGY, "tests/__init__.py": "", "tests/test_add.py": OLD_TEST, "test_a.py": None}


def new_test(body: str, name: str = "test_new", imports: str = "from kit import add") -> str:
    return f"import unittest\n{imports}\n\nclass NewTest(unittest.TestCase):\n    def {name}(self):\n        {body}\n"


PROVES = new_test("self.assertEqual(add(3, -1), 2)")
PASSES_ANYWAY = new_test("self.assertEqual(add(3, 1), 4)")


class Proving:
    """A repository whose `add` is wrong for negative numbers, and changes to it."""

    def __init__(self, bench: Bench, tests: Gate = UNIT) -> None:
        self.bench, self.gate = bench, tests

    def start(self, files: Files = START) -> None:
        self.bench.base = self.bench.commit(files)
        self.bench.hub.fetch_objects(self.bench.repo, self.bench.base)

    async def prove(
        self,
        files: Files,
        kind: str = "fix",
        flaky: tuple[str, ...] = (),
        before: str = "",
        named: tuple[str, ...] | None = None,
        **order: Any,
    ) -> VerificationReport:
        spec = WorkOrder.model_validate({"id": "wo", "title": "t", "kind": kind, **order})
        base = await self.bench.base_report(self.gate)
        tree = self.bench.change(files)
        gone = (*spec.tests_changed, *spec.tests_removed)
        signed = await self.bench.gates(
            tree,
            self.gate,
            base_report=base,
            order=spec,
            tests_gone=gone,
            flaky=flaky,
            before=before,
            named=named,
        )
        return signed.report

    async def accept(self, **order: Any) -> Acceptance:
        spec = WorkOrder.model_validate({"id": "wo", "title": "t", **order})
        base = await self.bench.base_report(self.gate)
        return await self.bench.runner.accept(AcceptanceRequest("accept@1", spec, self.bench.base_tree, base))


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench)
    made.start()
    return made


def proof(report: VerificationReport) -> Proof:
    assert report.proof is not None, report.reasons
    return report.proof


async def test_a_fix_whose_test_fails_on_the_old_code_is_proved(proving: Proving) -> None:
    report = await proving.prove({"kit.py": RIGHT, "tests/test_new.py": PROVES})
    assert (report.result, report.reasons) == ("green", [])
    assert proof(report).fail_to_pass == ["tests.test_new.NewTest.test_new"]
    assert (proof(report).weak, proof(report).already_passing, proof(report).pass_to_pass) == ([], [], 1)
    assert "unproven-goal" not in report.flags
    assert [run.purpose for run in proof(report).runs] == ["overlay", "old-tests", "repeat", "repeat"]


async def test_the_overlay_has_the_old_code_and_the_new_tests(proving: Proving) -> None:
    report = await proving.prove({"kit.py": RIGHT, "new.py": "", "tests/test_new.py": PROVES, "tests/data.json": "{}"})
    files = set(proving.bench.hub.list_files(proof(report).overlay))
    assert {"tests/test_new.py", "tests/data.json"} <= files
    assert "new.py" not in files
    assert proving.bench.hub.read_file(proof(report).overlay, "kit.py") == BUGGY.encode()


async def test_a_fix_whose_test_passes_without_it_is_refused(proving: Proving) -> None:
    report = await proving.prove({"kit.py": RIGHT, "tests/test_new.py": PASSES_ANYWAY})
    assert report.result == "red"
    assert proof(report).already_passing == ["tests.test_new.NewTest.test_new"]
    assert "needs a test that fails before it" in report.reasons[0]
    assert "unproven-goal" in report.flags


async def test_a_fix_without_any_test_is_refused(proving: Proving) -> None:
    report = await proving.prove({"kit.py": RIGHT})
    assert report.result == "red"
    assert "the change has none" in report.reasons[0]


async def test_a_fix_that_failed_before_only_for_an_import_is_refused_with_advice(proving: Proving) -> None:
    test = new_test("self.assertEqual(plus(3, -1), 2)", imports="from kit import plus")
    report = await proving.prove({"kit.py": RIGHT + "plus = add\n", "tests/test_new.py": test})
    assert report.result == "red"
    assert proof(report).weak == proof(report).fail_to_pass == ["tests.test_new.NewTest.test_new"]
    assert "fails with an assertion on the old code" in report.reasons[0]


async def test_a_feature_may_be_red_before_for_an_import(proving: Proving) -> None:
    test = new_test("self.assertEqual(twice(2), 4)", imports="from more import twice")
    files: Files = {"more.py": "def twice(a):\n    return 2 * a\n", "tests/test_new.py": test}
    report = await proving.prove(files, kind="feature", tests=["tests.test_new"])
    assert (report.result, report.reasons) == ("green", [])
    assert proof(report).weak == ["tests.test_new.NewTest.test_new"]
    assert report.flags.count("unproven-goal") == 0


async def test_a_feature_without_the_test_it_names_is_refused(proving: Proving) -> None:
    report = await proving.prove({"tests/test_new.py": PASSES_ANYWAY}, kind="feature", tests=["tests.test_new"])
    assert report.result == "red"
    assert proof(report).unproved == ["tests.test_new"]
    assert "tests.test_new is no test that was red before" in report.reasons[0]


async def test_a_feature_that_names_nothing_is_flagged_and_lands(proving: Proving) -> None:
    report = await proving.prove({"more.py": "x = 1\n"}, kind="feature")
    assert (report.result, "unproven-goal" in report.flags) == ("green", True)
    report = await proving.prove({"more.py": "x = 1\n"}, kind="docs")
    assert (report.result, "unproven-goal" in report.flags) == ("green", False)


WEAKER = OLD_TEST.replace("assertEqual(add(1, 2), 3)", "assertTrue(add(1, 2))")
BROKEN = "def add(a, b):\n    return a + b + 1\n"


async def test_a_weakened_test_is_found_by_running_it_as_it_was(proving: Proving) -> None:
    report = await proving.prove({"kit.py": BROKEN, "tests/test_add.py": WEAKER}, kind="refactor")
    assert report.result == "red"
    assert proof(report).weakened == ["tests.test_add.AddTest.test_adds"]
    assert "tests_changed" in report.reasons[0]


async def test_an_old_test_may_change_where_the_old_one_still_passes_or_is_named(proving: Proving) -> None:
    report = await proving.prove({"kit.py": RIGHT, "tests/test_add.py": WEAKER}, kind="refactor")
    assert (report.result, proof(report).weakened) == ("green", [])
    assert proof(report).runs[0].purpose == "old-tests"
    report = await proving.prove(
        {"kit.py": BROKEN, "tests/test_add.py": WEAKER}, kind="refactor", tests_changed=["tests/test_add.py"]
    )
    assert (report.result, proof(report).weakened) == ("green", [])


async def test_a_weakened_fixture_is_found(proving: Proving) -> None:
    helper = "def same(a, b):\n    assert a == b\n"
    test = OLD_TEST.replace("from kit", "from tests.helper import same\nfrom kit").replace(
        "self.assertEqual(add(1, 2), 3)", "same(add(1, 2), 3)"
    )
    proving.start({"tests/helper.py": helper, "tests/test_add.py": test})
    lenient = "def same(a, b):\n    pass\n"
    report = await proving.prove({"kit.py": BROKEN, "tests/helper.py": lenient}, kind="refactor")
    assert report.result == "red"
    assert proof(report).weakened == ["tests.test_add.AddTest.test_adds"]
    report = await proving.prove({"tests/helper.py": helper + "# more\n"}, kind="refactor")
    assert report.result == "green"


async def test_a_test_that_does_not_pass_every_time_is_refused(proving: Proving, tmp_path: Any) -> None:
    count = tmp_path / "count"
    body = (
        f"p = pathlib.Path({str(count)!r}); n = len(p.read_text()) if p.exists() else 0; p.write_text('x' * (n + 1)); "
        "self.assertEqual(add(3, -1), 2); self.assertLess(n, 2)"
    )
    test = new_test(body, imports="import pathlib\nfrom kit import add")
    report = await proving.prove({"kit.py": RIGHT, "tests/test_new.py": test})
    assert report.result == "red"
    assert proof(report).unstable == ["tests.test_new.NewTest.test_new"]
    assert "passed once and not when run again" in report.reasons[0]


async def test_a_regression_is_proved_on_the_version_that_has_the_fault(proving: Proving) -> None:
    faulty = proving.bench.base_tree
    proving.start({"kit.py": RIGHT})
    on_main = await proving.prove({"tests/test_new.py": PROVES})
    assert on_main.result == "red"
    report = await proving.prove({"tests/test_new.py": PROVES}, before=faulty)
    assert (report.result, proof(report).fail_to_pass) == ("green", ["tests.test_new.NewTest.test_new"])


@pytest.mark.slow
async def test_pytest_with_one_strong_and_one_weak_test(bench: Bench) -> None:
    proving = Proving(bench, PYTEST)
    proving.start({"kit.py": BUGGY, "test_add.py": "from kit import add\ndef test_adds(): assert add(1, 2) == 3\n"})
    strong = "from kit import add\ndef test_strong(): assert add(3, -1) == 2\ndef test_old(): assert add(1, 1) == 2\n"
    weak = "from kit import plus\ndef test_weak(): assert plus(3, -1) == 2\n"
    report = await proving.prove({"kit.py": RIGHT + "plus = add\n", "test_strong.py": strong, "test_weak.py": weak})
    assert (report.result, report.reasons) == ("green", [])
    assert sorted(proof(report).fail_to_pass) == ["test_strong.py::test_strong", "test_weak.py::test_weak"]
    assert proof(report).weak == ["test_weak.py::test_weak"]
    assert proof(report).already_passing == ["test_strong.py::test_old"]


@pytest.mark.slow
async def test_a_new_conftest_does_not_hide_what_old_tests_say(bench: Bench) -> None:
    proving = Proving(bench, PYTEST)
    old = "import kit\ndef test_adds(): assert kit.add(1, 2) == 3\n"
    proving.start({"kit.py": RIGHT, "tests/test_add.py": old, "tests/conftest.py": ""})
    hides = "import kit\nkit.add = lambda a, b: a + b\n"
    report = await proving.prove({"kit.py": BROKEN, "tests/conftest.py": hides}, kind="refactor")
    assert (report.result, proof(report).weakened) == ("red", ["tests/test_add.py::test_adds"])
    report = await proving.prove({"tests/conftest.py": hides}, kind="refactor")
    assert report.result == "green"


# ---- commands ------------------------------------------------------------------------------------------------------

REPRO = "from kit import add\nassert add(3, -1) == 2, add(3, -1)\n"
SCRIPT: Files = {"tools/repro.py": "import sys\nsys.path.insert(0, '.')\n" + REPRO}
ARGV = ["python", "tools/repro.py"]


async def test_a_repro_that_is_red_before_and_green_after_proves_a_fix(proving: Proving) -> None:
    proving.start(SCRIPT)
    report = await proving.prove({"kit.py": RIGHT}, repro=ARGV)
    assert (report.result, report.reasons) == ("green", [])
    (command,) = proof(report).commands
    assert (command.name, command.base, command.head, command.ok) == ("repro", "red", "green", True)
    assert command.log.startswith("sha256:")
    report = await proving.prove({"other.py": ""}, repro=ARGV)
    assert report.result == "red"
    assert any("the repro does not prove the goal: it is red with the change" in reason for reason in report.reasons)


async def test_a_change_cannot_rewrite_its_own_judge(proving: Proving) -> None:
    proving.start(SCRIPT)
    report = await proving.prove({"tools/repro.py": "pass\n"}, repro=ARGV)
    assert report.result == "red"
    assert any("main's version of tools/repro.py" in reason for reason in report.reasons), report.reasons
    report = await proving.prove({"kit.py": RIGHT, "tools/repro.py": "raise SystemExit(1)\n"}, repro=ARGV)
    assert (report.result, report.reasons) == ("green", [])


async def test_an_order_is_accepted_when_something_it_names_is_red(proving: Proving) -> None:
    proving.start(SCRIPT)
    found = await proving.accept(kind="fix", repro=ARGV)
    assert (found.ok, found.reason) == (True, "")
    assert [(one.base, one.head, one.ok) for one in found.commands] == [("red", "", True)]
    assert (await proving.accept(kind="feature")).ok
    found = await proving.accept(kind="feature", tests=["tests.test_later"])
    assert (found.ok, found.tests) == (True, {"tests.test_later": "missing"})


async def test_an_order_whose_goal_is_reached_already_is_refused(proving: Proving) -> None:
    found = await proving.accept(kind="feature", tests=["tests.test_add.AddTest.test_adds"])
    assert (found.ok, found.tests) == (False, {"tests.test_add.AddTest.test_adds": "passed"})
    assert "nothing that it names is red on main" in found.reason
    found = await proving.accept(kind="feature", tests=["tests.test_add"])
    assert found.ok, "more tests may come under this name"


@pytest.mark.parametrize(
    ("files", "argv", "why"),
    [
        ({}, ["python", "tools/x.py"], "commit tools/x.py first, so that the agent does not write its own judge"),
        ({}, ["./tools/x.py"], "commit tools/x.py first"),
        ({}, ["echo", "ok"], "only prints"),
        ({}, ["python", "-c", "import os; assert os.path.exists('more.py')"], "only looks whether a file is there"),
        ({}, ["no-such-program-anywhere"], "cannot be run"),
        ({}, ["python", "-m", "nosuchmodule"], "is not there"),
        ({"tools/x.py": "def\n"}, ["python", "tools/x.py"], "no Python that can be run"),
        ({"tools/x.py": "import nosuchpackage\n"}, ["python", "tools/x.py"], "not installed"),
        ({"tools/x.py": "raise SystemExit(127)\n"}, ["python", "tools/x.py"], "cannot be run"),
        ({"tools/x.py": "pass\n"}, ["python", "tools/x.py"], "nothing that it names is red"),
        ({"tools/x.py": "import time\ntime.sleep(30)\n"}, ["python", "tools/x.py"], "timeout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_a_command_that_is_red_for_a_wrong_reason_is_refused(
    proving: Proving, files: Files, argv: list[str], why: str
) -> None:
    proving.start(files)
    named = [{"name": "works", "run": argv, "timeout": "1s" if why == "timeout" else "20s"}]
    found = await proving.accept(kind="feature", acceptance=named)
    assert not found.ok
    assert why in found.reason, found


async def test_what_is_not_there_yet_is_a_right_reason_for_a_feature_alone(proving: Proving) -> None:
    script = "import sys\nsys.path.insert(0, '.')\nfrom kit import twice\nassert twice(2) == 4\n"
    proving.start({"tools/x.py": script})
    named = [{"name": "works", "run": ["python", "tools/x.py"]}]
    assert (await proving.accept(kind="feature", acceptance=named)).ok
    found = await proving.accept(kind="fix", acceptance=named)
    assert not found.ok
    assert "a fix needs a command that sees the fault" in found.reason
