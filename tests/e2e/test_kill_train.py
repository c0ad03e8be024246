"""kill -9 at every call of git that writes, from two changes that wait together to what the remote has of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.night import SETTINGS, Night
from tests.engine.git.remote_servers import bare_repository, ref

KILLED = -9
WAITS_ON_MAIN = """\
import pathlib, time, unittest


class MainTest(unittest.TestCase):
    def test_waits_on_main(self):
        pathlib.Path("begun").touch()
        while not (pathlib.Path("tiny/a.py").exists() or pathlib.Path("go").exists()):
            time.sleep(0.01)
"""
"""While main itself is gated nothing is tried: who arrives meanwhile is tried together."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
]


def night_with_two_that_wait(folder: Path) -> tuple[Night, Path]:
    """Two changes in the queue, nothing tried yet, no engine; and the remote that they are published to."""
    night = Night(folder / "night", settings='[project]\npublish = "both"\n' + SETTINGS)
    assert night.until_idle() == "idle"
    night.person_commits({"tests/test_main.py": WAITS_ON_MAIN}, "It waits")
    (folder / "served").mkdir()
    remote = bare_repository(folder / "served" / "project.git", night.repo)
    night.git("remote", "add", "origin", str(remote))
    for name in ("a", "b"):
        night.order(name, {f"tiny/{name}.py": f"{name.upper()} = 1\n"}, kind="docs")
    engine = night.start()
    night.wait_for(lambda: len(night.events("change_queued")) == 2, "two changes that wait")
    assert night.events("trial_started") == []
    engine.kill()
    engine.wait()
    for begun in night.folders.slots.glob("*/tree/begun"):
        (begun.parent / "go").touch()
    return night, remote


def test_a_batch_and_its_publish_killed_at_every_writing_call_of_git(tmp_path: Path) -> None:
    night, remote = night_with_two_that_wait(tmp_path)
    steps = tmp_path / "steps"
    code = KILLED
    for _ in range(80):
        code = night.start("tests.e2e.engine_that_dies", "--steps", str(steps)).wait(120)
        assert code in (0, KILLED), night.said()
        if code == 0:
            break
    assert code == 0, f"no end: {steps.read_text(encoding='utf-8')}"
    died_at = steps.read_text(encoding="utf-8")
    for step in ("merge-tree", "commit-tree", "update-ref --no-deref refs/heads/main", "notes --ref", "push"):
        assert f"before {step}" in died_at
        assert f"during {step}" in died_at
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    first, second = night.landed()[-2:]
    assert first.trailers["Batch-Report"] == second.trailers["Report"], "they did not land together"
    assert ref(remote, "refs/heads/main") == night.git("rev-parse", "main") == second.commit
    assert night.folded().remote.pending == ""
    assert [event.fields["result"] for event in night.events("report_signed", report_kind="land")] == ["green"]
    night.assert_sound()
