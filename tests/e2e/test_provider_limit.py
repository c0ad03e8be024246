"""A provider's limit in a real night: a real model agent, real HTTP, and another agent that goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.night import ROOT, SETTINGS, Night
from tests.roles.agents.model_server import Fail, Say, Step, model_server

THINKER = """
[agents.thinker]
kind = "model"
base_url = "{url}/v1"
model = "scripted"
env = {{ OPENAI_API_KEY = "k" }}
{more}
"""
HALF = """
import json, os, pathlib, sys
part, task = pathlib.Path("tiny/part.py"), json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_bytes())
if not part.exists():
    part.write_text("PART = 1\\n", encoding="utf-8")
    print(json.dumps({"type": "result", "subtype": "error", "is_error": True, "result": "usage limit reached"}))
    sys.exit(1)
pathlib.Path("tiny/whole.py").write_text(f"WHOLE = {'goes on with these files' in task['prompt']}\\n", encoding="utf-8")
pathlib.Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps({"summary": "both"}), encoding="utf-8")
"""
WRITE = Say("", [("edit", {"path": "tiny/a.py", "old": "", "new": "A = 2\n"})])
HAND_IN = Say("", [("hand_in", {"handoff": {"summary": "a is 2", "risk": "low", "rollback": "revert"}})])


def night_with(folder: Path, url: str, more: str = "") -> Night:
    settings = SETTINGS.replace('implementer = "scripted"', 'implementer = "thinker"').replace(
        '"60s"\nrun_idle', '"2m"\nrun_idle'
    )
    made = Night(folder, settings=settings + THINKER.format(url=url, more=more))
    made.order("a", {"tiny/a.py": "A = 1\n"})
    return made


@pytest.mark.slow
def test_another_agent_goes_on_and_no_attempt_is_burnt(tmp_path: Path) -> None:
    with model_server([Fail(429, "usage limit reached", 7_200)]) as (url, _):
        night = night_with(tmp_path, url, 'instead = "scripted"')
        assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    assert night.main_files()["tiny/a.py"] == "A = 1\n"
    (first, second) = night.events("run_finished")
    assert (first.fields["result"], first.fields["counted"], second.fields["result"]) == ("limit", False, "done")
    assert [event.fields["agent"] for event in night.events("run_started")] == ["thinker", "scripted"]
    (paused,) = night.events("provider_paused")
    assert 7_000 < paused.fields["until"] - paused.at < 7_300
    assert night.folded().orders["a"].attempts == 1
    argv = [sys.executable, "-m", "swarm_tui.cli", "status", "--json"]
    places = ["--repo", str(night.repo), "--state", str(night.state)]
    said = subprocess.run([*argv, *places], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    (provider,) = json.loads(said.stdout)["providers"]
    assert provider["provider"] == "thinker"
    night.assert_sound()


@pytest.mark.slow
def test_its_own_runs_go_on_at_the_reset(tmp_path: Path) -> None:
    # The client itself tries twice more before it gives up.
    steps: list[Step] = [*[Fail(429, "rate limit", 1)] * 3, WRITE, HAND_IN, Say("done")]
    with model_server(steps) as (url, _):
        night = night_with(tmp_path, url)
        assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    assert night.main_files()["tiny/a.py"] == "A = 2\n"
    assert [event.fields["result"] for event in night.events("run_finished")] == ["limit", "done"]
    assert [event.fields["provider"] for event in night.events("provider_resumed")] == ["thinker"]
    *_, spent = night.events("budget_spent")
    assert (spent.fields["tokens"], spent.fields["turns"], spent.fields["cost_known"]) == (360, 3, False)
    night.assert_sound()


def test_what_a_run_had_done_at_the_limit_is_gone_on_with(tmp_path: Path) -> None:
    agents = "".join(
        f'[agents.{name}]\nkind = "command"\nstream = "claude"\nrun = [PYTHON, "-c", {json.dumps(HALF)}]\n{more}\n'
        for name, more in (("first", 'instead = "second"'), ("second", ""))
    )
    night = Night(tmp_path, settings=SETTINGS.replace('implementer = "scripted"', 'implementer = "first"') + agents)
    night.order("a")
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    files = night.main_files()
    assert (files["tiny/part.py"], files["tiny/whole.py"]) == ("PART = 1\n", "WHOLE = True\n")
    (limited, done) = night.events("run_finished")
    assert (limited.fields["result"], limited.fields["counted"], done.fields["result"]) == ("limit", False, "done")
    (first, second) = night.events("run_started")
    assert (first.fields["goes_on"], second.fields["goes_on"]) == ("", limited.fields["kept"])
    assert (second.fields["agent"], night.folded().orders["a"].attempts) == ("second", 1)
    night.assert_sound()
