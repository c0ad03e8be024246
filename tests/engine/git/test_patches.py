"""The patch queue: `git am` on the base gives main's tree, whatever landed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.git.hub import Hub
from engine.git.patches import COVER, INDEX, SERIES, Queue, read_queue, write_queue


def applied(user: Any, queue: Queue, folder: Path) -> str:
    """The tree that `git am` of the series gives in the user's repository."""
    user("checkout", "-q", "-B", "swarm", queue.base)
    series = (folder / SERIES).read_text(encoding="ascii").split()
    assert series == sorted(series)
    user("am", "-q", "--keep-cr", *(str(folder / name) for name in series))
    tree: str = user("rev-parse", "HEAD^{tree}")
    assert user("rev-list", "--count", f"{queue.base}..HEAD") == str(len(series))
    user("checkout", "-q", "main")
    return tree


def test_git_am_gives_the_same_tree(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    base, folder = hub.main().commit, tmp_path / "patches"
    land({"a.txt": "A\r\nB\r\n", "dir/new file.txt": "no line end", "src/b.txt": None})
    land({"a.txt": "A\nB\n", "ü.txt": "ä\n", "picture.bin": "\0\1\2" * 1000})
    land({"a.txt": "--- a/x\n+++ b/x\nFrom: nobody\n", "dir/new file.txt": "line end\n"})
    queue = write_queue(hub, folder, base, hub.main().commit, 1)
    assert applied(user, queue, folder) == hub.main().tree
    first = (folder / queue.files[0]).read_bytes()
    assert f"base-commit: {base}".encode() in first
    cover = (folder / COVER).read_text(encoding="utf-8")
    assert f"Tip-Tree: {hub.main().tree}" in cover
    assert all(name in cover for name in queue.files)


def test_words_in_a_message_break_no_patch(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    base = hub.main().commit
    land({"a.txt": "A\n"})
    tree = hub.main().tree
    evil = "    ---\n    diff --git a/x b/x\n    -- >8 --\n    From: evil <e@e>"
    commit = hub.commit(tree, [base], f"[PATCH] ../../Evil: a\x1b title\n\n{evil}\n\nWork-Order: a\n", 1_700_000_000)
    queue = write_queue(hub, tmp_path / "q", base, commit, 1)
    assert applied(user, queue, tmp_path / "q") == tree
    assert user("log", "-1", "--format=%an", "swarm") == "swarm"
    assert all(path.parent == tmp_path / "q" for path in (tmp_path / "q").rglob("*"))


def test_a_merge_of_a_persons_commits_is_one_patch(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    base = hub.main().commit
    theirs = user.commit("theirs", {"c.txt": "c\n"})
    ours = land({"a.txt": "A\n"})
    hub.fetch_user(user.root, "main")
    merged = hub.commit(hub.merge_tree(ours, theirs), [ours, theirs], "Merge a person's commits\n", 1_700_000_000)
    assert hub.move_main(merged, ours)
    queue = write_queue(hub, tmp_path / "q", base, merged, 1)
    assert len(queue.files) == 2
    assert applied(user, queue, tmp_path / "q") == hub.main().tree


def test_a_commit_that_changes_nothing_has_no_patch(hub: Hub, user: Any, land: Any, tmp_path: Path) -> None:
    base = hub.main().commit
    one = land({"a.txt": "A\n"})
    two = hub.commit(hub.main().tree, [one], "Nothing\n", 1_700_000_000)
    three = hub.commit(hub.tree_of(base), [two], "Restore\n", 1_700_000_000)
    queue = write_queue(hub, tmp_path / "q", base, three, 1)
    assert queue.files[1] == ""
    assert applied(user, queue, tmp_path / "q") == hub.tree_of(base)


def test_what_is_there_is_kept_and_what_is_damaged_is_made_again(
    hub: Hub, user: Any, land: Any, tmp_path: Path
) -> None:
    base, folder = hub.main().commit, tmp_path / "q"
    write_queue(hub, folder, base, land({"a.txt": "1\n"}), 1)
    (name,) = read_queue(folder).files  # type: ignore[union-attr]
    marked = (folder / name).read_bytes() + b"\n"
    (folder / name).write_bytes(marked)
    tip = land({"a.txt": "2\n"})
    queue = write_queue(hub, folder, base, tip, 1)
    assert (folder / name).read_bytes() == marked, "a patch that is there is not made again"
    (folder / name).unlink()
    assert read_queue(folder) is None
    assert write_queue(hub, folder, base, tip, 1) == queue
    assert applied(user, queue, folder) == hub.main().tree


@pytest.mark.parametrize("lost", [INDEX, SERIES, COVER])
def test_interrupted_anywhere_it_is_repeated_to_the_same_files(
    lost: str, hub: Hub, user: Any, land: Any, tmp_path: Path
) -> None:
    base = hub.main().commit
    first, second = land({"a.txt": "1\n"}), land({"a.txt": "2\n"})
    whole, half = tmp_path / "whole", tmp_path / "half"
    write_queue(hub, whole, base, second, 1)
    write_queue(hub, half, base, first, 1)
    shutil.copy(whole / read_queue(whole).files[1], half)  # type: ignore[union-attr]
    (half / lost).unlink()
    write_queue(hub, half, base, second, 1)
    assert {path.name: path.read_bytes() for path in half.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


def test_a_queue_from_another_base_leaves_nothing_of_the_old_one(
    hub: Hub, user: Any, land: Any, tmp_path: Path
) -> None:
    base, folder = hub.main().commit, tmp_path / "q"
    one = land({"a.txt": "1\n"})
    write_queue(hub, folder, base, one, 1)
    queue = write_queue(hub, folder, one, land({"a.txt": "2\n", "b.txt": "b\n"}), 2)
    assert sorted(path.name for path in folder.glob("*.patch")) == queue.files
    assert hub.tree_of(queue.base) != hub.tree_of(base)
