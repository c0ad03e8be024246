"""The local runner on real trees: what is green, what is red, and what the report says."""

import json
from pathlib import Path

import pytest

from engine.errors import SwarmError, UserError
from gates.verify import verify_report
from tests.gates.bench import GOOD, Bench, gate, only

CASE = "import os, sys, unittest\nclass T(unittest.TestCase):\n"


async def test_a_good_tree_is_green_and_its_report_is_bound_and_signed(bench: Bench) -> None:
    tree = bench.change({"a.txt": "x\n"})
    signed = await bench.gates(tree, gate(), change="c1", work_order="wo", base_report=await bench.base_report(gate()))
    report = signed.report
    assert (report.result, report.tree, report.base, report.change) == ("green", tree, bench.base_tree, "c1")
    assert (only(report).executed, only(report).passed) == (2, 2)
    assert bench.runner.load(signed.digest) == report
    envelope = bench.store.get(signed.digest)
    assert verify_report(envelope, bench.signer.verify_key, tree=tree, base=bench.base_tree, policy=report.policy).ok
    assert bench.store.get_json(only(report).tests) == {"test_a.T.test_one": "passed", "test_a.T.test_two": "passed"}
    assert b"OK" in bench.store.get(only(report).log)
    assert report.sandbox_backend == "none"
    assert report.flags == []


async def test_events_and_progress_tell_what_happens(bench: Bench) -> None:
    await bench.gates(bench.base_tree, gate(), key="k", change="c1")
    assert [kind for kind, _ in bench.events] == ["gate_started", "gate_finished"]
    assert bench.events[0][1] == {"gate": "unit", "tree": bench.base_tree, "change": "c1"}
    told = bench.events[1][1]
    assert (told["gate"], told["result"], told["executed"], told["cached"]) == ("unit", "green", 2, False)
    lines = (bench.runs / "k" / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1]) == {"gate": "unit", "done": 2, "failed": 0}


async def test_a_failing_test_is_red_and_named(bench: Bench) -> None:
    tree = bench.change({"test_b.py": CASE + "    def test_bad(self): self.fail()\n"})
    report = (await bench.gates(tree, gate())).report
    assert report.result == "red"
    assert report.reasons == ["unit: 1 of 3 tests failed: test_b.T.test_bad."]
    assert only(report).failing == ["test_b.T.test_bad"]


@pytest.mark.parametrize("results", ["unittest", "pytest"])
async def test_zero_tests_is_red_and_the_same_gate_with_tests_is_green(bench: Bench, results: str) -> None:
    run = ("python", "-m", results)
    assert (await bench.gates(bench.base_tree, gate(run=run, results=results))).report.result == "green"
    report = (await bench.gates(bench.base_tree, gate(run=(*run, "-k", "matches_nothing"), results=results))).report
    assert report.result == "red"
    assert "zero tests" in only(report).reason


async def test_a_lost_test_is_red_unless_the_order_names_it(bench: Bench) -> None:
    base = await bench.base_report(gate())
    tree = bench.change({"test_a.py": GOOD.replace("test_two", "renamed")})
    report = (await bench.gates(tree, gate(), base_report=base)).report
    assert report.result == "red"
    assert only(report).lost == ["test_a.T.test_two"]
    named = await bench.gates(tree, gate(), base_report=base, tests_gone=("test_a.py::T::test_two",))
    assert named.report.result == "green"


async def test_a_skipped_test_that_passed_on_base_is_lost(bench: Bench) -> None:
    base = await bench.base_report(gate())
    tree = bench.change({"test_a.py": GOOD.replace("    def test_two", "    @unittest.skip('x')\n    def test_two")})
    assert only((await bench.gates(tree, gate(), base_report=base)).report).lost == ["test_a.T.test_two"]


async def test_a_reused_green_run_is_still_held_to_todays_inventory(bench: Bench) -> None:
    tree = bench.change({"test_a.py": GOOD.replace("test_two", "renamed")})
    assert (await bench.gates(tree, gate())).report.flags == ["no-base-inventory"]
    report = (await bench.gates(tree, gate(), base_report=await bench.base_report(gate()))).report
    assert (only(report).cached, report.result) == (True, "red")


