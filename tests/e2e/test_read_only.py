"""A journal that something else has changed: nothing runs, everything can be looked at, and nothing is deleted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from command_line import Desk, one_sentence, order

from engine.errors import JournalBroken
from swarm_tui.compose import make_host
from swarm_tui.place import find_place


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A repository in which one order has landed."""
    found = Desk.with_files(tmp_path, order("one", "write one.txt 1"))
    assert found.until_idle().code == 0
    return found


def execute(desk: Desk, statement: str) -> None:
    connection = sqlite3.connect(desk.state / "journal.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_untouched_journal_goes_on_and_is_whole(desk: Desk) -> None:
    done = desk.swarm("events", "--verify")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("whole: ")
    found = desk.ask("events", "--verify")
    assert found["ok"]
    assert found["signed"] == found["events"] > 0
    assert desk.until_idle().code == 0
    assert desk.status()["read_only"] == ""


@pytest.mark.slow
def test_a_changed_event_puts_the_engine_in_read_only_mode(desk: Desk) -> None:
    kept = files(desk.state / "hub.git") | files(desk.state / "artifacts")
    execute(desk, "UPDATE events SET json = replace(json, 'green', 'greed') WHERE kind = 'report_signed'")
    desk.write("roadmap.toml", (desk.repo / "roadmap.toml").read_text("utf-8") + order("two", "write two.txt 2"))
    started = desk.swarm("--no-ui", "--until", "idle", "--json")
    assert started.returncode == 1
    assert started.stdout == ""
    said = one_sentence(
        started, "was changed, removed or put in", "nothing runs on it", "move it away", str(desk.state)
    )
    status = desk.status()
    assert (status["health"], status["running"]) == ("unknown", False)
    assert status["read_only"] == status["why"] == status["problems"][0] == said.removeprefix("swarm: ")
    assert "two" not in status["work_orders"]
    plain = desk.swarm("status")
    assert plain.returncode == 0
    assert "not running, read-only" in plain.stdout
    inbox = sqlite3.connect(desk.state / "journal.db").execute("SELECT count(*) FROM inbox").fetchone()
    for command in (("pause",), ("retry", "one"), ("stop",), ("approve", "x")):
        refused = desk.swarm(*command)
        assert refused.returncode == 1
        assert one_sentence(refused) == said
    assert sqlite3.connect(desk.state / "journal.db").execute("SELECT count(*) FROM inbox").fetchone() == inbox
    assert desk.swarm("events").returncode == 0
    verified = desk.swarm("events", "--verify", "--json")
    assert verified.returncode == 1
    found = json.loads(verified.stdout)
    marked = json.loads((desk.state / "read-only.json").read_text("utf-8"))
    assert found["event"] == marked["event"] > 0
    assert files(desk.state / "hub.git") | files(desk.state / "artifacts") == kept
    execute(desk, "UPDATE events SET json = replace(json, 'greed', 'green') WHERE kind = 'report_signed'")
    ended = desk.until_idle()  # what is whole again runs again
    assert ended.code == 0
    assert desk.phase("two") == "healthy"
    assert not (desk.state / "read-only.json").exists()


@pytest.mark.slow
def test_an_end_that_was_cut_off_is_read_only_too(desk: Desk) -> None:
    execute(desk, "DELETE FROM events WHERE kind = 'engine_stopped'")
    started = desk.swarm("--no-ui", "--until", "idle")
    assert started.returncode == 1
    one_sentence(started, "its end was cut off")


@pytest.mark.slow
def test_an_older_journal_that_was_put_back_is_read_only_too(desk: Desk, tmp_path: Path) -> None:
    shutil.copy2(desk.state / "journal.db", tmp_path / "older.db")
    assert desk.until_idle().code == 0
    for rest in ("-wal", "-shm"):
        (desk.state / f"journal.db{rest}").unlink(missing_ok=True)
    shutil.copy2(tmp_path / "older.db", desk.state / "journal.db")
    started = desk.swarm("--no-ui", "--until", "idle")
    assert started.returncode == 1
    one_sentence(started, "an older copy of it was put back")


@pytest.mark.slow
@pytest.mark.parametrize("changed", [True, False])
async def test_a_break_in_a_long_past_ends_a_running_engine_and_the_next_start_remembers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    monkeypatch.setattr("engine.host.PAST_AT_ONCE", 0)
    monkeypatch.setenv("PATH", desk.environment["PATH"])
    if changed:
        execute(desk, "UPDATE events SET at = at + 1 WHERE seq = 3")
    started: list[str] = []
    host = make_host(find_place(desk.repo, desk.state))
    host.on_events = lambda events: started.extend(event.kind for event in events)
    if not changed:
        assert await host.run(duration_s=2.0) == "deadline"
        return
    with pytest.raises(JournalBroken, match="event 3 was changed"):
        await host.run(duration_s=60.0)
    assert started[0] == "engine_started"
    assert "engine_stopped" not in started
    again = desk.swarm("--no-ui", "--until", "idle")
    assert again.returncode == 1
    one_sentence(again, "event 3 was changed")


@pytest.mark.slow
def test_a_killed_engine_is_not_taken_for_a_break(desk: Desk) -> None:
    for nth in range(3):
        desk.write(
            "roadmap.toml", (desk.repo / "roadmap.toml").read_text("utf-8") + order(f"k{nth}", f"write k{nth}.txt x")
        )
        night = desk.start()
        night.event("run_started")
        night.kill()
    assert desk.until_idle().summary["read_only"] == ""
    assert desk.ask("events", "--verify")["ok"]
