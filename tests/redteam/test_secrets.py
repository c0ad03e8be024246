"""An agent that spreads the key it was given, and one that reads what it finds. F03, F07, F09."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest
from command_line import SETTINGS, Desk, order

from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings
from engine.ports import TaskRequest
from engine.process.programs import Programs
from engine.sandbox.none import NoSandbox
from engine.text.redact import Redactor
from roles.agents import adapter_for
from roles.implementer import IMPLEMENTER
from tests.roles.test_agents import Stage

KEY = "k3y.of-this/agent+alone=91"

AGENT = """\
import base64, json, os, pathlib, sys

task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
ident, key = task["work_order"]["id"], os.environ.get("KEY", "")
print("key:", key, key[::-1], key.encode().hex(), base64.b64encode(key.encode()).decode())
for part in (key[:9], key[9:]):
    sys.stdout.write(part)
    sys.stdout.flush()
if ident == "asks" and not task["granted"]:
    asked = {"argv": ["echo", key], "cwd": ".", "why": "for " + key, "danger": "external"}
    pathlib.Path(os.environ["SWARM_ASK"]).write_text(json.dumps(asked), encoding="utf-8")
    sys.exit(75)
if ident == "aborts":
    pathlib.Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps({"abort": "because " + key}), encoding="utf-8")
    sys.exit(0)
pathlib.Path("done-" + ident).write_text("x\\n", encoding="utf-8")
if ident == "names":
    pathlib.Path("done-" + key.replace("/", "_")).write_text("x\\n", encoding="utf-8")
said = {"summary": "it says " + key, "risk": key, "rollback": key}
pathlib.Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps(said), encoding="utf-8")
"""


def forms(value: str) -> list[bytes]:
    raw = value.encode()
    return [raw, raw[::-1], raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]


def files_with(folder: Path, value: str) -> set[str]:
    """Names, relative to the folder, of all files in which the value stands in any form, but for git's objects."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(form in content for form in forms(value)):
                found.add(path.relative_to(folder).as_posix())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [True, False])
def test_a_key_of_an_agent_is_in_no_file_of_the_night_nor_in_any_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: bool
) -> None:
    """Log, handoff, question, abort, journal, reports, commit message, status. The control: a value that is not
    marked as a secret is in most of these."""
    monkeypatch.setenv("THE_KEY", KEY)
    given = "$THE_KEY" if hidden else KEY
    settings = SETTINGS.replace("[limits]", "[limits]\nattempts = 1") + f'[agents.mine.env]\nKEY = "{given}"\n'
    if not hidden:
        monkeypatch.delenv("THE_KEY")
    orders = [order(ident) for ident in ("lands", "asks", "aborts")]
    desk = Desk.with_files(tmp_path, *orders, settings=settings, **{"tools/agent.py": AGENT})
    ended = desk.until_idle()
    printed = str(ended.events) + str(ended.summary) + str(desk.status()) + desk.swarm("log", "lands").stdout
    left = files_with(desk.state, KEY)
    messages = desk.git("log", "--format=%B%an%ae", "main")
    assert {row["work_order"] for row in ended.of("change_landed")} >= {"lands"}
    if hidden:
        assert KEY not in printed
        assert KEY not in messages
        # Side folders are the agent's own: what it wrote there only it has read, and they are hidden from all others.
        assert {name for name in left if "/side/" not in name} == set()
        assert "[redacted:KEY]" in messages
    else:
        assert KEY in printed
        assert KEY in messages
        assert any(name.endswith("/log") for name in left)
        assert any(name.startswith("journal") for name in left)


READS = """
import pathlib, sys
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    print(name, repr(path.read_text()))
    try:
        path.write_text("changed")
        print("written")
    except OSError as error:
        print("denied")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a sandbox")
async def test_f03_an_env_file_looks_empty_and_stays_as_it_is(tmp_path: Path) -> None:
    seen: dict[bool, tuple[str, str]] = {}
    for sandboxed in (True, False):
        (tmp_path / str(sandboxed)).mkdir()
        stage = Stage(tmp_path / str(sandboxed), sandboxed)
        workspace = stage.folder / "workspace"
        workspace.mkdir()
        (workspace / ".env").write_text("PASSWORD=of-the-person", encoding="utf-8")
        (workspace / ".env.example").write_text("PASSWORD=yours", encoding="utf-8")
        result = await stage.command(READS, ".env", ".env.example", workspace=workspace)
        assert result.end == "done", stage.log()
        seen[sandboxed] = stage.log(), (workspace / ".env").read_text(encoding="utf-8")
    assert seen[True] == (".env ''\ndenied\n.env.example 'PASSWORD=yours'\nwritten\n", "PASSWORD=of-the-person")
    assert seen[False][1] == "changed"  # the control
    assert "of-the-person" in seen[False][0]


async def test_a_known_value_is_in_no_prompt(tmp_path: Path) -> None:
    """F14: whatever a test printed or a person wrote, the model is not told it. The control: nobody knows the value."""
    for known in (Redactor({}), Redactor({"DATABASE": KEY})):
        (tmp_path / str(len(known.forms))).mkdir()
        stage = Stage(tmp_path / str(len(known.forms)), sandboxed=False)
        order = WorkOrder(id="hello", title="Hello", goal=f"The password is {KEY}")
        task = IMPLEMENTER.task(TaskRequest("implementer", order, 2, [f"the log says {KEY}"]), [])
        settings = AgentSettings(kind="command", run=["python", "-c", "pass"])
        run = stage.run(settings, task=task)
        executor, programs = LocalExecutor(NoSandbox(), "1"), Programs(os.environ["PATH"])
        await adapter_for("command", executor, programs, stage.folder, known).perform(run)
        told = [(run.side / name).read_text(encoding="utf-8") for name in ("prompt.md", "task.json")]
        assert [text.count(KEY) > 0 for text in told] == [not known.forms] * 2
        assert json.loads(told[1])["work_order"]["id"] == "hello"
