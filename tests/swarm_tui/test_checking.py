"""`swarm check` says which gates and proofs are weak, which programs are missing, and what is not committed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swarm_tui.checking import check_repository
from tests.gates.guards.test_gitleaks import STAND_IN

AGENT = '[roles]\nimplementer = "mine"\n[agents.mine]\nkind = "command"\nrun = ["python3", "tools/agent.py"]\n'
GOOD = '[[gate]]\nname = "unit"\nrun = ["python3", "-m", "unittest"]\nresults = "unittest"\n'


class Desk:
    def __init__(self, folder: Path) -> None:
        self.repo, self.state = folder / "repo", folder / "state"
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main", "--template=")
        self.write("swarm.toml", AGENT + GOOD)
        self.write("roadmap.toml", 'schema = "roadmap/1"\n')
        self.write("tools/agent.py", "pass\n")
        self.commit()

    def git(self, *words: str) -> None:
        subprocess.run(["git", "-c", "user.name=p", "-c", "user.email=p@p", *words], cwd=self.repo, check=True)

    def write(self, name: str, text: str) -> None:
        path = self.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a step")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def problems(desk: Desk, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What is said, without what this machine's sandbox is."""
    capsys.readouterr()
    check_repository(desk.repo, desk.state, as_json=True)
    return [one for one in json.loads(capsys.readouterr().out)["problems"] if one["where"] != "sandbox"]


def test_people_are_told_how_many_errors_and_warnings_there_are(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write("swarm.toml", f'{AGENT}{GOOD}[[gate]]\nname = "weak"\nrun = ["ls"]\n')
    capsys.readouterr()
    assert check_repository(desk.repo, desk.state, as_json=False) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 error, ")


def test_good_gates_and_a_committed_agent_are_no_problem(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems(desk, capsys) == []


@pytest.mark.parametrize(
    "run",
    [
        '["echo", "ok"]',
        '["python3", "-c", "print(1)"]',
        '["python3", "-c", "import os; assert os.path.exists(\'a\')"]',
        '["ls"]',
    ],
)
def test_a_gate_that_proves_nothing_is_an_error_said_once_with_why_and_what_to_do(
    desk: Desk, capsys: pytest.CaptureFixture[str], run: str
) -> None:
    desk.write("swarm.toml", f'{AGENT}{GOOD}[[gate]]\nname = "weak"\nrun = {run}\n')
    desk.commit()
    (found,) = problems(desk, capsys)
    assert (found["where"], found["level"]) == ("gate weak", "error")
    assert "only" in found["what"] or "cannot fail" in found["what"], found
    assert found["do"]


def test_the_acceptance_of_a_work_order_is_judged_too(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    order = '[[work_order]]\nid = "one"\ntitle = "One"\nkind = "feature"\ngoal = "g"\n'
    honest = 'acceptance = [{ name = "works", run = ["python3", "-m", "unittest", "tests.test_one"] }]\n'
    desk.write("roadmap.toml", f'schema = "roadmap/1"\n{order}{honest}')
    desk.commit()
    assert problems(desk, capsys) == []
    desk.write(
        "roadmap.toml", f'schema = "roadmap/1"\n{order}acceptance = [{{ name = "is", run = ["test", "-f", "x"] }}]\n'
    )
    (found,) = problems(desk, capsys)
    assert found["where"] == "work order one, acceptance is"
    assert found["level"] == "error"


def test_a_missing_program_of_a_gate_or_an_agent_is_named(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    missing = AGENT.replace("python3", "no-such-agent") + GOOD.replace("python3", "no-such-gate").replace(
        'results = "unittest"\n', ""
    )
    desk.write("swarm.toml", missing)
    desk.commit()
    found = {one["where"]: one["what"] for one in problems(desk, capsys)}
    assert found.keys() == {"gate unit", "agent mine"}
    assert "no-such-agent" in found["agent mine"]


def test_a_script_that_is_named_but_not_committed_is_a_warning(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write("tools/agent.py", "changed = 1\n")
    (changed,) = problems(desk, capsys)
    assert (changed["where"], changed["level"]) == ("agent mine", "warning")
    assert "was changed since it was committed" in changed["what"]
    desk.git("rm", "-q", "--cached", "tools/agent.py")
    desk.git("commit", "-q", "-m", "without the agent")
    (absent,) = problems(desk, capsys)
    assert "it is not committed" in absent["what"]
    assert absent["do"] == "git add tools/agent.py and commit"


def test_settings_that_differ_from_the_committed_ones_are_a_warning(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.write("swarm.toml", f"{AGENT}{GOOD}# a comment\n")
    (found,) = problems(desk, capsys)
    assert (found["where"], found["level"]) == ("swarm.toml", "warning")


def test_inputs_that_leave_out_tests_are_warned_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write("tests/test_a.py", "")
    desk.write("swarm.toml", f'{AGENT}{GOOD}inputs = ["tools/**"]\n')
    desk.commit()
    (found,) = problems(desk, capsys)
    assert (found["where"], found["level"]) == ("gate unit", "warning")
    assert "leave out tests/test_a.py" in found["what"]
    desk.write("swarm.toml", f'{AGENT}{GOOD}inputs = ["tools/**", "tests/**"]\n')
    desk.commit()
    assert problems(desk, capsys) == []


ORDER = '[[work_order]]\nid = "one"\ntitle = "One"\n'


@pytest.mark.parametrize(
    ("settings", "roadmap", "told"),
    [
        (GOOD, "", False),
        (GOOD, ORDER + "draft = true\n", False),
        (GOOD, ORDER, True),
        (GOOD + '[agents.mine]\nkind = "command"\nrun = ["python3", "tools/agent.py"]\n', "", True),
        (AGENT + GOOD, ORDER, False),
    ],
    ids=["gates alone", "only a draft", "an order", "an agent without a role", "an agent that works"],
)
def test_who_wants_the_gates_alone_is_not_told_to_add_agents(
    desk: Desk, capsys: pytest.CaptureFixture[str], settings: str, roadmap: str, told: bool
) -> None:
    desk.write("swarm.toml", settings)
    desk.write("roadmap.toml", 'schema = "roadmap/1"\n' + roadmap)
    desk.commit()
    assert any("role implementer" in one["what"] for one in problems(desk, capsys)) is told


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_gitleaks_is_named_where_it_works_and_an_error_where_it_does_not(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def facts(code: str) -> tuple[str, list[str]]:
        program = tmp_path / "bin" / "gitleaks"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
        program.chmod(0o755)
        found = problems(desk, capsys)
        check_repository(desk.repo, desk.state, as_json=True)
        said = json.loads(capsys.readouterr().out)["facts"]["gitleaks"]
        return said, [each["what"] for each in found if each["where"] == "gitleaks" and each["level"] == "error"]

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert facts(STAND_IN) == ("8.19.0, beside the guard secrets", [])
    said, (error,) = facts("import sys\nsys.exit('Error: unknown command')")
    assert said == "does not work"
    assert "8.19 or newer is needed" in error
