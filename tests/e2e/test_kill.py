"""kill -9 at the worst moments. The story goes on: nothing is lost, nothing lands twice, nobody is left running."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.errors import UserError
from engine.journal import JournalReader
from engine.process import tree
from swarm_tui.compose import open_site
from swarm_tui.place import find_place
from tests.e2e.night import ENGINE_MOVES, PROGRAM, Night

KILLED = -9
"""How a process that was killed ends, as subprocess tells it."""
BOUNDARIES = (
    ("intent", "before"),
    ("intent", "after"),
    (",".join(ENGINE_MOVES), "before"),
    (",".join(ENGINE_MOVES), "after"),
)
"""In this order each start gets exactly one boundary further: before the intent, between intent and ref, between ref
and outcome, and, while the next start settles it, after the outcome."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

HELLO_TEST = """\
import unittest
from tiny.words import WORDS


class HelloTest(unittest.TestCase):
    def test_hello_is_known(self):
        self.assertIn("hello", WORDS)
"""


def dies(night: Night, kinds: str, side: str, nth: int = 1) -> bool:
    """Run the engine that dies at this boundary; False when it came to its end without meeting it."""
    engine = night.start("tests.e2e.engine_that_dies", "--kinds", kinds, "--side", side, "--nth", str(nth))
    code = engine.wait(120)
    assert code in (0, KILLED), night.said()
    return code != 0


