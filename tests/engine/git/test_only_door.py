"""git is started in one place, and what an agent plants for it runs nowhere. Plain git, the control, runs all of it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.git.door import Git, UserGit
from engine.git.hub import Hub
from engine.git.workspaces import Workspace, Workspaces

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("engine", "gates", "roles", "canary", "swarm_tui")
STARTS = {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell"}
ALLOWED = {
    "engine/git/door.py",
    "swarm_tui/demo/build.py",  # makes the demo's own new repository, before there is an engine
}
WITH_FILES = {
    "engine/git/workspaces.py",
    "engine/git/checkout.py",
    "engine/git/slots.py",
    "swarm_tui/recording.py",  # fills the recorded night's own new repository
}


def faults(path: str, source: str) -> Iterator[str]:
    """Where a file starts git by itself, or has a door of its own onto somebody's files."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            if any(name.split(".")[0] in ("git", "dulwich", "pygit2") for name in names):
                yield f"{path}:{node.lineno} imports {names[0]}"
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [each for arg in node.args for each in (arg.elts if isinstance(arg, (ast.List, ast.Tuple)) else [arg])]
        first = words[0] if words else None
        plain = isinstance(first, ast.Constant) and str(first.value).split("/")[-1].split()[:1] in (
            ["git"],
            ["git.exe"],
        )
        found = isinstance(first, ast.Call) and getattr(first.func, "id", "") == "find_git"
        if path not in ALLOWED and (name in STARTS or name == "which") and (plain or found):
            yield f"{path}:{node.lineno} starts git"
        onto = any(keyword.arg == "work_tree" for keyword in node.keywords)
        if name == "Git" and onto and path not in WITH_FILES:
            yield f"{path}:{node.lineno} opens files of others"


def test_git_is_started_in_one_place() -> None:
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert set(sources) >= ALLOWED
    assert [fault for path, source in sources.items() for fault in faults(path, source)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['git', 'status'])",
        "from subprocess import Popen\nPopen(('/usr/bin/git', 'add'))",
        "import subprocess\nsubprocess.check_output('git status', shell=True)",
        "await asyncio.create_subprocess_exec('git', 'status')",
        "subprocess.run([find_git(), 'log'])",
        "import git\ngit.Repo('.')",
        "from git.repo import Repo",
        "shutil.which('git')",
        "Git(hub, index=i, work_tree=w)",
    ],
)
def test_control_another_place_would_be_found(source: str) -> None:
    assert list(faults("engine/other.py", source))


posix = pytest.mark.skipif(sys.platform == "win32", reason="the planted programs are shell scripts")
Plant = Callable[["Planted"], None]


class Planted:
    """A workspace whose agent has planted something; `evil` is a program that leaves a proof that it ran."""

    def __init__(self, run: Workspace, folder: Path) -> None:
        self.path, self.proof, self.evil = run.path, folder / "proof", folder / "evil"
        self.evil.write_text(f"#!/bin/sh\ntouch '{self.proof}'\n", encoding="utf-8")
        self.evil.chmod(0o755)

    def git(self, *words: str, timeout_s: float = 20.0) -> subprocess.CompletedProcess[bytes]:
        """As an engine would that does not know better."""
        return subprocess.run(
            ["git", *words],
            cwd=self.path,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def set(self, key: str, value: str) -> None:
        assert self.git("config", key, value).returncode == 0

    def attributes(self, line: str) -> None:
        (self.path / ".git/info").mkdir(exist_ok=True)
        (self.path / ".git/info/attributes").write_text(line + "\n", encoding="utf-8")
        (self.path / ".gitattributes").write_text(line + "\n", encoding="utf-8")


def included(at: Planted) -> None:
    other = at.path / "other.config"
    other.write_text(f"[core]\n\tfsmonitor = {at.evil}\n", encoding="utf-8")
    at.set("include.path", str(other))


def included_if(at: Planted) -> None:
    other = at.path / "other.config"
    other.write_text(f"[core]\n\tfsmonitor = {at.evil}\n", encoding="utf-8")
    at.set("includeIf.gitdir:**.path", str(other))


def textconv(at: Planted) -> None:
    at.attributes("* diff=evil")
    at.set("diff.evil.textconv", str(at.evil))


def compared(at: Planted) -> None:
    at.attributes("* diff=evil")
    at.set("diff.evil.command", str(at.evil))


def elsewhere(at: Planted) -> None:
    """`.git` as a file that names a repository of the agent's."""
    other = at.evil.with_name("other.git")
    shutil.copytree(at.path / ".git", other)
    shutil.rmtree(at.path / ".git")
    (at.path / ".git").write_text(f"gitdir: {other}\n", encoding="utf-8")
    at.set("core.fsmonitor", str(at.evil))


def worktree_config(at: Planted) -> None:
    at.set("extensions.worktreeConfig", "true")
    assert at.git("config", "--worktree", "core.fsmonitor", str(at.evil)).returncode == 0


PLANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "B01 fsmonitor": (lambda at: at.set("core.fsmonitor", str(at.evil)), ("status",)),
    "B06 diff.external": (lambda at: at.set("diff.external", str(at.evil)), ("diff",)),
    "B06 textconv": (textconv, ("diff",)),
    "B06 diff command": (compared, ("diff",)),
    "B07 alias": (lambda at: at.set("alias.st", f"!{at.evil}"), ("st",)),
    "B07 editor": (lambda at: at.set("core.editor", str(at.evil)), ("commit", "-a", "--allow-empty")),
    "B07 signing program": (lambda at: at.set("gpg.program", str(at.evil)), ("commit", "-aq", "-S", "-m", "x")),
    "B07 ssh command": (lambda at: at.set("core.sshCommand", str(at.evil)), ("ls-remote", "ssh://localhost/x")),
    "B07 credential helper": (
        lambda at: at.set("credential.helper", f"!{at.evil}"),
        ("-c", "credential.interactive=false", "credential", "fill"),
    ),
    "B09 include": (included, ("status",)),
    "B09 conditional include": (included_if, ("status",)),
    "B11 gitdir elsewhere": (elsewhere, ("status",)),
    "configuration of a worktree": (worktree_config, ("status",)),
    "process filter": (
        lambda at: (at.attributes("* filter=evil"), at.set("filter.evil.process", str(at.evil)), None)[-1],
        ("add", "-A"),
    ),
}


