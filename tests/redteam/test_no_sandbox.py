"""A machine without any sandbox: the engine says so everywhere, falls back as the settings say, and never silently."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import SETTINGS, Desk, one_sentence, order

from tests.redteam.hostile_night import HostileDesk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there may be no sandbox anyway"),
]


def desk_of(folder: Path, settings: str = "", *, sandboxed: bool = False) -> HostileDesk:
    plain = Desk.with_files(folder, order("one", "write one.txt 1"), settings=SETTINGS + settings)
    desk = HostileDesk(plain.repo, plain.home, ("--repo", str(plain.repo), "--state", str(folder / "state")))
    desk.sandboxed = sandboxed
    return desk


def test_check_status_log_and_reports_say_that_there_is_none(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    checked = desk.ask("check")
    assert checked["sandbox"]["backend"] == "none"
    assert not any(held for name, held in checked["sandbox"]["guarantees"].items() if name != "limits")
    (said,) = [problem for problem in checked["problems"] if problem["where"] == "sandbox"]
    assert "run with your own rights" in said["what"]
    assert said["level"] == "warning"
    assert "run with your own rights" in desk.swarm("check").stdout

    ended = desk.night()
    assert ended.code == 0  # the settings let it run
    for status in (desk.status(), ended.summary):
        assert status["sandbox"]["backend"] == "none"
        assert status["sandbox"]["reason"]
        assert not status["sandbox"]["guarantees"]["fs_write"]
    assert "sandbox    none (" in desk.swarm("status").stdout
    assert "agents and gates run in the sandbox none" in (desk.state / "engine.log").read_text(encoding="utf-8")
    assert {report["sandbox_backend"] for report in desk.reports()} == {"none"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[sandbox]\nwithout = "refuse"\n', 'without = "refuse"'),
        ('[sandbox]\nwithout = "ask"\n', 'without = "ask"'),
        ('[sandbox]\nrequire = ["fs_write", "net"]\n', "cannot guarantee fs_write, net"),
    ],
)
def test_settings_that_want_one_stop_the_engine_before_anything_runs(tmp_path: Path, settings: str, said: str) -> None:
    desk = desk_of(tmp_path, settings)
    refused = desk.swarm("--no-ui", "--until", "idle", "--json")
    assert refused.returncode == 2
    one_sentence(refused, said)
    assert not (desk.state / "runs" / "one.1").exists()
    assert not desk.ask_anyway("check")["ok"]
    desk.sandboxed = True  # the control: on this machine it can be had
    assert desk.night().code == 0
    assert desk.status()["sandbox"]["guarantees"]["fs_write"]
