"""What a search must not believe or reach: runs under other conditions, and repositories around its checkouts."""

from __future__ import annotations

import sys

import pytest

from tests.swarm_tui.test_bisecting import Plant, git, plant

__all__ = ["plant"]


@pytest.mark.slow
def test_runs_that_a_shorter_time_made_red_are_not_gone_on_with(plant: Plant) -> None:
    planted = plant(3)
    waits = (
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys, time; time.sleep(0.4); sys.exit(int(open('n').read()) >= 3)",
    )
    code, verdict = planted.ask(*waits, timeout_s=0.1)
    assert (code, verdict["verdict"]) == (1, "nobody")
    (record,) = (planted.place / "state").rglob("runs.jsonl")
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    record.write_text("".join(line for line in lines if '"verdict"' not in line), encoding="utf-8")  # as if interrupted
    code, verdict = planted.ask(*waits, timeout_s=60.0)
    assert (code, verdict["commit"], verdict["resumed"]) == (0, planted.ids[3], 0)


BREAKS = """
import pathlib, subprocess, sys
n = int(pathlib.Path("n").read_text())
subprocess.run(["git", "push", "--quiet", "origin", "HEAD:refs/heads/pushed"])
pathlib.Path("n").write_text("scribbled")
pathlib.Path(".git/HEAD").unlink()
subprocess.run(["git", "reset", "--quiet", "--hard", "HEAD"])
sys.exit(n >= 2)
"""


def test_a_command_that_pushes_and_breaks_its_checkout_reaches_no_repository_around_it(plant: Plant) -> None:
    planted = plant(3)
    (planted.place / "breaks.py").write_text(BREAKS, encoding="utf-8")
    git(planted.place, "init", "--quiet", "--template=", "-b", "around")  # as where somebody keeps his home in git
    (planted.place / "n").write_text("0\n", encoding="utf-8")
    git(planted.place, "add", "n")
    git(planted.place, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "-m", "x")
    (planted.place / "n").write_text("unfinished\n", encoding="utf-8")
    code, verdict = planted.ask(sys.executable, "-I", "-S", str(planted.place / "breaks.py"))
    assert (code, verdict["commit"]) == (0, planted.ids[2])
    assert (planted.place / "n").read_text(encoding="utf-8") == "unfinished\n"
    assert git(planted.place, "symbolic-ref", "HEAD") == "refs/heads/around\n"
    assert git(planted.repo, "for-each-ref", "--format=%(refname)") == "refs/heads/main\n"
    assert git(planted.repo, "rev-parse", "main").strip() == planted.ids[-1]
    assert git(planted.repo, "status", "--porcelain") == ""
