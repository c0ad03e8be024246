"""Where a room's engine comes from: one process for all rooms of a repository, which no terminal or room can end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Desk, kill_engine, order, until
from conftest import MakeDesk

from engine.client import Client
from engine.errors import UserError
from engine.lock import InstanceLock
from swarm_tui.place import Place, find_place
from swarm_tui.room.engine_process import Ending, EngineProcess, running_engine, start_engine

PATIENCE_S = 60.0
STARTER = """\
import sys, time
from pathlib import Path
from swarm_tui.place import find_place
from swarm_tui.room.engine_process import start_engine

engine = start_engine(find_place(Path(sys.argv[1]), Path(sys.argv[2])), patience_s=60)
print("engine", engine.pid, flush=True)
sys.stdin.readline()
"""
"""A room without a screen: it starts the engine, says so, and ends with a line on stdin."""


@pytest.fixture
def place(make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A repository in which nothing is to be done; whatever engine it has is killed at the end."""
    desk = make_desk()
    for name in ("PATH", "HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, desk.environment[name])
    found = find_place(desk.repo, tmp_path / "state")
    yield found
    kill_engine(found.folders)


def holder(place: Place) -> int | None:
    return InstanceLock(place.folders.lock).holder()


def send(place: Place, command: str) -> None:
    client = Client.attach(place.folders)
    try:
        client.send(command)
    finally:
        client.close()


def ending(engine: EngineProcess) -> Ending:
    found: list[Ending | None] = []
    until(lambda: found.append(engine.ended()) or found[-1] is not None, "the engine's end")
    assert found[-1] is not None
    return found[-1]


def starts(place: Place) -> int:
    client = Client.attach(place.folders)
    try:
        return sum(event.kind == "engine_started" for event in client.reader.events(0))
    finally:
        client.close()


@pytest.mark.slow
def test_an_engine_is_started_and_ready_and_tells_of_its_end(place: Place) -> None:
    said: list[str] = []
    engine = start_engine(place, patience_s=PATIENCE_S, progress=said.append)
    assert engine.ours
    assert engine.pid == holder(place) != os.getpid()
    assert engine.ended() is None
    assert said[0] == "starting the engine"
    send(place, "drain")
    assert ending(engine) == Ending("drained", 0, "")
    assert running_engine(place.folders) is None


@pytest.mark.slow
def test_the_engine_that_runs_is_taken_and_its_end_is_seen(place: Place) -> None:
    first = start_engine(place, patience_s=PATIENCE_S)
    second = start_engine(place, patience_s=PATIENCE_S)
    third = running_engine(place.folders)
    assert third is not None
    assert (second.pid, second.ours, third.pid, third.ours) == (first.pid, False, first.pid, False)
    send(place, "drain")
    assert ending(first) == ending(second) == ending(third) == Ending("drained", 0, "")
    assert starts(place) == 1


@pytest.mark.slow
def test_two_rooms_that_start_at_once_get_one_engine(place: Place) -> None:
    found: list[EngineProcess] = []
    rooms = [
        threading.Thread(target=lambda: found.append(start_engine(place, patience_s=PATIENCE_S))) for _ in range(3)
    ]
    for room in rooms:
        room.start()
    for room in rooms:
        room.join()
    assert [engine.pid for engine in found] == [holder(place)] * 3
    assert [engine.ours for engine in found].count(True) == 1
    assert starts(place) == 1
    send(place, "drain")
    assert {ending(engine) for engine in found} == {Ending("drained", 0, "")}


def test_an_engine_that_cannot_start_raises_exactly_its_sentence(place: Place) -> None:
    settings = place.repository.root / "swarm.toml"
    settings.write_text("[limits]\nimplementers = 'many'\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        start_engine(place, patience_s=PATIENCE_S)
    where = ("--repo", str(place.repository.root), "--state", str(place.folders.root))
    shown = subprocess.run(
        [sys.executable, "-m", "swarm_tui.cli", "--no-ui", *where], capture_output=True, encoding="utf-8", check=False
    )
    assert shown.stderr == f"swarm: {raised.value}\n"
    assert shown.returncode == raised.value.exit_code == 2
    assert "implementers" in str(raised.value)


@pytest.mark.slow
def test_an_engine_with_nothing_to_do_until_idle_is_told_as_ended(place: Place) -> None:
    engine = start_engine(place, until="idle", patience_s=PATIENCE_S)
    assert ending(engine) == Ending("idle", 0, "")


@pytest.mark.slow
def test_the_exit_code_says_that_work_waits_for_a_person(make_desk: MakeDesk, place: Place) -> None:
    desk = Desk(place.repository.root, place.folders.root)
    desk.write("roadmap.toml", 'schema = "roadmap/1"\n' + order("hopeless", "fail"))
    engine = start_engine(place, until="idle", patience_s=PATIENCE_S)
    other = running_engine(place.folders)
    assert ending(engine) == Ending("idle", 4, "")
    assert other is not None
    assert ending(other) == Ending("idle", 4, "")


@pytest.mark.slow
def test_an_engine_that_was_killed_is_told_as_died_and_another_one_starts(place: Place) -> None:
    engine = start_engine(place, patience_s=PATIENCE_S)
    other = running_engine(place.folders)
    assert other is not None
    kill_engine(place.folders)
    ended = ending(engine)
    assert (ended.reason, ended.exit_code not in (None, 0)) == ("died", True)
    assert ending(other) == Ending("died", None, "")
    again = start_engine(place, patience_s=PATIENCE_S)
    assert (again.ours, again.pid, again.epoch) == (True, holder(place), engine.epoch + 1)
    assert again.ended() is None


@pytest.mark.slow
def test_a_person_who_does_not_wait_leaves_an_engine_that_gets_ready(place: Place) -> None:
    class Left(Exception):
        pass

    def leave(words: str) -> None:
        if holder(place) or words != "starting the engine":
            raise Left

    with pytest.raises(Left):
        start_engine(place, patience_s=PATIENCE_S, progress=leave)
    assert not start_engine(place, patience_s=PATIENCE_S).ours
    assert starts(place) == 1


@pytest.mark.slow
def test_a_repository_with_packages_of_our_names_is_not_what_runs(place: Place) -> None:
    for name in ("swarm_tui", "engine", "gates"):
        folder = place.repository.root / name
        folder.mkdir()
        (folder / "__init__.py").write_text("raise SystemExit('not ours')\n", encoding="utf-8")
    assert start_engine(place, patience_s=PATIENCE_S).ours


@pytest.mark.slow
def test_a_killed_room_leaves_the_engine_running(place: Place, tmp_path: Path) -> None:
    room = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(place.repository.root), str(place.folders.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with room:
        assert room.stdout is not None
        said = room.stdout.readline().decode("utf-8").split()
        room.kill()
        room.wait()
        assert room.stdout.read() == b"", "the engine has the room's output open"
    assert said == ["engine", str(holder(place))]
    send(place, "pause")  # it answers


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys")
@pytest.mark.parametrize("way", ["ended", "hung up"])
def test_a_terminal_that_goes_leaves_the_engine_running(place: Place, way: str) -> None:
    assert sys.platform != "win32"
    from terminal import Terminal

    room = [sys.executable, "-c", STARTER, str(place.repository.root), str(place.folders.root)]
    with Terminal(room, env=dict(os.environ)) as terminal:
        terminal.expect("engine ")
        pid = holder(place)
        assert terminal.line(0) == f"engine {pid}"
        assert pid is not None
        assert os.getsid(pid) == pid, "the engine belongs to the room's terminal"
        if way == "ended":
            terminal.press("enter")
            assert terminal.wait() == 0
            assert terminal.released(), "the engine has the terminal open"
        else:
            terminal.hang_up()
            assert terminal.wait() != 0
    send(place, "pause")
    assert holder(place) == pid


def test_the_words_of_old_starts_do_not_pile_up(place: Place) -> None:
    (place.repository.root / "swarm.toml").write_text("nonsense\n", encoding="utf-8")
    place.folders.create()
    for number in range(10):
        (place.folders.root / f"engine-{number}.stderr").touch()
    with pytest.raises(UserError):
        start_engine(place, patience_s=PATIENCE_S)
    assert len(list(place.folders.root.glob("engine-*.stderr"))) == 4
