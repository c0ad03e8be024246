"""A demo repository to try things on, with the scripts played on it by the real player."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.models.flow import Flow
from engine.models.roadmap import WorkOrder
from engine.models.settings import Settings
from engine.models.task import Task
from roles.agents import script_player
from swarm_tui.demo.build import build_demo

QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


@dataclass(frozen=True)
class Demo:
    """The repository and its scripts; every command runs in `repo`."""

    repo: Path
    scripts: Path
    side: Path

    def git(self, *arguments: str) -> str:
        words = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        done = subprocess.run(words, cwd=self.repo, env=os.environ | QUIET, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def merges(self, ours: str, theirs: str) -> bool:
        """Merge `theirs` into a detached `ours`; whether there was no conflict. The work tree holds the merge."""
        self.git("checkout", "-q", "--detach", ours)
        words = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "merge", "-q", "--no-edit", theirs]
        return (
            subprocess.run(words, cwd=self.repo, env=os.environ | QUIET, capture_output=True, check=False).returncode
            == 0
        )

    def settings(self) -> Settings:
        return Settings.model_validate(tomllib.loads((self.repo / "swarm.toml").read_text(encoding="utf-8")))

    def flow(self, name: str) -> Flow:
        return next(flow for flow in self.settings().canary.flow if flow.name == name)

    def play(self, order: str, attempt: int, timeout_s: float = 20, **task: Any) -> subprocess.CompletedProcess[str]:
        """The order's script, played by the real program; raises TimeoutExpired if it hangs."""
        self.side.mkdir(exist_ok=True)
        full = Task(role="implementer", work_order=WorkOrder(id=order, title=order), attempt=attempt, **task)
        (self.side / "task.json").write_text(full.model_dump_json(), encoding="utf-8")
        for name in ("handoff.json", "ask.json", "usage.json"):
            (self.side / name).unlink(missing_ok=True)
        where = {
            f"SWARM_{name.upper()}": str(self.side / f"{name}.json") for name in ("task", "handoff", "ask", "usage")
        }
        env = os.environ | QUIET | where
        words = [sys.executable, "-I", "-S", str(script_player.__file__), str(self.scripts / f"{order}.toml")]
        return subprocess.run(
            words, cwd=self.repo, env=env, capture_output=True, encoding="utf-8", timeout=timeout_s, check=False
        )

    def suite(self, name: str) -> tuple[int, list[str], str]:
        """(tests that ran, ids of those that failed, all output) of the gate `name`, exactly as it is defined."""
        argv = next(gate.run for gate in self.settings().gate if gate.name == name)
        done = subprocess.run(
            [sys.executable, *argv[1:]],
            cwd=self.repo,
            env=os.environ | QUIET,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        lines = done.stderr.splitlines()
        ran = next((int(line.split()[1]) for line in lines if line.startswith("Ran ")), 0)
        failed = [line.split("(", 1)[1].rstrip(")") for line in lines if line.startswith(("FAIL: ", "ERROR: "))]
        return ran, failed, done.stderr

    def trace(self, flow: Flow) -> list[dict[str, Any]]:
        """What the program says in a flow, masked as the flow says."""
        sent = [step.send.json_ for step in flow.steps if step.send is not None]
        done = subprocess.run(
            [sys.executable, *flow.argv[1:]], cwd=self.repo, env=os.environ | QUIET, encoding="utf-8", check=False,
            input="".join(json.dumps(each) + "\n" for each in sent), capture_output=True,
        )  # fmt: skip
        assert done.stderr == ""
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [{key: value for key, value in event.items() if key not in flow.judge.mask} for event in events]

    def golden(self, flow: Flow) -> list[dict[str, Any]]:
        assert flow.judge.golden is not None
        text = (self.repo / flow.judge.golden).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """A fresh demo whose agents do not dawdle."""
    repo = build_demo(tmp_path / "demo")
    scripts = tmp_path / "demo" / "scripts"
    for script in scripts.glob("*.toml"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r'^sleep = ".*"$', 'sleep = "1ms"', text, flags=re.MULTILINE), encoding="utf-8")
    return Demo(repo, scripts, tmp_path / "side")
