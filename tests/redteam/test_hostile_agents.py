"""Whole nights with an agent that wants the engine to fail, to run for ever, or to run its program outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from command_line import SETTINGS, Desk, order

from engine.process.programs import Programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the agents use links and scripts of POSIX"),
]

AGENT = """\
import json, os, pathlib, sys, time

task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
handoff = pathlib.Path(os.environ["SWARM_HANDOFF"])


def ask(*argv, cwd="."):
    asked = {"argv": argv, "cwd": cwd, "why": "x"}
    pathlib.Path(os.environ["SWARM_ASK"]).write_text(json.dumps(asked), encoding="utf-8")
    sys.exit(75)


def write(name):
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text("x\\n", encoding="utf-8")


write("done-" + task["work_order"]["id"])
"""


def hostile(folder: Path, *orders: str, agent: str, settings: str = "") -> Desk:
    limits = SETTINGS.replace("[limits]", "[limits]\nattempts = 1") + settings
    return Desk.with_files(folder, *orders, settings=limits, **{"tools/agent.py": AGENT + agent})


def phases(desk: Desk) -> dict[str, str]:
    return {one["id"]: one["state"] for one in desk.status()["orders"]}


def why(desk: Desk, ident: str) -> str:
    return next(one["why"] for one in desk.status()["orders"] if one["id"] == ident)


def test_an_endless_cost_and_endless_names_are_the_agents_fault_not_the_machines(tmp_path: Path) -> None:
    agent = """
ident = task["work_order"]["id"]
if ident == "cost":
    handoff.write_text('{"summary": "x", "cost": Infinity}', encoding="utf-8")
elif ident == "names":
    for number in range(2_000):
        write(f"many/{'n' * 150}{number}")
elif ident == "pipes":
    for number in range(3_000):
        os.mkfifo(f"{'p' * 150}{number}")
"""
    desk = hostile(tmp_path, *(order(ident) for ident in ("cost", "names", "pipes", "honest")), agent=agent)
    ended = desk.until_idle()
    assert not ended.of("effect_failed")
    assert phases(desk) == {"cost": "parked", "names": "parked", "pipes": "healthy", "honest": "healthy"}
    assert "handoff was not valid" in why(desk, "cost")
    assert "more than one change can name" in why(desk, "names")


def test_an_agent_that_is_always_denied_and_always_asks_comes_to_an_end(tmp_path: Path) -> None:
    agent = """
if task["work_order"]["id"] == "same" or (task["work_order"]["id"] == "honest" and not task["granted"]):
    ask("true")
elif task["work_order"]["id"] == "other":
    ask("true", str(time.time_ns()))
"""
    desk = hostile(
        tmp_path, order("same"), order("other"), order("honest"), agent=agent,
        settings='[approvals]\nunattended = "deny"\n',
    )  # fmt: skip
    ended = desk.until_idle()
    assert phases(desk) == {"same": "parked", "other": "parked", "honest": "healthy"}
    assert "only asks again" in why(desk, "same")
    assert len(ended.of("approval_asked")) <= 8


def test_an_operation_in_a_folder_that_leads_outside_is_tried_a_few_times_only(tmp_path: Path) -> None:
    desk = hostile(tmp_path, order("link"), agent='\nos.symlink("/", "out")\nask("true", cwd="out")\n')
    desk.until_idle()
    (approval,) = desk.status()["approvals"]
    desk.swarm("approve", approval["id"])
    ended = desk.until_idle()
    assert len(ended.of("run_started")) <= 6
    assert phases(desk) == {"link": "parked"}


def test_an_approved_program_of_the_agents_own_is_not_asked_for_its_version_outside(tmp_path: Path) -> None:
    mark = tmp_path / "escaped"
    agent = f"""
program = handoff.with_name("git")
program.write_text("#!/bin/sh\\ntouch '{mark}'\\n", encoding="utf-8")
program.chmod(0o755)
if not task["granted"]:
    ask(str(program), "status")
"""
    desk = hostile(tmp_path, order("own"), agent=agent)
    desk.until_idle()
    (approval,) = desk.status()["approvals"]
    desk.swarm("approve", approval["id"])
    desk.until_idle()
    assert not mark.exists()
    assert phases(desk) == {"own": "parked"}
    Programs(os.environ["PATH"]).resolve(str(desk.state / "runs" / "own.1" / "side" / "git"))  # the control
    assert mark.exists()


@pytest.mark.parametrize("edits", [True, False])
def test_the_script_of_a_gate_is_not_the_agents_to_edit(tmp_path: Path, edits: bool) -> None:
    gate = '[[gate]]\nname = "script"\nrun = ["python3", "tools/check.py"]\nresults = "none"\n'
    agent = "\nopen('tools/check.py', 'w').write('')\n" if edits else ""
    check = "import pathlib, sys\nsys.exit(pathlib.Path('nothing').exists())\n"
    limits = SETTINGS.replace("[limits]", "[limits]\nattempts = 1") + gate
    files = {"tools/agent.py": AGENT + agent, "tools/check.py": check}
    desk = Desk.with_files(tmp_path, order("one"), settings=limits, **files)
    ended = desk.until_idle()
    assert bool(ended.of("guardrail_denied", rule="protected")) is edits
    assert phases(desk) == {"one": "parked" if edits else "healthy"}
