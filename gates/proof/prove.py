"""The test-first proof of one change: base, overlay and head."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.models.proof import Proof, ProofRun
from engine.models.report import TestOutcome
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate
from engine.ports import AcceptanceRequest, GateRequest
from engine.text.sanitise import sanitise_line
from gates.judge import is_named
from gates.proof.aware import TEST_AWARE, Aware, aware_lines
from gates.proof.candidates import Candidates, affected, candidates
from gates.proof.commands import prove_commands, run_of
from gates.proof.looser import LOOSER_TESTS, loosened
from gates.proof.signs import reads_files, with_signs
from gates.proof.test_files import TestFiles
from gates.proof.trials import Trees, Trial, Trials
from gates.proof.versions import Touched, sorter, touched, with_tests_of
from gates.results.table import adapter

UNPROVEN_GOAL = "unproven-goal"
WEAK_PROOF = "weak-proof"
"""Flag of a report: its tests were red before only because something was not there yet to be imported or compiled."""
_TIMES = 3
_STEADY_TIMES = 10
_STEADY_FIRST = 100
"""Numbers of repeats of their own: those below belong to new and touched tests."""
_SHOWN = 5


@dataclass
class _Found:
    """What has been found out so far, in the words of `Proof`."""

    overlay: str = ""
    old_tests: str = ""
    fail_to_pass: list[str] = field(default_factory=list[str])
    weak: list[str] = field(default_factory=list[str])
    signs: list[str] = field(default_factory=list[str])
    already_passing: list[str] = field(default_factory=list[str])
    weakened: list[str] = field(default_factory=list[str])
    unstable: list[str] = field(default_factory=list[str])
    runs: list[ProofRun] = field(default_factory=list[ProofRun])
    reasons: list[str] = field(default_factory=list[str])

    def is_strong(self, test: str) -> bool:
        return test in self.fail_to_pass and test not in self.weak


async def prove(
    request: GateRequest,
    base: Mapping[str, Mapping[str, TestOutcome]],
    head: Mapping[str, Trial],
    trials: Trials,
    trees: Trees,
) -> Proof:
    """What can be proved about `request.tree` on `request.base_tree` beyond its green gates.

    base: gate name -> outcome per test id on the base (missing: the base has no report). head: gate name -> what it
    showed on the merged tree. Called when every gate is green; whatever is in `reasons` makes the report red.

    Features and fixes are proved test-first. Of every order it is asked whether old tests still pass as they were, and
    whether new ones pass three times in a row. Without an order there is nothing to prove.
    """
    order, found = request.order, _Found()
    gates = [gate for gate in request.gates if gate.run and adapter(gate.results).counts and gate.name in head]
    kept = sum(
        outcome == "passed" and head[gate.name].outcomes.get(test) == "passed"
        for gate in gates
        for test, outcome in base.get(gate.name, {}).items()
    )
    if order is None:
        return Proof(pass_to_pass=kept)
    fault = request.before or request.base_tree
    named = _files_named(gates, base, head)
    files = await asyncio.to_thread(sorter, trees, named, request.base_tree, request.tree)
    change = await asyncio.to_thread(touched, trees, files, request.base_tree, request.tree)
    wanted = {
        gate.name: candidates(gate, change, base.get(gate.name), head[gate.name].outcomes, order.tests)
        for gate in gates
    }
    commands, reasons = [], []
    if order.kind in ("feature", "fix"):
        if any(wanted.values()):
            found.overlay = await asyncio.to_thread(with_tests_of, trees, files, fault, request.tree)
            for gate in gates:
                await _overlay(found, gate, wanted[gate.name], head[gate.name], trials, request.tree)
            if order.kind == "fix":
                await _signs(found, gates, wanted, change, trials, trees, files, request.tree)
        commands, runs, reasons = await prove_commands(
            order, trees, trials, main=request.base_tree, before=fault, head=request.tree
        )
        found.runs += runs
    if change.old or change.added:
        found.old_tests = await asyncio.to_thread(with_tests_of, trees, files, request.tree, request.base_tree)
        # With sources that are as they were, the base's own report has said it.
        for gate in gates if found.old_tests != request.base_tree else ():
            old = affected(gate, change, base.get(gate.name, {}), head[gate.name].outcomes)
            ignored = (*_gone(request, order), *request.quarantined)
            old = [test for test in old if not is_named(test, ignored)]
            restrict = 2 * len(old) < len(base.get(gate.name, {}))
            await _old_tests(found, gate, old, trials, request.flaky, restrict=restrict)
    for gate in gates:
        await _repeat(found, gate, wanted[gate.name], trials, request)
    steady = bool(order.steady) and await _steady(found, gates, head, trials, request, order)
    unproved = [name for name in order.tests if not any(is_named(test, [name]) for test in found.fail_to_pass)]
    aware = await asyncio.to_thread(aware_lines, trees, files, request.base_tree, request.tree)
    aware = [one for one in aware if one.path not in (order.allow if request.named is None else request.named)]
    looser = await asyncio.to_thread(loosened, trees, files, request.base_tree, request.tree, _gone(request, order))
    flags = [*([TEST_AWARE] if aware else []), *([LOOSER_TESTS] if looser else [])]
    if aware and order.kind == "fix":
        found.reasons.append(_aware(aware))
    if order.kind in ("feature", "fix"):
        by_command = any(command.ok for command in commands)
        strong = [test for test in found.fail_to_pass if test not in found.weak]
        stated = bool(order.tests or order.acceptance or order.repro)
        proved = bool(strong) or steady
        found.reasons = [*_goal(order, found, unproved, by_command, proved), *reasons, *found.reasons]
        if not stated and not steady and not (order.kind == "fix" and strong):
            flags.append(UNPROVEN_GOAL)
        elif order.tests and found.weak and not strong and not by_command:
            flags.append(WEAK_PROOF)
    return Proof(
        overlay=found.overlay,
        old_tests=found.old_tests,
        fail_to_pass=found.fail_to_pass,
        pass_to_pass=kept,
        weak=found.weak,
        already_passing=found.already_passing,
        weakened=found.weakened,
        looser=looser,
        unstable=found.unstable,
        unproved=unproved if order.kind in ("feature", "fix") else [],
        commands=commands,
        runs=found.runs,
        reasons=list(dict.fromkeys(found.reasons)),
        flags=flags,
    )


async def accept(
    request: AcceptanceRequest, base: Mapping[str, Mapping[str, TestOutcome]], trials: Trials, trees: Trees
) -> tuple[Proof, Mapping[str, str]]:
    """Whether what the order names is red on main: `commands` and `reasons` are set, and the state of each test.

    A test that is named in full, passes on main and is not to be changed (`tests_changed`) is no goal. A name that
    means several tests (a file, a class) may get more of them, so it stays open even where all of them pass.
    """
    order = request.order
    states = {name: _state(name, base) for name in order.tests}
    if order.kind not in ("feature", "fix"):
        return Proof(), states
    commands, runs, reasons = await prove_commands(
        order, trees, trials, main=request.tree, before=request.tree, head=None
    )
    everything = [test for outcomes in base.values() for test in outcomes]
    done = [
        name
        for name, state in states.items()
        if state == "passed"
        and not is_named(name, order.tests_changed)
        and any(is_named(test, [name]) and is_named(name, [test]) for test in everything)
    ]
    stated = bool(order.tests or commands)
    if stated and len(done) == len(order.tests) and not any(command.ok for command in commands) and not reasons:
        what = [f"the tests {_named(done)} pass" if len(done) > 1 else f"{_named(done)} passes"] if done else []
        what += [f'"{sanitise_line(command.name)}" is green' for command in commands]
        reasons.append(
            f"nothing that it names is red on main ({', '.join(what)}), so there is nothing to prove: "
            "name a test or a command that fails today, or take the order off the roadmap."
        )
    return Proof(commands=commands, runs=runs, reasons=reasons), states


# ---- runs ----------------------------------------------------------------------------------------------------------


async def _overlay(found: _Found, gate: Gate, wanted: Candidates, head: Trial, trials: Trials, tree: str) -> None:
    if not wanted:
        return
    trial = head
    if found.overlay != tree:
        trial = await trials(gate, found.overlay, purpose="overlay", only=wanted.only)
        found.runs.append(run_of("overlay", gate, found.overlay, trial))
    if trial.result.result == "error":
        found.reasons.append(f"{gate.name}: the old code with the new tests says nothing: {_why(trial)}")
        return
    if trial.result.result == "timeout":
        found.reasons.append(
            f"{gate.name}: the old code with the new tests ran into the timeout, which shows no fault: make the tests "
            "fail sooner."
        )
        return
    for test in wanted.tests:
        if trial.outcomes.get(test) == "passed":
            if test in wanted.new:
                found.already_passing.append(test)
            continue
        found.fail_to_pass.append(test)
        if trial.outcomes.get(test) != "failed" or trial.how.get(test) == "error":
            found.weak.append(test)


async def _signs(
    found: _Found,
    gates: Sequence[Gate],
    wanted: Mapping[str, Candidates],
    change: Touched,
    trials: Trials,
    trees: Trees,
    files: TestFiles,
    tree: str,
) -> None:
    """Which tests of a fix pass with the old code, once all that the change merely adds is there."""
    strong = {gate.name: [test for test in wanted[gate.name].tests if found.is_strong(test)] for gate in gates}
    if found.overlay == tree or not any(strong.values()):
        return
    read = [await asyncio.to_thread(trees.read, tree, path) for path in sorted({*change.files, *change.support})]
    texts = any(reads_files((content or b"").decode("utf-8", "replace")) for content in read)
    sham = await asyncio.to_thread(with_signs, trees, files, found.overlay, tree, texts=texts)
    for gate in gates if sham != found.overlay else ():
        if not strong[gate.name]:
            continue
        only = Candidates.of(gate, strong[gate.name]).only
        trial = await trials(gate, sham, purpose="signs", only=only)
        found.runs.append(run_of("signs", gate, sham, trial))
        found.signs += [test for test in strong[gate.name] if trial.outcomes.get(test) == "passed"]
    found.weak += found.signs


async def _old_tests(
    found: _Found, gate: Gate, old: Sequence[str], trials: Trials, flaky: Sequence[str], *, restrict: bool
) -> None:
    if not old:
        return
    only = Candidates.of(gate, old).only if restrict else ()
    failing = list(old)
    for repeat in (0, 1):
        trial = await trials(gate, found.old_tests, purpose="old-tests", only=only, repeat=repeat)
        found.runs.append(run_of("old-tests", gate, found.old_tests, trial))
        if trial.result.result == "error":
            found.reasons.append(f"{gate.name}: the new code with the old tests says nothing: {_why(trial)}")
            return
        failing = [test for test in failing if trial.outcomes.get(test) != "passed"]
        if not failing or not all(is_named(test, flaky) for test in failing):
            break
    if failing:
        found.weakened += failing
        many = len(failing) > 1
        found.reasons.append(
            f"{gate.name}: {_named(failing)} {'pass' if many else 'passes'} with the change's test files and not with "
            f"base's on the new code: mend the code, or let the work order name {'them' if many else 'it'} in "
            "tests_changed."
        )


async def _repeat(found: _Found, gate: Gate, wanted: Candidates, trials: Trials, request: GateRequest) -> None:
    tests = [test for test in wanted.own if test in wanted.new or not is_named(test, request.flaky)]
    if not tests:
        return
    only = Candidates.of(gate, tests).only
    for repeat in range(1, _TIMES):
        trial = await trials(gate, request.tree, purpose="repeat", only=only, repeat=repeat)
        found.runs.append(run_of("repeat", gate, request.tree, trial))
        if failed := [test for test in tests if trial.outcomes.get(test) != "passed"]:
            found.unstable += failed
            found.reasons.append(
                f"{gate.name}: {_named(failed)} passed once and not when run again: make it independent of time, "
                "order and chance."
            )
            return


async def _steady(
    found: _Found,
    gates: Sequence[Gate],
    head: Mapping[str, Trial],
    trials: Trials,
    request: GateRequest,
    order: WorkOrder,
) -> bool:
    """Whether the tests that the order has to make steady pass every time. They are run until one fails."""
    known = [test for gate in gates for test in head[gate.name].outcomes]
    if gone := [name for name in order.steady if not any(is_named(test, [name]) for test in known)]:
        verb = "are" if len(gone) > 1 else "is"
        found.reasons.append(f"{_named(gone)} {verb} to become steady and did not run: bring the test back.")
        return False
    for gate in gates:
        tests = [test for test in head[gate.name].outcomes if is_named(test, order.steady)]
        only = Candidates.of(gate, tests).only
        for repeat in range(_STEADY_FIRST, _STEADY_FIRST + _STEADY_TIMES) if tests else ():
            trial = await trials(gate, request.tree, purpose="steady", only=only, repeat=repeat)
            found.runs.append(run_of("steady", gate, request.tree, trial))
            if failed := [test for test in tests if trial.outcomes.get(test) != "passed"]:
                found.unstable += failed
                found.reasons.append(
                    f"{gate.name}: {_named(failed)} still {'flake' if len(failed) > 1 else 'flakes'} "
                    f"(run {repeat - _STEADY_FIRST + 1} of {_STEADY_TIMES} was not green): find what it depends on."
                )
                return False
    return True


# ---- words ---------------------------------------------------------------------------------------------------------


def _goal(order: WorkOrder, found: _Found, unproved: Sequence[str], by_command: bool, strong: bool) -> list[str]:
    """Why the goal is not proved."""
    reasons: list[str] = []
    if unproved:
        what = "are not tests that were" if len(unproved) > 1 else "is no test that was"
        reasons.append(
            f"{_named(unproved)} {what} red before the change and green after it, as the work order asks: write the "
            "test under this name so that it fails on the old code."
        )
    if order.kind == "fix" and not strong and not by_command:
        if found.signs:
            reasons.append(
                f"{_named(found.signs)} {'pass' if len(found.signs) > 1 else 'passes'} with the faulty code as it was, "
                "once what the change adds beside it is there: write the test so that it fails on what the old code "
                "does, or let the work order name a repro."
            )
        elif found.weak:
            reasons.append(
                f"{_named(found.weak)} failed before the fix only because something could not be imported or compiled: "
                "write the test so that it fails with an assertion on the old code."
            )
        elif found.already_passing:
            reasons.append(
                f"a fix needs a test that fails before it, and {_named(found.already_passing)} "
                f"{'pass' if len(found.already_passing) > 1 else 'passes'} on the old code too: write one that fails "
                "with an assertion on the old code."
            )
        else:
            reasons.append(
                "a fix needs a test that fails before it, and the change has none: write one that fails with an "
                "assertion on the old code."
            )
    elif order.kind == "feature" and not order.tests and (order.acceptance or order.repro) and not by_command:
        reasons.append("no command that the work order names was red before the change and green after it.")
    return reasons


def _aware(found: Sequence[Aware]) -> str:
    many = len(found) > 1
    return (
        f"{_named([str(one) for one in found])} {'ask' if many else 'asks'} whether a test is running "
        f"({sanitise_line(found[0].line)[:80]}), and a fix has to hold everywhere: take that out, or let the work "
        "order's allow name the file in full."
    )


def _why(trial: Trial) -> str:
    return sanitise_line(trial.result.reason) or "it could not be run."


def _gone(request: GateRequest, order: WorkOrder) -> tuple[str, ...]:
    return (*request.tests_gone, *order.tests_changed, *order.tests_removed)


def _files_named(
    gates: Sequence[Gate], base: Mapping[str, Mapping[str, TestOutcome]], head: Mapping[str, Trial]
) -> frozenset[str]:
    return frozenset(
        file
        for gate in gates
        for reading in [adapter(gate.results)]
        for test in {*base.get(gate.name, {}), *head[gate.name].outcomes}
        if (file := reading.file_of(test)) and not _in_documentation(test)
    )


def _in_documentation(test: str) -> bool:
    """Whether pytest took the test out of a docstring or a text (`kit.py::kit.add`): such a file is a source."""
    return "." in test.partition("::")[2].partition("[")[0]


def _state(name: str, base: Mapping[str, Mapping[str, TestOutcome]]) -> str:
    """passed, failed or skipped where the base's report knows tests of this name (the worst of them); else missing."""
    said = {outcome for outcomes in base.values() for test, outcome in outcomes.items() if is_named(test, [name])}
    return next((outcome for outcome in ("failed", "skipped", "passed") if outcome in said), "missing")


def _named(tests: Sequence[str]) -> str:
    few = ", ".join(sanitise_line(test)[:200] for test in tests[:_SHOWN])
    return few if len(tests) <= _SHOWN else f"{few} and {len(tests) - _SHOWN} more"
