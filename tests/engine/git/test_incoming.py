"""Commits of people come in only if git finds nothing wrong with their objects; odd but honest ones come in whole."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SwarmError, UserError
from engine.git.door import Git
from engine.git.hub import Hub
from engine.git.workspaces import Workspaces
from engine.text.sanitise import sanitise_line


def put(repo: Any, kind: str, content: bytes) -> str:
    """Write an object as it is, without git's checks."""
    done = subprocess.run(
        ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"],
        cwd=repo.root, input=content, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def tree(*entries: tuple[str, bytes, str]) -> bytes:
    return b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)


def commit_of(repo: Any, tree_id: str, message: bytes = b"x\n", author: bytes = b"Ada <ada@example.org>") -> str:
    head = b"tree %b\nparent %b\nauthor %b 1700000000 +0000\ncommitter Ada <ada@example.org> 1700000000 +0000\n\n"
    commit = put(repo, "commit", head % (tree_id.encode(), repo.head().encode(), author) + message)
    repo("update-ref", "refs/heads/main", commit)
    return commit


def objects(hub: Hub) -> set[str]:
    listed = hub.git.run("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered")
    return set(listed.line.split())


@pytest.mark.parametrize(
    "names",
    [
        [b".git"], [b".GIT"], [b"git~1"], [b".g\xe2\x80\x8cit"], [b".."], [b"."], [b""], [b"a/b"],
        [b"a", b"a"], [b"b", b"a"],
    ],
)  # fmt: skip
def test_a_tree_that_no_honest_git_makes_is_refused_and_nothing_of_it_is_kept(
    hub: Hub, user: Any, names: list[bytes]
) -> None:
    before = objects(hub)
    blob = put(user, "blob", b"x\n")
    good = user.head()
    commit_of(user, put(user, "tree", tree(*(("100644", name, blob) for name in names))))
    with pytest.raises(SwarmError, match=r"git refuses|empty filename"):  # the last by git on the other side
        hub.fetch_user(user.root, "main")
    with pytest.raises(SwarmError, match=r"git refuses|empty filename"):  # the last by git on the other side
        hub.fetch_objects(user.root, "main")
    assert objects(hub) == before
    assert hub.git.run("for-each-ref", "refs/swarm/user").stdout == b""
    user("update-ref", "refs/heads/main", good)
    honest = commit_of(user, put(user, "tree", tree(("100644", b"a", blob))))
    assert hub.fetch_user(user.root, "main") == honest


def test_control_without_the_check_such_a_tree_comes_in(hub: Hub, user: Any) -> None:
    blob = put(user, "blob", b"x\n")
    commit = commit_of(user, put(user, "tree", tree(("100644", b"..", blob))))
    hub.git.run("fetch", "--no-write-fetch-head", str(user.root), "refs/heads/main", local_fetch=True)
    assert hub.has(commit)


@pytest.mark.parametrize(
    "content", [b"tree nonsense\n\nx\n", b"tree " + b"0" * 40 + b"\nauthor x\n\nx\n", b"\0\0\0"], ids=str
)  # fmt: skip
def test_a_malformed_commit_is_refused(hub: Hub, user: Any, content: bytes) -> None:
    before = objects(hub)
    bad = put(user, "commit", content)
    user.root.joinpath(".git/refs/heads/main").write_text(bad + "\n", encoding="ascii")
    with pytest.raises(Exception, match=r"git|no commit"):
        hub.fetch_user(user.root, "main")
    assert objects(hub) == before


def test_a_message_with_a_zero_byte_is_refused(hub: Hub, user: Any) -> None:
    commit = commit_of(user, user.head("HEAD^{tree}"), b"seen\0unseen\n")
    with pytest.raises(UserError, match="nulInCommit"):
        hub.fetch_user(user.root, "main")
    assert not hub.has(commit)


