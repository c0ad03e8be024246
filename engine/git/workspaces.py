"""Workspaces: disposable private repositories, one a run, and the harvest of their files.

A workspace borrows objects from the store with main's history only, has one branch, and nothing in its `.git` is ever
read again. What a run did is found out with the engine's own index over the files, and the engine makes the commit.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.durable import write_durably
from engine.errors import GitError, SwarmError
from engine.git.door import TIMED_OUT, Git
from engine.git.hub import Hub
from engine.git.names import GITLINK, check_id, safe_name
from engine.git.removal import move_aside, sweep_aside
from engine.git.scan import Caps, check_amount, index_rows, tidy
from engine.git.stores import NO_FILTERS, init
from engine.text.sanitise import sanitise_line

_LONG_S = 600.0

# Many small objects at once: write them all, then flush the disk once.
_BATCH = {"core.fsyncMethod": "batch", "core.looseCompression": "1"}


@dataclass(frozen=True)
class Workspace:
    """One run's files at `path`. Ids are full.

    base_commit, base_tree: where the run started from. start_tree: the files it was given (base's, or a kept tree's).
    index: the engine's index, outside of the workspace. untouched_tree: the harvest of the workspace before anybody
    touched it; it differs from start_tree where line-ending rules would normalise a file.
    """

    run_id: str
    path: Path
    base_commit: str
    base_tree: str
    start_tree: str
    index: Path
    untouched_tree: str


@dataclass(frozen=True)
class Harvest:
    """What a run left: a tree, and a commit of it on `base_commit` that is kept under the run's name.

    changed_paths: against base, exact (bytes that are not UTF-8 as surrogates). skipped: what was not taken, one
    sanitised line each.
    """

    tree: str
    commit: str
    base_commit: str
    changed_paths: list[str]
    skipped: list[str]


class Workspaces:
    """All workspaces below `folder`. Synchronous; different runs may be handled from different threads."""

    def __init__(self, hub: Hub, folder: Path, caps: Caps | None = None) -> None:
        self._hub, self._caps = hub, caps or Caps()
        self._files, self._side, self._trash = folder / "files", folder / "index", folder / "trash"

    def create(self, run_id: str, base_commit: str, over_tree: str | None = None) -> Workspace:
        """A fresh workspace with base's files, or those of the kept tree `over_tree`; the branch is on base either way.

        Raises SwarmError when the run has a workspace already, or base is not on main; GitError.
        """
        path, side = self._files / safe_name(run_id), self._side / safe_name(run_id)
        if (side / "workspace.json").exists():
            raise SwarmError(f"run {run_id} has a workspace already")
        self._clear(path, side)
        self._borrowable(base_commit)
        base_tree = self._hub.tree_of(check_id(base_commit))
        start = self._hub.tree_of(check_id(over_tree)) if over_tree else base_tree
        index = side / "index"
        path.mkdir(parents=True)
        side.mkdir(parents=True)
        door = Git(self._hub.path, index=index, work_tree=path, durable=False)
        door.run("read-tree", "-m", "-u", start, timeout_s=_LONG_S)
        self._private_repository(path, base_commit, base_tree, index if start == base_tree else None)
        untouched = self._write_tree_of(path, index, start, cold=True)
        workspace = Workspace(run_id, path, base_commit, base_tree, start, index, untouched)
        saved = {name: str(value) for name, value in asdict(workspace).items() if name not in ("path", "index")}
        write_durably(side / "workspace.json", json.dumps(saved).encode("utf-8"))
        return workspace

    def open(self, run_id: str) -> Workspace | None:
        """The workspace of a run that started before the engine did; None when there is none, or a half-made one."""
        side = self._side / safe_name(run_id)
        path = self._files / safe_name(run_id)
        try:
            saved = json.loads((side / "workspace.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Workspace(path=path, index=side / "index", **saved) if path.is_dir() else None

    def harvest(self, workspace: Workspace) -> Harvest:
        """Take what is in the workspace now, make a commit of it, and keep that. Nobody may write there meanwhile.

        Raises SwarmError, one sentence for the agent, when the files cannot be taken (too many, names that git
        refuses); GitError when git failed otherwise. Can be repeated: the same files give the same commit.
        """
        skipped = tidy(workspace.path, workspace.index.parent / "aside", self._caps)
        try:
            after = self._write_tree_of(workspace.path, workspace.index, workspace.untouched_tree, cold=False)
        except GitError as error:
            raise _refused(error) from error
        tree = self._on_start(workspace, after)
        tip = self._hub.commits_between(None, workspace.base_commit, limit=1)[0]
        message = f"Harvest of run {sanitise_line(workspace.run_id)}\n"
        commit = self._hub.commit(tree, [workspace.base_commit], message, tip.at)
        self._hub.keep(workspace.run_id, commit)
        paths = [change.path for change in self._hub.changed(workspace.base_tree, tree)]
        return Harvest(tree, commit, workspace.base_commit, paths, skipped)

    def remove(self, workspace: Workspace) -> bool:
        """Remove a workspace whose harvest is in the hub. False, with nothing removed, when there is no such proof."""
        kept = self._hub.kept(workspace.run_id)
        if kept is None or not self._hub.has(self._hub.tree_of(kept)):
            return False
        self._clear(workspace.path, workspace.index.parent)
        return True

    def discard(self, workspace: Workspace) -> None:
        """Remove a workspace without proof: what is only there is lost. For a person's explicit wish."""
        self._clear(workspace.path, workspace.index.parent)

    def names(self) -> list[str]:
        """The run ids of all workspaces that are there."""
        found = self._side.glob("*/workspace.json")
        return sorted(json.loads(file.read_text(encoding="utf-8"))["run_id"] for file in found)

    def sweep(self) -> int:
        """At the engine's start: remove half-made workspaces and what could not be removed earlier (open files on
        Windows). How many such folders are still there."""
        complete = {file.parent.name for file in self._side.glob("*/workspace.json")}
        for folder in (self._files, self._side):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if entry.name not in complete:
                    move_aside(entry, self._trash)
        return sweep_aside(self._trash)

    def _clear(self, path: Path, side: Path) -> None:
        # The record first: without it, what a crash leaves of the rest counts as litter.
        (side / "workspace.json").unlink(missing_ok=True)
        for folder in (path, side):
            if not move_aside(folder, self._trash):
                raise SwarmError(f"{folder} is in use by another program and cannot be removed yet")

    def _borrowable(self, base_commit: str) -> None:
        """Base's store has main's history only; it may be a landing behind."""
        if self._in_base(base_commit):
            return
        self._hub.advance_base()
        if not self._in_base(base_commit):
            raise SwarmError(f"commit {base_commit[:12]} is not on main, so no workspace can start from it")

    def _in_base(self, commit: str) -> bool:
        return self._hub.base.run("cat-file", "-e", f"{check_id(commit)}^{{commit}}", ok=(0, 1, 128)).returncode == 0

    def _private_repository(self, path: Path, base_commit: str, base_tree: str, index: Path | None) -> None:
        """The agent's own repository. Fresh here, hostile from the agent's first second on: this is our last look."""
        own = Git(path / ".git", work_tree=path, durable=False)
        init(own, object_format="sha1" if len(base_commit) == 40 else "sha256", branch="work")
        info = path / ".git" / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(NO_FILTERS, encoding="utf-8", newline="\n")
        alternates = path / ".git" / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        store = (self._hub.base_path / "objects").resolve().as_posix()
        alternates.write_text(f"{store}\n", encoding="utf-8", newline="\n")
        for key, value in _OWN_SETTINGS.items():
            own.run("config", key, value)
        own.run("update-ref", "refs/heads/work", base_commit)
        if index is not None:
            shutil.copy2(index, path / ".git" / "index")
        else:  # a kept tree's files over base's index show as changes that are not committed yet
            own.run("read-tree", base_tree)
            own.run("update-index", "-q", "--refresh", ok=(0, 1), timeout_s=_LONG_S)

    def _write_tree_of(self, path: Path, index: Path, known: str, *, cold: bool) -> str:
        """Add all files over an index that holds `known`, and write the tree.

        cold: hash every file, and let the result be the engine's index, so that line endings that git would normalise
        are in it before the run starts. Otherwise work on a copy: unchanged files (by size, mtime, ctime, inode) keep
        what the cold index says. Where ctime cannot be trusted, every harvest is cold.
        """
        fresh = index.with_name(f"index-{uuid.uuid4().hex}")
        door = Git(self._hub.path, index=fresh, work_tree=path)
        try:
            if cold or sys.platform == "win32":
                door.run("read-tree", known)
            else:
                shutil.copy2(index, fresh)  # with its mtime, by which git knows which entries may be racy
            if not cold:
                check_amount(door, path, self._caps)
            door.run("add", "-A", "--no-warn-embedded-repo", "--", ".", settings=_BATCH, timeout_s=_LONG_S)
            tree = check_id(door.run("write-tree").line)
            if cold:
                fresh.replace(index)
        finally:
            fresh.unlink(missing_ok=True)
            fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
        return tree

    def _on_start(self, workspace: Workspace, after: str) -> str:
        """What the run changed (untouched -> after), applied to what it was given. Gitlinks stay as they were given."""
        changes = self._hub.changed(workspace.untouched_tree, after)
        if not changes:
            return workspace.start_tree
        links = {entry.path for entry in self._hub.entries(workspace.start_tree) if entry.mode == GITLINK}
        rows: list[tuple[str, str, str]] = []
        for change in changes:
            below = any(change.path == link or change.path.startswith(f"{link}/") for link in links)
            if not below and GITLINK not in (change.old_mode, change.new_mode):
                mode = "0" if change.status == "D" else change.new_mode
                rows.append((mode, change.new_sha, change.path))
        scratch = workspace.index.with_name(f"index-{uuid.uuid4().hex}")
        door = Git(self._hub.path, index=scratch)
        try:
            door.run("read-tree", workspace.start_tree)
            door.run("update-index", "-z", "--index-info", stdin=index_rows(rows), timeout_s=_LONG_S)
            return check_id(door.run("write-tree").line)
        finally:
            scratch.unlink(missing_ok=True)


_OWN_SETTINGS = {
    "user.name": "agent",
    "user.email": "agent@localhost",
    "commit.gpgSign": "false",
    "core.autocrlf": "false",
    "core.eol": "lf",
    "gc.auto": "0",
}


def _refused(error: GitError) -> SwarmError:
    """A failure that the run's files caused becomes a sentence for its agent; one of the machine stays what it is."""
    if error.argv[:1] == ["add"] and error.returncode == TIMED_OUT:
        return SwarmError("git could not read the workspace's files in time")
    theirs = ("invalid path", "does not have a commit checked out", "Filename too long", "File name too long")
    words = next((line for line in error.stderr.splitlines() if any(part in line for part in theirs)), None)
    if words is None:
        return error
    return SwarmError(f"git refuses a file that the run left: {sanitise_line(words)[:300]}")
