"""The player, as the real program that it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.models.handoffs import Abort, ChangeSummary, parse_handoff
from engine.models.roadmap import WorkOrder
from engine.models.task import GrantedOperation, Operation, Task
from roles.agents import script_player

ASK = '{ ask = { argv = ["python", "danger.py"], why = "must", danger = "large_deletion" } }'
OPERATION = Operation(argv=["python", "danger.py"], why="must", danger="large_deletion")


@dataclass(frozen=True)
class Stage:
    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def play(
        self, *attempts: str, attempt: int = 1, without: tuple[str, ...] = (), **task: Any
    ) -> subprocess.CompletedProcess[str]:
        """Play a script whose attempts have these steps; what it wrote stays in `folder`."""
        self.workspace.mkdir(exist_ok=True)
        text = 'schema = "script/1"\n' + "".join(f"[[attempt]]\nsteps = [{steps}]\n" for steps in attempts)
        (self.folder / "script.toml").write_text(text, encoding="utf-8")
        told = Task(role="implementer", work_order=WorkOrder(id="a", title="A"), attempt=attempt, **task)
        (self.folder / "task.json").write_text(told.model_dump_json(), encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith("SWARM_")}
        for name in ("task", "handoff", "ask", "usage"):
            if name not in without:
                env[f"SWARM_{name.upper()}"] = str(self.folder / f"{name}.json")
        words = [sys.executable, "-I", "-S", str(script_player.__file__), str(self.folder / "script.toml")]
        return subprocess.run(
            words, cwd=self.workspace, env=env, capture_output=True, encoding="utf-8", timeout=20, check=False
        )

    def put(self, name: str, text: str) -> None:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))

    def text(self, name: str) -> str:
        return (self.workspace / name).read_bytes().decode("utf-8")

    def json(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_it_edits_and_hands_in(stage: Stage) -> None:
    stage.put("a.txt", "one\r\ntwo\n")
    stage.put("gone.txt", "x")
    done = stage.play(
        """{ say = "hällo" }, { edit = { path = "new/b.txt", content = "b" } },
           { edit = { path = "a.txt", find = "two", replace = "2" } }, { append = { path = "a.txt", text = "3" } },
           { append = { path = "c.txt", text = "c" } }, { delete = "gone.txt" }, { spend = { tokens = 5, cost = 0.5 } },
           { spend = { tokens = 2 } }, { handin = { summary = "done", risk = "low" } }"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hällo\n")
    assert (stage.text("a.txt"), stage.text("new/b.txt"), stage.text("c.txt")) == ("one\r\n2\n3", "b", "c")
    assert not (stage.workspace / "gone.txt").exists()
    said = parse_handoff((stage.folder / "handoff.json").read_bytes(), "implementer")
    assert said == ChangeSummary(summary="done", risk="low", rollback="", tokens=7, cost=0.5)


def test_usage_is_written_even_when_it_fails(stage: Stage) -> None:
    assert stage.play("{ spend = { tokens = 5, cost = 0.5 } }, { fail = 9 }").returncode == 9
    assert stage.json("usage") == {"tokens": 5, "cost": 0.5}
    assert not (stage.folder / "handoff.json").exists()


def test_an_abort_is_a_handoff_and_ends_it(stage: Stage) -> None:
    assert stage.play('{ abort = "contradiction" }, { fail = 1 }').returncode == 0
    assert parse_handoff((stage.folder / "handoff.json").read_bytes(), "implementer") == Abort(abort="contradiction")


@pytest.mark.parametrize(("text", "times"), [("", 0), ("xx", 2)])
def test_a_text_to_replace_must_be_there_once(stage: Stage, text: str, times: int) -> None:
    stage.put("a.txt", text)
    done = stage.play('{ edit = { path = "a.txt", find = "x", replace = "y" } }')
    assert (done.returncode, stage.text("a.txt")) == (1, text)
    assert f"is {times} times in a.txt" in done.stderr


