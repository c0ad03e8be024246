"""`swarm check` says what an agent's `network` is worth on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.models.settings import SandboxSettings
from engine.sandbox.choose import choose_sandbox
from swarm_tui.checking import check_repository

AGENT = f'[agents.a]\nkind = "command"\nrun = [{json.dumps(sys.executable)}]\nnetwork = ["HOST"]\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repo = tmp_path / "repo"
    repo.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", "--template="], cwd=repo, check=True)
    (repo / "roadmap.toml").write_text('schema = "roadmap/1"\n', encoding="utf-8")
    subprocess.run(["git", "add", "-A"], cwd=repo, check=True)
    subprocess.run(["git", "-c", "user.name=p", "-c", "user.email=p@p", "commit", "-qm", "one"], cwd=repo, check=True)
    return repo


def network_problems(repo: Path, host: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    (repo / "swarm.toml").write_text(AGENT.replace("HOST", host), encoding="utf-8")
    capsys.readouterr()
    check_repository(repo, repo.parent / "state", as_json=True)
    problems = json.loads(capsys.readouterr().out)["problems"]
    return [one for one in problems if "network" in one["what"] or "host" in one["what"]]


def test_a_machine_that_cannot_tell_hosts_apart_says_so(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if choose_sandbox(SandboxSettings(), tmp_path / "probe").name in ("bubblewrap", "landlock"):
        assert network_problems(repository, "api.example.com", capsys) == []
    monkeypatch.setattr("engine.sandbox.choose.BACKENDS", {})
    (problem,) = network_problems(repository, "api.example.com", capsys)
    assert (problem["where"], problem["level"]) == ("agent a", "warning")
    assert "cannot tell hosts apart" in problem["what"]


def test_a_host_that_allows_nothing_is_an_error(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (problem,) = network_problems(repository, "https://api.example.com", capsys)
    assert (problem["where"].partition(":")[0], problem["level"]) == ("swarm.toml", "error")
