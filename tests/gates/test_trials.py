"""Runs for proofs: any tree, a clean checkout, the same watch; known again from memory or from signed reports alone."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import gates.runner
from engine.git.slots import Slot
from engine.models.proof import Proof, ProofRun
from engine.models.report import TestOutcome
from engine.models.roadmap import WorkOrder
from engine.ports import AcceptanceRequest, GateRequest, SignedReport
from engine.process.programs import Program
from gates.caches import Prepared
from gates.proof.trials import Trees, Trial, Trials
from gates.trials import TRIALS, HubTrees, LocalTrials
from tests.gates.bench import GOOD, UNIT, Bench, gate

BAD = GOOD.replace("def test_two(self): pass", "def test_two(self): self.fail()")
ORDER = WorkOrder(id="wo", title="An order", kind="fix")


def trials(bench: Bench, folder: str = "p", gates: Sequence[Any] = ()) -> LocalTrials:
    """As the runner makes them for one request."""
    asked = bench.request(bench.base_tree, *gates)
    place = bench.runs / folder
    place.mkdir(parents=True, exist_ok=True)
    return bench.runner._trials(folder, place, asked)  # pyright: ignore[reportPrivateUsage]


def counted(bench: Bench, count: Path, source: str = GOOD) -> str:
    """A tree whose tests leave a mark outside of it each time they are loaded."""
    return bench.change({"test_a.py": f"open({str(count)!r}, 'a').write('x')\n{source}"})


async def test_a_trial_shows_each_test_of_any_tree(bench: Bench) -> None:
    run = trials(bench)
    good, bad = (
        await run(gate(), bench.base_tree, purpose="base"),
        await run(gate(), bench.change({"test_a.py": BAD}), purpose="overlay"),
    )
    assert (good.result.result, dict(good.outcomes)) == (
        "green",
        {"test_a.T.test_one": "passed", "test_a.T.test_two": "passed"},
    )
    assert (bad.result.result, bad.outcomes["test_a.T.test_two"], bad.result.failing) == (
        "red",
        "failed",
        ["test_a.T.test_two"],
    )
    assert b"FAILED" in bench.store.get(bad.result.log)


async def test_only_runs_just_these_tests(bench: Bench) -> None:
    for results, test in (("unittest", "test_a.T.test_one"), ("pytest", "test_a.py::T::test_one")):
        one = gate(run=("python", "-m", results), results=results)
        trial = await trials(bench)(one, bench.change({"test_a.py": BAD}), purpose="overlay", only=(test,))
        assert dict(trial.outcomes) == {test: "passed"}
        assert trial.result.result == "green"


async def test_a_trial_is_judged_without_any_inventory_but_zero_tests_are_red(bench: Bench) -> None:
    tree = bench.change({"test_a.py": "import unittest\n"})
    assert (await trials(bench)(gate(), tree, purpose="head")).result.result == "red"


async def test_equal_trials_run_once_and_repeats_always(bench: Bench, tmp_path: Path) -> None:
    count = tmp_path / "count"
    run, tree = trials(bench), counted(bench, count)
    first = await run(gate(), tree, purpose="head")
    again, *_ = await asyncio.gather(*(run(gate(), tree, purpose="overlay") for _ in range(3)))
    assert (first.result.cached, again.result.cached, count.read_text()) == (False, True, "x")
    assert again.outcomes == first.outcomes
    for number in (1, 2):
        assert not (await run(gate(), tree, purpose="repeat", repeat=number)).result.cached
    assert count.read_text() == "xxx"
    await run(gate(), tree, purpose="head", only=("test_a.T.test_one",))
    assert count.read_text() == "xxxx"


async def test_a_red_trial_is_remembered_with_how_and_a_timeout_is_not(bench: Bench, tmp_path: Path) -> None:
    count = tmp_path / "count"
    tree = counted(bench, count, BAD)
    first, again = [await trials(bench)(gate(), tree, purpose="overlay") for _ in range(2)]
    assert (again.result.cached, again.result.result, again.outcomes) == (True, "red", first.outcomes)
    assert again.how == first.how
    slow = gate("slow", ("python", "-c", "import time; time.sleep(60); open('README.md')"), "none", timeout="300ms")
    for _ in range(2):
        timed_out = (await trials(bench)(slow, tree, purpose="base")).result
        assert (timed_out.result, timed_out.cached) == ("timeout", False)


async def test_what_a_gate_needs_is_built_in_the_same_clean_checkout(bench: Bench) -> None:
    good = "assert not open('README.md').read().startswith('bad'); open('built', 'w')"
    build = gate("build", ("python", "-c", good), "none")
    run_it = ("python", "-c", "open('built')")
    use, alone = gate("use", run_it, "none", needs=["build"]), gate("use", run_it, "none")
    run = trials(bench, gates=(build, use))
    assert (await run(use, bench.base_tree, purpose="base")).result.result == "green"
    assert (await trials(bench)(alone, bench.base_tree, purpose="base")).result.result == "red"
    broken = await run(use, bench.change({"README.md": "bad\n"}), purpose="overlay")
    assert broken.result.result == "skipped"
    assert 'needs "build", which was red' in broken.result.reason


async def test_a_gate_that_cannot_run_is_an_error_and_not_a_red_test(bench: Bench) -> None:
    trial = await trials(bench)(gate(run=("no-such-tool",), results="none"), bench.base_tree, purpose="base")
    assert trial.result.result == "error"


async def test_progress_says_what_a_run_is_for(bench: Bench) -> None:
    await trials(bench, "p")(gate(), bench.base_tree, purpose="overlay")
    rows = [json.loads(row) for row in (bench.runs / "p" / "progress.jsonl").read_text("utf-8").splitlines()]
    assert rows[-1] == {"gate": "unit", "done": 2, "failed": 0, "purpose": "overlay"}


async def test_trials_go_on_beside_each_other_and_end(bench: Bench) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    run = trials(bench)
    trees = [bench.change({"test_a.py": f"{GOOD}# {n}\n"}) for n in range(3)]
    async with asyncio.timeout(120):
        done = await asyncio.gather(*(run(gate(slots=1 + n), tree, purpose="head") for n, tree in enumerate(trees)))
    assert [trial.result.result for trial in done] == ["green"] * 3


def test_trees_are_composed_in_the_hub(bench: Bench) -> None:
    trees = HubTrees(bench.hub)
    head = bench.change({"new.py": "x = 1\n"})
    blob = trees.write(b"y = 2\n")
    made = trees.compose(head, {"new.py": None, "other.py": ("100644", blob)})
    assert (trees.read(made, "new.py"), trees.read(made, "other.py")) == (None, b"y = 2\n")
    (row,) = trees.changed(bench.base_tree, head)
    assert (row.path, row.old_mode, row.new_mode) == ("new.py", "000000", "100644")


# ---- in a signed report


class Prover:
    """Stands where `gates.proof.prove` stands: it runs the gate on the base, and says what it was given."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons
        self.asked: list[tuple[GateRequest, Mapping[str, Mapping[str, TestOutcome]], Mapping[str, Trial]]] = []
        self.seen: list[Trial] = []

    async def prove(
        self,
        request: GateRequest,
        base: Mapping[str, Mapping[str, TestOutcome]],
        head: Mapping[str, Trial],
        trials: Trials,
        trees: Trees,
    ) -> Proof:
        self.asked.append((request, base, head))
        trial = await trials(request.gates[0], request.base_tree, purpose="base")
        self.seen.append(trial)
        run = ProofRun(purpose="base", gate=trial.result.name, tree=request.base_tree, result=trial.result.result)
        return Proof(runs=[run], reasons=list(self.reasons), flags=["unproven-goal"])

    async def accept(
        self,
        request: AcceptanceRequest,
        base: Mapping[str, Mapping[str, TestOutcome]],
        trials: Trials,
        trees: Trees | None = None,
    ) -> tuple[Proof, Mapping[str, str]]:
        trial = await trials(
            gate("acceptance-x", ("python", "-c", "import nothing"), "none"), request.tree, purpose="base"
        )
        return Proof(reasons=list(self.reasons)), {"x": trial.result.result}


