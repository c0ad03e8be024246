"""Which gates run when: side by side, one after the other, heavy ones alone, and none after the first red one."""

import asyncio
import time
from pathlib import Path

import pytest

from engine.models.report import VerificationReport
from engine.models.settings import Gate
from tests.gates.bench import Bench, gate

MEET = (
    "import pathlib, sys, time\n"
    "mine, other = map(pathlib.Path, sys.argv[1:])\n"
    "mine.touch()\n"
    "while not other.exists(): time.sleep(0.01)\n"
)
SPAN = (
    "import sys, time\n"
    "with open(sys.argv[1], 'a') as file: file.write(sys.argv[2] + '+\\n')\n"
    "time.sleep(0.1)\n"
    "with open(sys.argv[1], 'a') as file: file.write(sys.argv[2] + '-\\n')\n"
)


def code(name: str, source: str, *arguments: object, **fields: object) -> Gate:
    return gate(name, ("python", "-c", source, *map(str, arguments)), "none", **fields)


def said(report: VerificationReport) -> dict[str, str]:
    return {result.name: result.result for result in report.gates}


async def written(path: Path, size: int) -> None:
    deadline = time.monotonic() + 30
    while not (path.exists() and len(path.read_text(encoding="utf-8")) == size):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def pair(folder: Path, timeout: str) -> tuple[Gate, Gate]:
    """Two gates that each wait for the other one to be there."""
    a, b = folder / "a", folder / "b"
    return code("a", MEET, a, b, timeout=timeout), code("b", MEET, b, a, timeout=timeout)


async def test_independent_gates_run_side_by_side_where_two_slots_are_free(bench: Bench, tmp_path: Path) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    report = (await bench.gates(bench.base_tree, *pair(tmp_path, "60s"))).report
    assert said(report) == {"a": "green", "b": "green"}


async def test_with_one_slot_they_run_one_after_the_other(bench: Bench, tmp_path: Path) -> None:
    report = (await bench.gates(bench.base_tree, *pair(tmp_path, "500ms"))).report
    assert said(report) == {"a": "timeout", "b": "green"}


async def test_a_heavy_gate_runs_alone_and_light_ones_together(bench: Bench, tmp_path: Path) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    log = tmp_path / "spans"
    heavy = [code(f"h{n}", SPAN, log, f"h{n}", slots=9) for n in range(2)]
    light = [code(f"l{n}", SPAN, log, f"l{n}") for n in range(3)]
    first, second = await asyncio.gather(
        bench.gates(bench.base_tree, heavy[0], *light), bench.gates(bench.base_tree, heavy[1])
    )
    assert {first.report.result, second.report.result} == {"green"}
    running: set[str] = set()
    for line in log.read_text(encoding="utf-8").splitlines():
        running = running | {line[:-1]} if line.endswith("+") else running - {line[:-1]}
        assert len(running) <= 2
        assert len(running) == 1 or not {"h0", "h1"} & running


async def test_many_requests_compete_for_two_slots_and_all_end(bench: Bench) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    asked = [
        bench.gates(
            bench.base_tree, *(code(f"g{n}", f"open('README.md'), {r}", slots=1 + (n + r) % 3) for n in range(3))
        )
        for r in range(4)
    ]
    async with asyncio.timeout(120):
        reports = await asyncio.gather(*asked)
    assert {signed.report.result for signed in reports} == {"green"}


async def test_without_keep_going_the_first_red_gate_is_the_last(bench: Bench, tmp_path: Path) -> None:
    red, ran = code("red", "raise SystemExit(1)"), tmp_path / "ran"
    after = code("after", "import sys; open(sys.argv[1], 'w').close()", ran)
    signed = await bench.gates(bench.base_tree, red, after, keep_going=False)
    assert said(signed.report) == {"red": "red", "after": "skipped"}
    assert signed.report.result == "red"
    assert signed.report.gates[1].reason == '"red" was red, and the run was to end there.'
    assert not ran.exists()
    assert [fields["gate"] for kind, fields in bench.events if kind == "gate_finished"] == ["red", "after"]
    assert said((await bench.gates(bench.base_tree, red, after)).report) == {"red": "red", "after": "green"}


async def test_without_keep_going_what_runs_beside_a_red_gate_is_killed(bench: Bench, tmp_path: Path) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    began = tmp_path / "began"
    waits = code("waits", "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(600)", began)
    wait = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
    red = code("red", wait + "raise SystemExit(1)", began)
    report = (await bench.gates(bench.base_tree, waits, red, keep_going=False)).report
    assert said(report) == {"waits": "skipped", "red": "red"}


async def test_side_by_side_gates_do_not_share_a_checkout(bench: Bench, tmp_path: Path) -> None:
    bench.runner = bench.make_runner("two", slots=2)
    a, b = tmp_path / "a", tmp_path / "b"
    see = MEET + "import os\nassert os.listdir('.').count('mine') == 0\nopen('mine', 'w').close()\n"
    report = (await bench.gates(bench.base_tree, code("a", see, a, b), code("b", see, b, a))).report
    assert said(report) == {"a": "green", "b": "green"}


async def test_both_gates_of_a_dead_engine_are_adopted_in_their_slots(bench: Bench, tmp_path: Path) -> None:
    count, go = tmp_path / "count", tmp_path / "go"
    source = (
        "import pathlib, sys, time\nwith open(sys.argv[1], 'a') as file: file.write('x')\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\n"
    )
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.gates.bench import Bench\n"
        "from tests.gates.test_runner_dag import code\n"
        "bench = Bench.again(Path(sys.argv[1]), 'dead')\nbench.runner = bench.make_runner('dead', slots=2)\n"
        "gates = [code(name, sys.argv[2], *sys.argv[3:5]) for name in 'ab']\n"
        "asyncio.run(bench.gates(bench.base_tree, *gates, key='k'))\n"
    )
    process = await asyncio.create_subprocess_exec(
        bench.python, "-c", script, str(bench.repo.parent), source, str(count), str(go), cwd=Path(__file__).parents[2]
    )
    await written(count, 2)
    process.kill()
    await process.wait()
    bench.runner = bench.make_runner("next", slots=2)
    gates = [code(name, source, count, go) for name in "ba"]  # in another order than before
    asking = asyncio.create_task(bench.gates(bench.base_tree, *gates, key="k"))
    await asyncio.sleep(0)
    go.touch()
    assert said((await asking).report) == {"b": "green", "a": "green"}
    assert count.read_text() == "xx"


@pytest.mark.parametrize("slots", [1, 2])
async def test_cancelling_ends_every_gate_and_frees_every_slot(bench: Bench, tmp_path: Path, slots: int) -> None:
    bench.runner = bench.make_runner("cancelled", slots=slots)
    began = tmp_path / "began"
    waits = "import sys, time\nwith open(sys.argv[1], 'a') as file: file.write('x')\ntime.sleep(600)\n"
    asking = asyncio.create_task(bench.gates(bench.base_tree, *(code(name, waits, began) for name in "abc")))
    await written(began, slots)
    async with asyncio.timeout(60):
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (
            await bench.gates(bench.base_tree, code("heavy", "open('README.md')", slots=slots))
        ).report.result == "green"
