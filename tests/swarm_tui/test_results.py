"""What the gates said of a tree: only what was signed is shown as such, and what is missing is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from swarm_tui.room.results import (
    by_hand,
    failing_line,
    gate_folder,
    live_results,
    short_name,
    signed_results,
)
from tests.swarm_tui.proofs import LOG, OTHER_TREE, TREE, a_gate, signed


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


@pytest.fixture
def store(folders: StateFolder) -> ArtifactStore:
    return ArtifactStore(folders.artifacts)


def test_failures_come_first_then_lost_skipped_and_passed(folders: StateFolder, store: ArtifactStore) -> None:
    digest = signed(folders, a_gate(store, lost=["tests.test_old.T.test_gone"]))
    gate = signed_results(folders, digest, TREE).gates["unit"]
    assert list(gate.outcomes.values()) == ["failed", "failed", "lost", "skipped", "passed", "passed"]
    assert gate.outcomes["tests.test_old.T.test_gone"] == "lost"
    assert gate.log is not None
    assert gate.log.read_text() == LOG
    assert not gate.live


def test_a_report_that_another_key_signed_is_not_shown(tmp_path: Path, folders: StateFolder) -> None:
    stranger = StateFolder(tmp_path / "stranger")
    stranger.create()
    foreign = ArtifactStore(stranger.artifacts)
    envelope = foreign.get(signed(stranger, a_gate(foreign)))
    signed(folders, a_gate(ArtifactStore(folders.artifacts)))  # the folder has a key of its own
    results = signed_results(folders, ArtifactStore(folders.artifacts).put(envelope), TREE)
    assert results.report is None
    assert not results.gates
    assert "signed with the key" in results.problem


def test_a_report_on_another_tree_is_not_shown_for_this_one(folders: StateFolder, store: ArtifactStore) -> None:
    results = signed_results(folders, signed(folders, a_gate(store), tree=OTHER_TREE), TREE)
    assert results.report is None
    assert "about the tree 9999999999" in results.problem


def test_a_report_that_is_gone_is_said_in_a_sentence(folders: StateFolder) -> None:
    results = signed_results(folders, "sha256:" + "0" * 64, TREE)
    assert results.report is None
    assert "missing" in results.problem


def test_outcomes_and_log_that_are_gone_leave_the_rest(folders: StateFolder, store: ArtifactStore) -> None:
    gate = a_gate(store, lost=["x.test_gone"])
    digest = signed(folders, gate)
    store.path(gate.tests).unlink()
    store.path(gate.log).unlink()
    found = signed_results(folders, digest, TREE).gates["unit"]
    assert found.outcomes == {"x.test_gone": "lost"}
    assert found.log is None
    assert "are gone" in found.problem


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"outcomes": {}, "result": "red", "exit_code": 5}, "no test was executed"),
        ({"outcomes": {}, "result": "skipped", "exit_code": None}, "it did not run"),
        ({"outcomes": {}, "result": "green", "exit_code": 0}, "it names no tests: its exit code is the result"),
    ],
)
def test_a_gate_without_tests_says_why(
    folders: StateFolder, store: ArtifactStore, fields: dict[str, Any], said: str
) -> None:
    assert signed_results(folders, signed(folders, a_gate(store, **fields)), TREE).gates["unit"].problem == said


def a_run(runs: Path, name: str, gate: str, began: float) -> Path:
    folder = runs / name / f"{gate}-0123456789ab"
    (folder / "exchange").mkdir(parents=True)
    (folder / "spec.json").write_text("{}", encoding="utf-8")
    os.utime(folder / "spec.json", (began, began))
    return folder


def test_a_run_folder_is_found_by_change_gate_and_time(tmp_path: Path) -> None:
    early = a_run(tmp_path, "agent-one-1-aaaaaaaa-bbbb-1", "unit", 1_000.0)
    late = a_run(tmp_path, "agent-one-1-aaaaaaaa-cccc-2", "unit", 2_000.0)
    main = a_run(tmp_path, "main-dddd-3", "unit", 2_000.0)
    a_run(tmp_path, "agent-one-1-aaaaaaaa-cccc-2b", "stress", 2_000.0)
    a_run(tmp_path, "agent-one-1-aaaaaaaa-cccc-2", "unit-slow", 1_999.0)
    change = "agent/one/1-aaaaaaaa"
    assert gate_folder(tmp_path, change, "unit", 999.5, 1_003.0) == early
    assert gate_folder(tmp_path, change, "unit", 1_999.0) == late
    assert gate_folder(tmp_path, "", "unit", 1_999.0) == main
    assert gate_folder(tmp_path, change, "unit", 1_500.0, 1_600.0) is None
    assert gate_folder(tmp_path / "nowhere", change, "unit", 1.0) is None


def test_a_running_gate_shows_what_it_has_noted_down(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "main-x", "unit", 1.0)
    rows = [
        {"kind": "begin"},
        {"kind": "test", "id": "a", "outcome": "passed"},
        {"kind": "test", "id": "b", "outcome": "failed"},
        {"kind": "test", "id": "b", "outcome": "passed"},
        {"kind": "test", "id": "c", "outcome": "levitated"},
    ]
    text = "".join(f"00ff {json.dumps(row)}\n" for row in rows) + '00ff {"kind":"te'
    (folder / "exchange" / "results.jsonl").write_text(text, encoding="utf-8")
    live = live_results(folder)
    assert live.outcomes == {"b": "failed", "a": "passed"}
    assert live.live
    assert live.log is None


@pytest.mark.parametrize(
    ("test", "name", "where"),
    [
        ("tests.unit.test_a.T.test_b", "test_b", "tests.unit.test_a.T"),
        ("tests/test_a.py::T::test_b[1.5-x.y]", "test_b[1.5-x.y]", "tests/test_a.py::T"),
        ("lonely", "lonely", ""),
    ],
)
def test_the_name_of_a_test_is_told_apart_from_its_place(test: str, name: str, where: str) -> None:
    assert short_name(test) == (name, where)


@pytest.mark.parametrize(
    ("log", "test", "line"),
    [
        (LOG, "tests.test_bar.BarTest.test_wide", "FAIL: test_wide (tests.test_bar.BarTest.test_wide)"),
        (
            "FAIL: test_x (a.A)\nFAIL: test_x (b.B)\n",
            "b.B.test_x",
            "FAIL: test_x (b.B)",
        ),
        (
            "a/test_b.py::C::test_d FAILED\n____ C.test_d ____\nE  boom\nFAILED a/test_b.py::C::test_d - boom\n",
            "a/test_b.py::C::test_d",
            "____ C.test_d ____",
        ),
        ("____ test_d[1] ____\n____ test_d[2] ____\n", "a/test_b.py::test_d[2]", "____ test_d[2] ____"),
        ("test_date is another\n", "a.test_d", ""),
        ("nothing of the kind\n", "a.test_d", ""),
    ],
)
def test_the_output_of_a_test_is_found_in_its_log(tmp_path: Path, log: str, test: str, line: str) -> None:
    path = tmp_path / "log"
    path.write_text(log, encoding="utf-8")
    assert failing_line(path, test) == line


def test_a_log_that_is_gone_names_no_test(tmp_path: Path) -> None:
    assert failing_line(tmp_path / "log", "a.b") == ""


def test_the_command_by_hand_names_the_repository_that_has_the_tree(
    folders: StateFolder, store: ArtifactStore, tmp_path: Path
) -> None:
    report = signed_results(folders, signed(folders, a_gate(store)), TREE).report
    assert report is not None
    lines = by_hand(report, tmp_path / "my hub")
    assert "REPOSITORY" not in "".join(lines)
    assert f"git -C '{tmp_path / 'my hub'}' archive {TREE} | tar -x" == lines[1]
    assert by_hand(report, tmp_path, report.gates[0])[-1] == "python -m unittest -k 'a b'"