FORGED = """
import glob, json, os, re, sys, unittest
class T(unittest.TestCase):
    def test_bad(self):
        for argument in open("/proc/self/cmdline").read().split("\\0"):
            if argument.endswith("exchange"):
                path = os.path.join(argument, "results.jsonl")
        lines = open(path).read().splitlines()
        records = [json.loads(line.split(" ", 1)[1]) for line in lines]
        mac = lines[-1].split(" ")[0]
        with open(path, "a") as file:
            for n, body in enumerate([
                {"kind": "test", "id": "test_b.T.test_bad", "outcome": "passed", "note": ""},
                {"kind": "finish", "status": 0, "tests": 99},
            ], start=len(records) + 1):
                file.write(mac + " " + json.dumps(dict(body, seq=n), sort_keys=True, separators=(",", ":")) + "\\n")
        os._exit(0)
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the forger looks for its file in /proc")
async def test_results_that_the_change_wrote_are_not_believed(bench: Bench) -> None:
    report = (await bench.gates(bench.change({"test_b.py": FORGED}), gate())).report
    assert report.result == "red"
    assert "not written by the launcher" in only(report).reason
    assert only(report).exit_code == 0


@pytest.mark.parametrize("results", ["unittest", "pytest"])
async def test_a_test_process_that_leaves_early_with_0_is_red(bench: Bench, results: str) -> None:
    tree = bench.change({"test_b.py": CASE + "    def test_exit(self): os._exit(0)\n"})
    report = (await bench.gates(tree, gate(run=("python", "-m", results), results=results))).report
    assert report.result == "red"
    assert "before" in only(report).reason
    assert only(report).exit_code == 0


async def test_an_exit_code_that_is_changed_after_the_tests_is_red(bench: Bench) -> None:
    flip = "import atexit, os\natexit.register(os._exit, 0)\n" + CASE + "    def test_b(self): self.fail()\n"
    report = (await bench.gates(bench.change({"test_b.py": flip}), gate())).report
    assert report.result == "red"
    assert only(report).exit_code == 0


FLIP = """
import pytest
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    result = yield
    result.get_result().outcome = "passed"
