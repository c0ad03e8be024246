"""The command `swarm` as people and scripts use it: real processes, and a home folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from engine.folders import StateFolder
from engine.lock import InstanceLock
from engine.process import tree

if TYPE_CHECKING:
    from terminal import Terminal

PATIENCE_S = 60.0

AGENT = """\
import json, os, pathlib, sys, time

task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
for line in task["work_order"]["goal"].splitlines():
    word, _, rest = line.partition(" ")
    if word == "write":
        name, _, text = rest.partition(" ")
        pathlib.Path(name).write_text(text + "\\n", encoding="utf-8")
    elif word == "say":
        print(rest, flush=True)
    elif word == "wait":
        ends = time.monotonic() + 30
        while not pathlib.Path("go").exists() and time.monotonic() < ends:
            time.sleep(0.02)
        pathlib.Path("go").unlink()
    elif word == "ask" and not task["granted"]:
        asked = {"argv": rest.split(), "why": "the order needs it", "danger": "external"}
        pathlib.Path(os.environ["SWARM_ASK"]).write_text(json.dumps(asked), encoding="utf-8")
        sys.exit(75)
    elif word == "answer":
        said = [[one["answer"], one["exit_code"]] for one in task["granted"]]
        pathlib.Path(rest).write_text(json.dumps(said) + "\\n", encoding="utf-8")
    elif word == "fail":
        sys.exit(1)
"""
"""An agent that does what its order's goal says, a line a step: write FILE TEXT, wait (for a file `go`), ask ARGV …"""

SETTINGS = """\
[project]
main = "main"
[limits]
implementers = 2
gate_slots = 1
free_disk = "1MB"
[roles]
implementer = "mine"
[agents.mine]
kind = "command"
run = ["python3", "tools/agent.py"]
[[gate]]
name = "tests"
kind = "unit"
run = ["python3", "-m", "unittest", "discover", "-s", "tests"]
results = "unittest"
"""

TESTS = """\
import pathlib, unittest


class Whole(unittest.TestCase):
    def test_nothing_is_broken(self):
        self.assertFalse(pathlib.Path("broken.txt").exists(), "broken.txt is there")
"""
"""Green until somebody commits a file `broken.txt`."""


def order(ident: str, *goal: str, **more: Any) -> str:
    """A work order of `roadmap.toml` for AGENT."""
    fields = {"id": ident, "title": f"Do {ident}", "kind": "docs", "goal": "\n".join(goal), **more}
    return "[[work_order]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


def roadmap(*orders: str) -> str:
    return 'schema = "roadmap/1"\n' + "".join(orders)


def one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> str:
    """What a command said on stderr: exactly one line for a person, with these parts, and no traceback."""
    said = done.stderr.strip()
    assert said.startswith("swarm: "), done.stderr + done.stdout
    assert "\n" not in said, said
    assert len(said) < 400, said
    assert "Traceback" not in done.stderr + done.stdout
    for part in parts:
        assert part in said, said
    return said


