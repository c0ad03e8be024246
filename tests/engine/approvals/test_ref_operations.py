"""No code of ours rewrites history, forces a push or deletes a ref: such an operation exists only as a question."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("engine", "gates", "canary", "roles", "swarm_tui")
NEVER = frozenset(
    {"push", "rebase", "reset", "filter-branch", "filter-repo", "reflog", "gc", "prune", "stash", "clean", "branch",
     "tag", "send-pack", "replace", "pack-refs", "switch", "checkout", "restore", "rm", "mv", "am", "cherry-pick"}
)  # fmt: skip
FORCING = ("-d", "--delete", "--stdin", "--force", "--mirror", "--prune", "--hard", "+refs/", "-D")
MOVES_A_REF = frozenset({"update-ref", "symbolic-ref", "worktree", "fetch", "notes"})
ALLOWED = {
    # main moves only from the value that it is known to have
    ("engine/git/hub.py", "update-ref"): "main with its old value; else refs/swarm/keep/",
    ("engine/git/publish.py", "update-ref"): "with its old value",
    ("engine/git/workspaces.py", "update-ref"): "the one branch of a workspace's own, new repository",
    ("swarm_tui/rerunning.py", "update-ref"): "a clean clone of its own",
    ("swarm_tui/recording.py", "update-ref"): "a new repository of its own",
    ("swarm_tui/bisection/probing.py", "checkout"): "a clone of its own, without force",
    ("engine/git/user_repository.py", "symbolic-ref"): "only read",
    ("engine/git/publish.py", "worktree"): "only listed",
    ("engine/git/notes.py", "notes"): "refs of evidence; what is replaced says the same",
}


def git_calls(source: str) -> Iterator[tuple[str, list[str], int]]:
    """Calls that hand a literal git command to something called `run`: the command, its literal arguments, the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run":
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, words[1:], node.lineno


def faults(source: str, file: str) -> list[str]:
    found: list[str] = []
    for command, words, line in git_calls(source):
        forced = [word for word in words if word.startswith(FORCING)]
        if command in NEVER and (forced or (file, command) not in ALLOWED):
            found.append(f"{file}:{line} git {command}")
        elif command in MOVES_A_REF and (forced or (file, command) not in ALLOWED) and command != "fetch":
            found.append(f"{file}:{line} git {command} {forced}")
        elif command == "fetch" and any(word.startswith(("--force", "-f", "--prune", "+")) for word in words):
            found.append(f"{file}:{line} git fetch {words}")
    return found


def test_no_code_of_ours_forces_anything_on_a_ref() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    assert [fault for file, source in sources.items() for fault in faults(source, file)] == []
    seen = {(file, command) for file, source in sources.items() for command, _, _ in git_calls(source)}
    assert set(ALLOWED) <= seen, "what is allowed here and is done no longer is not to be allowed"


@pytest.mark.parametrize(
    "line",
    [
        'git.run("push", "--force", "origin", "main")',
        'self._git.run("update-ref", "-d", "refs/heads/main")',
        'hub.git.run("branch", "-D", name)',
        'git.run("reset", "--hard", old)',
        'git.run("reflog", "expire", "--all")',
        'git.run("gc", "--prune=now")',
        'git.run("fetch", "origin", "+refs/heads/*:refs/heads/*")',
        'git.run("worktree", "remove", "--force", other)',
    ],
)
def test_each_of_them_would_be_found(line: str) -> None:
    assert faults(line, "engine/git/new.py")
    assert not faults('git.run("log", "-1")', "engine/git/new.py")