@pytest.fixture
def prover(monkeypatch: pytest.MonkeyPatch) -> Prover:
    made = Prover()
    monkeypatch.setattr(gates.runner, "prove", made.prove)
    monkeypatch.setattr(gates.runner, "accept", made.accept)
    return made


async def land(bench: Bench, tree: str, **fields: Any) -> SignedReport:
    return await bench.gates(tree, gate(), **{"order": ORDER, **fields})


async def test_a_green_change_of_an_order_is_proved(bench: Bench, prover: Prover) -> None:
    tree = bench.change({"a": "1"})
    report = (await land(bench, tree, base_report=await bench.base_report(gate()))).report
    assert report.result == "green"
    assert report.proof is not None
    assert report.proof.runs[0].purpose == "base"
    assert "unproven-goal" in report.flags
    ((_, base, head),) = prover.asked
    assert base["unit"] == head["unit"].outcomes == {"test_a.T.test_one": "passed", "test_a.T.test_two": "passed"}


async def test_a_reason_of_the_proof_makes_the_report_red(bench: Bench, prover: Prover) -> None:
    prover.reasons = ("its test passes on the base too: write one that fails there.",)
    report = (await land(bench, bench.change({"a": "1"}))).report
    assert (report.result, report.gates[0].result, report.reasons) == ("red", "green", list(prover.reasons))


