"""kill -9 of the engine in the middle of a session: nobody of before is left, nothing runs twice, the order goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.models.event import Event
from engine.process import tree
from tests.e2e.failing_night import COST, FailingNight

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")]

BEFORE_ITS_TURN = "before-the-session"


def night_of(folder: Path, order: str, kills: int = 1) -> FailingNight:
    night = FailingNight.of(folder, "acp", order)
    night.person_commits({"kills.txt": f"{kills}\n"}, "So many engines are killed")
    return night


def at_its_moment(night: FailingNight, engine: subprocess.Popen[bytes], order: str, number: int) -> None:
    """The agent of this run waits, with what it has left behind, and what it told of its cost is written down."""
    run = f"{order}.{number}"
    night.wait_for(lambda: (night.folders.workspaces / "files" / run / "moment").exists(), f"the moment of {run}")
    if order != BEFORE_ITS_TURN:
        used = night.folders.runs / run / "usage.json"
        night.wait_for(lambda: used.exists() and json.loads(used.read_bytes())["cost"] == COST, "its cost")
    assert engine.poll() is None, night.said()
    assert len(night.agents()) >= 3, "it and two that it has left"


def killed(engine: subprocess.Popen[bytes]) -> None:
    engine.kill()
    engine.wait()


def shims_of(night: FailingNight) -> list[psutil.Process]:
    return [each for each in tree.find_marked(night.folders.marker) if "/shim-" in tree.marker_of(each)]


def goes_on(night: FailingNight) -> None:
    """A new engine, until idle. When it starts a run, nothing of an earlier one is left."""

    def seen(event: Event) -> None:
        if event.kind == "run_started":
            found.extend(night.agents())

    found: list[str] = []
    night.play(seen)
    assert found == []
    night.assert_nobody_left()
    night.assert_once_at_a_time()


def assert_done_once(night: FailingNight, order: str, interrupted: int) -> None:
    runs = night.runs_of(order)
    assert night.started_runs() == [f"{order}.{number}" for number in range(1, interrupted + 2)]
    assert [run.fields["result"] for run in runs] == ["interrupted"] * interrupted + ["done"]
    assert [run.fields["counted"] for run in runs] == [False] * interrupted + [True]
    assert night.phases() == {order: "healthy"}
    assert night.folded().orders[order].attempts == 1
    assert night.charged(order) == [COST] * (1 if order == BEFORE_ITS_TURN else interrupted + 1)
    assert len(night.landed()) == len(night.events("change_landed")) == 1
    if order != BEFORE_ITS_TURN:
        assert all(run.fields["kept"] for run in runs), "what it had made is kept"
    night.assert_sound()


@pytest.mark.parametrize("order", [BEFORE_ITS_TURN, "in-a-tool-call"])
def test_an_engine_killed_in_a_session_leaves_no_agent_and_the_order_is_done_once(tmp_path: Path, order: str) -> None:
    night = night_of(tmp_path, order)
    engine = night.start()
    at_its_moment(night, engine, order, 1)
    killed(engine)
    goes_on(night)
    assert_done_once(night, order, 1)


def test_a_question_that_is_open_is_put_once_and_what_was_allowed_is_done_once(tmp_path: Path) -> None:
    order = "while-it-asks"
    night = night_of(tmp_path, order)
    engine = night.start()
    at_its_moment(night, engine, order, 1)
    killed(engine)
    goes_on(night)
    (asked,) = night.events("approval_asked")
    assert night.phases() == {order: "parked"}
    engine = night.start("swarm_tui.cli", "--no-ui", "--json")  # that a question is open changes nothing
    night.wait_for(lambda: len(night.events("engine_started")) == 3, "the next engine")
    killed(engine)
    night.swarm("approve", asked.fields["approval"], "--type", order)
    goes_on(night)
    assert len(night.events("approval_asked")) == len(night.events("operation_started")) == 1
    assert night.phases() == {order: "healthy"}
    assert "old/a.txt" not in night.main_files()
    assert set(night.charged(order)) == {COST}
    night.assert_sound()


def test_engines_that_are_killed_again_and_again_charge_each_run_once(tmp_path: Path) -> None:
    order = "after-its-handoff"
    night = night_of(tmp_path, order, kills=3)
    for number in (1, 2, 3):
        engine = night.start()
        at_its_moment(night, engine, order, number)
        killed(engine)
    goes_on(night)
    assert_done_once(night, order, 3)


def test_without_a_sandbox_around_it_nothing_of_the_agent_outlives_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bubblewrap would have taken along what hides."""
    programs = tmp_path / "bin"
    programs.mkdir()
    git = shutil.which("git")
    assert git is not None
    (programs / "git").symlink_to(git)
    order = "in-a-tool-call"
    night = night_of(tmp_path, order)
    with monkeypatch.context() as without_sandbox:
        without_sandbox.setenv("PATH", str(programs))
        engine = night.start()
        at_its_moment(night, engine, order, 1)
        killed(engine)
        goes_on(night)
    assert_done_once(night, order, 1)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("bwrap"), reason="needs a process namespace")
def test_an_engine_that_is_killed_with_its_supervisors_leaves_no_agent(tmp_path: Path) -> None:
    order = "in-a-tool-call"
    night = night_of(tmp_path, order)
    engine = night.start()
    at_its_moment(night, engine, order, 1)
    shims = shims_of(night)
    assert shims
    engine.kill()
    for shim in shims:
        shim.kill()
    engine.wait()
    goes_on(night)
    assert_done_once(night, order, 1)
