"""Whole nights of agents that speak ACP, from ready to healthy, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import SETTINGS, order
from conftest import MakeDesk

import tests.roles.agents as agents
from tests.roles.agents.model_server import Say, model_server
from tests.roles.agents.real_agents import REAL, RealAgent, program

pytestmark = pytest.mark.slow

FAKE = Path(agents.__path__[0]) / "fake_acp_agent.py"


def settings(*run: str, **more: object) -> str:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in more.items()]
    command = 'kind = "command"\nrun = ["python3", "tools/agent.py"]\n'
    return SETTINGS.replace(command, f'kind = "acp"\nrun = {json.dumps(run)}\n{"".join(lines)}')


def test_its_change_lands_and_stays(make_desk: MakeDesk) -> None:
    own = settings("python3", "tools/fake.py", "honest")
    desk = make_desk(order("a", "say hello"), settings=own, **{"tools/fake.py": FAKE.read_text(encoding="utf-8")})
    ended = desk.until_idle()
    assert ended.code == 0, ended.summary
    assert desk.phase("a") == "healthy"
    assert desk.git("show", "main:hello.txt") == "hello"


def test_what_it_asks_for_is_done_by_a_persons_word_and_its_work_goes_on(make_desk: MakeDesk) -> None:
    call = {"kind": "execute", "title": "Clear up", "rawInput": {"command": "rm -r old"}}
    own = settings("python3", "tools/fake.py", "asks", json.dumps(call))
    files = {"tools/fake.py": FAKE.read_text(encoding="utf-8"), "old/a.txt": "a\n"}
    desk = make_desk(order("a", "clear up"), settings=own, **files)
    desk.until_idle()
    assert desk.phase("a") == "parked"
    (question,) = desk.status()["approvals"]
    assert question["title"] == "a asks to run: rm -r old"
    answered = desk.swarm("approve", question["id"], "--type", "a")
    assert answered.returncode == 0, answered.stderr
    desk.until_idle()
    assert desk.phase("a") == "healthy"
    assert not desk.has("old/a.txt")


@pytest.mark.real_agents
@pytest.mark.parametrize("agent", REAL, ids=[agent.name for agent in REAL])
def test_a_real_agents_change_lands_and_stays(make_desk: MakeDesk, agent: RealAgent) -> None:
    argv, _ = program(agent)
    arguments = {"filePath": "hello.txt", "file_path": "hello.txt", "content": "hello\n"}
    hand_in = (r"submit_handoff$", {"summary": "says hello", "risk": "none", "rollback": "delete it"})
    steps = [Say("I write.", [(r"^write(_file)?$", arguments)]), Say("I hand in.", [hand_in]), Say("Done.")]
    with model_server(steps) as (url, model):
        env = ", ".join(f"{name} = {json.dumps(value)}" for name, value in agent.env(url).items())
        own = settings(*argv, network=[url.removeprefix("http://")]).replace(
            "network =", f"env = {{ {env} }}\nnetwork ="
        )
        desk = make_desk(order("a", "say hello"), settings=own)
        night = desk.start("--until", "idle")
        night.process.wait(400)
    assert not model.missing
    log = "".join(each.read_text(encoding="utf-8") for each in (desk.state / "runs").glob("a.*/log"))
    assert desk.phase("a") == "healthy", f"{night.rows[-1]}\n{log}"
    assert desk.git("show", "main:hello.txt") == "hello"
