"""The hub: made from the user's branch, read, and moved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GitError, MergeConflict, SwarmError, UserError
from engine.git.door import Git
from engine.git.hub import Hub

AT = 1_700_000_000.0


def _on(hub: Hub, base: str, files: dict[str, bytes | None], message: str = "x\n") -> str:
    """A commit on `base` with these files, made from objects alone."""
    index = hub.state / "scratch-index"
    git = Git(hub.path, index=index)
    git.run("read-tree", base)
    rows = b""
    for name, content in files.items():
        if content is None:
            rows += f"0 {'0' * 40}\t{name}\0".encode()
        else:
            sha = hub.git.run("hash-object", "-w", "--stdin", stdin=content).line
            rows += f"100644 {sha}\t{name}\0".encode()
    git.run("update-index", "-z", "--index-info", stdin=rows)
    return hub.commit(git.run("write-tree").line, [base], message, AT)


def test_it_starts_at_the_users_branch_and_opening_again_changes_nothing(state: Path, user: Any) -> None:
    hub = Hub.create_or_open(state, user.root, "main")
    assert hub.main().commit == user.head()
    assert hub.main().tree == user.head("HEAD^{tree}")
    user.commit("more", {"c": "c\n"})
    again = Hub.create_or_open(state, user.root, "main")
    assert again.main() == hub.main()
    assert not list(state.glob("new-*"))


def test_it_borrows_from_base_and_survives_a_move_of_the_state_folder(hub: Hub, state: Path, tmp_path: Path) -> None:
    before = hub.main()
    assert not any(path.is_file() for path in (hub.path / "objects").rglob("??/*"))
    state.rename(tmp_path / "elsewhere")
    assert Hub(tmp_path / "elsewhere").main() == before
    Hub(tmp_path / "elsewhere").fsck()


def test_another_branch_name_and_sha256_are_taken_over(tmp_path: Path, user: Any) -> None:
    shutil.rmtree(user.root / ".git")
    user("init", "-q", "-b", "trunk", "--object-format=sha256")
    user("config", "user.name", "Ada")
    user("config", "user.email", "ada@example.org")
    tip = user.commit("first", {"a": "a"})
    hub = Hub.create_or_open(tmp_path / "state", user.root, "trunk")
    assert hub.main().commit == tip
    assert len(tip) == 64


def test_a_missing_branch_is_a_user_error_and_leaves_nothing_behind(state: Path, user: Any) -> None:
    with pytest.raises(UserError, match='no branch "trunk"'):
        Hub.create_or_open(state, user.root, "trunk")
    assert list(state.iterdir()) == []
    with pytest.raises(UserError, match="start the engine"):
        Hub(state)


def test_a_creation_that_was_cut_short_is_finished(state: Path, user: Any) -> None:
    Hub.create_or_open(state, user.root, "main")
    shutil.rmtree(state / "hub.git")
    (state / "new-dead.git").mkdir()
    assert Hub.create_or_open(state, user.root, "main").main().commit == user.head()
    assert not (state / "new-dead.git").exists()


def test_lock_files_of_a_dead_git_are_removed_by_the_engine_only(hub: Hub, state: Path, user: Any) -> None:
    lock = hub.path / "refs" / "heads" / "main.lock"
    lock.write_bytes(b"")
    old = hub.main().commit
    new = _on(hub, old, {"n": b"n"})
    with pytest.raises(GitError):
        hub.move_main(new, old)
    Hub.create_or_open(state, user.root, "main", sole=False)
    assert lock.exists()
    fresh = Hub.create_or_open(state, user.root, "main")
    assert fresh.move_main(new, old)
    assert fresh.main().commit == new


def test_main_moves_only_from_the_commit_that_was_named(hub: Hub) -> None:
    old = hub.main().commit
    one, two = _on(hub, old, {"one": b"1"}), _on(hub, old, {"two": b"2"})
    assert hub.move_main(one, old)
    assert not hub.move_main(two, old)
    assert hub.main().commit == one
    assert hub.move_main(one, old)  # the same again: it is there


MOVER = """
import sys
from pathlib import Path
from engine.git.hub import Hub
hub, (one, two) = Hub(Path(sys.argv[1])), sys.argv[2:4]
print("ready", flush=True)
while True:
    hub.move_main(two, one)
    hub.move_main(one, two)
