"""A night of honest and hostile agents in a home folder, a repository and a session that are all its own."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from command_line import SETTINGS, Desk, Ended, order, roadmap

HERE = Path(__file__).parent
NIGHT_S = 500.0
KEY = "canary-key-4711-of-the-agent"
VARIABLE = "CANARY_OF_THE_ENGINE"
HOME_FILES = {
    ".bashrc": "canary-of-the-profile\n",
    ".ssh/id_ed25519": "canary-of-the-ssh-key\n",
    ".netrc": "canary-of-the-netrc\n",
    "linked": "x\n",
    "moved": "x\n",
    "mode": "x\n",
    "time": "x\n",
    "whole": "xxx\n",
}
DOTENV = "canary-of-the-dotenv"

Snapshot = Mapping[str, str]
"""Path -> type, mode, time and content of everything below a folder."""


def snapshot(folder: Path) -> dict[str, str]:
    """All below `folder`: what each path is, who may use it, and what it holds; of folders no times."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        told = f"{facts.st_mode:o}"
        if path.is_symlink():
            told += f" -> {path.readlink()}"
        elif path.is_file():
            told += f" {facts.st_mtime_ns} {facts.st_nlink} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        found[path.relative_to(folder).as_posix()] = told
    return found


def _of_the_session() -> socket.socket:
    assert sys.platform != "win32"
    return socket.socket(socket.AF_UNIX)


