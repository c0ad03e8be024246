"""An answer stands while everything that it depends on looks the same, and not a moment longer."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.folders import StateFolder, state_folder_for
from engine.models.settings import Gate
from engine.process.programs import Programs
from swarm_tui.gating import standing
from swarm_tui.gating.asked import Asked

REPORT = b"a signed report"


@dataclass
class Place:
    """A repository with one commit, a folder with a tool, and an answer that was remembered for it."""

    root: Path
    tools: Path
    folders: StateFolder
    asked: Asked
    said: dict[str, Any]

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=p", "-c", "user.email=p@p")
        subprocess.run(["git", *who, *words], cwd=self.root, check=True)

    def gate(self) -> Gate:
        return Gate.model_validate({"name": "unit", "run": ["tool"], "env": {"TOKEN": "$SOME_TOKEN"}})

    def remember(self) -> None:
        recipe = standing.recipe_for(self.asked, "main", [self.gate()], Programs(os.environ["PATH"]))
        assert recipe is not None
        standing.remember(
            self.asked, recipe, standing.look(recipe, self.root, self.folders), self.said, self.folders
        )  # fmt: skip

    def stands(self) -> bool:
        return standing.answer(self.asked) == 0

    @property
    def note(self) -> Path:
        (found,) = (self.folders.root / "gate-cache" / "standing").iterdir()
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    root, tools = tmp_path / "repo", tmp_path / "tools"
    root.mkdir()
    tools.mkdir()
    _tool(tools / "tool")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.environ["PATH"]]))
    monkeypatch.setenv("SOME_TOKEN", "one")
    folders = state_folder_for(root, tmp_path / "state")
    folders.create()
    folders.keys.mkdir(exist_ok=True)
    report = folders.root / "report"
    report.write_bytes(REPORT)
    gate = {"name": "unit", "result": "green", "cached": False, "reason": "", "executed": 1, "passed": 1, "failed": 0}
    gate |= {"skipped": 0, "lost": [], "duration_s": 3.0}
    said: dict[str, Any] = {
        "result": "green", "report": str(report), "tree": "a" * 40, "base": "b" * 40, "gates": [gate], "flags": [],
        "digest": f"sha256:{hashlib.sha256(REPORT).hexdigest()}",
    }  # fmt: skip
    made = Place(root, tools, folders, Asked(root, folders.root), said)
    made.git("init", "-q", "-b", "main", "--template=")
    (root / "swarm.toml").write_text("", encoding="utf-8")
    (root / "code.py").write_text("x = 1\n", encoding="utf-8")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "one")
    made.remember()
    return made


def _tool(path: Path) -> None:
    path.write_text(f"#!{sys.executable}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_answer_is_said_again_with_its_gates_marked_as_reused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.stands()
    said = capsys.readouterr().out
    assert "✔ unit  green    as before  1 passed" in said
    assert "green: 1 gate, none had to run" in said
    assert standing.answer(Asked(place.root, place.folders.root, as_json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["gates"][0]["cached"], told["gates"][0]["duration_s"]) == (True, 0.0)
    assert told["digest"] == place.said["digest"]


CHANGES: dict[str, Callable[[Place], object]] = {
    "a commit": lambda place: place.git("commit", "-q", "--allow-empty", "-m", "two"),
    "the settings": lambda place: (place.root / "swarm.toml").write_text("[limits]\n", encoding="utf-8"),
    "a new roadmap": lambda place: (place.root / "roadmap.toml").write_text("", encoding="utf-8"),
    "another content of the tool": lambda place: (place.tools / "tool").write_text("#!x\n", encoding="utf-8"),
    "a touched tool": lambda place: os.utime(place.tools / "tool", ns=(1, 1)),
    "the tool is gone": lambda place: (place.tools / "tool").unlink(),
    "a variable of a gate": lambda place: os.environ.__setitem__("SOME_TOKEN", "two"),
    "a variable of every gate": lambda place: os.environ.__setitem__("LC_X", "two"),
    "the journal": lambda place: place.folders.journal.write_bytes(b"x"),
    "the sandbox": lambda place: (place.folders.root / "sandbox.json").write_bytes(b"x"),
    "the keys": lambda place: (place.folders.keys / "public.pem").write_bytes(b"x"),
    "another key of ours": lambda place: (place.folders.keys / "standing.key").write_bytes(b"x" * 32),
    "the report": lambda place: Path(place.said["report"]).write_bytes(b"another"),
    "no report": lambda place: Path(place.said["report"]).unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_stands_no_longer_once_something_changed(place: Place, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_X", "one")
    place.remember()
    assert place.stands()
    CHANGES[what](place)
    assert not place.stands()


def test_a_tool_that_comes_to_lie_before_it_on_path_counts(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(first), os.environ["PATH"]]))
    place.remember()
    assert place.stands()
    _tool(first / "tool")
    assert not place.stands()


def test_files_that_are_not_committed_do_not_matter_and_are_hinted_at(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.root / "code.py").write_text("x = 2\n", encoding="utf-8")
    assert place.stands()
    assert "HEAD is gated, and 1 file of the working tree is not committed" in capsys.readouterr().err
    assert standing.answer(Asked(place.root, place.folders.root, "HEAD")) == 0
    assert capsys.readouterr().err == "", "who names a commit knows what is gated"


def test_a_note_that_somebody_else_wrote_is_no_answer(place: Place) -> None:
    written = json.loads(place.note.read_text(encoding="utf-8"))
    assert place.stands()
    written["note"]["said"]["gates"][0]["passed"] = 100
    place.note.write_text(json.dumps(written), encoding="utf-8")
    assert not place.stands()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"note": 1, "mac": 2}', b"\xff"])
def test_a_broken_note_is_no_answer(place: Place, content: bytes) -> None:
    place.note.write_bytes(content)
    assert not place.stands()


def test_another_question_has_another_answer(place: Place) -> None:
    assert standing.answer(Asked(place.root, place.folders.root, gates=("unit",))) is None
    assert standing.answer(Asked(place.root, place.folders.root, base="HEAD~0")) is None


def test_nothing_is_remembered_of_a_flow_or_a_program_that_chooses_by_itself(place: Place, tmp_path: Path) -> None:
    programs = Programs(os.environ["PATH"])
    flow = Gate.model_validate({"name": "f", "flow": "resize"})
    assert standing.recipe_for(place.asked, "main", [flow], programs) is None
    missing = Gate.model_validate({"name": "m", "run": ["no-such-program"]})
    assert standing.recipe_for(place.asked, "main", [missing], programs) is None
    assert standing.recipe_for(place.asked, "main", [place.gate()], programs) is not None


def test_an_answer_of_another_version_of_this_program_does_not_stand(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.remember()
    assert place.stands()
    monkeypatch.setattr(standing, "_CODE", ("engine",))
    assert not place.stands()


def test_only_a_key_that_is_made_for_the_first_report_is_no_change() -> None:
    none, made, other = ["public.pem"], ["public.pem", 113, 1, 7], ["public.pem", 113, 2, 8]
    assert standing.is_unchanged({"key": none, "code": "1"}, {"key": made, "code": "1"})
    assert standing.is_unchanged({"key": made, "code": "1"}, {"key": made, "code": "1"})
    assert not standing.is_unchanged({"key": made, "code": "1"}, {"key": other, "code": "1"})
    assert not standing.is_unchanged({"key": none, "code": "1"}, {"key": made, "code": "2"})
