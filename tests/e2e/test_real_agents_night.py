"""Agents that nobody here wrote take an order of tinykit, the demo's repository, from ready to healthy.

Their model is scripted: it does what the demo's own agent does in its second attempt, and tries what it may not.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Desk

from engine.folders import StateFolder
from engine.process import tree
from swarm_tui.demo.build import SCRIPTS, build_demo
from tests.roles.agents.model_server import Say, Step, model_server
from tests.roles.agents.real_agents import MINI, REAL, RealAgent, program

pytestmark = [pytest.mark.real_agents, pytest.mark.slow]

ORDER = "history-limit"
MODULE, TEST = "tinykit/history.py", "tests/unit/test_history_limit.py"
NIGHT_S = 400
LIMITS = '[limits]\nimplementers = 1\nattempts = 1\nrun_wall = "300s"\nrun_idle = "120s"\nfree_disk = "100MB"\n'
ELSEWHERE = "http://elsewhere.example/"
TRY = "python3 -m unittest tests.unit.test_history_limit"
HAND_IN = {"summary": "keeps the newest 25", "risk": "low", "rollback": "revert"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """tinykit with one order on its roadmap, which is part of nothing that has to be planned."""
    desk = Desk(build_demo(tmp_path), tmp_path / "home")
    desk.home.mkdir()
    roadmap = (desk.repo / "roadmap.toml").read_text(encoding="utf-8")
    tables = re.split(r"^(?=\[\[)", roadmap, flags=re.MULTILINE)
    order = next(each for each in tables if f'id = "{ORDER}"' in each)
    desk.write("roadmap.toml", tables[0] + re.sub(r"^(?:item|after|needs) = .*\n", "", order, flags=re.MULTILINE))
    yield desk
    desk.close()


def edits() -> list[dict[str, str]]:
    """The demo's edits: path with find and replace, or with content."""
    script = tomllib.loads((SCRIPTS / f"{ORDER}.toml").read_text(encoding="utf-8"))
    return [step["edit"] for step in script["attempt"][-1]["steps"] if "edit" in step]


def use(desk: Desk, kind: str, run: list[str], url: str, env: Mapping[str, str]) -> None:
    """Let this agent do the work, with its model at `url`."""
    named = ", ".join(f"{name} = {json.dumps(value)}" for name, value in env.items())
    host = url.removeprefix("http://")
    agent = f'[agents.real]\nkind = "{kind}"\nrun = {json.dumps(run)}\nnetwork = ["{host}"]\nenv = {{ {named} }}\n'
    mine = {"roles": '[roles]\nimplementer = "real"\n', "agents.demo": agent, "limits": LIMITS}
    settings = (desk.repo / "swarm.toml").read_text(encoding="utf-8")
    for name, table in mine.items():
        pattern = re.compile(rf"^\[{re.escape(name)}\]\n(?:\S.*\n)+", re.MULTILINE)
        settings, times = pattern.subn(lambda _, table=table: table, settings)
        assert times == 1, f"[{name}]"
    desk.write("swarm.toml", settings)
    desk.commit("Another agent, and one order")


def night(desk: Desk) -> str:
    """A whole night; what was logged of its runs."""
    night = desk.start("--until", "idle")
    night.process.wait(NIGHT_S)
    return "".join(each.read_text(encoding="utf-8") for each in sorted((desk.state / "runs").glob(f"{ORDER}.*/log")))


def assert_healthy(desk: Desk, log: str) -> None:
    said = desk.nights[-1].rows
    assert desk.phase(ORDER) == "healthy", f"{said[-3:]}\n{log}"
    for edit in edits():
        assert edit.get("content", edit.get("replace", "")).strip() in desk.git("show", f"main:{edit['path']}")
    assert not [row for row in said if row["kind"] == "attempt_failed"], log
    marker = StateFolder(desk.state).marker
    assert [psutil.Process(each.pid).cmdline() for each in tree.find_marked(marker)] == []


def acp_steps() -> list[Step]:
    """With names of arguments for either agent."""

    def named(path: str, **more: str) -> dict[str, Any]:
        camel = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): each for name, each in more.items()}
        return {"file_path": path, "filePath": path, **more, **camel}

    steps: list[Step] = [Say("I look.", [(r"^read(_file)?$", named(MODULE))])]
    for edit in edits():
        if "find" in edit:
            changed = named(edit["path"], old_string=edit["find"], new_string=edit["replace"], instruction="cut it")
            steps.append(Say("I edit.", [(r"^(edit|replace)$", changed)]))
        else:
            steps.append(Say("I write.", [(r"^write(_file)?$", named(edit["path"], content=edit["content"]))]))
    page = {"url": ELSEWHERE, "format": "text", "prompt": f"What does {ELSEWHERE} say?"}
    return [
        *steps,
        Say("I look elsewhere.", [(r"^web_?fetch$", page)]),
        Say("I try it.", [(r"^(bash|run_shell_command)$", {"command": TRY, "description": "try it"})]),
        Say("I hand in.", [(r"submit_handoff$", HAND_IN)]),
        Say("Done."),
    ]


@pytest.mark.parametrize("agent", REAL, ids=[agent.name for agent in REAL])
def test_its_change_is_healthy_with_a_permission_allowed_and_one_denied(desk: Desk, agent: RealAgent) -> None:
    argv, _ = program(agent)
    with model_server(acp_steps()) as (url, model):
        use(desk, "acp", argv, url, agent.env(url))
        log = night(desk)
    assert not model.missing, log
    assert re.search(rf"^\? .*{re.escape(MODULE)}.*: allow \(it stays in the workspace\)", log, re.MULTILINE), log
    # Nobody is here to allow a host (Gemini CLI 0.61.0 names none in its request): it is told no, and goes on.
    assert re.search(r"^\? .*: (?:ask \(it wants to reach a new host|deny \(it names no host)\)", log, re.MULTILINE), (
        log
    )
    assert "Ran 3 tests" in json.dumps(model.requests[-1][1]), log
    assert_healthy(desk, log)


def test_mini_swe_agents_change_is_healthy_and_its_sandbox_denies_what_is_outside(desk: Desk) -> None:
    """It asks nobody (`-y`), so nothing but the sandbox can deny."""
    argv, folder = program(MINI)
    outside = folder / "written-by-an-agent"
    changes = "".join(
        f"path = pathlib.Path({edit['path']!r})\n"
        + (
            f"path.write_text(path.read_text().replace({edit['find']!r}, {edit['replace']!r}))\n"
            if "find" in edit
            else f"path.write_text({edit['content']!r})\n"
        )
        for edit in edits()
    )
    commands = [
        f"python3 - <<'END'\nimport pathlib\n{changes}END",
        f"echo inside > {outside} || echo it was denied",
        TRY,
        f"cat > \"$SWARM_HANDOFF\" <<'END'\n{json.dumps(HAND_IN)}\nEND",
        "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
    ]
    steps = [Say("Next.", [("^bash$", {"command": command})]) for command in commands]
    with model_server(steps) as (url, model):
        use(desk, "command", [*argv, "-t", "Do what {prompt_file} says."], url, MINI.env(url))
        log = night(desk)
    assert not model.missing, log
    assert not outside.exists()
    assert "it was denied" in json.dumps(model.requests[-1][1]), log
    assert "Ran 3 tests" in json.dumps(model.requests[-1][1]), log
    assert_healthy(desk, log)