"""


@pytest.mark.slow
def test_main_is_whole_after_every_kill(hub: Hub, state: Path, user: Any) -> None:
    one = hub.main().commit
    two = _on(hub, one, {"n": b"n"})
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    for number in range(12):
        argv = [sys.executable, "-c", MOVER, str(state), one, two]
        mover = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)
        assert mover.stdout is not None
        mover.stdout.readline()
        until = time.monotonic() + number * 0.003  # another moment each time
        while time.monotonic() < until:
            pass
        mover.kill()
        mover.communicate()
        again = Hub.create_or_open(state, user.root, "main")
        # The git of the killed process may still finish its one move; after that, main is ours to move.
        moved = (again.move_main(two, one), again.move_main(one, two), again.move_main(two, one))
        assert moved[1] or moved[2]
        assert again.main().commit in (one, two)
    hub.fsck()


def test_main_never_comes_to_point_at_a_commit_with_a_hole(hub: Hub) -> None:
    old = hub.main().commit
    new = _on(hub, old, {"n": b"n"})
    tree = hub.tree_of(new)
    (hub.path / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(GitError):
        hub.move_main(new, old)
    assert hub.main().commit == old


def test_the_same_arguments_make_the_same_commit(hub: Hub) -> None:
    tip = hub.main()
    made = [hub.commit(tip.tree, [tip.commit], "title\n\nWork-Order: a\n", AT + 0.25) for _ in range(2)]
    assert made[0] == made[1]
    raw = hub.git.run("cat-file", "commit", made[0]).stdout.decode()
    assert "author swarm <swarm@localhost> 1700000000 +0000" in raw
    assert hub.commit(tip.tree, [], "nul \0 and \udcff\n", AT)


def test_commits_are_listed_oldest_first_with_their_trailers(hub: Hub) -> None:
    old = hub.main().commit
    body = "one\n\nWork-Order: fake\n\n    quoted\n\nWork-Order: a-1\nReport: sha256:00\nWork-Order: a-2\n"
    one = _on(hub, old, {"one": b"1"}, body)
    two = _on(hub, one, {"two": b"2"}, "two\n")
    side = _on(hub, old, {"side": b"s"}, "side\n")
    merge = hub.commit(hub.merge_tree(two, side), [two, side], "merge\n", AT + 1)
    infos = hub.commits_between(old, two)
    assert [info.commit for info in infos] == [one, two]
    assert infos[0].trailers == {"Work-Order": ["a-1", "a-2"], "Report": ["sha256:00"]}
    assert infos[0].author == "swarm <swarm@localhost>"
    assert (infos[0].subject, infos[0].at, infos[0].parents) == ("one", AT, (old,))
    assert infos[1].trailers == {}
    assert [info.commit for info in hub.commits_between(old, merge, first_parent=True)] == [one, two, merge]
    assert len(hub.commits_between(None, merge)) == 5
    assert [info.commit for info in hub.commits_between(None, merge, limit=1)] == [merge]
    assert hub.commits_between(two, two) == []


def test_the_repository_is_known_by_its_oldest_commit(hub: Hub, user: Any) -> None:
    root = user.head()
    assert hub.root_commit() == root
    new = _on(hub, root, {"n": b"n"})
    assert hub.move_main(new, root)
    assert hub.root_commit() == root


def test_revisions_of_people_become_full_ids(hub: Hub) -> None:
    tip = hub.main().commit
    assert hub.resolve("main") == hub.resolve(tip[:10]) == tip
    assert hub.tree_of("main") == hub.tree_of(hub.main().tree) == hub.main().tree
    for bad in ("--all", "-x", "nope", "main\n", "HEAD:a.txt", ""):
        with pytest.raises(UserError):
            hub.resolve(bad)


def test_ancestors(hub: Hub) -> None:
    old = hub.main().commit
    one, two = _on(hub, old, {"one": b"1"}), _on(hub, old, {"two": b"2"})
    assert hub.is_ancestor(old, one)
    assert hub.is_ancestor(one, one)
    assert not hub.is_ancestor(two, one)
    assert not hub.is_ancestor("1" * 40, one)
    assert hub.merge_base(one, two) == old
    with pytest.raises(GitError):
        hub.is_ancestor(one, "1" * 40)
    with pytest.raises(SwarmError, match="no common ancestor"):
        hub.merge_base(one, hub.commit(hub.main().tree, [], "apart\n", AT))


def test_files_are_read_from_trees(hub: Hub, user: Any) -> None:
    assert hub.read_file("main", "src/b.txt") == b"b\n"
    for path in ("src", "nope", "", "/a.txt", "src/", "../a.txt", "*.txt"):
        assert hub.read_file("main", path) is None
    assert hub.list_files("main") == [".gitignore", "a.txt", "src/b.txt"]
    assert hub.list_files("main", "src/") == ["src/b.txt"]
    assert hub.list_files("main", "sr") == []


def test_a_link_is_not_a_file_to_read(hub: Hub) -> None:
    sha = hub.git.run("hash-object", "-w", "--stdin", stdin=b"/etc/passwd").line
    tree = hub.git.run("mktree", "-z", stdin=f"120000 blob {sha}\tlink\0".encode()).line
    assert hub.read_file(tree, "link") is None
    assert hub.list_files(tree) == ["link"]


def test_changes_between_trees_have_modes_ids_and_odd_names(hub: Hub) -> None:
    old = hub.main()
    new = _on(hub, old.commit, {"a.txt": b"A\n", "src/b.txt": None, "new\nline": b"x", "ü\t": b"y", "-n": b"z"})
    rows = {change.path: change for change in hub.changed(old.tree, hub.tree_of(new))}
    assert {path: row.status for path, row in rows.items()} == {
        "a.txt": "M", "src/b.txt": "D", "new\nline": "A", "ü\t": "A", "-n": "A",
    }  # fmt: skip
    assert (rows["-n"].old_mode, rows["-n"].new_mode) == ("000000", "100644")
    assert hub.blob(rows["a.txt"].new_sha) == b"A\n"
    assert hub.blob_sizes([rows["a.txt"].new_sha]) == {rows["a.txt"].new_sha: 2}
    assert hub.changed(old.tree, old.tree) == []
    assert hub.blob_sizes([]) == {}
    with pytest.raises(GitError):
        hub.blob_sizes([old.tree])


def test_a_patch_is_cut_at_the_cap(hub: Hub) -> None:
    old = hub.main()
    new = _on(hub, old.commit, {"big": b"line\n" * 10_000})
    assert "+line" in hub.diff_text(old.tree, hub.tree_of(new))
    cut = hub.diff_text(old.tree, hub.tree_of(new), cap_bytes=100)
    assert cut.endswith("[cut at 100 bytes]\n")
    assert len(cut) < 150


def test_a_merge_needs_no_checkout_and_a_conflict_names_its_paths(hub: Hub) -> None:
    old = hub.main().commit
    one, two = _on(hub, old, {"one": b"1"}), _on(hub, old, {"two": b"2"})
    merged = hub.merge_tree(one, two)
    assert set(hub.list_files(merged)) >= {"one", "two"}
    left, right = _on(hub, old, {"a.txt": b"l\n", "c\n": b"1"}), _on(hub, old, {"a.txt": b"r\n", "c\n": b"2"})
    with pytest.raises(MergeConflict) as caught:
        hub.merge_tree(left, right)
    assert set(caught.value.paths) == {"a.txt", "c\n"}


def test_a_merge_can_be_told_its_base(hub: Hub) -> None:
    old = hub.main().commit
    one = _on(hub, old, {"one": b"1"})
    two = _on(hub, one, {"two": b"2"})
    # without `one`'s change: what `two` added to `one`, on `old`
    assert hub.list_files(hub.merge_tree(old, two, base=one)) == [".gitignore", "a.txt", "src/b.txt", "two"]
    assert hub.merge_tree(hub.tree_of(old), hub.tree_of(two), base=hub.tree_of(one)) == hub.merge_tree(
        old, two, base=one
    )


def test_b05_a_merge_driver_in_a_tree_has_no_command_to_run(hub: Hub, user: Any, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    base = user.commit("attributes", {".gitattributes": "* merge=evil\n"})
    user("checkout", "-q", "-b", "l")
    left = user.commit("l", {"a.txt": "l\n"})
    user("checkout", "-q", "-b", "r", base)
    right = user.commit("r", {"a.txt": "r\n"})
    user("config", "merge.evil.driver", f"touch {proof}; true")
    user("merge", "-q", left)  # positive control: the user's own git runs it
    assert proof.exists()
    proof.unlink()
    for branch in ("l", "r"):
        hub.fetch_objects(user.root, left if branch == "l" else right)
    (user.root / ".git" / "config").read_text(encoding="utf-8")
    with pytest.raises(MergeConflict):
        hub.merge_tree(left, right)
    assert not proof.exists()


def test_commits_and_trees_are_kept_under_any_name(hub: Hub) -> None:
    tip = hub.main()
    assert hub.keep("run.1", tip.commit) == tip.commit
    wrapped = hub.keep("../../heads/main", tip.tree)
    assert hub.tree_of(wrapped) == tip.tree
    assert hub.kept("run.1") == tip.commit
    assert hub.kept("../../heads/main") == wrapped
    assert hub.kept("nothing") is None
    assert hub.main() == tip
    refs = hub.git.run("for-each-ref", "--format=%(refname)").line.splitlines()
    assert all(ref.startswith("refs/swarm/keep/") or ref == "refs/heads/main" for ref in refs)
    with pytest.raises(SwarmError, match="is a blob"):
        hub.keep("b", hub.git.run("hash-object", "-w", "--stdin", stdin=b"x").line)


def test_the_users_commits_are_brought_in_with_and_without_a_ref(hub: Hub, user: Any) -> None:
    first = user.commit("second", {"c": "c"})
    assert hub.fetch_user(user.root, "main") == first
    assert hub.has(first)
    user("commit", "-q", "--amend", "-m", "amended")
    assert hub.fetch_user(user.root, "main") == user.head()
    user("checkout", "-q", "--detach")
    loose = user.commit("loose", {"d": "d"})
    assert not hub.has(loose)
    refs = hub.git.run("for-each-ref").stdout
    assert hub.fetch_objects(user.root, "HEAD") == loose
    assert hub.fetch_objects(user.root, loose[:12]) == loose
    assert hub.has(loose)
    assert hub.git.run("for-each-ref").stdout == refs
    for bad in ("nope", "--all"):
        with pytest.raises(UserError):
            hub.fetch_objects(user.root, bad)
    with pytest.raises(UserError, match="no branch"):
        hub.fetch_user(user.root, "gone")


def test_base_has_what_landed_and_nothing_else(hub: Hub) -> None:
    old = hub.main().commit
    landed, secret = _on(hub, old, {"l": b"l"}), _on(hub, old, {"s": b"secret"})
    hub.keep("other", secret)
    assert hub.move_main(landed, old)
    hub.advance_base()

    def in_base(sha: str) -> bool:
        return hub.base.run("cat-file", "-e", sha, ok=(0, 1, 128)).returncode == 0

    assert in_base(landed)
    assert not in_base(secret)
    assert hub.git.run("cat-file", "-e", secret).returncode == 0
    hub.advance_base()


def test_damage_is_found(hub: Hub) -> None:
    old = hub.main().commit
    new = _on(hub, old, {"n": b"n"})
    assert hub.move_main(new, old)
    hub.fsck()
    tree = hub.tree_of(new)
    broken = hub.path / "objects" / tree[:2] / tree[2:]
    broken.chmod(0o644)
    broken.write_bytes(b"damage")
    with pytest.raises(GitError):
        hub.fsck()
