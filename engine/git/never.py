"""What git is never told to do, on whatever repository: rewrite history, force, or take away what others have.

This is no sandbox for git: it is the one place that every call of ours passes, so that a bug elsewhere cannot become a
lost commit.
"""

from __future__ import annotations

from collections.abc import Sequence

_COMMANDS = frozenset(
    {"rebase", "filter-branch", "filter-repo", "replace", "reset", "reflog", "fast-import", "send-pack", "pull", "gc"}
    | {"prune", "stash"}
)
_TAKING = frozenset({"--force", "--delete", "--move", "--prune", "--mirror", "--amend", "--all", "--copy"})
_SHORT = {
    "push": "fdn",
    "fetch": "fp",
    "update-ref": "dz",
    "branch": "dDmMcCf",
    "tag": "df",
    "commit": "a",
}
"""Letters of short options that force, delete or move, by command."""
_OURS = ("refs/swarm/", "refs/heads/work")
"""Refs that are nobody else's: the engine's own, and the one branch of a run's private clone."""


def never(args: Sequence[str]) -> str:
    """What is wrong with `git ARGS`, as a few words; "" when it may run."""
    command, rest = args[0], list(args[1:])
    if command in _COMMANDS:
        return f"git {command} rewrites or drops what is there"
    options = [word for word in rest if word.startswith("-")]
    letters = _SHORT.get(command, "")
    for option in options:
        short = not option.startswith("--") and any(letter in letters for letter in option[1:])
        if letters and (option in _TAKING or short):
            return f"git {command} {option} forces, moves or deletes"
    plain = [word for word in rest if not word.startswith("-")]
    if command == "push":
        return _push(options, plain)
    if command == "fetch":
        return _fetch(plain)
    if command == "update-ref":
        return _update_ref(options, plain)
    if command == "merge" and "--ff-only" not in options:
        return "git merge makes a commit that nothing has gated"
    if command == "worktree" and plain[:1] != ["list"]:
        return "git worktree changes what is checked out elsewhere"
    return ""


def _push(options: Sequence[str], plain: Sequence[str]) -> str:
    leases = [option for option in options if option.startswith("--force")]
    if any(not option.startswith("--force-with-lease=refs/") or ":" not in option for option in leases):
        return "git push without the commit that is expected there"
    if any(word.startswith((":", "+")) for word in plain):
        return "git push forces or deletes a ref"
    # The lease names the commit that was looked at, and it is an ancestor: so it is a fast-forward or nothing.
    return "" if leases else "git push without a lease"


def _fetch(plain: Sequence[str]) -> str:
    forced = [word for word in plain if word.startswith("+")]
    if any(not word.partition(":")[2].startswith("refs/swarm/") for word in forced):
        return "git fetch forces a ref that is not the engine's own"
    return ""


def _update_ref(options: Sequence[str], plain: Sequence[str]) -> str:
    if "--stdin" in options:
        return "git update-ref --stdin hides what it changes"
    ref = next((word for word in plain if word.startswith("refs/")), "")
    told = len(plain) - plain.index(ref) - 1 if ref else 0
    if told < 2 and not ref.startswith(_OURS):
        return f"git update-ref {ref} without its old value"
    return ""
