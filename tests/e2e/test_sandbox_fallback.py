"""On a machine without bubblewrap the engine goes on in the next sandbox, says so, and writes it into its reports."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SETTINGS, order
from conftest import MakeDesk

from engine.sandbox.landlock_run import landlock_abi

pytestmark = pytest.mark.skipif(landlock_abi() == 0, reason="this machine has no Landlock")


@pytest.fixture
def path_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "ssh-keygen", "sh", "cat"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("path_without_bubblewrap")
def test_a_night_in_landlock_lands_honest_work_and_says_where_it_ran(make_desk: MakeDesk, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("tok-canary-8\n", encoding="utf-8")
    desk = make_desk(order("honest", "write a.txt one", "say hello"))
    agent = (desk.repo / "tools/agent.py").read_text(encoding="utf-8")
    desk.commit(
        "An agent that looks around",
        **{
            "tools/agent.py": agent
            + f"""
try:
    print("seen:", pathlib.Path({str(secret)!r}).read_text())
except OSError as error:
    print("refused:", error.strerror)
"""
        },
    )
    ended = desk.until_idle()
    assert desk.has("a.txt"), ended
    assert (desk.repo / "a.txt").read_text(encoding="utf-8") == "one\n"
    logs = b"".join(path.read_bytes() for path in desk.state.rglob("log") if path.is_file())
    assert b"refused: Permission denied" in logs
    assert b"tok-canary-8" not in logs
    reports = [_report(path) for path in desk.state.rglob("*") if path.is_file() and path.stat().st_size < 1_000_000]
    assert {report["sandbox_backend"] for report in reports if report} == {"landlock"}
    said = (desk.state / "engine.log").read_text(encoding="utf-8")
    assert "bubblewrap is not installed: agents and gates run in the sandbox landlock, which holds less" in said


@pytest.mark.usefixtures("path_without_bubblewrap")
def test_what_the_settings_require_stops_the_engine_before_anything_runs(make_desk: MakeDesk) -> None:
    desk = make_desk(order("a", "write a.txt one"), settings=SETTINGS + '[sandbox]\nrequire = ["fs_write"]\n')
    done = desk.swarm("--no-ui", "--until", "idle", "--json")
    assert done.returncode != 0
    assert "the sandbox 'landlock' cannot guarantee fs_write (bubblewrap is not installed)" in done.stderr
    assert not desk.has("a.txt")


def _report(path: Path) -> dict[str, Any]:
    """A signed report's content, {} for any other file."""
    try:
        envelope = json.loads(path.read_bytes())
        found = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) and "sandbox_backend" in found else {}