@pytest.mark.parametrize("fields", [{"order": None}, {"kind": "gates"}], ids=["no order", "by hand"])
async def test_nothing_is_proved_where_nobody_asked(bench: Bench, prover: Prover, fields: dict[str, Any]) -> None:
    report = (await land(bench, bench.change({"a": "1"}), **fields)).report
    assert (report.result, report.proof, prover.asked) == ("green", None, [])


async def test_nothing_is_proved_of_a_red_change(bench: Bench, prover: Prover) -> None:
    report = (await land(bench, bench.change({"test_a.py": BAD}))).report
    assert (report.result, report.proof, prover.asked) == ("red", None, [])


async def test_what_a_trial_showed_is_known_to_the_next_engine_by_the_signed_report(
    bench: Bench, prover: Prover
) -> None:
    report = (await land(bench, bench.change({"a": "1"}))).report
    assert len(report.extra[TRIALS]) == 1
    bench.runner = bench.make_runner("next")
    await land(bench, bench.change({"a": "2"}))
    assert [trial.result.cached for trial in prover.seen] == [False, True]
    assert prover.seen[1].outcomes == prover.seen[0].outcomes


async def test_a_forged_note_of_a_trial_changes_nothing(bench: Bench, prover: Prover) -> None:
    """The pointer of one trial is made to lead to a report about another one."""
    first = await land(bench, bench.change({"a": "1"}))
    (key,) = first.report.extra[TRIALS]
    forged = dict(first.report.extra[TRIALS][key])
    other = await bench.gates(bench.base_tree, gate("other", (*UNIT, "-f")))
    name, pointers = key.removeprefix("sha256:"), bench.state / "reuse" / "pointers"
    genuine = f"{name} {first.digest}\n"
    assert genuine in pointers.read_text("ascii")
    for text in (f"{name} {other.digest}\n", genuine, f"{name} {json.dumps(forged)}\n", f"{name}\n", ""):
        pointers.write_text(text, encoding="utf-8")
        bench.runner = bench.make_runner("next")
        await land(bench, bench.change({"a": "2"}))
        assert prover.seen[-1].result.cached == (text == genuine)