@posix
@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_runs_under_plain_git_and_not_under_ours(
    hub: Hub, workspaces: Workspaces, tmp_path: Path, name: str
) -> None:
    plant, trigger = PLANTS[name]
    run = workspaces.create("a.1", hub.main().commit)
    at = Planted(run, tmp_path)
    plant(at)
    (run.path / "a.txt").write_text("changed first\n", encoding="utf-8")
    stdin = b"protocol=https\nhost=example.org\n\n"
    subprocess.run(
        ["git", *trigger], cwd=run.path, input=stdin, capture_output=True, check=False, timeout=20,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )  # fmt: skip
    assert at.proof.exists(), f"the control did not run: {trigger}"
    at.proof.unlink()
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    harvest = workspaces.harvest(run)
    assert "a.txt" in harvest.changed_paths
    hub.diff_text(run.base_tree, harvest.tree)
    hub.merge_tree(hub.main().commit, harvest.commit)
    again = workspaces.create("b.1", hub.main().commit, harvest.tree)
    assert (again.path / "a.txt").read_text("utf-8") == "changed\n"
    assert not at.proof.exists()


@posix
def test_b33_locks_that_a_run_leaves_hold_nobody_up(hub: Hub, workspaces: Workspaces) -> None:
    run = workspaces.create("a.1", hub.main().commit)
    for lock in ("index.lock", "HEAD.lock", "config.lock", "refs/heads/work.lock"):
        (run.path / ".git" / lock).touch()
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    at = subprocess.run(["git", "add", "-A"], cwd=run.path, capture_output=True, check=False)
    assert at.returncode != 0  # the control
    assert workspaces.harvest(run).changed_paths == ["a.txt"]


def test_b29_a_message_is_taken_as_it_is_capped_by_nobody_but_without_zero_bytes(hub: Hub) -> None:
    tip = hub.main()
    made = hub.commit(tip.tree, [tip.commit], "subject\0hidden\n\nWork-Order: real\n", 0.0)
    (info,) = hub.commits_between(tip.commit, made)
    assert info.subject == "subject\ufffdhidden"
    assert info.author == "swarm <swarm@localhost>"


def test_b30_identity_in_the_environment_has_no_say(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Eve")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "eve@example.org")
        monkeypatch.setenv(f"GIT_{role}_DATE", "@1 +0000")
    tip = hub.main()
    raw = hub.git.run("cat-file", "commit", hub.commit(tip.tree, [tip.commit], "x\n", 1_700_000_000.0)).stdout
    assert raw.count(b"swarm <swarm@localhost> 1700000000 +0000") == 2
    assert b"Eve" in UserGit(hub.state).run("var", "GIT_AUTHOR_IDENT").stdout  # the control
    assert b"Eve" not in Git(hub.path).run("var", "GIT_AUTHOR_IDENT", ok=(0, 128)).stdout