@pytest.mark.slow
def test_one_landing_killed_at_each_of_its_boundaries(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    for kinds, side in BOUNDARIES:
        assert dies(night, kinds, side), f"no {kinds}"
    assert len(night.events("intent")) == 2
    assert len(night.events("intent_abandoned")) == 1
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    assert len(night.events("change_landed")) == len(night.landed()) == 1
    assert len(night.events("run_started")) == 1
    night.assert_sound()


@pytest.mark.slow
def test_a_whole_night_killed_at_every_boundary_of_every_move_of_main(tmp_path: Path) -> None:
    """A landing, one that the canary refuses, the restore, its fix, a person's commits: each move dies four times."""
    night = Night(tmp_path, canary=True)
    night.until_idle()
    night.order("a", {"tiny/a.py": "A = 1\n"})
    forgets, mended = "WORDS = set()\n", "WORDS = {'hello', 'b'}\n"
    night.order("b", {"tiny/words.py": forgets}, {"tiny/words.py": mended}, depends_on=["a"])
    night.order("bug-b-1", {"tests/test_hello.py": HELLO_TEST}, offered=False)
    kills = kill_until_idle(night, 0)
    person = night.person_commits({"README.md": "Tiny.\n"}, "A word about it")
    kills = kill_until_idle(night, kills)
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy", "b": "healthy", "bug-b-1": "healthy"}
    told = {kind: len(night.events(kind)) for kind in ENGINE_MOVES}
    assert told["main_restored"] == told["commits_adopted"] == 1
    assert kills == 4 * sum(told.values())
    assert len(night.events("intent_abandoned")) == sum(told.values())
    assert person in night.git("rev-list", "main").splitlines()
    assert night.main_files()["tiny/words.py"] == mended
    night.assert_sound()


def kill_until_idle(night: Night, kills: int) -> int:
    """Start and kill, one boundary further each time; how many kills there were, those before included."""
    while dies(night, *BOUNDARIES[kills % len(BOUNDARIES)]):
        kills += 1
        assert kills < 60, night.phases()
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run_started", "run_finished", "change_proposed", "change_queued", "report_signed"])
def test_a_run_killed_at_its_own_boundaries_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    night = Night(tmp_path)
    night.until_idle()
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert dies(night, kind, "before")
    assert dies(night, kind, "after")
    half_made = night.folders.workspaces / "files" / "a.9" / "tiny"
    half_made.mkdir(parents=True)
    night.until_idle()
    assert night.phases() == {"a": "healthy"}
    assert len(night.landed()) == 1
    night.assert_sound()


@pytest.mark.slow
def test_an_order_that_has_begun_and_leaves_the_roadmap_goes_on_to_its_end(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert dies(night, "run_started", "after")
    roadmap = (night.repo / "roadmap.toml").read_text(encoding="utf-8")
    (night.repo / "roadmap.toml").write_text('schema = "roadmap/1"\n', encoding="utf-8")
    assert dies(night, "run_started", "before")
    (night.repo / "roadmap.toml").write_text(roadmap, encoding="utf-8")
    night.until_idle()
    assert [event.run for event in night.events("run_started")] == ["a.1", "a.2"]
    assert night.phases() == {"a": "healthy"}
    night.assert_sound()


WAITING = """\
import pathlib, time, unittest


class {name}(unittest.TestCase):
    def test_waits(self):
        with open("begun-{name}", "a") as file:
            file.write("x\\n")
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
"""
"""A test that says in the slot's tree that it has begun, a line each time, and waits there for a file `go`."""


def begun(night: Night, name: str) -> Path | None:
    """The slot's tree in which this waiting test runs."""
    return next((path.parent for path in night.folders.slots.glob(f"*/tree/begun-{name}")), None)


def let_go(night: Night, engine: subprocess.Popen[bytes], name: str) -> int:
    """Let this waiting test end wherever it runs, as often as it is run; the engine's exit code."""

    def gone() -> bool:
        for path in night.folders.slots.glob(f"*/tree/begun-{name}"):
            (path.parent / "go").touch()
        return engine.poll() is not None

    night.wait_for(gone, "the end of the engine")
    return engine.wait()


def gates_of(night: Night, epoch: int) -> list[int]:
    """Pids of what runs for the gates that the engine of this epoch began."""
    marker = f"{night.folders.marker}-{epoch}/"
    return [process.pid for process in tree.find_marked(marker) if "unit-" in tree.marker_of(process)]


def kill(night: Night, engine: subprocess.Popen[bytes]) -> None:
    """The whole engine process, and nothing of its group."""
    assert engine.poll() is None, night.said()
    engine.kill()
    engine.wait()


@pytest.mark.slow
def test_a_gate_that_outlives_its_engine_is_adopted_and_runs_once(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.until_idle()
    night.order("a", {"tests/test_a.py": WAITING.format(name="A")})
    engine = night.start()
    night.wait_for(lambda: begun(night, "A") is not None, "the gate")
    kill(night, engine)
    assert gates_of(night, 2)
    engine = night.start()
    night.wait_for(lambda: len(night.events("gate_started", change=_change(night))) == 2, "the gate, asked for again")
    slot = begun(night, "A")
    assert slot is not None
    assert gates_of(night, 2)
    assert gates_of(night, 3) == []
    assert (slot / "begun-A").read_text(encoding="utf-8") == "x\n"
    assert let_go(night, engine, "A") == 0, night.said()
    assert night.phases() == {"a": "healthy"}
    assert [event.fields["result"] for event in night.events("gate_finished", change=_change(night))] == ["green"]
    night.assert_sound()


def _change(night: Night) -> str:
    return night.events("change_proposed")[0].fields["change"]


@pytest.mark.slow
def test_a_gate_that_nobody_wants_any_more_is_ended(tmp_path: Path) -> None:
    """Main moves under it: a person commits while there is no engine."""
    night = Night(tmp_path)
    night.until_idle()
    night.order("a", {"tests/test_a.py": WAITING.format(name="A")})
    engine = night.start()
    night.wait_for(lambda: begun(night, "A") is not None, "the gate")
    kill(night, engine)
    assert gates_of(night, 2), "the gate has outlived its engine"
    night.person_commits({"tiny/meanwhile.py": "HERE = 1\n"}, "Meanwhile")
    engine = night.start()
    night.wait_for(lambda: bool(gates_of(night, 3)) and not gates_of(night, 2), "the gate, on the new main")
    assert let_go(night, engine, "*") == 0
    assert night.phases() == {"a": "healthy"}
    night.assert_sound()


@pytest.mark.slow
def test_changes_that_are_tried_together_survive_a_kill_at_every_step_of_their_landing(tmp_path: Path) -> None:
    """Between the intent and the ref, between the ref and its journal: no one lands twice, none is lost."""
    night = Night(tmp_path)
    night.until_idle()
    for name in ("a", "b"):
        night.order(name, {f"tiny/{name}.py": f"{name.upper()} = 1\n"}, kind="docs")
    for kind, side in (("intent", "before"), ("intent", "after"), ("change_landed", "before")):
        dies(night, kind, side)
    night.until_idle()
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    assert sorted(commit.trailers["Work-Order"][0] for commit in night.landed()) == ["a", "b"]
    night.assert_sound()


ACCEPTING = """\
import pathlib, sys, time

with open("begun-R", "a") as file:
    file.write("x\\n")
while not pathlib.Path("go").exists():
    time.sleep(0.01)
sys.exit(0 if pathlib.Path("tiny/a.py").exists() else "there is no a")
"""
"""Red until there is an `a`, once it is let go."""


@pytest.mark.slow
def test_a_proof_on_main_that_outlives_its_engine_is_adopted_and_runs_once(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.person_commits({"repro.py": ACCEPTING}, "How to see it")
    night.until_idle()
    night.order("a", {"tiny/a.py": "A = 1\n"}, kind="fix", repro=["python", "repro.py"])
    engine = night.start()
    night.wait_for(lambda: begun(night, "R") is not None, "the proof on main")
    kill(night, engine)
    engine = night.start()
    night.wait_for(lambda: len(night.events("engine_started")) == 3, "the next engine")
    slot = begun(night, "R")
    assert slot is not None
    (slot / "go").touch()
    night.wait_for(lambda: bool(night.events("acceptance_checked")), "what it said")
    assert (slot / "begun-R").read_text(encoding="utf-8") == "x\n"
    assert night.events("acceptance_checked")[0].fields["ok"] is True
    assert let_go(night, engine, "R") == 0, night.said()
    night.assert_sound()


LINGERING = """\
import json, os, time

if "-1/" in os.environ["SWARM_RUN"]:
    print(json.dumps({"kind": "ready"}), flush=True)
    time.sleep(300)
"""
"""Of the first engine it does not end by itself, whatever happens to its pipes."""


@pytest.mark.slow
def test_the_canary_of_a_killed_engine_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap, which would have taken the program along."""
    programs = tmp_path / "bin"
    programs.mkdir()
    git = shutil.which("git")
    assert git is not None
    (programs / "git").symlink_to(git)
    night = Night(tmp_path / "night", canary=True)
    night.person_commits({"tiny/program.py": LINGERING + PROGRAM}, "It lingers")

    def canaries() -> list[psutil.Process]:
        marked = tree.find_marked(f"{night.folders.marker}-1/canary")
        return [process for process in marked if "tiny.program" in process.cmdline()]

    with monkeypatch.context() as without_sandbox:
        without_sandbox.setenv("PATH", str(programs))
        engine = night.start()
        night.wait_for(lambda: bool(canaries()), "the canary's program")
        kill(night, engine)
        assert canaries(), "it has outlived its engine"
        assert night.start().wait(60) == 0, night.said()
    assert canaries() == []
    assert night.folded().last_good == night.git("rev-parse", "main")
    night.assert_sound()


def test_the_git_of_a_killed_engine_moves_no_ref_after_the_next_one_has_looked(tmp_path: Path) -> None:
    """A slow `update-ref` outlives its engine. Here it is a program with the mark of the engine's own git."""
    night = Night(tmp_path)
    place = find_place(night.repo, night.state)
    env = dict(open_site(place).hub.git._environment({}, False))
    slow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], env=env)
    night.wait_for(lambda: tree.marker_of(psutil.Process(slow.pid)) != "", "the program")
    open_site(place, sole=False)
    assert slow.poll() is None, "a command beside the engine leaves its git alone"
    open_site(place)
    assert slow.wait(10) == KILLED


FINAL = {"drop-legacy": "parked", "find-keys": "draft"}
"""The demo's orders that do not end healthy."""
EVENTS = 280
"""Fewer than the demo's night has: all kills fall into it."""


def demo_night_killed(folder: Path, kills: int, seed: int) -> None:
    """Play the demo, kill its engine at `kills` moments spread over the night, and start it again each time."""
    chance = random.Random(seed)
    told = DemoNight(folder)
    for _ in range(kills):
        engine = told.start()
        told.wait_for(told.after(chance.randrange(1, 2 * EVENTS // kills), engine), "a bit of the night")
        time.sleep(chance.uniform(0, 0.05))
        if engine.poll() is not None:
            break
        kill(told, engine)
        told.killed += 1
    engine = told.start()
    engine.wait(300)
    assert told.killed == kills, f"the night ended after {told.killed} kills: {told.said()}"
    phases = told.phases()
    assert {ident: phase for ident, phase in phases.items() if phase != "healthy"} == FINAL, told.said()
    assert len(phases) == 21
    told.assert_sound()


class DemoNight(Night):
    """The demo's night in `folder`, played by the command that people use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repo, self.state = folder, folder / "repo", folder / "state"
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True)
        self.killed = 0

    def start(self, *program: str) -> subprocess.Popen[bytes]:
        del program
        return self.started("swarm_tui.cli", "demo", "--dir", str(self.folder), "--json")

    def after(self, events: int, engine: subprocess.Popen[bytes]) -> Callable[[], bool]:
        """Whether so many more events have come, or the engine has ended."""
        until = self.last_seq() + events
        return lambda: self.last_seq() >= until or engine.poll() is not None

    def last_seq(self) -> int:
        try:
            with JournalReader(self.folders.journal) as reader:
                return reader.last_seq()
        except UserError:  # none yet, or one that is just being made
            return 0


@pytest.mark.slow
def test_a_demo_night_goes_on_after_three_kills(tmp_path: Path) -> None:
    demo_night_killed(tmp_path / "demo", kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_demo_night_goes_on_after_twenty_kills(tmp_path: Path, seed: int) -> None:
    demo_night_killed(tmp_path / "demo", kills=20, seed=seed)