async def test_acceptance_is_ok_without_reasons(bench: Bench, prover: Prover) -> None:
    request = AcceptanceRequest("accept.wo", ORDER, bench.base_tree)
    said = await bench.runner.accept(request)
    assert (said.ok, said.reason, said.tests) == (True, "", {"x": "red"})
    prover.reasons = ("everything that it names is green already.",)
    said = await bench.runner.accept(request)
    assert (said.ok, said.reason) == (False, prover.reasons[0])
    assert bench.events == []


class Shelf:
    """Stands where build caches stand: a folder for each slot, tree and scope of runs, named in $SHELF."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[str, bool]] = []
        self.promoted: list[str] = []

    def prepare(self, slot: Slot, run: Path, program: Program, argv: Sequence[str]) -> Prepared:
        place = self.folder / f"{slot.number}-{slot.tree}-{run.parent.name}"
        place.mkdir(parents=True, exist_ok=True)
        return Prepared(env={"SHELF": str(place)}, writable=(place,), note="cold-build")

    def finished(self, prepared: Prepared, tree: str, green: bool) -> None:
        self.told.append((tree, green))

    def promote(self, tree: str) -> None:
        self.promoted.append(tree)


LEAVES = (
    "import os, unittest\nclass T(unittest.TestCase):\n    def test_two(self):\n"
    "        left = os.path.join(os.environ['SHELF'], 'left')\n        was = os.path.exists(left)\n"
    "        open(left, 'w').close()\n        self.assertTrue(was)\n"
)


async def test_a_build_cache_is_given_told_and_promoted_and_its_note_is_a_flag(bench: Bench, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    bench.runner = bench.make_runner("cached", caches=shelf)
    see = gate("see", ("python", "-c", "import os; open(os.path.join(os.environ['SHELF'], 'left'), 'w')"), "none")
    report = (await bench.gates(bench.base_tree, see, gate())).report
    assert (report.result, "cold-build" in report.flags) == ("green", True)
    assert shelf.told == [(bench.base_tree, True)] * 2
    tree = bench.change({"test_a.py": BAD})
    await bench.gates(tree, gate())
    assert shelf.told[2:] == [(tree, False)]
    await bench.runner.landed(bench.base_tree)
    assert shelf.promoted == [bench.base_tree]


@pytest.mark.parametrize("needed", [False, True], ids=["alone", "after a gate that it needs"])
async def test_a_retry_has_a_build_cache_of_its_own(bench: Bench, tmp_path: Path, needed: bool) -> None:
    bench.runner = bench.make_runner("cached", caches=Shelf(tmp_path / "shelf"))
    build = gate("build", ("python", "-c", "open('README.md')"), "none")
    tree = bench.change({"test_a.py": LEAVES})
    gates = [build, gate(needs=["build"])] if needed else [gate()]
    report = (await bench.gates(tree, *gates, flaky=("test_a.T.test_two",))).report
    assert (report.result, report.gates[-1].retried) == ("red", [])


async def test_gates_of_one_run_share_a_build_cache(bench: Bench, tmp_path: Path) -> None:
    """The positive control of the test above."""
    bench.runner = bench.make_runner("cached", caches=Shelf(tmp_path / "shelf"))
    build = gate("build", ("python", "-c", "import os; open(os.path.join(os.environ['SHELF'], 'left'), 'w')"), "none")
    report = (await bench.gates(bench.change({"test_a.py": LEAVES}), build, gate(needs=["build"]))).report
    assert report.result == "green"


async def test_a_cache_that_cannot_be_kept_is_no_trouble(bench: Bench) -> None:
    class Broken(Shelf):
        def promote(self, tree: str) -> None:
            raise OSError(tree)

    await bench.runner.landed("t0")
    bench.runner = bench.make_runner("cached", caches=Broken(bench.state / "shelf"))
    await bench.runner.landed("t1")
