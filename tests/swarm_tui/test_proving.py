"""`swarm canary` by hand: a first golden is recorded as it says, and what a red flow left can be found."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from swarm_tui.proving import run_canary
from tests.conftest import MakeRepo

PROGRAM = 'import json\nprint(json.dumps({"kind": "ready"}), json.dumps({"kind": "total", "sum": 3}), sep="\\n")\n'
SETTINGS = f"""
[[canary.flow]]
name = "total"
start = {{ run = [{json.dumps(sys.executable)}, "total.py"], ready = {{ event = "ready" }}, within = "20s" }}
steps = [{{ wait = {{ until = {{ exit = 0 }}, within = "20s" }} }}]
judge = {{ golden = "canary/golden/total.jsonl" }}
"""


@pytest.mark.slow
def test_the_first_golden_is_recorded_as_it_is_told(
    git_repo: MakeRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = git_repo()
    repo, state = person.path, tmp_path / "state"
    person.commit({"swarm.toml": SETTINGS, "roadmap.toml": 'schema = "roadmap/1"\n', "total.py": PROGRAM}, "first")
    assert run_canary(repo, state, "HEAD", as_json=False) == 1
    said = capsys.readouterr().out
    shown = Path(re.search(r"it showed: (.*)", said)[1])  # type: ignore[index]
    path = re.search(r"copy it to (\S+) and commit it", said)[1]  # type: ignore[index]
    assert path == "canary/golden/total.jsonl"
    person.commit({path: shown.read_text(encoding="utf-8")}, "a golden")
    assert run_canary(repo, state, "HEAD", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["flows"][0]["proposed"]) == ("PASS", [])

    person.commit({"total.py": PROGRAM.replace("3", "4")}, "it is wrong")
    assert run_canary(repo, state, "HEAD", as_json=False) == 1
    said = capsys.readouterr().out
    difference = Path(re.search(r"difference: (.*)", said)[1])  # type: ignore[index]
    assert '"sum": 4' in difference.read_text(encoding="utf-8")