def test_an_object_whose_bytes_are_not_its_name_is_refused(hub: Hub, user: Any) -> None:
    commit = user.commit("more", {"more.txt": "more\n"})
    blob = user.head("HEAD:more.txt")
    path = user.root / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(b"blob 5\0evil\n"))
    with pytest.raises(Exception, match="git"):
        hub.fetch_user(user.root, "main")
    assert not hub.has(commit)


def test_links_gitlinks_and_large_files_of_a_person_are_his_own(hub: Hub, user: Any, workspaces: Workspaces) -> None:
    """They come in, and do nothing: a link stays a link, and no submodule is fetched."""
    blob = put(user, "blob", b"../../../etc/passwd")
    large = put(user, "blob", b"0123456789abcdef" * 1_000_000)
    entries = (("100644", b"large", large), ("120000", b"link", blob), ("160000", b"sub", user.head()))
    commit = commit_of(user, put(user, "tree", tree(*entries)))
    assert hub.fetch_user(user.root, "main") == commit
    assert hub.move_main(commit, hub.main().commit)
    hub.advance_base()
    run = workspaces.create("a.1", commit)
    assert (run.path / "link").is_symlink()
    assert list((run.path / "sub").iterdir()) == []
    assert workspaces.harvest(run).changed_paths == []


def test_signs_in_messages_and_names_come_in_and_reach_nobody_raw(hub: Hub, user: Any) -> None:
    message = b"clear\x1b[2J\n\nWork-Order: forged\n"
    commit = commit_of(user, user.head("HEAD^{tree}"), message, b"Eve \x1b]0;x\x07 \xe2\x80\xaebad <e@e>")
    assert hub.fetch_user(user.root, "main") == commit
    assert hub.move_main(commit, hub.main().commit)
    (info,) = hub.commits_between(None, commit, limit=1)
    assert (info.commit, len(info.tree)) == (commit, 40)
    assert sanitise_line(f"{info.subject} {info.author}").isprintable()


@pytest.mark.parametrize("name", ["a\x1bb", "a\nb", "-a", "a..b", "a b", "\u202ea"])
def test_no_ref_with_such_a_name_is_asked_for(hub: Hub, user: Any, name: str) -> None:
    with pytest.raises(UserError):
        hub.fetch_user(user.root, name)
    with pytest.raises(UserError):
        hub.fetch_objects(user.root, name)


def test_other_branches_and_tags_of_the_user_stay_where_they_are(hub: Hub, user: Any) -> None:
    user("tag", "-a", "-m", "t\x1b[31m", "v1")
    user("branch", "other")
    hub.fetch_user(user.root, "main")
    assert hub.git.run("for-each-ref", "--format=%(refname)").line.split() == [
        "refs/heads/main",
        "refs/swarm/user/main",
    ]


def test_slips_of_old_tools_do_not_keep_a_commit_out(hub: Hub, user: Any) -> None:
    who = b"author Ada<ada> 01700000000 +0000\ncommitter Ada <ada@example.org> 1700000000 +0000\n"
    head = b"tree %b\nparent %b\n" + who + b"\nx\n"
    commit = put(user, "commit", head % (user.head("HEAD^{tree}").encode(), user.head().encode()))
    user("update-ref", "refs/heads/main", commit)
    assert hub.fetch_user(user.root, "main") == commit


def test_a_repository_that_lies_about_its_objects_has_no_say_over_the_hub(hub: Hub, user: Any, tmp_path: Path) -> None:
    """Its alternates, configuration and hooks are its own: the hub has none of them."""
    proof = tmp_path / "proof"
    user("config", "uploadpack.packObjectsHook", f"touch {proof};")
    user("config", "core.fsmonitor", f"touch {proof};")
    user.commit("more", {"more.txt": "more\n"})
    assert proof.exists()  # the control: the person's own git runs it
    proof.unlink()
    hub.fetch_user(user.root, "main")
    assert not proof.exists()
    assert not (Git(hub.path).git_dir / "objects/info/alternates").read_text("utf-8").count(str(user.root))
