"""What all tests stand on: a scrubbed environment, real git repositories, and repeatable property tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Gates ask for the same outcome on the same tree; HYPOTHESIS_PROFILE=explore looks for new examples.
_QUIET = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile(
    "gate", deadline=None, database=None, derandomize=True, max_examples=100, suppress_health_check=_QUIET
)
hypothesis.settings.register_profile(
    "explore", deadline=None, database=None, max_examples=2000, suppress_health_check=_QUIET
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept-snapshots", action="store_true", help="write what the screens show as what they should")


@pytest.fixture(scope="session", autouse=True)
def scrubbed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No settings of the person who runs the tests reach git or the product; gives the empty home folder.

    Child processes import the packages beside these tests, also where another checkout is installed.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: programs would be deaf to it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    home = tmp_path_factory.mktemp("home")
    config = home / ".gitconfig"
    config.write_text(
        "[user]\n\tname = A Person\n\temail = person@example.invalid\n[init]\n\tdefaultBranch = main\n"
        "[commit]\n\tgpgSign = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n",
        encoding="utf-8",
    )
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("GIT_", "SWARM_", "XDG_")):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        patch.setenv("RUSTUP_HOME", str(rustup))  # a toolchain is a program and no setting
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PYTHONUTF8", "1")
        yield home


@dataclass(frozen=True)
class GitRepo:
    """A person's repository with a work tree."""

    path: Path

    def git(self, *args: str) -> str:
        """What git printed, without the last line end. Fails the test if git fails."""
        done = subprocess.run(["git", *args], cwd=self.path, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Writes files by path; text as UTF-8 with `\\n`."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes], message: str = "A change") -> str:
        """Writes the files, commits all there is, and gives the commit's id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head()

    def head(self, rev: str = "HEAD") -> str:
        return self.git("rev-parse", "--verify", rev)


def new_repo(path: Path, files: Mapping[str, str | bytes] | None = None, branch: str = "main") -> GitRepo:
    """A new repository at `path`; with `files` (also an empty mapping) it has one commit, without it has none."""
    path.mkdir()
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--template=", f"--initial-branch={branch}")
    if files is not None:
        repo.commit(files, "First commit")
    return repo


class MakeRepo(Protocol):
    def __call__(
        self, files: Mapping[str, str | bytes] | None = None, name: str = "repo", branch: str = "main"
    ) -> GitRepo:
        """See `new_repo`; `name` is its folder's."""
        ...


@pytest.fixture
def git_repo(tmp_path: Path) -> MakeRepo:
    """Makes real repositories below the test's folder."""

    def make(files: Mapping[str, str | bytes] | None = None, name: str = "repo", branch: str = "main") -> GitRepo:
        return new_repo(tmp_path / name, files, branch)

    return make