@dataclass
class Listener:
    """What arrives on this machine's loopback and at a socket of the session."""

    folder: Path
    heard: list[bytes] = field(default_factory=list[bytes])

    def __post_init__(self) -> None:
        self.tcp, self.unix = socket.create_server(("127.0.0.1", 0)), _of_the_session()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.path = self.folder / "session.socket"
        self.unix.bind(str(self.path))
        self.unix.listen()
        for work in (self._datagrams, lambda: self._serve(self.tcp), lambda: self._serve(self.unix)):
            threading.Thread(target=work, daemon=True).start()

    def _datagrams(self) -> None:
        while True:
            self.heard.append(self.udp.recv(65_536))

    def _serve(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            connection.settimeout(2)
            with connection:
                try:
                    self.heard.append(connection.recv(65_536))
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    self.heard.append(b"")


@dataclass
class HostileDesk(Desk):
    """`sandboxed` False: the engine finds no sandbox backend on its machine."""

    sandboxed: bool = True

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "AGENT_KEY": KEY, VARIABLE: "canary-of-the-environment"}

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        module = "swarm_tui.cli" if self.sandboxed else "tests.redteam.engine_without_sandbox"
        return [sys.executable, "-m", module, *words, *self.options]

    @property
    def state(self) -> Path:
        return self.repo.parent / "state"

    def night(self) -> Ended:
        """A headless run until nothing is left to do; its output as it was goes into `output`."""
        done = subprocess.run(
            self._argv(("--no-ui", "--until", "idle", "--json")), cwd=self.repo, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=NIGHT_S, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert rows, done.stderr
        return Ended(done.returncode, rows[:-1], rows[-1])

    def ask_anyway(self, *words: str) -> Any:
        """The command's `--json` answer, whatever its exit code."""
        return json.loads(self.swarm(*words, "--json").stdout)

    def offer(self, *orders: str) -> None:
        """Put work orders on the roadmap, as a person does: without a commit of it."""
        self.write("roadmap.toml", roadmap(*orders))

    def phases(self) -> dict[str, str]:
        return {one["id"]: one["state"] for one in self.status()["orders"]}

    def refs(self, folder: Path) -> dict[str, str]:
        """Every ref of a repository but main, what the engine keeps of runs, and its notes."""
        done = subprocess.run(
            ["git", f"--git-dir={folder}", "for-each-ref", "--format=%(refname) %(objectname)"],
            capture_output=True, encoding="utf-8", check=True,
        )  # fmt: skip
        rows = dict(line.split(" ") for line in done.stdout.splitlines())
        ours = ("refs/swarm/", "refs/notes/swarm")
        return {ref: sha for ref, sha in rows.items() if ref != "refs/heads/main" and not ref.startswith(ours)}

    @property
    def first(self) -> str:
        """The commit before any work order."""
        return self.git("rev-list", "--max-parents=0", "main").splitlines()[-1]

    def events(self) -> list[dict[str, Any]]:
        """The whole journal."""
        return [json.loads(line) for line in self.swarm("events", "--json").stdout.splitlines()]

    def reports(self) -> list[dict[str, Any]]:
        """Every signed report of the journal."""
        found: list[dict[str, Any]] = []
        for event in self.events():
            if event["kind"] == "report_signed":
                digest = event["report"].removeprefix("sha256:")
                raw = (self.state / "artifacts" / "sha256" / digest[:2] / digest[2:]).read_bytes()
                found.append(json.loads(base64.b64decode(json.loads(raw)["payload"]))["predicate"])
        assert found
        return found

    def log(self, run: str) -> str:
        path = self.state / "runs" / run / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def holding(self, text: str) -> list[str]:
        """Files of the state folder in which a text stands."""
        found: list[str] = []
        for path in self.state.rglob("*"):
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(path.relative_to(self.state).as_posix())
        return found


@dataclass(frozen=True)
class Seen:
    """What lies in a home folder, a repository and the engine's hub, as snapshots by place."""

    places: Mapping[str, Snapshot]

    @classmethod
    def of(cls, desk: HostileDesk) -> Seen:
        repo, hub = snapshot(desk.repo), snapshot(desk.state / "hub.git")
        return cls(
            {
                "home": snapshot(desk.home),
                "repository": {path: facts for path, facts in repo.items() if path.partition("/")[0] != ".git"},
                "its git": _settled({path.removeprefix(".git/"): facts for path, facts in repo.items()}),
                "its refs": desk.refs(desk.repo / ".git"),
                "hub": _settled(hub),
                "hub's refs": desk.refs(desk.state / "hub.git"),
            }
        )

    def since(self, before: Seen) -> dict[str, set[str]]:
        """Paths and refs that came, went or became something else, by place."""
        found: dict[str, set[str]] = {}
        for place, now in self.places.items():
            old = before.places[place]
            found[place] = {name for name in {*old, *now} if old.get(name) != now.get(name)}
        return found


def _settled(git: Snapshot) -> Snapshot:
    """What no landing changes in a git folder."""
    parts = ("config", "HEAD", "hooks", "info", "description")
    return {path: facts for path, facts in git.items() if path.partition("/")[0] in parts}


@dataclass(frozen=True)
class World:
    """A desk, and what may not change around it."""

    desk: HostileDesk
    listener: Listener
    victim: psutil.Popen
    daemon: str

    def daemons(self) -> list[int]:
        """Processes that fled and are still there."""
        found: list[int] = []
        for process in psutil.process_iter(["cmdline", "status"]):
            if self.daemon in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        return found


def night_settings(limits: str, more: str = "") -> str:
    """Small limits, one attempt, and an agent with a key and a proxy to a host that there is not."""
    text = SETTINGS.replace("[limits]", f'[limits]\nattempts = 1\nrun_idle = "6s"\nrun_wall = "60s"\n{limits}')
    text = text.replace("implementers = 2", "implementers = 4")
    agent = 'network = ["model.example.invalid"]\nenv = { AGENT_KEY = "$AGENT_KEY" }\n'
    text = text.replace('run = ["python3", "tools/agent.py"]\n', f'run = ["python3", "tools/agent.py"]\n{agent}')
    return f'{text}[approvals]\nunattended = "deny"\n[guards.dependencies]\nallow = []\n{more}'


@contextmanager
def world(folder: Path, settings: str, *, sandboxed: bool) -> Iterator[World]:
    """Everything set up, with an engine that has run once, so that all its folders are there."""
    for name, text in HOME_FILES.items():
        path = folder / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    listener = Listener(folder)
    victim = psutil.Popen([sys.executable, "-c", "import time; time.sleep(900)"], env={}, stdin=subprocess.DEVNULL)
    daemon = f"daemon-of-{folder}"
    desk = HostileDesk(
        folder / "repo", folder / "home", ("--repo", str(folder / "repo"), "--state", str(folder / "state"))
    )
    desk.sandboxed = sandboxed
    desk.repo.mkdir()
    desk.git("init", "--quiet", "--template=", "--initial-branch=main")
    targets: dict[str, Any] = {
        "home": desk.home, "repo": desk.repo, "state": desk.state, "victim": victim.pid, "variable": VARIABLE,
        "port": listener.tcp.getsockname()[1], "udp": listener.udp.getsockname()[1], "socket": listener.path,
        "daemon": daemon,
    }  # fmt: skip
    desk.commit(
        "First commit",
        **{
            "swarm.toml": settings,
            "tools/agent.py": (HERE / "hostile_agent.py").read_text(encoding="utf-8"),
            "tools/targets.json": json.dumps(targets, default=str),
            "tests/test_whole.py": WHOLE,
            "requirements.txt": "",
            "README.md": "A repository\n",
            ".env": f"SECRET={DOTENV}\n",
            ".gitignore": "__pycache__/\nroadmap.toml\n",
        },
    )
    desk.offer()
    try:
        desk.night()
        yield World(desk, listener, victim, daemon)
    finally:
        if victim.poll() is None:
            victim.kill()
            victim.wait()
        for pid in World(desk, listener, victim, daemon).daemons():
            psutil.Process(pid).kill()
        desk.close()


WHOLE = """\
import pathlib, unittest


class Whole(unittest.TestCase):
    def test_every_file_of_the_work_is_text(self):
        for path in pathlib.Path("work").glob("*.txt"):
            self.assertTrue(path.read_text(encoding="utf-8"), path)
"""

HONEST = ("honest-one", "honest-two", "honest-three", "honest-neighbour")


def orders(*hostile: str) -> list[str]:
    """Honest work orders among these hostile ones."""
    scope = {"outside": ["work/**"], "scope": ["work/**"], "daemon": ["work/**"]}
    idents = [*hostile]
    for place, ident in zip((0, 1, len(idents) // 2, len(idents)), reversed(HONEST), strict=True):
        idents.insert(place, ident)
    return [order(ident, allow=scope.get(ident, ["**"])) for ident in idents]
