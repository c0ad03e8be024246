"""The working tree as a tree object, while nothing of the person's is touched: neither his index nor his objects."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.git.names import check_id

_LONG_S = 300.0


@dataclass(frozen=True)
class Working:
    """commit: HEAD. tree: what `git add -A` would commit now. files: how many differ from HEAD; 0: the tree is
    HEAD's."""

    commit: str
    tree: str
    files: int


def working_tree(hub: Hub, root: Path) -> Working:
    """Look at the working tree with the person's own settings (ignored files, line ends). Its objects go into the hub,
    through an index that is gone afterwards. Blocking. Raises UserError without HEAD, GitError for anything else."""
    commit = hub.fetch_objects(root, "HEAD")
    git = UserGit(root)
    rows = git.run("status", "--porcelain=v1", "-z", "--no-renames", timeout_s=_LONG_S).stdout.split(b"\0")
    files = sum(1 for row in rows if row)
    if not files:
        return Working(commit, hub.tree_of(commit), 0)
    with tempfile.TemporaryDirectory(prefix="swarm-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index"), "GIT_OBJECT_DIRECTORY": str(hub.path / "objects")}
        git.run("read-tree", commit, env=env)
        git.run("add", "--all", "--", ".", env=env, timeout_s=_LONG_S)
        tree = check_id(git.run("write-tree", env=env).line)
    return Working(commit, tree, files if tree != hub.tree_of(commit) else 0)