@dataclass
class Desk:
    """A person's desk: a repository, a home folder, and the command. `git` fails the test when git fails."""

    repo: Path
    home: Path
    options: tuple[str, ...] = ()
    nights: list[Night] = field(default_factory=list["Night"])
    terminals: list[Terminal] = field(default_factory=list["Terminal"])

    @classmethod
    def with_files(cls, folder: Path, *orders: str, settings: str = SETTINGS, **more: str) -> Desk:
        """A repository with settings, roadmap, agent and tests, committed on main."""
        desk = cls.bare(folder)
        desk.write("swarm.toml", settings)
        desk.write("roadmap.toml", roadmap(*orders))
        desk.write("tools/agent.py", AGENT)
        desk.write("tests/test_whole.py", TESTS)
        desk.write(".gitignore", "__pycache__/\n")
        for name, text in more.items():
            desk.write(name, text)
        desk.commit("First commit")
        return desk

    @classmethod
    def bare(cls, folder: Path) -> Desk:
        """An empty repository without any commit."""
        desk = cls(folder / "repo", folder / "home")
        desk.repo.mkdir()
        desk.home.mkdir()
        desk.git("init", "--quiet", "--template=", "--initial-branch=main")
        return desk

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        home = str(self.home)
        return {**os.environ, "HOME": home, "USERPROFILE": home, "LOCALAPPDATA": home, "PATH": path, "COLUMNS": "200"}

    @property
    def state(self) -> Path:
        return Path(self.ask("where")["state"])

    # -- the repository ------------------------------------------------------------------------------------------

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.repo, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    def commit(self, message: str = "A person's commit", **files: str) -> str:
        for name, text in files.items():
            self.write(name.replace("__", "."), text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.head()

    def head(self, revision: str = "HEAD") -> str:
        return self.git("rev-parse", "--verify", revision)

    def has(self, path: str, revision: str = "main") -> bool:
        return path in self.git("ls-tree", "-r", "--name-only", revision).splitlines()

    # -- the command ---------------------------------------------------------------------------------------------

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "swarm_tui.cli", *words, *self.options]

    def swarm(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The command run to its end."""
        return subprocess.run(
            self._argv(words), cwd=cwd or self.repo, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def ask(self, *words: str) -> Any:
        """The command's `--json` answer; it has to end with 0."""
        done = self.swarm(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> Any:
        return self.ask("status")

    def phase(self, ident: str) -> str:
        return next(one["state"] for one in self.status()["orders"] if one["id"] == ident)

    def until_idle(self, *words: str) -> Ended:
        """A whole headless run until idle, and what it printed as JSON."""
        done = self.swarm("--no-ui", "--until", "idle", "--json", *words)
        assert "Traceback" not in done.stderr, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert rows, done.stderr
        assert rows[-1]["kind"] == "summary", rows[-1]
        return Ended(done.returncode, rows[:-1], rows[-1])

    def start(self, *words: str) -> Night:
        """An engine in the background; it is stopped at the end of the test."""
        argv = self._argv(("--no-ui", "--json", *words))
        flags: Any = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {}
        process = subprocess.Popen(
            argv, cwd=self.repo, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", **flags,
        )  # fmt: skip
        night = Night(self, process)
        self.nights.append(night)
        return night

    def terminal(self, *words: str, **more: Any) -> Terminal:
        """The command on a terminal (POSIX only); `more`: its size, TERM and the like. It and every engine that it
        starts are killed at the end of the test."""
        from terminal import Terminal

        found = Terminal(self._argv(words), **{"cwd": self.repo, "env": self.environment, **more})
        self.terminals.append(found)
        return found

    def close(self) -> None:
        for night in self.nights:
            night.kill()
        for terminal in self.terminals:
            terminal.close()
        if self.terminals:
            kill_engine(StateFolder(self.state))


def kill_engine(folders: StateFolder) -> None:
    """The engine of this state folder, if one runs, whoever started it."""
    if pid := InstanceLock(folders.lock).holder():
        tree.kill_tree(pid, psutil.Process(pid).create_time())


@dataclass(frozen=True)
class Ended:
    """A headless run that came to its end."""

    code: int
    events: list[dict[str, Any]]
    summary: dict[str, Any]

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [row for row in self.events if row["kind"] == kind and fields.items() <= row.items()]


class Night:
    """An engine that runs in another process; `rows` are what it has printed so far."""

    def __init__(self, desk: Desk, process: subprocess.Popen[str]) -> None:
        self.desk, self.process = desk, process
        self.rows: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.rows.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors += list(self.process.stderr)

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event of this kind with these fields; waits until it comes."""
        return self.when(lambda row: row["kind"] == kind and fields.items() <= row.items(), f"{kind} {fields}")

    def when(self, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        ends = time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                if found := next((row for row in self.rows if fits(row)), None):
                    return found
                left = ends - time.monotonic()
                assert left > 0, f"waited in vain for {what}: {[row['kind'] for row in self.rows]}"
                assert self.process.poll() is None or self._readers[0].is_alive(), (
                    f"it ended without {what}: {''.join(self._errors)}"
                )
                self._news.wait(min(left, 0.2))

    def go(self, run: str) -> None:
        """Let the agent of a run that waits go on."""
        self.event("run_started", run=run)
        folder = self.desk.state / "workspaces" / "files" / run
        until(lambda: (folder / "tools").is_dir(), f"the workspace of {run}")
        (folder / "go").touch()

    def interrupt(self) -> None:
        self.process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)

    def end(self) -> Ended:
        """Waits for its end."""
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        assert not self._errors, "".join(self._errors)
        return Ended(code, self.rows[:-1], self.rows[-1])

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)


def until(holds: Callable[[], bool], what: str) -> None:
    """Looks again until it holds."""
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.02)