"""


async def test_a_conftest_that_turns_failures_green_is_contradicted(bench: Bench) -> None:
    tree = bench.change({"conftest.py": FLIP, "test_b.py": "def test_bad(): assert 0\n"})
    report = (await bench.gates(tree, gate(run=("python", "-m", "pytest", "-q"), results="pytest"))).report
    assert report.result == "red"
    assert "although it raised AssertionError" in only(report).reason


async def test_a_gate_that_writes_to_tracked_files_is_red(bench: Bench) -> None:
    writes = CASE + "    def test_w(self): open('README.md', 'w').close()\n"
    beside = CASE + "    def test_w(self): open('new.txt', 'w').close()\n"
    report = (await bench.gates(bench.change({"test_b.py": writes}), gate())).report
    assert report.result == "red"
    assert "changed the tree" in only(report).reason
    assert (await bench.gates(bench.change({"test_b.py": beside}), gate())).report.result == "green"


async def test_a_timeout_is_its_own_result(bench: Bench) -> None:
    tree = bench.change({"test_b.py": CASE + "    def test_hang(self): import time; time.sleep(60)\n"})
    report = (await bench.gates(tree, gate(timeout="500ms"))).report
    assert (report.result, only(report).result, only(report).exit_code) == ("red", "timeout", None)


async def test_a_missing_program_is_an_error_that_says_what_to_do(bench: Bench) -> None:
    report = (await bench.gates(bench.base_tree, gate(run=("no-such-tool",), results="none"))).report
    assert (report.result, only(report).result) == ("error", "error")
    assert "install" in only(report).reason


async def test_a_program_that_the_tree_lacks_is_red(bench: Bench) -> None:
    report = (await bench.gates(bench.base_tree, gate(run=("tools/check",), results="none"))).report
    assert only(report).result == "red"


async def test_an_exit_code_decides_where_there_are_no_tests(bench: Bench) -> None:
    code = "raise SystemExit({} if open('README.md').read() else {})"
    good, bad = (gate(run=("python", "-c", code.format(*n)), results="none") for n in ((0, 3), (3, 0)))
    assert (await bench.gates(bench.base_tree, good)).report.result == "green"
    report = (await bench.gates(bench.base_tree, bad)).report
    assert only(report).reason == "the command ended with exit code 3."


async def test_what_needs_a_red_gate_is_skipped(bench: Bench) -> None:
    red = gate("first", ("python", "-c", "raise SystemExit(1)"), "none")
    report = (await bench.gates(bench.base_tree, gate("second", needs=["first"]), red, gate("third"))).report
    assert {result.name: result.result for result in report.gates} == {
        "first": "red",
        "second": "skipped",
        "third": "green",
    }
    assert [result.name for result in report.gates] == ["second", "first", "third"]


async def test_a_gate_finds_what_its_needs_have_built_and_no_other_gate_does(bench: Bench) -> None:
    build = gate("build", ("python", "-c", "open('built', 'w').close()"), "none")
    code = "open('built')"
    report = (
        await bench.gates(
            bench.base_tree,
            gate("alone", ("python", "-c", code), "none"),
            build,
            gate("next", ("python", "-c", code), "none", needs=["build"]),
        )
    ).report
    assert {result.name: result.result for result in report.gates} == {
        "build": "green",
        "next": "green",
        "alone": "red",
    }


async def test_a_shell_is_refused_unless_the_settings_say_so(bench: Bench) -> None:
    run = ("sh", "-c", "exit 0")
    assert (await bench.gates(bench.base_tree, gate(run=run, results="none"))).report.result == "error"
    report = (await bench.gates(bench.base_tree, gate(run=run, results="none", shell=True))).report
    assert report.result == "green"
    assert "shell" in report.flags


@pytest.mark.parametrize("code", ["print('placeholder gate')", "import os; assert os.path.exists('README.md')", "pass"])
async def test_a_gate_that_cannot_fail_is_refused_with_the_reason(bench: Bench, code: str) -> None:
    report = (await bench.gates(bench.base_tree, gate(run=("python", "-c", code), results="none"))).report
    assert (report.result, only(report).result) == ("error", "error")
    assert only(report).reason.startswith("it ")
    real = gate(run=("python", "-c", "assert open('README.md').read()"), results="none")
    assert (await bench.gates(bench.base_tree, real)).report.result == "green"


async def test_without_gates_nothing_is_proved(bench: Bench) -> None:
    report = (await bench.gates(bench.base_tree)).report
    assert report.result == "red"
    assert "no gate" in report.reasons[0]


async def test_a_circle_of_needs_is_a_user_error(bench: Bench) -> None:
    with pytest.raises(UserError, match="circle"):
        await bench.gates(bench.base_tree, gate("a", needs=["b"]), gate("b", needs=["a"]))


async def test_gates_have_a_private_home_and_the_declared_environment(bench: Bench) -> None:
    code = (
        "import os; assert os.environ['A'] == '1' and os.path.isdir(os.environ['HOME']) and 'SECRET' not in os.environ"
    )
    one = gate(run=("python", "-c", code), results="none", env={"A": "1"})
    report = (await bench.gates(bench.base_tree, one)).report
    assert report.result == "green"
    assert {"A", "HOME", "PATH"} <= set(only(report).env)


async def test_a_green_result_is_reused_for_the_same_tree_and_definition_only(bench: Bench) -> None:
    assert not only((await bench.gates(bench.base_tree, gate())).report).cached
    again = only((await bench.gates(bench.base_tree, gate())).report)
    assert (again.cached, again.result, again.executed) == (True, "green", 2)
    assert not only((await bench.gates(bench.base_tree, gate(env={"A": "1"}))).report).cached
    assert not only((await bench.gates(bench.change({"x": "y"}), gate())).report).cached


async def test_a_red_result_is_never_reused(bench: Bench) -> None:
    tree = bench.change({"test_b.py": CASE + "    def test_bad(self): self.fail()\n"})
    for _ in range(2):
        assert not only((await bench.gates(tree, gate())).report).cached


async def test_a_forged_note_of_a_reusable_result_changes_nothing(bench: Bench) -> None:
    green = await bench.gates(bench.base_tree, gate())
    tree = bench.change({"test_b.py": CASE + "    def test_bad(self): self.fail()\n"})
    red = (await bench.gates(tree, gate())).report
    key = red.extra["cache_keys"]["unit"].removeprefix("sha256:")
    with (bench.state / "reuse" / "pointers").open("a", encoding="ascii") as pointers:
        pointers.write(f"{key} {green.digest}\n")
    assert (await bench.gates(tree, gate())).report.result == "red"


async def test_restore_signs_afresh_for_a_tree_that_was_green(bench: Bench) -> None:
    green = await bench.gates(bench.base_tree, gate())
    now = bench.change({"x": "y"})
    signed = await bench.runner.restore(bench.base_tree, green.digest, now, bench.base, "sha256:policy")
    report = bench.runner.load(signed.digest)
    assert (report.kind, report.result, report.tree, report.base) == ("restore", "green", bench.base_tree, now)
    assert (report.previous, only(report).cached) == (green.digest, True)


async def test_restore_refuses_a_tree_that_was_not_proved(bench: Bench) -> None:
    tree = bench.change({"test_b.py": CASE + "    def test_bad(self): self.fail()\n"})
    red = await bench.gates(tree, gate())
    green = await bench.gates(bench.base_tree, gate())
    for about, previous in ((tree, red.digest), (tree, green.digest)):
        with pytest.raises(SwarmError):
            await bench.runner.restore(about, previous, bench.base_tree, bench.base, "sha256:policy")
