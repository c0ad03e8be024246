"""What runs now: last lines, progress, memory; and nothing in those files can break the sampler."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from engine.folders import StateFolder
from swarm_tui.room.pulse import CanaryPulse, GatePulse, Sampler, Wanted, last_line


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    found = StateFolder(tmp_path / "state")
    found.create()
    return found


def test_the_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first\nsecond \x1b[31mred\n\n  \n", encoding="utf-8")
    line, size_bytes = last_line(path)
    assert line == "second ␛[31mred"
    assert size_bytes == path.stat().st_size


def test_a_line_without_end_and_a_missing_log_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff\x00" * 3_000_000)
    assert len(last_line(path)[0]) <= 200
    assert last_line(tmp_path / "nowhere") == ("", 0)


def test_a_run_shows_its_progress_rather_than_its_log(folders: StateFolder) -> None:
    folder = folders.runs / "a.1"
    folder.mkdir()
    (folder / "log").write_text('{"type":"assistant"}\n', encoding="utf-8")
    sampler = Sampler(folders, Wanted(runs=("a.1",)))
    sampler.sample()
    assert sampler.pulse.runs["a.1"].last_line == '{"type":"assistant"}'
    rows = (
        {"kind": "message", "text": "I begin."},
        {"kind": "tool", "tool": "Bash", "text": "make \x1b[2J" + "t" * 400},
    )
    for row, shown in zip(rows, ("I begin.", "Bash make ␛[2Jttt"), strict=True):
        with (folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        sampler.sample()
        assert sampler.pulse.runs["a.1"].last_line.startswith(shown)
        assert len(sampler.pulse.runs["a.1"].last_line) <= 200


def test_the_memory_of_a_run_is_that_of_its_processes(folders: StateFolder) -> None:
    me = psutil.Process()
    (folders.runs / "a.1").mkdir()
    shim = {"pid": me.pid, "create_time": me.create_time(), "marker": "m"}
    (folders.runs / "a.1" / "shim.json").write_text(json.dumps(shim), encoding="utf-8")
    sampler = Sampler(folders, Wanted(runs=("a.1",)))
    sampler.sample()
    found = sampler.pulse.runs["a.1"].rss_bytes
    assert found is not None
    assert found > 5_000_000


@pytest.mark.parametrize("shim", ["", "{", "[]", '{"pid": "x", "create_time": 1}', '{"pid": 1, "create_time": 1}'])
def test_a_process_that_is_not_ours_is_not_measured(folders: StateFolder, shim: str) -> None:
    (folders.runs / "a.1").mkdir()
    (folders.runs / "a.1" / "shim.json").write_text(shim, encoding="utf-8")
    sampler = Sampler(folders, Wanted(runs=("a.1",)))
    sampler.sample()
    assert sampler.pulse.runs["a.1"].rss_bytes is None


def test_progress_is_that_of_the_newest_folder_of_a_change(folders: StateFolder) -> None:
    for number, (name, done) in enumerate([("agent-one-1-aa-old", 3), ("agent-one-1-aa-new", 5), ("agent-other", 9)]):
        folder = folders.runs / name
        folder.mkdir()
        rows = [{"gate": "unit", "done": 1, "failed": 0}, {"gate": "unit", "done": done, "failed": 1}]
        text = "".join(json.dumps(row) + "\n" for row in rows) + '{"half'
        (folder / "progress.jsonl").write_text(text, encoding="utf-8")
        os.utime(folder, (number, number))
    sampler = Sampler(folders, Wanted(changes=("agent/one/1",)))
    sampler.sample()
    assert sampler.pulse.gates == {("agent/one/1", "unit"): GatePulse(5, 1)}


def test_a_canary_tells_its_step(folders: StateFolder) -> None:
    folder = folders.runs / f"canary.{'c' * 16}.first.x"
    folder.mkdir()
    row = {"kind": "canary", "said": "step", "flow": "f", "number": 2, "flows": 3, "step": 4, "steps": 9}
    (folder / "progress.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    sampler = Sampler(folders, Wanted(canaries=("c" * 40,)))
    sampler.sample()
    assert sampler.pulse.canaries == {"c" * 40: CanaryPulse("step", "f", 2, 3, 4, 9)}


@pytest.mark.parametrize(
    "row", ['{"gate": [], "done": "x"}', '{"gate": "u"}', "[1]", "null", '{"kind": "canary", "step": "x"}']
)
def test_rubbish_in_a_progress_file_is_passed_over(folders: StateFolder, row: str) -> None:
    for name in ("agent-one-1-x", f"canary.{'c' * 16}.x"):
        (folders.runs / name).mkdir()
        (folders.runs / name / "progress.jsonl").write_text(row + "\n", encoding="utf-8")
    sampler = Sampler(folders, Wanted(changes=("agent/one/1",), canaries=("c" * 40,)))
    sampler.sample()
    assert sampler.pulse.gates == {}
    assert sampler.pulse.canaries == {}


def test_what_is_not_wanted_any_more_is_forgotten(folders: StateFolder) -> None:
    for number in range(3):
        (folders.runs / f"agent-{number}-x").mkdir()
        (folders.runs / f"agent-{number}-x" / "progress.jsonl").write_text(
            '{"gate": "unit", "done": 1, "failed": 0}\n', encoding="utf-8"
        )
    sampler = Sampler(folders)
    for number in range(3):
        sampler.want = Wanted(changes=(f"agent/{number}",))
        sampler.sample()
        assert sampler.pulse.gates == {(f"agent/{number}", "unit"): GatePulse(1, 0)}
    assert len(sampler._tails) == len(sampler._rows) == 1


def test_a_progress_line_nested_too_deep_is_skipped(folders: StateFolder) -> None:
    (folders.runs / "agent-one-x").mkdir()
    deep = '{"gate": ' + "[" * 100_000 + "\n"
    row = '{"gate": "unit", "done": 1, "failed": 0}\n'
    (folders.runs / "agent-one-x" / "progress.jsonl").write_text(deep + row, encoding="utf-8")
    sampler = Sampler(folders, Wanted(changes=("agent/one",)))
    sampler.sample()
    assert sampler.pulse.gates == {("agent/one", "unit"): GatePulse(1, 0)}
