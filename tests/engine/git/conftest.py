"""A user's repository, a hub made from it, and a small language to write the tests in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.git.hub import Hub
from engine.git.workspaces import Workspaces


class Repo:
    """A user's repository, handled with plain git as a person would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self("init", "-q", "-b", "main")
        self("config", "user.name", "Ada")
        self("config", "user.email", "ada@example.org")

    def __call__(self, *args: str, check: bool = True) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *args],
            cwd=self.root,
            env=env,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=20,
        )
        if check and done.returncode:
            raise AssertionError(done.stderr.decode(errors="replace"))
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.root / name).write_text(text, encoding="utf-8", newline="")

    def commit(self, message: str, files: dict[str, str | bytes | None]) -> str:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text.encode() if isinstance(text, str) else text)
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self, rev: str = "HEAD") -> str:
        return self("rev-parse", rev)


@pytest.fixture(autouse=True)
def _no_configuration_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def user(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "user")
    repo.commit("first", {"a.txt": "a\n", "src/b.txt": "b\n", ".gitignore": "*.o\nbuild/\n"})
    return repo


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def hub(state: Path, user: Repo) -> Hub:
    return Hub.create_or_open(state, user.root, "main")


@pytest.fixture
def workspaces(hub: Hub, state: Path) -> Workspaces:
    return Workspaces(hub, state / "workspaces")


Land = Callable[[dict[str, str | None]], str]


@pytest.fixture
def land(hub: Hub, workspaces: Workspaces) -> Land:
    """Land files on hub's main, as the train does; the new commit."""
    count = iter(range(1000))

    def _land(files: dict[str, str | None]) -> str:
        old = hub.main().commit
        run = workspaces.create(f"landing.{next(count)}", old)
        for name, text in files.items():
            path = run.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text, encoding="utf-8", newline="")
        tree = workspaces.harvest(run).tree
        workspaces.remove(run)
        new = hub.commit(tree, [old], "landed\n", 1_700_000_000)
        assert hub.move_main(new, old)
        hub.advance_base()
        return new

    return _land
