"""Whole nights of agents that speak ACP, from ready to healthy, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import SETTINGS, order
from conftest import MakeDesk

import tests.roles.agents as agents

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
