"""A newcomer's first evening: his repository, his ten-line agent, one work order, and a change that is proved."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SETTINGS, Desk, order, roadmap
from conftest import MakeDesk

from engine.models.events import EVENTS
from engine.models.status import Status

AGENT = """\
import json
import os
import pathlib

task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
greet = 'def greet(name):\\n    return f"Hello, {name}!"\\n'
pathlib.Path("greet.py").write_text(greet, encoding="utf-8")
print("did", task["work_order"]["id"])
said = {"summary": "greets with a comma", "risk": "low", "rollback": "revert"}
pathlib.Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps(said), encoding="utf-8")
"""

GREETING_TEST = """\
import unittest


class Greeting(unittest.TestCase):
    def test_it_greets(self):
        from greet import greet

        self.assertTrue(greet("Ada").startswith("Hello"))
"""


@pytest.fixture
def newcomer(bare_desk: Desk) -> Desk:
    """His repository, after `swarm init` and the edits that it asks for, all committed."""
    desk = bare_desk
    desk.write("greet.py", 'def greet(name):\n    return "Hello " + name\n')
    desk.write("tests/__init__.py", "")
    desk.write("tests/test_greet.py", GREETING_TEST)
    desk.write(".gitignore", "__pycache__/\n")
    desk.commit("My program")
    done = desk.swarm("init")
    assert done.returncode == 0, done.stderr
    assert "found 1 gate (tests)" in done.stdout
    desk.write("tools/agent.py", AGENT)
    settings = (desk.repo / "swarm.toml").read_text(encoding="utf-8")
    for line in ("[roles]", "implementer =", "[agents.mine]", 'kind = "command"', "run = [", "free_disk"):
        assert f"#{line}" in settings, line
        settings = settings.replace(f"#{line}", line, 1)
    desk.write("swarm.toml", settings.replace('"10GB"', '"1MB"'))
    plan = (desk.repo / "roadmap.toml").read_text(encoding="utf-8")
    desk.write("roadmap.toml", "".join(line for line in plan.splitlines(True) if not line.startswith("draft")))
    return desk


@pytest.mark.slow
def test_the_first_change_lands_and_its_proof_holds_without_us(newcomer: Desk) -> None:
    desk = newcomer
    mine = desk.commit("The swarm's files")
    checked = desk.ask("check")
    assert checked["ok"] is True
    assert [one for one in checked["problems"] if one["level"] == "error"] == []

    done = desk.swarm("--no-ui", "--until", "idle")
    assert (done.returncode, done.stderr) == (0, "")
    assert "landed on main" in done.stdout
    assert "is green" in done.stdout

    assert "Hello, " in (desk.repo / "greet.py").read_text(encoding="utf-8")
    assert desk.git("status", "--porcelain") == ""
    assert desk.head("HEAD~1") == mine
    assert "greets with a comma" in desk.git("log", "-1", "--format=%B")

    verified = desk.ask("verify", "HEAD")
    assert [one["status"] for one in verified["commits"]] == ["proved"]
    assert desk.swarm("verify", "HEAD").returncode == 0
    assert desk.swarm("verify", "HEAD~1").returncode == 1
    assert desk.swarm("verify", "HEAD~1..HEAD").returncode == 0
    report = next(
        line.removeprefix("Report: sha256:")
        for line in desk.git("log", "-1", "--format=%B").splitlines()
        if line.startswith("Report:")
    )
    envelope = Path(desk.ask("where")["artifacts"]) / "sha256" / report[:2] / report[2:]
    assert desk.swarm("verify", str(envelope)).returncode == 0


def recipe_of(desk: Desk) -> list[str]:
    done = desk.swarm("verify", "HEAD")
    assert done.returncode == 0, done.stderr
    _, _, tail = done.stdout.partition("Check it without us:\n")
    assert tail, done.stdout
    return [line.strip() for line in tail.splitlines()]


def run_recipe(lines: list[str], desk: Desk) -> subprocess.CompletedProcess[str]:
    script = "set -e\n" + "\n".join(lines) + "\n"
    return subprocess.run(["sh", "-c", script], cwd=desk.repo, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None or sys.platform == "win32", reason="needs sh and openssl")
def test_the_printed_recipe_accepts_the_proof_and_refuses_another(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    assert desk.until_idle().code == 0
    lines = recipe_of(desk)
    good = run_recipe(lines, desk)
    assert good.returncode == 0, good.stderr
    assert "Verified Successfully" in good.stdout
    assert desk.git("rev-parse", "HEAD^{tree}") in good.stdout

    envelope = next(word for line in lines for word in line.split() if "/sha256/" in word)
    forged = desk.home / "forged"
    text = Path(envelope).read_text(encoding="utf-8")
    at = text.index('"payload":"') + 60
    forged.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], encoding="utf-8")
    bad = run_recipe([line.replace(envelope, str(forged)) for line in lines], desk)
    assert bad.returncode != 0
    assert desk.swarm("verify", str(forged)).returncode == 1


@pytest.mark.slow
def test_what_scripts_read_keeps_to_the_contract(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "say hello from one", "write a.txt hello"))
    ended = desk.until_idle()
    assert ended.code == 0

    status = desk.status()
    Status.model_validate(status, strict=True)
    promised = {
        "main", "health", "last_good", "work_orders", "landed", "reverted", "rejected", "parked", "approvals",
        "unproven", "cost", "tokens", "duration_s",
    }  # fmt: skip
    assert promised <= status.keys()
    assert promised <= ended.summary.keys()
    assert (status["health"], status["landed"], status["main"]) == ("green", 1, desk.head())
    assert {"kind": "summary"}.items() <= ended.summary.items()

    where = desk.ask("where")
    assert {"state", "hub", "artifacts", "runs", "public_key", "allowed_signers"} <= where.keys()
    assert all(Path(path).exists() for path in where.values())
    assert not Path(where["state"]).is_relative_to(desk.repo)

    rows = [json.loads(line) for line in desk.swarm("events", "--json").stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-len(ended.events) :] == ended.events
    for row in rows:
        common = {"seq", "at", "kind", "work_order", "run"}
        assert common <= row.keys()
        EVENTS[row["kind"]].model_validate({name: value for name, value in row.items() if name not in common})
    tail = desk.swarm("events", "--json", "--after", str(len(rows) - 1)).stdout
    assert json.loads(tail) == rows[-1]
    assert "landed on main" in desk.swarm("events").stdout

    assert "hello from one" in desk.swarm("log", "one").stdout
    assert desk.swarm("log", "one.1").stdout == desk.swarm("log", "one").stdout
    assert all(json.loads(line)["category"] for line in desk.swarm("log").stdout.splitlines())
    assert "healthy" in desk.swarm("roadmap", "show").stdout
    shown = desk.ask("roadmap", "show")
    assert [(one["id"], one["state"]) for one in shown["work_orders"]] == [("one", "healthy")]


@pytest.mark.slow
def test_a_hand_made_report_says_what_is_promised(make_desk: MakeDesk) -> None:
    desk = make_desk()
    said = desk.ask("gates", "HEAD")
    assert {"result", "report", "tree", "base", "gates"} <= said.keys()
    keys = {"name", "result", "cached", "reason", "executed", "passed", "failed", "skipped", "lost", "duration_s"}
    assert keys <= said["gates"][0].keys()
    assert (said["result"], said["tree"]) == ("green", desk.git("rev-parse", "HEAD^{tree}"))
    assert desk.swarm("verify", said["report"]).returncode == 0
    desk.commit(broken__txt="no\n")
    red = desk.swarm("gates", "--json")
    assert red.returncode == 1
    assert json.loads(red.stdout)["result"] == "red"


def test_schemas_are_written_and_fit_what_is_printed(make_desk: MakeDesk) -> None:
    desk = make_desk()
    done = desk.swarm("roadmap", "schema", "--out", "schemas")
    assert done.returncode == 0
    schemas: dict[str, Any] = {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
        for path in (desk.repo / "schemas").iterdir()
    }
    assert {"settings", "roadmap", "status", "script", "task", "flow", "event-change_landed"} <= schemas.keys()
    assert {"main", "health", "last_good", "work_orders"} <= set(schemas["status"]["required"])
    assert f"wrote {len(schemas)} schemas" in done.stdout
    assert json.loads(desk.swarm("roadmap", "schema").stdout) == schemas


@pytest.mark.slow
def test_settings_that_nobody_committed_yet_count_and_it_is_said(bare_desk: Desk) -> None:
    desk = bare_desk
    desk.write("a.txt", "one\n")
    desk.commit("My program")
    desk.write("swarm.toml", SETTINGS.replace('"tools/agent.py"', "\"-c\", \"open('b.txt', 'w').write('two')\""))
    desk.write("roadmap.toml", roadmap(order("one")))
    desk.write(
        "tests/test_a.py",
        GREETING_TEST.replace("from greet import greet", "greet = str.title").replace('"Ada"', '"hello"'),
    )
    desk.git("add", "tests")
    desk.git("commit", "--quiet", "--message", "A test")
    done = desk.swarm("--no-ui", "--until", "idle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "swarm.toml is not committed on main" in done.stdout
    assert desk.has("b.txt")
    assert desk.status()["problems"] == [
        "swarm.toml is not committed on main, so the gates of the working copy count: commit it"
    ]
    assert (desk.repo / "swarm.toml").is_file()
    desk.git("add", "swarm.toml", "roadmap.toml")
    desk.git("commit", "--quiet", "--message", "The swarm's files")
    assert desk.until_idle().summary["problems"] == []
