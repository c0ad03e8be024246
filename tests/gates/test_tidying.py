"""What is left on the disk by runs that died, and by many that did not."""

import json
import os
from pathlib import Path

import pytest

from gates import tidying
from tests.gates.bench import Bench, gate
from tests.gates.test_adoption import Story, in_a_dying_engine


@pytest.fixture
def story(bench: Bench, tmp_path: Path) -> Story:
    return Story(bench, tmp_path)


def note(bench: Bench) -> Path:
    (found,) = bench.runs.glob("k/*/watch.json")
    return found


async def test_what_a_dead_engine_began_and_nobody_wants_is_cleared_and_its_log_stays(
    bench: Bench, story: Story
) -> None:
    await in_a_dying_engine(bench, story, "k")
    run, scratch = note(bench).parent, Path(json.loads(note(bench).read_text(encoding="utf-8"))["scratch"])
    assert scratch.is_dir()
    again = Bench.again(bench.repo.parent, "next")
    await again.runner.tidy([bench.runs / "k"])
    assert scratch.is_dir()  # that one is wanted
    assert (run / "exchange").is_dir()

    story.go.touch()
    await again.runner.tidy([])
    assert not scratch.exists()
    assert sorted(path.name for path in run.iterdir() if path.name in ("watch.json", "exchange", "log")) == ["log"]
    assert (await again.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "xx"


async def test_a_run_that_is_wanted_goes_on_after_tidying(bench: Bench, story: Story) -> None:
    await in_a_dying_engine(bench, story, "k")
    again = Bench.again(bench.repo.parent, "next")
    await again.runner.tidy([bench.runs / "k"])
    story.go.touch()
    assert (await again.gates(story.tree, gate(), key="k")).report.result == "green"
    assert story.count.read_text() == "x"


async def test_the_oldest_run_folders_go_and_those_of_others_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "KEPT_RUNS", 2)
    for number in range(4):
        key = f"main@{number}"
        await bench.gates(bench.base_tree, gate(env={"N": str(number)}), key=key)
        (folder,) = bench.runs.glob(f"main-{number}-*")
        os.utime(folder / tidying.MARK, (1_000.0 + number, 1_000.0 + number))
    await bench.make_runner("hand", leash=True).run(
        bench.request(bench.base_tree, gate(env={"N": "x"}), key="hand.1"), bench.emit
    )
    (bench.runs / "role-run").mkdir()
    await bench.runner.tidy([next(bench.runs.glob("main-0-*"))])
    left = sorted(path.name.rpartition("-")[0] or path.name for path in bench.runs.iterdir())
    assert left == ["hand.1", "main-0", "main-2", "main-3", "role"]


async def test_old_notes_go_and_results_are_still_reused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "KEPT_NOTES", 2)
    notes = bench.state / "reuse" / "bases"
    notes.mkdir(parents=True)
    for number in range(5):
        (notes / f"{number}.json").write_text("{}", encoding="utf-8")
        os.utime(notes / f"{number}.json", (1_000.0 + number, 1_000.0 + number))
    await bench.gates(bench.base_tree, gate())
    await bench.runner.tidy([])
    assert sorted(path.name for path in notes.iterdir()) == ["3.json", "4.json"]
    (again,) = (await bench.gates(bench.base_tree, gate())).report.gates
    assert again.cached


async def test_nothing_there_to_tidy_is_fine(tmp_path: Path, bench: Bench) -> None:
    await bench.runner.tidy([])
    tidying.tidy_runs(tmp_path / "none", [])
    tidying.tidy_notes(tmp_path / "none")
