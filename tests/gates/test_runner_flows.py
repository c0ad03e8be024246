"""Gates that are canary flows: run through the canary's runner on the merged tree, with its verdict as the result."""

from pathlib import Path
from typing import Any

import pytest

from canary.runner import LocalCanaryRunner
from engine.git.slots import Slots
from engine.models.flow import Flow
from engine.models.settings import Gate
from engine.process.programs import Programs
from gates.sabotage import sabotage
from gates.trials import HubTrees
from tests.gates.bench import Bench, gate

APP = """
import sys
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "greet":
        print({answer!r}, flush=True)
    elif line.strip() == "quit":
        sys.exit(0)
"""


def flow(**fields: Any) -> Flow:
    known: dict[str, Any] = {
        "name": "greets",
        "start": {"run": ["python", "app.py"], "ready": {"log": "ready"}, "within": "20s"},
        "steps": [
            {"send": {"stdin": "greet\n"}},
            {"wait": {"until": {"log": "hello"}, "within": "2s"}},
        ],
        "stop": {"send": {"stdin": "quit\n"}, "within": "10s"},
    }
    return Flow.model_validate(known | fields)


def flow_gate(name: str = "greeting", flow: str = "greets", **fields: Any) -> Gate:
    return Gate.model_validate({"name": name, "flow": flow, **fields})


@pytest.fixture
def flowing(bench: Bench) -> Bench:
    canary = LocalCanaryRunner(
        slots=Slots(bench.hub, bench.state / "slots", 1, prefix="canary"),
        sandbox=bench.sandbox,
        programs=Programs(str(Path(bench.python).parent)),
        store=bench.store,
        runs=bench.runs,
        hub=bench.hub,
        epoch=f"{bench.state}/flows",
    )
    bench.runner = bench.make_runner("flows", flows=canary)
    return bench


def app(bench: Bench, answer: str) -> str:
    return bench.change({"app.py": APP.format(answer=answer)})


@pytest.mark.parametrize(("answer", "result"), [("hello", "green"), ("good bye", "red")])
async def test_the_flow_decides(flowing: Bench, answer: str, result: str) -> None:
    report = (await flowing.gates(app(flowing, answer), flow_gate(), flows=(flow(),))).report
    (said,) = report.gates
    assert (report.result, said.result) == (result, result)
    assert answer.encode() in flowing.store.get(said.log)
    assert [kind for kind, _ in flowing.events] == ["gate_started", "gate_finished"]
    assert bool(said.reason) == (result == "red")
    assert said.reason == "" or ("greets" in said.reason and said.reason.endswith("."))


async def test_a_flow_that_cannot_start_is_no_verdict_of_green(flowing: Bench) -> None:
    report = (await flowing.gates(flowing.base_tree, flow_gate(), flows=(flow(),))).report
    assert report.gates[0].result in ("red", "error")


async def test_an_unknown_flow_is_an_error_that_names_the_known_ones(flowing: Bench) -> None:
    report = (await flowing.gates(app(flowing, "hello"), flow_gate(flow="other"), flows=(flow(),))).report
    assert report.gates[0].result == "error"
    assert "greets" in report.gates[0].reason


async def test_without_a_canary_a_flow_is_an_error_that_says_so(bench: Bench) -> None:
    report = (await bench.gates(app(bench, "hello"), flow_gate(), flows=(flow(),))).report
    assert report.gates[0].result == "error"
    assert "cannot be run from here" in report.gates[0].reason


async def test_a_green_flow_is_reused_for_the_same_tree_and_flow_only(flowing: Bench) -> None:
    tree = app(flowing, "hello")

    async def cached(tree: str, flow: Flow) -> bool:
        return (await flowing.gates(tree, flow_gate(), flows=(flow,))).report.gates[0].cached

    assert [await cached(tree, flow()), await cached(tree, flow())] == [False, True]
    assert not await cached(tree, flow(timeout="50s"))
    assert not await cached(app(flowing, "hello you"), flow())


async def test_what_needs_a_red_flow_is_skipped(flowing: Bench) -> None:
    after = gate("after", needs=["greeting"])
    report = (await flowing.gates(app(flowing, "no"), after, flow_gate(), flows=(flow(),))).report
    assert {result.name: result.result for result in report.gates} == {"after": "skipped", "greeting": "red"}


async def test_a_broken_line_is_caught_by_a_flow(flowing: Bench) -> None:
    tree = app(flowing, "hello")
    one, after = flow_gate(), gate("unit", needs=["greeting"])
    request = flowing.request(tree, one, after, flows=(flow(),))
    trials = flowing.runner.trials(request)
    assert (await trials(one, tree, purpose="sabotage")).result.result == "green"
    assert (await trials(after, tree, purpose="sabotage")).result.result == "green"
    found = await sabotage([one], tree, flowing.base_tree, 4, 1, trials, HubTrees(flowing.hub))
    assert (found.made, found.unclear) == (4, ()), found
    assert found.caught > 0
    assert {run.result for run in found.runs} == {"green", "red"}
