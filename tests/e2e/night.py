"""A night on a tiny repository of its own: real git, real gates, real processes, and the engine as people start it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.folders import StateFolder
from engine.git.hub import IDENTITY_MAIL, CommitInfo, Hub
from engine.journal import JournalReader
from engine.lifecycle import PHASES
from engine.lock import InstanceLock
from engine.loop import EndReason
from engine.models.event import Event
from engine.process import tree
from engine.snapshot import dump_state, fold
from engine.state import State
from gates.verify import recipe
from swarm_tui.compose import make_host
from swarm_tui.place import find_place

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0

PROGRAM = """\
import json, sys
from tiny.words import WORDS

print(json.dumps({"kind": "ready"}), flush=True)
for line in sys.stdin:
    word = line.strip()
    print(json.dumps({"kind": "answer", "known": word in WORDS}), flush=True)
"""
WORDS = "WORDS = {'hello'}\n"
TEST = """\
import unittest
from tiny.words import WORDS


class WordsTest(unittest.TestCase):
    def test_words_are_lower_case(self):
        self.assertEqual({word for word in WORDS if word != word.lower()}, set())
"""
FLOW = """
[[canary.flow]]
name = "hello"
start = { run = [PYTHON, "-m", "tiny.program"], ready = { event = "ready" }, within = "20s" }
steps = [
    { send = { stdin = "hello\\n" } },
    { wait = { until = { event = "answer", where = { known = true } }, within = "1s" } },
]
stop = { within = "5s" }
timeout = "60s"
"""
SETTINGS = """\
[limits]
implementers = 2
gate_slots = 2
run_wall = "60s"
run_idle = "30s"
free_disk = "1MB"

[roles]
implementer = "scripted"

[agents.scripted]
kind = "script"
scripts = "../scripts"

