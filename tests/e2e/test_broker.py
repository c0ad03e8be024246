"""Questions of the engine and what is done with their answers, in whole nights."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SETTINGS, Desk, one_sentence, order
from conftest import MakeDesk

AGENT = """\
import json, os, pathlib, sys

task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
handoff = pathlib.Path(os.environ["SWARM_HANDOFF"])


def ask(*argv):
    pathlib.Path(os.environ["SWARM_ASK"]).write_text(json.dumps({"argv": argv, "why": "x"}), encoding="utf-8")
    sys.exit(75)


def write(name):
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text("x\\n", encoding="utf-8")


write("done-" + task["work_order"]["id"])
"""

pytestmark = pytest.mark.slow

BINARY = """
import pathlib
if task["work_order"]["id"] == "binary":
    pathlib.Path("tool.bin").write_bytes(b"\\x7fELF" + bytes(50))
    handoff.write_text(json.dumps({"summary": "x", "asks": ASKS}), encoding="utf-8")
"""


def desk_of(folder: Path, agent: str, *orders: str, attempts: int = 1) -> Desk:
    limits = SETTINGS.replace("[limits]", f"[limits]\nattempts = {attempts}")
    return Desk.with_files(folder, *orders, settings=limits, **{"tools/agent.py": AGENT + agent})


def report_of(desk: Desk, digest: str) -> dict[str, Any]:
    import base64

    raw = (desk.state / "artifacts" / "sha256" / digest[7:9] / digest[9:]).read_bytes()
    return json.loads(base64.b64decode(json.loads(raw)["payload"]))["predicate"]


def test_what_guards_deny_lands_only_with_a_persons_word_and_the_report_says_so(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, BINARY.replace("ASKS", "[]"), order("binary"), order("honest"))
    ended = desk.until_idle()
    (denied,) = ended.of("guardrail_denied")
    assert (denied["rule"], denied["ask"]) == ("binaries", "large_file")
    (approval,) = desk.status()["approvals"]
    assert approval["danger"] == "large_file"
    assert not desk.has("tool.bin")
    assert desk.swarm("approve", approval["id"]).returncode == 0
    ended = desk.until_idle()
    assert ended.code == 0
    assert desk.has("tool.bin")
    assert desk.swarm("verify", "HEAD").returncode == 0
    (landed,) = ended.of("change_landed")
    report = report_of(desk, landed["report"])
    assert f"approved:large_file:{approval['id']}" in report["flags"]
    assert any(guard["ok"] and approval["id"] in guard["reason"] for guard in report["guards"])


def test_an_agent_may_want_a_person_to_be_asked_at_once_and_no_is_no(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, BINARY.replace("ASKS", '["binary"]'), order("binary"), attempts=3)
    ended = desk.until_idle()
    assert len(ended.of("run_started")) == 1
    (approval,) = desk.status()["approvals"]
    assert desk.swarm("deny", approval["id"], "--why", "build it from source").returncode == 0
    desk.until_idle()
    task = json.loads((desk.state / "runs" / "binary.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert "build it from source" in task["prompt"]
    assert not desk.has("tool.bin")


DELETES = """
if not task["granted"]:
    for name in ("legacy/a.txt", "legacy/b.txt", "keep.txt"):
        write(name)
    ask("rm", "-r", "legacy")
pathlib.Path("told.json").write_text(json.dumps(task["granted"]), encoding="utf-8")
"""


def test_what_a_deletion_would_delete_is_listed_before_and_what_it_did_is_told_after(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, DELETES, order("one"))
    (asked,) = desk.until_idle().of("approval_asked")
    assert asked["facts"][0] == "would delete 2 files, 4 B"
    assert asked["facts"][1:] == ["legacy/a.txt · 2 B", "legacy/b.txt · 2 B"]
    assert "legacy" in asked["reads"]
    desk.swarm("approve", asked["approval"])
    ended = desk.until_idle()
    (done,) = ended.of("operation_finished")
    assert (done["exit_code"], done["added"], done["changed"], done["deleted"]) == (0, 0, 0, 2)
    assert done["paths"] == ["- legacy/a.txt", "- legacy/b.txt"]
    assert len(ended.of("operation_started")) == 1
    (told,) = json.loads(desk.git("show", "main:told.json"))
    assert (told["answer"], told["exit_code"], told["did"]) == ("approved", 0, "files: 2 deleted")
    assert desk.has("keep.txt")
    assert not desk.has("legacy/a.txt")


SECRET = """
if not task["granted"]:
    asked = {"argv": [sys.executable, "-c", CODE], "env": {"X": "$SECRET", "LEVEL": "7"}, "why": "x"}
    pathlib.Path(os.environ["SWARM_ASK"]).write_text(json.dumps(asked), encoding="utf-8")
    sys.exit(75)
""".replace("CODE", repr("import os; open('seen.txt', 'w').write(os.environ['X'] + os.environ['LEVEL'])"))


def test_the_environment_of_an_operation_is_what_was_shown_and_takes_nothing_from_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "token")
    desk = desk_of(tmp_path, SECRET, order("one"))
    (asked,) = desk.until_idle().of("approval_asked")
    assert asked["operation"]["env"] == {"X": "$SECRET", "LEVEL": "7"}
    desk.swarm("approve", asked["approval"])
    assert desk.until_idle().code == 0
    assert desk.git("show", "main:seen.txt") == "$SECRET7"


DIES = """
if not task["granted"]:
    ask(sys.executable, "-c", "import time; open('begun', 'w').close(); time.sleep(60)")
