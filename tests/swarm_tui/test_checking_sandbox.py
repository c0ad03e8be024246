"""`swarm check` says which sandbox there is, what it holds, why it is not a better one, and what is untested."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.ports import GUARANTEES
from engine.sandbox import backends
from engine.sandbox.landlock_run import landlock_abi
from engine.sandbox.meanings import MEANINGS
from engine.sandbox.windows import WindowsSandbox
from swarm_tui.checking import check_repository

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the backends of Linux")


class Desk:
    """A repository with settings, and what `swarm check` says of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo, self.state, self.capsys = folder / "repo", folder / "state", capsys
        self.repo.mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main", "--template="], cwd=self.repo, check=True)
        (self.repo / "roadmap.toml").write_text('schema = "roadmap/1"\n', encoding="utf-8")
        self.settings("")
        for words in (("add", "-A"), ("commit", "-q", "-m", "a step")):
            subprocess.run(["git", "-c", "user.name=p", "-c", "user.email=p@p", *words], cwd=self.repo, check=True)

    def settings(self, text: str) -> None:
        (self.repo / "swarm.toml").write_text(text, encoding="utf-8")

    def says(self) -> tuple[int, str]:
        self.capsys.readouterr()
        code = check_repository(self.repo, self.state, as_json=False)
        return code, self.capsys.readouterr().out

    def facts(self) -> dict[str, Any]:
        self.capsys.readouterr()
        check_repository(self.repo, self.state, as_json=True)
        return json.loads(self.capsys.readouterr().out)

    def sandbox_problems(self) -> list[dict[str, Any]]:
        return [one for one in self.facts()["problems"] if one["where"] == "sandbox"]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.fixture
def without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with git and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(folder))


def test_every_guarantee_has_a_line_that_says_what_it_means(desk: Desk) -> None:
    held = desk.facts()["sandbox"]["guarantees"]
    assert list(held) == list(GUARANTEES)
    lines = desk.says()[1].splitlines()
    for name in GUARANTEES:
        line = next(each for each in lines if each.startswith((f"  ✔ {name} ", f"  ✘ {name} ")))
        assert MEANINGS[name] in line
        assert ("not held" in line) == line.startswith("  ✘") == (not held[name])


@linux_only
@pytest.mark.skipif(landlock_abi() == 0, reason="this kernel has no Landlock")
@pytest.mark.usefixtures("without_bubblewrap")
def test_a_fallback_is_never_silent(desk: Desk) -> None:
    code, said = desk.says()
    assert code == 0
    assert "bubblewrap is not installed, so it is landlock, which holds less" in said
    assert "  ! modes, owners and times of your own files outside can be changed" in said
    facts = desk.facts()["sandbox"]
    assert (facts["backend"], facts["reason"]) == ("landlock", "bubblewrap is not installed")
    assert "mode" in facts["broken"]


@linux_only
@pytest.mark.usefixtures("without_bubblewrap")
def test_what_is_required_and_not_there_is_an_error_that_names_it(desk: Desk) -> None:
    desk.settings('[sandbox]\nrequire = ["fs_write"]\n')
    assert desk.says()[0] == 1
    (problem,) = desk.sandbox_problems()
    assert problem["level"] == "error"
    assert "cannot guarantee fs_write (bubblewrap is not installed" in problem["what"]
    assert "sandbox" not in desk.facts(), "what does not run has no facts"


def test_no_sandbox_at_all_is_a_warning_or_an_error_as_the_settings_say(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sandbox.choose.BACKENDS", {})
    (warning,) = desk.sandbox_problems()
    assert (warning["level"], desk.says()[0]) == ("warning", 0)
    assert "agents and gates run with your own rights" in warning["what"]
    desk.settings('[sandbox]\nwithout = "refuse"\n')
    (error,) = desk.sandbox_problems()
    assert (error["level"], desk.says()[0]) == ("error", 1)


def test_a_backend_that_nobody_has_tried_is_marked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(_: backends.Machine) -> WindowsSandbox:
        return WindowsSandbox({**dict.fromkeys(GUARANTEES, False), "git_meta": True})

    monkeypatch.setattr("engine.sandbox.choose.BACKENDS", {"windows": made})
    assert desk.facts()["sandbox"]["tested"] is False
    (problem,) = desk.sandbox_problems()
    assert "windows is untested on this platform" in problem["what"]