[[gate]]
name = "unit"
kind = "unit"
run = [PYTHON, "-m", "unittest", "discover", "-s", "tests", "-t", "."]
results = "unittest"
timeout = "60s"
"""
Edits = Mapping[str, str]
ENGINE_MOVES = ("change_landed", "main_restored", "commits_adopted")
"""The events that say that main moved: outcomes of an intent."""


@dataclass
class Night:
    """Tell the orders, then `until_idle`. Orders that are told later join at the next look at the roadmap."""

    folder: Path
    canary: bool = False
    settings: str = SETTINGS
    orders: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __post_init__(self) -> None:
        self.repo, self.scripts, self.state = (self.folder / name for name in ("repo", "scripts", "state"))
        self.scratch = self.folder / "scratch"
        for folder in (self.repo, self.scripts, self.scratch):
            folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        settings = self.settings + (FLOW if self.canary else "")
        self.person_commits(
            {
                # The roadmap is the person's own draft: an edit of it neither makes his checkout dirty nor moves main.
                ".gitignore": "__pycache__/\nroadmap.toml\n",
                "tiny/__init__.py": "",
                "tiny/program.py": PROGRAM,
                "tiny/words.py": WORDS,
                "tests/__init__.py": "",
                "tests/test_words.py": TEST,
                "swarm.toml": settings.replace("PYTHON", json.dumps(sys.executable)),
            },
            "A tiny program",
        )
        (self.repo / "roadmap.toml").write_text('schema = "roadmap/1"\n', encoding="utf-8")

    # ---- the story

    def order(self, ident: str, *attempts: Edits, sleep_ms: int = 0, offered: bool = True, **fields: Any) -> None:
        """A work order whose agent makes these edits (path -> whole content), attempt by attempt.

        offered: False writes the script only, for an order that the swarm will think of by itself.
        """
        steps: list[str] = []
        for edits in attempts:
            steps.append("[[attempt]]\n")
            steps += [f"[[attempt.steps]]\nsleep = {_quoted(f'{sleep_ms}ms')}\n"] if sleep_ms else []
            for path, content in edits.items():
                steps.append(f"[[attempt.steps]]\nedit.path = {_quoted(path)}\nedit.content = {_quoted(content)}\n")
            steps.append(f"[[attempt.steps]]\nhandin = {{ summary = {_quoted(f'{ident} is done')} }}\n")
        (self.scripts / f"{ident}.toml").write_text('schema = "script/1"\n' + "".join(steps), encoding="utf-8")
        if offered:
            self.orders[ident] = {"id": ident, "title": f"Do {ident}", **fields}
            rows = ['schema = "roadmap/1"\n']
            for order in self.orders.values():
                rows.append("[[work_order]]\n" + "".join(f"{name} = {_quoted(order[name])}\n" for name in order))
            (self.repo / "roadmap.toml").write_text("".join(rows), encoding="utf-8")

    def person_commits(self, files: Edits, message: str) -> str:
        """A person commits to his own main, whatever the swarm does."""
        for name, content in files.items():
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        self.git("add", "--", *files)
        self.git("commit", "--quiet", "--message", message, "--", *files)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """The person's own git, in his repository."""
        return _run(["git", *arguments], self.repo, dict(os.environ))

    # ---- the engine

    def until_idle(self) -> EndReason:
        """Run the real engine in this process until nothing is left to do."""
        place = find_place(self.repo, self.state)
        host = make_host(place)

        async def night() -> EndReason:
            async with asyncio.timeout(PATIENCE_S):
                return await host.run(until_idle=True)

        return asyncio.run(night())

    def start(self, *program: str) -> subprocess.Popen[bytes]:
        """Start the engine as a process of its own: the command `swarm`, or a driver (a module and its arguments)."""
        argv = program or ("swarm_tui.cli", "--no-ui", "--until", "idle", "--json")
        places = ("--repo", str(self.repo), "--state", str(self.state))
        return self.started(argv[0], *argv[1:], *places)

    def started(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Python module with our packages, and its scratch files in a folder that is looked at in the end."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.scratch)}
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for_file(self, path: Path) -> str:
        """Its content, once somebody has written it."""
        self.wait_for(lambda: path.exists() and path.read_text(encoding="utf-8").endswith("\n"), f"{path.name}")
        return path.read_text(encoding="utf-8").strip()

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        """Polls until it holds; fails the test when it never does."""
        give_up = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < give_up, f"waited in vain for {what}\n{self.said()}"
            time.sleep(0.03)

    def said(self) -> str:
        """The end of what the engines' processes printed."""
        output = self.folder / "output"
        return output.read_text(encoding="utf-8", errors="replace")[-3_000:] if output.exists() else ""

    # ---- the morning

    def events(self, *kinds: str, **fields: Any) -> list[Event]:
        """The journal's events of these kinds (none: all) with these fields, oldest first."""
        path = self.folders.journal
        if not path.exists():
            return []
        with JournalReader(path) as reader:
            found = [event for event in reader.events() if not kinds or event.kind in kinds]
        return [event for event in found if all(_field(event, name) == value for name, value in fields.items())]

    def phases(self) -> dict[str, str]:
        return {ident: order.phase for ident, order in self.folded().orders.items()}

    def folded(self) -> State:
        """The state, folded from the journal alone."""
        with JournalReader(self.folders.journal) as reader:
            return fold(None, reader.events)

    def main_files(self) -> dict[str, str]:
        """Path -> content of everything on the hub's main."""
        hub = Hub(self.state)
        entries = hub.entries(hub.main().tree)
        return {entry.path: hub.blob(entry.sha).decode("utf-8") for entry in entries}

    def landed(self) -> list[CommitInfo]:
        """The first-parent line of main since the engine came, oldest first."""
        hub = Hub(self.state)
        first = self.events("repository_opened")[0].fields["commit"]
        return hub.commits_between(first, hub.main().commit, first_parent=True)

    @property
    def folders(self) -> StateFolder:
        return StateFolder(self.state.resolve())

    def processes(self) -> list[str]:
        """What still runs with the marker of this night's engines."""
        return [f"{p.pid}: {tree.marker_of(p)}" for p in tree.find_marked(self.folders.marker)]

    def assert_sound(self) -> None:
        """All that must hold whenever no engine runs and nothing is left to do."""
        assert InstanceLock(self.folders.lock).holder() is None
        self._assert_journal()
        self._assert_commits()
        _run(["git", "fsck", "--strict", "--no-dangling", "--no-progress"], self.folders.hub, dict(os.environ))
        assert self.git("rev-parse", "main") == Hub(self.state).main().commit
        assert self.git("status", "--porcelain", "--untracked-files=no", "--", "tiny", "tests") == ""
        self.wait_for(lambda: not self.processes(), f"the end of {self.processes()}")
        left = [path.name for part in ("files", "index") for path in (self.folders.workspaces / part).glob("*")]
        assert left == [], f"workspaces are left: {left}"
        assert list(self.folders.hub.rglob("*.lock")) == []

    def _assert_journal(self) -> None:
        with JournalReader(self.folders.journal) as reader:
            assert reader.verify_chain() is None
            events = list(reader.events())
            state = fold(None, reader.events)
            assert dump_state(fold(reader.newest_snapshot(), reader.events)) == dump_state(state)
        assert [event.fields for event in events if event.kind == "transition_refused"] == []
        bugs = [event.fields for event in events if event.kind == "effect_failed" and event.fields["traceback"]]
        assert bugs == []
        assert state.intents == {}
        assert {order.phase for order in state.orders.values()} <= set(PHASES) - {"running", "verifying", "queued"}
        moves = [event.fields["effect_id"] for event in events if event.kind in ENGINE_MOVES]
        assert len(moves) == len(set(moves)), "an effect happened twice"
        assert state.main == Hub(self.state).main().commit

    def _assert_commits(self) -> None:
        commits = self.landed()
        ours = [commit for commit in commits if commit.author.endswith(f"<{IDENTITY_MAIL}>")]
        effects = [effect for commit in ours for effect in commit.trailers["Effect-Id"]]
        assert len(effects) == len(set(effects)) == len(ours), "an effect is on main twice"
        moved = [event.fields["commit"] for event in self.events("change_landed", "main_restored")]
        assert moved == [commit.commit for commit in ours]
        for commit in ours:
            assert len(commit.trailers["Work-Order"]) == 1, commit.subject
            if batch := commit.trailers.get("Batch-Report"):
                assert any(tip.trailers.get("Report") == batch for tip in ours), "a batch without its proved tip"
            else:
                assert self.openssl_says(commit) == commit.tree, commit.subject

    def openssl_says(self, commit: CommitInfo) -> str:
        """The tree that the commit's report proves, by openssl and the standard tools alone."""
        (digest,) = commit.trailers["Report"]
        return self.openssl(self.report_path(digest))

    def report_path(self, digest: str) -> Path:
        from engine.artifacts import ArtifactStore

        return ArtifactStore(self.folders.artifacts).path(digest)

    def openssl(self, envelope: Path) -> str:
        """Runs the published recipe. Fails the test when openssl does not accept the signature."""
        lines = recipe(envelope, self.folders.keys / "public.pem")
        said = _run(["sh", "-e", "-c", "\n".join(lines)], self.folder, dict(os.environ))
        return said.splitlines()[-1]


def _run(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{' '.join(argv)[:200]}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def _quoted(value: Any) -> str:
    return json.dumps(value)


def _field(event: Event, name: str) -> Any:
    return event.work_order if name == "work_order" else event.fields.get(name)
