"""A smoke program once said "pass" whatever happened, on an executable of yesterday, and a missing golden was fine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_line import SETTINGS, Desk
from conftest import MakeDesk

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder

SAYS_PASS = 'import sys\nprint(\'{{"kind": "done", "status": "pass"}}\', flush=True)\nsys.exit({code})\n'
HONEST, LIAR = SAYS_PASS.format(code=0), SAYS_PASS.format(code=3)
ENDS_WELL = """
[[canary.flow]]
name = "smoke"
start = { run = ["python3", "app.py"] }
steps = [{ wait = { until = { exit = 0 }, within = "20s" } }]
"""
BUILT = """
[[canary.flow]]
name = "smoke"
package = ["python3", "make.py"]
artifact = "out/app.py"
start = { run = ["python3", "{artifact}"] }
steps = [{ wait = { until = { exit = 0 }, within = "20s" } }]
"""
GOLDEN = ENDS_WELL + 'judge = { golden = "canary/golden/smoke.jsonl" }\n'
BUILDS = "import pathlib, shutil\npathlib.Path('out').mkdir(exist_ok=True)\nshutil.copy('app.py', 'out/app.py')\n"


def judged(desk: Desk) -> tuple[int, Any]:
    """(exit code, what `swarm canary` says of HEAD)."""
    done = desk.swarm("canary", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_a_program_that_says_pass_and_fails_has_failed(make_desk: MakeDesk) -> None:
    desk = make_desk(settings=SETTINGS + ENDS_WELL, **{"app.py": LIAR})
    code, said = judged(desk)
    assert (code, said["verdict"]) == (1, "FAIL")
    desk.commit(app__py=HONEST)
    assert judged(desk)[0] == 0


@pytest.mark.slow
def test_an_executable_of_yesterday_is_not_what_is_judged(make_desk: MakeDesk) -> None:
    """The build does nothing, and a program that once worked lies where it should leave one."""
    files = {"app.py": HONEST, "out/app.py": HONEST, "make.py": "pass\n"}
    desk = make_desk(settings=SETTINGS + BUILT, **files)
    code, said = judged(desk)
    assert code == 1
    assert said["verdict"] == "FAIL"
    assert "out/app.py" in said["reason"]
    desk.commit(make__py=BUILDS)
    code, said = judged(desk)
    assert (code, said["verdict"]) == (0, "PASS")


@pytest.mark.slow
def test_a_missing_golden_is_never_green(make_desk: MakeDesk) -> None:
    desk = make_desk(settings=SETTINGS + GOLDEN, **{"app.py": HONEST})
    code, said = judged(desk)
    assert (code, said["verdict"]) == (1, "INCONCLUSIVE")
    (proposed,) = (digest for name, digest in said["flows"][0]["artifacts"].items() if name == "golden")
    seen = ArtifactStore(StateFolder(desk.state).artifacts).get(proposed).decode("utf-8")
    desk.write("canary/golden/smoke.jsonl", seen)
    desk.commit("Looked at, and right")
    assert judged(desk)[0] == 0
    desk.write("canary/golden/smoke.jsonl", seen.replace("pass", "fail"))
    desk.commit("Not what it does")
    assert judged(desk)[1]["verdict"] == "FAIL"
