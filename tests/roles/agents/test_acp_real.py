"""Two agents that nobody here wrote do an order of the miniature repository, with a model of our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import swarm_tui
from engine.ports import AgentResult, AgentRun
from roles.agents.acp import session
from tests.roles.agents.acp_stage import AcpStage
from tests.roles.agents.model_server import Fail, Model, Say, Step, model_server
from tests.roles.agents.real_agents import REAL, RealAgent, program

pytestmark = [pytest.mark.real_agents, pytest.mark.slow]

TINYKIT = Path(swarm_tui.__file__).parent / "demo" / "repository"
READ, EDIT, RUN = r"^read(_file)?$", r"^(edit|replace)$", r"^(bash|run_shell_command)$"
HAND_IN = (r"submit_handoff$", {"summary": "says it otherwise", "risk": "none", "rollback": "revert"})


def both(**names: str) -> dict[str, str]:
    """Arguments as either agent calls them: with underscores, and with capitals instead."""
    capitals = {name.split("_")[0] + name.title().replace("_", "")[len(name.split("_")[0]) :]: name for name in names}
    return {**names, **{capital: names[name] for capital, name in capitals.items()}}


def a_file() -> tuple[str, str]:
    """(path of a module of tinykit, a line that it has once)"""
    path = TINYKIT / "tinykit" / "compositor.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    line = next(each for each in lines if each.startswith("class ") and lines.count(each) == 1)
    return path.relative_to(TINYKIT).as_posix(), line


async def work(
    agent: RealAgent, stage: AcpStage, steps: Sequence[Step], idle_s: float = 240
) -> tuple[AgentResult, AgentRun, Model]:
    argv, folder = program(agent)
    with model_server(steps) as (url, model):
        run = stage.run(argv, readable=(folder,), wall_s=480, idle_s=idle_s)
        for path in sorted(TINYKIT.rglob("*")):
            if path.is_file():
                target = run.workspace / path.relative_to(TINYKIT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        env, host = dict(agent.env(url)), url.removeprefix("http://")
        run = replace(run, settings=run.settings.model_copy(update={"env": env, "network": [host]}))
        result = await stage.perform(run)
    await stage.executor.close()
    return result, run, model


@pytest.fixture(params=REAL, ids=[agent.name for agent in REAL])
def agent(request: pytest.FixtureRequest) -> RealAgent:
    return request.param


async def test_it_reads_edits_runs_and_hands_in(agent: RealAgent, tmp_path: Path) -> None:
    path, line = a_file()
    new = f"# Seen by an agent.\n{line}"
    edit = both(file_path=path, old_string=line, new_string=new)
    steps = [
        Say("I look first.", [(READ, both(file_path=path))]),
        Say("Now I edit.", [(EDIT, {**edit, "instruction": "say it otherwise"})]),
        Say("I run it.", [(RUN, {"command": "echo what was run", "description": "look"})]),
        Say("I hand in.", [HAND_IN]),
        Say("Done."),
    ]
    stage = AcpStage(tmp_path, sandboxed=True)
    result, run, model = await work(agent, stage, steps)
    log = stage.log()
    assert not model.missing, log
    assert result.end == "done", f"{result.note}\n{log}"
    assert json.loads(result.handoff or b"")["summary"] == "says it otherwise"
    assert new in (run.workspace / path).read_text(encoding="utf-8")
    assert "allow (it stays in the workspace)" in log  # it asked, and was answered by rules
    assert result.tokens > 0
    assert "what was run" in json.dumps(model.requests[-1][1])  # the model was told what the command printed


async def test_it_makes_a_new_file(agent: RealAgent, tmp_path: Path) -> None:
    write = {**both(file_path="new.txt"), "content": "new\n"}
    steps = [Say("I write.", [(r"^write(_file)?$", write)]), Say("I hand in.", [HAND_IN]), Say("Done.")]
    stage = AcpStage(tmp_path, sandboxed=True)
    result, run, _ = await work(agent, stage, steps)
    assert result.end == "done"
    assert (run.workspace / "new.txt").read_text(encoding="utf-8") == "new\n", stage.log()


async def test_what_is_outside_of_the_workspace_stays_as_it_is(agent: RealAgent, tmp_path: Path) -> None:
    target = tmp_path / "outside.txt"
    target.write_text("outside\n", encoding="utf-8")
    edit = {**both(file_path=str(target), old_string="outside", new_string="inside"), "instruction": "change it"}
    steps = [Say("I edit.", [(EDIT, edit)]), Say("I hand in.", [HAND_IN]), Say("Done.")]
    result, _, _ = await work(agent, AcpStage(tmp_path, sandboxed=True), steps)
    assert result.end == "done"
    assert target.read_text(encoding="utf-8") == "outside\n"


async def test_a_dangerous_command_ends_the_run_with_a_question(agent: RealAgent, tmp_path: Path) -> None:
    steps = [Say("Away with it.", [(RUN, {"command": "rm -rf .", "description": "clear up"})]), Say("Done.")]
    stage = AcpStage(tmp_path, sandboxed=True)
    result, run, _ = await work(agent, stage, steps)
    assert result.end == "asked", f"{result.note}\n{stage.log()}"
    assert result.asked is not None
    assert (result.asked.argv, result.asked.danger) == (["rm", "-rf", "."], "large_deletion")
    assert (run.workspace / "a.txt").exists()


async def test_a_fault_of_the_provider_is_never_completed(agent: RealAgent, tmp_path: Path) -> None:
    """A status that they do not try again. With 429 both try again for minutes, in silence."""
    stage = AcpStage(tmp_path, sandboxed=True)
    result, _, _ = await work(agent, stage, [Fail(400, "the quota of this account is used up")], idle_s=90)
    assert result.end != "done", stage.log()
    assert result.handoff is None
    if result.end == "limit":
        assert result.note.startswith(session.LIMIT)
