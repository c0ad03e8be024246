"""A run of gates outlives its engine: the next one goes on with it, under the same key, or starts it over."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.git.removal import remove_tree
from tests.gates.bench import Bench, gate, only

COUNTED = """
import pathlib, time, unittest
class T(unittest.TestCase):
    def test_counted(self):
        with open({count!r}, "a") as file:
            file.write("x")
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.01)
"""


class Story:
    """A tree whose one test says that it began, and then waits for a word."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.count, self.go = folder / "count", folder / "go"
        self.tree = bench.change({"test_a.py": COUNTED.format(count=str(self.count), go=str(self.go))})

    async def began(self, times: int) -> None:
        deadline = time.monotonic() + 20
        while not (self.count.exists() and len(self.count.read_text()) >= times):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.fixture
def story(bench: Bench, tmp_path: Path) -> Story:
    return Story(bench, tmp_path)


async def in_a_dying_engine(bench: Bench, story: Story, key: str) -> None:
    """Begin the run in another process, and kill that process like a crash does once the test has begun."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.gates.bench import Bench, gate\n"
        "bench = Bench.again(Path(sys.argv[1]), 'dead')\n"
        "asyncio.run(bench.gates(sys.argv[2], gate(), key=sys.argv[3], base_tree=sys.argv[4]))\n"
    )
    folder = str(bench.repo.parent)
    process = await asyncio.create_subprocess_exec(
        bench.python, "-c", script, folder, story.tree, key, bench.base_tree, cwd=Path(__file__).parents[2]
    )
    await story.began(1)
    process.kill()
    await process.wait()


async def test_the_next_engine_adopts_the_running_gate(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    asking = asyncio.create_task(bench.gates(story.tree, gate(), key="k"))
    await asyncio.sleep(0)
    story.go.touch()
    report = (await asking).report
    assert (report.result, only(report).passed) == ("green", 1)
    assert story.count.read_text() == "x"


async def test_a_gate_that_ended_while_no_engine_was_there_counts(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    story.go.touch()
    results = list(bench.runs.glob("k/*/result.json"))
    deadline = time.monotonic() + 20
    while not (results := list(bench.runs.glob("k/*/result.json"))):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert len(results) == 1
    assert (await bench.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "x"


async def test_what_changed_the_tree_meanwhile_is_not_believed(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    (bench.state / "slots" / "gate-1" / "tree" / "README.md").write_text("changed\n", encoding="utf-8")
    story.go.touch()
    assert (await bench.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "xx"


async def test_cancelling_kills_the_gate_and_the_same_key_runs_again(bench: Bench, story: Story) -> None:
    asking = asyncio.create_task(bench.gates(story.tree, gate(), key="k"))
    await story.began(1)
    pid = json.loads(next(bench.runs.glob("k/*/shim.json")).read_text(encoding="utf-8"))["pid"]
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    story.go.touch()
    assert (await bench.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "xx"


async def test_asking_again_after_the_report_runs_a_red_gate_again(bench: Bench, tmp_path: Path) -> None:
    count = tmp_path / "count"
    test = "import unittest\nclass T(unittest.TestCase):\n def test_a(self):\n  open({!r}, 'a').write('x'); assert 0\n"
    tree = bench.change({"test_a.py": test.format(str(count))})
    for _ in range(2):
        assert (await bench.gates(tree, gate(), key="k")).report.result == "red"
    assert count.read_text() == "xx"


async def test_nothing_private_is_left_behind(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    await bench.gates(bench.base_tree, gate())
    assert set(tmp_path.iterdir()) == before


async def test_a_note_that_a_power_loss_left_empty_costs_one_more_run(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    story.go.touch()
    deadline = time.monotonic() + 20
    while not list(bench.runs.glob("k/*/result.json")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    (note,) = bench.runs.glob("k/*/watch.json")
    lost = Path(json.loads(note.read_text())["scratch"])
    note.write_bytes(b"")
    assert (await bench.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "xx"
    remove_tree(lost)


@pytest.mark.skipif(sys.platform == "win32", reason="exit codes tell of signals on POSIX only")
async def test_a_gate_that_was_killed_with_its_engine_is_no_red_gate_and_runs_again(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    (exchange,) = bench.runs.glob("k/*/exchange")
    (gates_process,) = [
        process
        for process in psutil.process_iter()
        if with_argument(process, str(exchange)) and not with_argument(process, "shim.py")
    ]
    gates_process.kill()
    story.go.touch()
    deadline = time.monotonic() + 20
    while not list(bench.runs.glob("k/*/result.json")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert (await bench.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "xx"


def with_argument(process: psutil.Process, word: str) -> bool:
    try:
        return any(argument.endswith(word) for argument in process.cmdline())
    except psutil.Error:
        return False
