"""Publishing to the user's repository: everything arrives, nothing of his is touched."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.git.hub import Hub
from engine.git.publish import Pending, Published, inspect, publish, user_tip


def _pending(hub: Hub, user: Any, words: str) -> str:
    """Publishing waits, says these words in one sentence, and leaves branch and files alone."""
    before = user.head("main"), user("status", "--porcelain", "--ignored"), user("stash", "list")
    outcome = publish(hub, user.root, "main")
    assert isinstance(outcome, Pending), outcome
    assert words in outcome.reason
    assert outcome.reason.endswith(".")
    assert "\n" not in outcome.reason
    assert (user.head("main"), user("status", "--porcelain", "--ignored"), user("stash", "list")) == before
    return outcome.reason


def test_a_clean_checkout_goes_along(hub: Hub, user: Any, land: Any) -> None:
    new = land({"a.txt": "A\n", "dir/new": "n\n", "src/b.txt": None})
    assert publish(hub, user.root, "main") == Published(new)
    assert user.head("main") == user.head() == new
    assert (user.root / "a.txt").read_bytes() == b"A\n"
    assert (user.root / "dir" / "new").exists()
    assert not (user.root / "src" / "b.txt").exists()
    assert user("status", "--porcelain") == ""
    assert publish(hub, user.root, "main") == Published(new)


def test_untracked_and_ignored_files_elsewhere_stay(hub: Hub, user: Any, land: Any) -> None:
    user.write(mine="mine", **{"x.o": "o"})
    new = land({"a.txt": "A\n"})
    assert publish(hub, user.root, "main") == Published(new)
    assert user("status", "--porcelain", "--ignored") == "?? mine\n!! x.o"


def test_a_touched_file_is_not_a_change(hub: Hub, user: Any, land: Any) -> None:
    new = land({"a.txt": "A\n"})
    os.utime(user.root / "a.txt", (1, 1))
    assert publish(hub, user.root, "main") == Published(new)


def test_uncommitted_changes_wait(hub: Hub, user: Any, land: Any) -> None:
    new = land({"b": "b\n"})
    user.write(**{"a.txt": "mine\n"})
    assert "a.txt" in _pending(hub, user, "uncommitted changes")
    user("add", "a.txt")
    _pending(hub, user, "commit or stash")
    user("reset", "-q", "--hard")
    assert publish(hub, user.root, "main") == Published(new)


@pytest.mark.parametrize("name", ["new.txt", "new.o"])
def test_a_file_in_the_way_is_not_overwritten_even_when_ignored(name: str, hub: Hub, user: Any, land: Any) -> None:
    land({".gitignore": "*.tmp\n"})
    new = land({name: "theirs\n"})
    user.write(**{name: "mine\n"})
    assert name in _pending(hub, user, "move it away")
    assert (user.root / name).read_bytes() == b"mine\n"
    (user.root / name).unlink()
    assert publish(hub, user.root, "main") == Published(new)


def test_a_branch_that_is_checked_out_nowhere_moves_without_touching_files(hub: Hub, user: Any, land: Any) -> None:
    user("checkout", "-q", "-b", "other")
    user.write(**{"a.txt": "dirty on another branch\n"})
    new = land({"a.txt": "A\n"})
    assert publish(hub, user.root, "main") == Published(new)
    assert user.head("main") == new
    assert (user.root / "a.txt").read_bytes() == b"dirty on another branch\n"


def test_a_detached_head_stays_where_it_is(hub: Hub, user: Any, land: Any) -> None:
    user("checkout", "-q", "--detach")
    old, new = user.head(), land({"a.txt": "A\n"})
    assert publish(hub, user.root, "main") == Published(new)
    assert (user.head(), user.head("main")) == (old, new)
    assert user("status", "--porcelain") == ""


def test_the_worktree_that_has_the_branch_goes_along(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    user("checkout", "-q", "-b", "other")
    tree = tmp_path / "new\nline" if sys.platform != "win32" else tmp_path / "tree"
    user("worktree", "add", "-q", str(tree), "main")
    one = land({"a.txt": "A\n"})
    assert publish(hub, user.root, "main") == Published(one)
    assert (tree / "a.txt").read_bytes() == b"A\n"
    assert (user.root / "a.txt").read_bytes() == b"a\n"
    (tree / "a.txt").write_text("dirty\n", encoding="utf-8")
    two = land({"b": "b\n"})
    _pending(hub, user, "uncommitted changes")
    (tree / "a.txt").write_text("A\n", encoding="utf-8")
    assert publish(hub, tree, "main") == Published(two)


def test_the_remains_of_a_deleted_worktree_hold_nothing_back(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    user("checkout", "-q", "-b", "other")
    user("worktree", "add", "-q", str(tmp_path / "gone"), "main")
    shutil.rmtree(tmp_path / "gone")
    new = land({"b": "b\n"})
    assert publish(hub, user.root, "main") == Published(new)


def test_a_locked_worktree_that_is_not_there_waits(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    user("checkout", "-q", "-b", "other")
    user("worktree", "add", "-q", "--lock", str(tmp_path / "usb"), "main")
    shutil.rmtree(tmp_path / "usb")
    land({"b": "b\n"})
    _pending(hub, user, "which is not there")


def _conflict(user: Any) -> None:
    user("checkout", "-q", "-b", "topic")
    user.commit("topic", {"a.txt": "topic\n"})
    user("checkout", "-q", "main")


def test_a_rebase_of_main_waits(hub: Hub, user: Any, land: Any) -> None:
    _conflict(user)
    base = user.head()
    user.commit("mine", {"a.txt": "mine\n"})
    user("rebase", "topic", check=False)
    assert user("symbolic-ref", "-q", "HEAD", check=False) == ""  # HEAD is detached while it goes on
    land({"b": "b\n"})
    assert "a rebase of main" in _pending(hub, user, "finish or abort it")
    user("rebase", "--abort")
    user("reset", "-q", "--hard", base)
    assert isinstance(publish(hub, user.root, "main"), Published)


@pytest.mark.parametrize(
    ("what", "start"),
    [
        ("a merge", ("merge", "topic")),
        ("a cherry-pick", ("cherry-pick", "topic")),
        ("a bisection", ("bisect", "start")),
    ],
)
def test_what_is_under_way_on_main_waits(what: str, start: tuple[str, ...], hub: Hub, user: Any, land: Any) -> None:
    _conflict(user)
    hub_main = user.head()
    user.commit("mine", {"a.txt": "mine\n"})
    assert hub.fetch_user(user.root, "main") != hub_main
    assert hub.move_main(hub.fetch_user(user.root, "main"), hub.main().commit)
    hub.advance_base()
    new = land({"b": "b\n"})
    user(*start, check=False)
    _pending(hub, user, f"in the middle of {what}")
    if what == "a bisection":
        user("bisect", "reset")
    else:
        user(start[0], "--abort")
    assert publish(hub, user.root, "main") == Published(new)


def test_an_index_lock_waits(hub: Hub, user: Any, land: Any) -> None:
    new = land({"b": "b\n"})
    lock = user.root / ".git" / "index.lock"
    lock.write_bytes(b"")
    outcome = publish(hub, user.root, "main")
    assert isinstance(outcome, Pending)
    assert "in use by another git" in outcome.reason
    lock.unlink()
    assert publish(hub, user.root, "main") == Published(new)


def test_a_persons_own_commits_are_never_lost(hub: Hub, user: Any, land: Any) -> None:
    mine = user.commit("mine", {"mine": "m\n"})
    _pending(hub, user, "does not have yet")  # ahead
    land({"b": "b\n"})
    _pending(hub, user, "does not have yet")  # diverged
    assert user.head("main") == mine
    theirs, ours = hub.fetch_user(user.root, "main"), hub.main().commit
    merged = hub.commit(hub.merge_tree(ours, theirs), [ours, theirs], "merge\n", 1_700_000_000)
    assert hub.move_main(merged, ours)
    assert publish(hub, user.root, "main") == Published(merged)
    assert (user.root / "mine").exists()


def test_a_crash_between_the_files_and_the_ref_is_repaired(hub: Hub, user: Any, land: Any) -> None:
    old = user.head()
    one = land({"a.txt": "A\n", "new": "n\n"})
    assert publish(hub, user.root, "main") == Published(one)
    user("update-ref", "refs/heads/main", old)  # what a crash leaves: index and files are new, the ref is old
    assert user("status", "--porcelain", "-uno") != ""
    two = land({"b": "b\n"})
    assert publish(hub, user.root, "main") == Published(two)
    assert user("status", "--porcelain") == ""


def test_what_only_looks_like_a_crash_is_left_alone(hub: Hub, user: Any, land: Any) -> None:
    old = user.head()
    one = land({"a.txt": "A\n", "new": "n\n"})
    assert publish(hub, user.root, "main") == Published(one)
    user("update-ref", "refs/heads/main", old)
    user.write(**{"a.txt": "mine\n"})
    _pending(hub, user, "uncommitted changes")
    assert (user.root / "a.txt").read_bytes() == b"mine\n"


def test_hooks_do_not_run_and_settings_of_the_branch_do_not_bend_the_merge(
    hub: Hub, user: Any, land: Any, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    hooks = user.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-merge", "reference-transaction", "post-checkout", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{proof}'\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    user("config", "branch.main.mergeOptions", "--squash --no-commit")
    user("config", "merge.verifySignatures", "true")
    user("config", "fetch.prune", "true")
    new = land({"b": "b\n"})
    assert publish(hub, user.root, "main") == Published(new)
    assert not proof.exists()
    user("update-ref", "refs/heads/control", new)  # positive control
    assert proof.exists()


def test_no_name_and_no_mail_is_needed(hub: Hub, user: Any, land: Any) -> None:
    user("config", "--unset", "user.name")
    user("config", "--unset", "user.email")
    user("config", "user.useConfigOnly", "true")
    new = land({"b": "b\n"})
    assert publish(hub, user.root, "main") == Published(new)


def test_the_users_line_endings_are_kept(hub: Hub, user: Any, land: Any) -> None:
    user("config", "core.autocrlf", "true")
    new = land({"b.txt": "one\ntwo\n"})
    assert publish(hub, user.root, "main") == Published(new)
    assert (user.root / "b.txt").read_bytes() == b"one\r\ntwo\r\n"


def test_no_other_ref_of_the_user_changes(hub: Hub, user: Any, land: Any) -> None:
    user("tag", "v1")
    user("branch", "other")
    hub.keep("run.1", hub.main().commit)
    new = land({"b": "b\n"})
    before = set(user("for-each-ref", "--format=%(refname)").splitlines())
    assert publish(hub, user.root, "main") == Published(new)
    assert set(user("for-each-ref", "--format=%(refname)").splitlines()) - before == {"refs/swarm/main"}
    assert not (user.root / ".git" / "FETCH_HEAD").exists()


def test_a_branch_that_is_gone_waits(hub: Hub, user: Any, land: Any) -> None:
    land({"b": "b\n"})
    user("checkout", "-q", "-b", "other")
    user("branch", "-D", "main")
    outcome = publish(hub, user.root, "main")
    assert isinstance(outcome, Pending)
    assert "git branch main" in outcome.reason
    assert user_tip(user.root, "main") is None


def test_the_users_repository_is_described(user: Any, tmp_path: Path) -> None:
    found = inspect(user.root / "src", "main")
    assert found.root == user.root.resolve()
    assert found.git_dir == found.common_dir == user.root.resolve() / ".git"
    assert (found.branch, found.head, found.object_format) == ("main", user.head(), "sha1")
    assert user_tip(user.root, "main") == user.head()
    assert user_tip(user.root, "nope") is None
    user("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    linked = inspect(tmp_path / "tree", "main")
    assert linked.branch is None
    assert linked.git_dir != linked.common_dir == user.root.resolve() / ".git"


def test_what_cannot_be_worked_on_is_said_in_one_sentence(user: Any, tmp_path: Path) -> None:
    empty = type(user)(tmp_path / "empty")
    bare, shallow = tmp_path / "bare.git", tmp_path / "shallow"
    user("clone", "-q", "--bare", str(user.root), str(bare))
    user.commit("second", {"c": "c"})
    user("clone", "-q", "--depth=1", user.root.as_uri(), str(shallow))
    cases = [
        (tmp_path / "nothing", None, "is not a folder"),
        (tmp_path, None, "not in a git repository"),
        (empty.root, "main", "no commit yet"),
        (bare, "main", "bare"),
        (user.root / ".git", "main", "inside a repository's .git"),
        (user.root, "trunk", 'no branch "trunk"'),
        (user.root, "-x", "cannot be a branch"),
        (shallow, "main", "unshallow"),
    ]
    for path, branch, words in cases:
        with pytest.raises(UserError, match=words) as caught:
            inspect(path, branch)
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)


def test_variables_of_a_surrounding_git_do_not_lead_elsewhere(
    user: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = type(user)(tmp_path / "other")
    other.commit("x", {"x": "x"})
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert inspect(user.root).head == user.head()