pathlib.Path("told.json").write_text(json.dumps(task["granted"]), encoding="utf-8")
"""


def test_an_operation_that_the_engine_did_not_survive_is_not_run_again(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, DIES, order("one"))
    (asked,) = desk.until_idle().of("approval_asked")
    desk.swarm("approve", asked["approval"])
    night = desk.start()
    night.event("operation_started")
    night.kill()
    ended = desk.until_idle()
    assert ended.code == 0
    assert not ended.of("operation_started")
    (told,) = json.loads(desk.git("show", "main:told.json"))
    assert told["exit_code"] is None
    assert "not run twice" in told["did"]
    assert not desk.has("begun")


REACHES = """
import urllib.request

try:
    urllib.request.urlopen("http://unlisted.example.invalid/", timeout=5)
except OSError as error:
    print(error)
sys.exit(1)
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("bwrap"), reason="only this sandbox has a way out")
def test_a_host_that_was_refused_is_asked_for_and_the_agent_is_told(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, REACHES, order("one"), attempts=2)
    text = (desk.repo / "swarm.toml").read_text(encoding="utf-8")
    desk.write("swarm.toml", text.replace('kind = "command"', 'kind = "command"\nnetwork = ["api.example.invalid"]'))
    desk.commit("A way out")
    ended = desk.until_idle()
    denied = ended.of("guardrail_denied", rule="network")
    assert denied[0]["hosts"] == ["unlisted.example.invalid:80"]
    (asked,) = ended.of("approval_asked")
    assert (asked["danger"], asked["operation"]["host"]) == ("network", "unlisted.example.invalid:80")
    task = json.loads((desk.state / "runs" / "one.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert "You were not let reach unlisted.example.invalid:80" in task["prompt"]
    assert desk.swarm("approve", asked["approval"]).returncode == 0
    assert desk.swarm("retry", "one").returncode == 0
    again = desk.until_idle()
    assert not again.of("guardrail_denied", rule="network")
    spec = json.loads((desk.state / "runs" / "one.3" / "spec.json").read_text(encoding="utf-8"))
    assert "unlisted.example.invalid:80" in json.dumps(spec)


FILLS = """
with open("large", "wb") as file:
    for _ in range(60):
        file.write(bytes(1_000_000))
        file.flush()
import time
time.sleep(20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="quotas were only tried there")
def test_a_run_that_uses_up_its_quota_says_which_and_its_next_attempt_is_told(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, FILLS, order("one"), attempts=2)
    text = (desk.repo / "swarm.toml").read_text(encoding="utf-8")
    desk.write("swarm.toml", text.replace("[limits]", '[limits]\ndisk = "10MB"'))
    desk.commit("A small disk")
    ended = desk.until_idle()
    assert [one["result"] for one in ended.of("run_finished")] == ["quota", "quota"]
    denied = ended.of("guardrail_denied")
    assert {one["rule"] for one in denied} == {"quota-disk"}
    assert "limits.disk" in denied[0]["reason"]
    task = json.loads((desk.state / "runs" / "one.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert "of 10.0 MB that it may write" in task["prompt"]


SPENDS = """
usage = pathlib.Path(os.environ["SWARM_USAGE"])
usage.write_text(json.dumps({"tokens": 10, "cost": 5.0}), encoding="utf-8")
"""


def test_a_spent_night_asks_for_more_and_goes_on_with_a_yes(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, SPENDS, order("one"), order("two", depends_on=["one"]))
    settings = (
        (desk.repo / "swarm.toml").read_text(encoding="utf-8").replace("[limits]", "[limits]\ncost_per_night = 5.0")
    )
    desk.write("swarm.toml", settings)
    desk.commit("A small budget")
    night = desk.start()
    asked = night.event("approval_asked")
    assert asked["danger"] == "over_budget"
    assert desk.swarm("approve", asked["approval"]).returncode == 0
    night.event("work_order_healthy", work_order="two")
    desk.swarm("stop")
    night.end()


def test_the_highest_class_takes_no_wrong_word(make_desk: MakeDesk) -> None:
    desk = make_desk(order("deploy", "write a.txt x", "ask rm -rf build"))
    (approval,) = desk.until_idle().summary["approvals"]
    wrong = desk.swarm("approve", approval["id"], "--type", "yes")
    one_sentence(wrong, "yes", "deploy", "nothing was answered")
    assert wrong.returncode == 2
    assert desk.status()["approvals"]
    assert desk.swarm("approve", approval["id"], "--type", "deploy").returncode == 0
    assert desk.until_idle().code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal of POSIX")
@pytest.mark.parametrize(("typed", "taken"), [("yes", False), ("", False), ("deploy", True)])
def test_on_a_terminal_the_highest_class_is_shown_and_wants_its_name_typed(
    make_desk: MakeDesk, typed: str, taken: bool
) -> None:
    desk = make_desk(order("deploy", "write a.txt x", "ask rm -rf build"))
    (approval,) = desk.until_idle().summary["approvals"]
    terminal = desk.terminal("approve", approval["id"])
    terminal.expect("rm -rf build")
    terminal.expect("Type deploy to approve")
    terminal.type(typed)
    terminal.press("enter")
    assert (terminal.wait() == 0) is taken
    assert (desk.until_idle().code == 0) is taken