@pytest.mark.parametrize("path", ["../out.txt", "/out.txt", "sub/../../out.txt", "C:out.txt", "..\\\\out.txt"])
@pytest.mark.parametrize(
    "step", ['edit = {{ path = "{}", content = "x" }}', 'append = {{ path = "{}", text = "x" }}', 'delete = "{}"']
)
def test_no_path_leads_out_of_the_workspace(stage: Stage, step: str, path: str) -> None:
    (stage.folder / "out.txt").write_text("mine", encoding="utf-8")
    done = stage.play("{" + step.format(path) + "}")
    assert done.returncode == 1
    assert "is not a path below the workspace" in done.stderr
    assert (stage.folder / "out.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_no_link_leads_out_of_the_workspace(stage: Stage) -> None:
    stage.workspace.mkdir()
    (stage.workspace / "link").symlink_to(stage.folder)
    done = stage.play('{ edit = { path = "link/out.txt", content = "x" } }')
    assert (done.returncode, (stage.folder / "out.txt").exists()) == (1, False)


def test_each_attempt_has_its_steps_and_the_last_stays(stage: Stage) -> None:
    codes = [stage.play("{ fail = 5 }", "{ fail = 6 }", attempt=number).returncode for number in (1, 2, 3)]
    assert codes == [5, 6, 6]


def test_a_command_that_fails_fails_the_step(stage: Stage) -> None:
    assert stage.play('{ run = ["python", "-c", "print(1)"] }').stdout.splitlines()[-1] == "1"
    failed = stage.play('{ run = ["python", "-c", "raise SystemExit(7)"] }, { say = "never" }')
    assert (failed.returncode, "exited with 7" in failed.stderr, "never" in failed.stdout) == (1, True, False)
    assert stage.play('{ run = ["no-such-program-anywhere"] }').returncode == 1


def test_a_question_ends_it_with_the_operation_written_down(stage: Stage) -> None:
    done = stage.play(f'{{ edit = {{ path = "a", content = "1" }} }}, {ASK}, {{ say = "never" }}')
    assert (done.returncode, "never" in done.stdout) == (75, False)
    assert Operation.model_validate(stage.json("ask")) == OPERATION


def test_a_question_without_a_place_for_it_fails(stage: Stage) -> None:
    assert stage.play(ASK, without=("ask", "usage")).returncode == 1


def test_after_a_yes_it_goes_on_behind_the_question(stage: Stage) -> None:
    granted = GrantedOperation(approval="ap", answer="approved", operation=OPERATION, exit_code=0)
    done = stage.play(f'{{ fail = 4 }}, {ASK}, {{ handin = {{ summary = "after" }} }}', granted=[granted])
    assert (done.returncode, stage.json("handoff")["summary"]) == (0, "after")


def test_an_allowed_operation_that_nobody_has_run_is_run(stage: Stage) -> None:
    stage.put("danger.py", "open('ran', 'w').close()")
    granted = GrantedOperation(approval="ap", answer="approved", operation=OPERATION)
    assert stage.play(ASK, granted=[granted]).returncode == 0
    assert (stage.workspace / "ran").exists()


def test_an_allowed_operation_that_failed_fails_it(stage: Stage) -> None:
    granted = GrantedOperation(approval="ap", answer="approved", operation=OPERATION, exit_code=1)
    assert stage.play(ASK, granted=[granted]).returncode == 1


def test_after_a_no_it_says_so_and_ends(stage: Stage) -> None:
    stage.put("danger.py", "open('ran', 'w').close()")
    granted = GrantedOperation(approval="ap", answer="denied", operation=OPERATION)
    done = stage.play(f'{ASK}, {{ handin = {{ summary = "after" }} }}', granted=[granted])
    assert (done.returncode, "denied" in done.stdout) == (3, True)
    assert not (stage.workspace / "ran").exists()
    assert not (stage.folder / "handoff.json").exists()


def test_an_answer_to_another_question_does_not_count(stage: Stage) -> None:
    other = GrantedOperation(approval="ap", answer="approved", operation=Operation(argv=["python", "other.py"]))
    assert stage.play(ASK, granted=[other]).returncode == 75


@pytest.mark.skipif(sys.platform == "win32", reason="there is no polite signal there")
def test_a_hanging_agent_ignores_the_polite_signal(stage: Stage) -> None:
    stage.play("{ fail = 1 }")
    (stage.folder / "script.toml").write_text("[[attempt]]\nsteps = [{ hang = true }]\n", encoding="utf-8")
    env = os.environ | {"SWARM_TASK": str(stage.folder / "task.json"), "SWARM_HANDOFF": str(stage.folder / "h.json")}
    words = [sys.executable, "-I", "-S", str(script_player.__file__), str(stage.folder / "script.toml")]
    with subprocess.Popen(words, cwd=stage.workspace, env=env, stdout=subprocess.PIPE, encoding="utf-8") as hanging:
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == "hangs\n"
        hanging.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            hanging.wait(timeout=0.3)
        hanging.kill()


@pytest.mark.parametrize("text", ["attempt = [", 'schema = "script/1"', "attempt = [{}]", "attempt = []"])
def test_a_script_that_cannot_be_read_is_said_so(stage: Stage, text: str) -> None:
    stage.play("{ fail = 1 }")
    (stage.folder / "script.toml").write_text(text, encoding="utf-8")
    env = os.environ | {"SWARM_TASK": str(stage.folder / "task.json"), "SWARM_HANDOFF": str(stage.folder / "h.json")}
    words = [sys.executable, "-I", "-S", str(script_player.__file__), str(stage.folder / "script.toml")]
    done = subprocess.run(words, env=env, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_it_needs_nothing_but_the_standard_library() -> None:
    source = Path(str(script_player.__file__)).read_text(encoding="utf-8")
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names


def test_what_is_no_text_is_written_and_an_executable_is_made(stage: Stage) -> None:
    steps = """
        { edit = { path = "face.png", base64 = "iVBOR//+AA==" } },
        { edit = { path = "run.sh", content = "#!/bin/sh", executable = true } },
        { handoff = { title = "any role's", tests = ["a", "b"] } }
    """
    done = stage.play(steps)
    assert done.returncode == 0, done.stderr
    assert (stage.workspace / "face.png").read_bytes() == b"\x89PNG\xff\xfe\x00"
    if os.name == "posix":
        assert (stage.workspace / "run.sh").stat().st_mode & 0o111
        assert not (stage.workspace / "face.png").stat().st_mode & 0o111
    assert stage.json("handoff") == {"title": "any role's", "tests": ["a", "b"]}
    broken = stage.play('{ edit = { path = "x", base64 = "no base64!" } }')
    assert (broken.returncode, "is no base64" in broken.stderr) == (1, True)


@pytest.mark.parametrize(("anyway", "code"), [("", 3), (", anyway = true", 0)])
def test_after_a_no_it_goes_on_only_if_the_script_says_so(stage: Stage, anyway: str, code: int) -> None:
    ask = ASK.replace(" } }", f"{anyway} }} }}")
    denied = GrantedOperation(approval="ap-1", answer="denied", operation=OPERATION)
    steps = f'{ask}, {{ edit = {{ path = "after", content = "x" }} }}'
    done = stage.play(steps, granted=[denied])
    assert done.returncode == code, done.stderr
    assert (stage.workspace / "after").exists() is (code == 0)
