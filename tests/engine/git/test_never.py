"""No call of git of ours rewrites history, forces, or takes away what others have. The honest twins pass."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from engine.errors import SwarmError
from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.git.never import never

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW, MAIN = "a" * 40, "b" * 40, "refs/heads/main"
LEASE = f"--force-with-lease={MAIN}:{OLD}"

REFUSED = [
    ("rebase", "main"),
    ("rebase", "--onto", "main", "topic"),
    ("filter-branch", "--all"),
    ("filter-repo", "--path", "x"),
    ("reset", "--hard", OLD),
    ("replace", OLD, NEW),
    ("reflog", "expire", "--expire=now", "--all"),
    ("gc", "--prune=now"),
    ("pull", "--rebase"),
    ("stash",),
    ("commit", "--amend"),
    ("push", "--force", "origin", f"{NEW}:{MAIN}"),
    ("push", "-f", "origin", f"{NEW}:{MAIN}"),
    ("push", "-qf", "origin", f"{NEW}:{MAIN}"),
    ("push", "--force-with-lease", "origin", f"{NEW}:{MAIN}"),
    ("push", "--force-if-includes", LEASE, "origin", f"{NEW}:{MAIN}"),
    ("push", LEASE, "origin", f"+{NEW}:{MAIN}"),
    ("push", LEASE, "origin", f":{MAIN}"),
    ("push", LEASE, "--delete", "origin", "main"),
    ("push", LEASE, "-d", "origin", "main"),
    ("push", "--mirror", "origin"),
    ("push", "--all", "origin"),
    ("push", "--prune", LEASE, "origin", f"{NEW}:{MAIN}"),
    ("push", "origin", f"{NEW}:{MAIN}"),
    ("fetch", "origin", "+refs/heads/main:refs/heads/main"),
    ("fetch", "--force", "origin", "main:main"),
    ("fetch", "--prune", "origin"),
    ("update-ref", "-d", MAIN),
    ("update-ref", "--stdin"),
    ("update-ref", MAIN, NEW),
    ("update-ref", "--no-deref", "refs/heads/topic", NEW),
    ("branch", "-D", "topic"),
    ("branch", "--delete", "topic"),
    ("branch", "-M", "topic", "other"),
    ("branch", "-f", "main", NEW),
    ("tag", "-d", "v1"),
    ("merge", "--no-ff", "topic"),
    ("worktree", "remove", "--force", "x"),
]
ALLOWED = [
    ("push", "--porcelain", "--no-verify", LEASE, "origin", f"{NEW}:{MAIN}"),
    ("push", f"--force-with-lease={MAIN}:", "origin", f"{NEW}:{MAIN}"),
    ("fetch", "--quiet", "--no-prune", "origin", "+refs/heads/main:refs/swarm/remote/main"),
    ("fetch", "--quiet", "origin", "refs/notes/swarm:refs/notes/swarm"),
    ("update-ref", "--no-deref", MAIN, NEW, OLD),
    ("update-ref", "-m", "swarm publish", MAIN, NEW, OLD),
    ("update-ref", "--no-deref", "refs/swarm/keep/a", NEW),
    ("update-ref", "refs/heads/work", NEW),
    ("merge", "--quiet", "--ff-only", "refs/swarm/main"),
    ("worktree", "list", "--porcelain"),
    ("notes", "--ref=refs/notes/swarm", "add", "-f", "-C", NEW, OLD),
    ("commit-tree", "-p", OLD, "-F", "-", NEW),
    ("checkout-index", "-f", "-u", "-z", "--stdin"),
]


@pytest.mark.parametrize("args", REFUSED, ids=" ".join)
def test_what_takes_something_away_is_told_apart(args: tuple[str, ...]) -> None:
    assert never(args)


def test_no_door_runs_it(hub: Hub) -> None:
    before = hub.main()
    for args in REFUSED:
        for git in (hub.git, UserGit(hub.path)):
            with pytest.raises(SwarmError, match="never does that"):
                git.run(*args)
        with pytest.raises(SwarmError, match="never does that"):
            hub.git.head(*args, cap_bytes=10)
    assert hub.main() == before
    assert hub.git.run("rev-parse", MAIN).line == before.commit  # the control


@pytest.mark.parametrize("args", ALLOWED, ids=" ".join)
def test_control_what_the_swarm_does_is_let_through(args: tuple[str, ...]) -> None:
    assert never(args) == ""


WORDS = ("rebase", "filter-branch", "filter-repo", "--force", "--mirror", "--amend", "--hard", "push -f")


def dangerous(path: Path) -> list[str]:
    """Calls in a source file that pass such a word on."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if words[:1] != ["checkout"]:  # of a scratch clone: no ref moves
                found += [f"{path.name}:{node.lineno} {word}" for word in words if word in WORDS]
    return found


def test_no_source_passes_such_a_word_to_anything(tmp_path: Path) -> None:
    sources = [path for package in ("engine", "gates", "swarm_tui") for path in (ROOT / package).rglob("*.py")]
    about = ("never.py", "rules.py")  # they tell such words apart
    assert [fault for path in sources if path.name not in about for fault in dangerous(path)] == []
    planted = tmp_path / "planted.py"
    planted.write_text('hub.git.run("push", "--force", "origin")\n', encoding="utf-8")
    assert dangerous(planted) == ["planted.py:1 --force"]
