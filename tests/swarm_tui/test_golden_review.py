"""`swarm golden`: what waits with its difference, and decisions that can be taken with or without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.artifacts import ArtifactStore
from engine.errors import UserError
from engine.folders import StateFolder
from engine.journal import JournalReader
from swarm_tui.golden_review import accept, reject, review
from tests.swarm_tui.nights import COMMIT, Writer, a_night
from tests.swarm_tui.test_goldens_screen import PATH, proposing

KEYED = "canary/golden/resize.linux.jsonl"


@pytest.fixture
def waiting(tmp_path: Path) -> Writer:
    folders = StateFolder(tmp_path / "state")
    folders.create()
    return a_night(tmp_path, *proposing(ArtifactStore(folders.artifacts)))


def commands(writer: Writer) -> list[tuple[str, str]]:
    with JournalReader(writer.folders.journal) as reader:
        return [(command.name, str(command.args.get("path", ""))) for command in reader.open_commands()]


def test_the_difference_and_what_to_do_are_said(waiting: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(None, waiting.folders.root, as_json=False) == 0
    said = capsys.readouterr().out
    assert f"changed  {PATH}" in said
    assert f"flow resize on {COMMIT[:12]}" in said
    assert '  -{"kind": "frame", "w": 3}\n  +{"kind": "frame", "w": 4}\n' in said
    assert "→ swarm golden accept g-" in said


def test_scripts_get_all_of_it(waiting: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    review(None, waiting.folders.root, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["path"], row["keyed"], row["new"]) == (PATH, KEYED, False)
    assert row["rows"] == ['-{"kind": "frame", "w": 3}', '+{"kind": "frame", "w": 4}']
    assert Path(row["files"]["shown"]).is_file()


def test_nothing_waits_is_said_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_night(tmp_path).folders.root
    assert review(None, root, as_json=False) == 0
    assert capsys.readouterr().out.startswith("no golden waits")
    with pytest.raises(UserError, match="pending: none"):
        accept(None, root, "resize", every=False, keyed=False)
    with pytest.raises(UserError, match="nothing to accept"):
        accept(None, root, "", every=True, keyed=False)


@pytest.mark.parametrize(("keyed", "path"), [(False, PATH), (True, KEYED)])
def test_a_decision_waits_for_the_next_engine_and_is_taken_once(
    waiting: Writer, capsys: pytest.CaptureFixture[str], keyed: bool, path: str
) -> None:
    root = waiting.folders.root
    assert accept(None, root, "", every=True, keyed=keyed) == 0
    assert "next engine" in capsys.readouterr().out
    assert commands(waiting) == [("golden_accept", path)]
    with pytest.raises(UserError, match="decided already"):
        reject(None, root, PATH, "it is wrong")
    assert commands(waiting) == [("golden_accept", path)]


def test_one_is_named_or_all_are(waiting: Writer) -> None:
    for name, every in (("", False), ("resize", True)):
        with pytest.raises(UserError, match="--all"):
            accept(None, waiting.folders.root, name, every=every, keyed=False)
    assert commands(waiting) == []
