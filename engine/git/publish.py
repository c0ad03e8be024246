"""Bringing hub's main to the user's own repository, without ever taking something from him.

Fast-forward only; a clean checkout of the branch goes along; anything else waits as "publish pending" with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import GitError
from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.git.names import check_branch, decode_path
from engine.git.user_repository import Repository, inspect, user_tip
from engine.text.sanitise import sanitise_line

__all__ = ["Pending", "Published", "Repository", "inspect", "publish", "user_tip"]

PUBLISHED_REF = "refs/swarm/main"
"""Where hub's main lies in the user's repository before his branch moves to it."""

_LONG_S = 600.0

_TRACKED_ONLY = ("--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames")

_BUSY = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or git am",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}


@dataclass(frozen=True)
class Published:
    """The user's branch is at `commit`, hub's main."""

    commit: str


@dataclass(frozen=True)
class Pending:
    """The user's repository was left alone. `reason` is one sentence that says what to do."""

    reason: str
    diverged: bool = False
    """The user's branch has commits that hub's main does not have."""


@dataclass(frozen=True)
class _Worktree:
    path: Path
    branch: str
    locked: bool


def publish(hub: Hub, user_repo: Path, branch: str) -> Published | Pending:
    """Fast-forward the user's branch, and a clean checkout of it, to hub's main.

    With the user's environment and settings (his line endings), without hooks. Nothing is overwritten: no tracked
    change, no untracked file, no ignored one. A crash in between is repaired by the next call. Raises GitError when git
    fails in a way that no person's work explains.
    """
    new = hub.main().commit
    name = sanitise_line(check_branch(branch))
    git = UserGit(user_repo)
    old, arrived = _refs(git, branch)
    if old is None:
        return _pending(f"The branch {name} is gone from {user_repo}: make it again with `git branch {name} {new}`.")
    places = _worktrees(git)
    holders = [place for place in places if place.branch == branch]
    if found := _in_the_way(git, places, holders, name):
        return _pending(found)
    if holders and arrived is not None and arrived != old:
        _repair(UserGit(holders[0].path), branch, old, arrived)
        old = user_tip(user_repo, branch) or old
    if old == new:
        return Published(new)
    dirt = _dirt(UserGit(holders[0].path)) if holders else None
    if dirt:
        return _pending(
            f"{holders[0].path} has uncommitted changes ({sanitise_line(dirt)[:120]}): commit or stash them, "
            "and the swarm's commits arrive."
        )
    _fetch(git, hub)
    ahead = (
        f"{name} has commits that the swarm's main does not have yet: leave them there, "
        "the swarm takes them in and publishes both."
    )
    # A merge sees for itself whether it is a fast-forward; then we ask only to give the reason.
    if not holders and not _is_ancestor(git, old, new):
        return _pending(ahead, diverged=True)
    failed = _fast_forward(UserGit(holders[0].path)) if holders else _move_ref(git, branch, new, old)
    if user_tip(user_repo, branch) == new:
        return Published(new)
    if holders and not _is_ancestor(git, old, new):
        return _pending(ahead, diverged=True)
    return _pending(
        failed or f"{name} moved while it was being published: nothing to do, the next attempt looks again."
    )


def _pending(reason: str, *, diverged: bool = False) -> Pending:
    """Paths in it come from outside."""
    return Pending(sanitise_line(reason), diverged)


def _in_the_way(git: UserGit, places: list[_Worktree], holders: list[_Worktree], name: str) -> str | None:
    if len(holders) > 1:
        return (
            f"{name} is checked out in {holders[0].path} and {holders[1].path}: switch one of them to another branch."
        )
    for place in holders:
        if not place.path.is_dir():
            return f"{name} is checked out in {place.path}, which is not there: mount it or run `git worktree prune`."
        git_dir = _git_dir(UserGit(place.path))
        for file, what in _BUSY.items():
            if (git_dir / file).exists():
                return f"{place.path} is in the middle of {what}: finish or abort it, and the swarm's commits arrive."
        if (git_dir / "index.lock").exists():
            return f"{place.path} is in use by another git: if none runs, remove {git_dir / 'index.lock'}."
    for place in places:
        if place not in holders and place.path.is_dir() and (what := _claims(_git_dir(UserGit(place.path)), name)):
            doing = f"{what} of {name}"
            return f"{place.path} is in the middle of {doing}: finish or abort it, and the swarm's commits arrive."
    return None


def _claims(git_dir: Path, branch: str) -> str | None:
    """What is under way in a worktree with a detached HEAD that will come back to the branch."""
    for file, what in (
        ("rebase-merge/head-name", "a rebase"),
        ("rebase-apply/head-name", "a rebase"),
        ("BISECT_START", "a bisection"),
    ):
        try:
            words = (git_dir / file).read_text(encoding="utf-8", errors="surrogateescape").strip()
        except OSError:
            continue
        if words in (branch, f"refs/heads/{branch}"):
            return what
    return None


def _refs(git: UserGit, branch: str) -> tuple[str | None, str | None]:
    """The commits of the user's branch and of what last arrived for it, by one call of git."""
    ours = f"refs/heads/{branch}"
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname)", ours, PUBLISHED_REF)
    found: dict[str, str] = {}
    for line in listed.line.splitlines():
        commit, _, ref = line.partition(" ")
        found[ref] = commit
    return found.get(ours), found.get(PUBLISHED_REF)


def _repair(git: UserGit, branch: str, old: str, new: str) -> None:
    """A crash after git wrote index and files and before it moved the ref: what is checked out is the new tree already.

    Seen by: index = tree of `new`, which was being published, files = index, HEAD = an ancestor of it. Then only the
    ref moves.
    """
    staged = git.run("diff-index", "--cached", "--quiet", "--ignore-submodules=all", new, "--", ok=(0, 1))
    if staged.returncode != 0 or not _is_ancestor(git, old, new):
        return
    if git.run("diff-index", "--cached", "--quiet", "--ignore-submodules=all", old, "--", ok=(0, 1)).returncode == 0:
        return  # both trees are the same: nothing tells that a publication was under way
    if _unclean_files(git):
        return
    _move_ref(git, branch, new, old)


def _unclean_files(git: UserGit) -> bool:
    """Whether a tracked file differs from the index. `status` refreshes in memory, so that a touched file is clean."""
    listed = git.run(
        "status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"
    )
    return any(row[1:2] not in (b" ", b"") for row in listed.stdout.split(b"\0") if row)


def _dirt(git: UserGit) -> str | None:
    """The first tracked path that is changed or staged, or None."""
    listed = git.run("status", *_TRACKED_ONLY, timeout_s=_LONG_S)
    first = listed.stdout.split(b"\0", 1)[0]
    return decode_path(first[3:]) if first else None


def _fetch(git: UserGit, hub: Hub) -> None:
    git.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
        "--no-prune", "--refmap=", "--", str(hub.path.resolve()), f"+refs/heads/main:{PUBLISHED_REF}",
        settings={"protocol.file.allow": "always"}, timeout_s=_LONG_S,
    )  # fmt: skip


def _fast_forward(git: UserGit) -> str | None:
    """None, or why git did not want to."""
    done = git.run(
        "merge", "--quiet", "--ff-only", "--no-overwrite-ignore", "--no-autostash", "--no-squash", "--commit",
        "--no-verify-signatures", "--no-stat", PUBLISHED_REF,
        ok=(0, 1, 2, 128), settings={"submodule.recurse": "false"}, timeout_s=_LONG_S,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    named = [line.strip() for line in done.stderr.splitlines() if line.startswith("\t")]
    if named and "untracked" in done.stderr:
        first = sanitise_line(named[0])[:200]
        return f"{git.folder} has the file {first}, which git does not track and the swarm adds: move it away."
    if named:
        return f"{git.folder} has changes in {sanitise_line(named[0])[:200]}: commit or stash them."
    said = sanitise_line(words[0] if words else f"exit code {done.returncode}")[:200]
    return (
        f"git would not fast-forward {git.folder} ({said}): run `git merge --ff-only {PUBLISHED_REF}` there to see why."
    )


def _move_ref(git: UserGit, branch: str, new: str, old: str) -> str | None:
    ref = f"refs/heads/{branch}"
    done = git.run("update-ref", "-m", "swarm publish", ref, new, old, ok=(0, 1, 128))
    if done.returncode == 0:
        return None
    return f"git could not move {sanitise_line(branch)} ({sanitise_line(done.stderr.strip())[:200]}): see to that."


def _is_ancestor(git: UserGit, old: str, new: str) -> bool:
    return git.run("merge-base", "--is-ancestor", old, new, ok=(0, 1), timeout_s=_LONG_S).returncode == 0


def _git_dir(git: UserGit) -> Path:
    if (plain := git.folder / ".git").is_dir():
        return plain
    return Path(decode_path(git.run("rev-parse", "--absolute-git-dir").stdout.rstrip(b"\r\n")))


def _worktrees(git: UserGit) -> list[_Worktree]:
    """All worktrees that are there or locked; the remains of deleted ones hold no branch."""
    listed = git.run("worktree", "list", "--porcelain", "-z").stdout
    places: list[_Worktree] = []
    for block in listed.split(b"\0\0"):
        fields = dict(_field(row) for row in block.split(b"\0") if row)
        if "worktree" in fields and "prunable" not in fields and "bare" not in fields:
            branch = fields.get("branch", "").removeprefix("refs/heads/")
            places.append(_Worktree(Path(fields["worktree"]), branch, "locked" in fields))
    if not places:
        raise GitError(["worktree", "list"], 0, "no worktree was listed")
    return places


def _field(row: bytes) -> tuple[str, str]:
    name, _, value = row.partition(b" ")
    return name.decode("ascii", "replace"), decode_path(value)
