"""Workspaces and what is harvested from them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GitError, SwarmError
from engine.git.hub import Hub
from engine.git.scan import Caps
from engine.git.workspaces import Workspace, Workspaces

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def _plain_git(folder: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    """git as an agent would call it: it trusts what lies in the workspace."""
    return subprocess.run(
        ["git", *args], cwd=folder, capture_output=True, check=False, timeout=20, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def run(workspaces: Workspaces, hub: Hub) -> Workspace:
    return workspaces.create("order.1", hub.main().commit)


def test_a_workspace_is_a_repository_with_one_branch_and_nothing_to_commit(run: Workspace, hub: Hub) -> None:
    assert (run.path / "src" / "b.txt").read_bytes() == b"b\n"
    assert _plain_git(run.path, "status", "--porcelain").stdout == b""
    assert _plain_git(run.path, "for-each-ref", "--format=%(refname)").stdout == b"refs/heads/work\n"
    assert _plain_git(run.path, "rev-parse", "HEAD").stdout.decode().strip() == hub.main().commit
    (run.path / "a.txt").write_text("agent\n", encoding="utf-8")
    assert _plain_git(run.path, "commit", "-qam", "by the agent").returncode == 0
    assert run.untouched_tree == run.base_tree == hub.main().tree
    assert run.path not in run.index.parents


def test_other_runs_objects_cannot_be_read_from_a_workspace(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    (run.path / "secret").write_text("secret", encoding="utf-8")
    other = workspaces.harvest(run).commit
    spy = workspaces.create("spy.1", hub.main().commit)
    assert hub.git.run("cat-file", "-e", other).returncode == 0  # positive control: it is in the hub
    assert _plain_git(spy.path, "cat-file", "-e", other).returncode != 0


def test_an_untouched_workspace_has_nothing_to_harvest(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    harvest = workspaces.harvest(run)
    assert (harvest.tree, harvest.changed_paths, harvest.skipped) == (hub.main().tree, [], [])


def test_changes_additions_deletions_and_modes_are_harvested(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    (run.path / "src" / "b.txt").unlink()
    (run.path / "src").rmdir()
    (run.path / "src").write_text("now a file\n", encoding="utf-8")
    (run.path / "new" / "deep").mkdir(parents=True)
    (run.path / "new" / "deep" / "c").write_text("c", encoding="utf-8")
    (run.path / "ignored.o").write_text("o", encoding="utf-8")
    if sys.platform != "win32":
        (run.path / ".gitignore").chmod(0o755)
    harvest = workspaces.harvest(run)
    assert set(harvest.changed_paths) >= {"a.txt", "src", "src/b.txt", "new/deep/c"}
    assert hub.read_file(harvest.commit, "src") == b"now a file\n"
    assert "ignored.o" not in hub.list_files(harvest.tree)
    info = hub.commits_between(run.base_commit, harvest.commit)[0]
    assert (info.parents, info.author) == ((run.base_commit,), "swarm <swarm@localhost>")
    assert hub.kept("order.1") == harvest.commit
    assert workspaces.harvest(run) == harvest  # the same files, the same commit


def test_tracked_files_that_are_ignored_are_still_harvested(workspaces: Workspaces, hub: Hub, land: Any) -> None:
    run = workspaces.create("x.1", hub.main().commit)
    (run.path / ".gitignore").write_text("a.txt\n", encoding="utf-8")
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    assert set(workspaces.harvest(run).changed_paths) == {".gitignore", "a.txt"}


@posix
def test_odd_names_are_harvested_byte_for_byte(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    names = [b"\xff\xfe", b"new\nline", b"-n", b":(glob)*", b"sp ace", "ü".encode(), b"tab\t", b"*"]
    for name in names:
        Path(os.fsdecode(os.fsencode(run.path) + b"/" + name)).write_bytes(name)
    harvest = workspaces.harvest(run)
    assert {os.fsencode(path) for path in harvest.changed_paths} == set(names)
    assert hub.read_file(harvest.tree, os.fsdecode(b"\xff\xfe")) == b"\xff\xfe"
    again = workspaces.create("again.1", run.base_commit, harvest.tree)
    assert Path(os.fsdecode(os.fsencode(again.path) + b"/\xff\xfe")).read_bytes() == b"\xff\xfe"
    assert workspaces.harvest(again).tree == harvest.tree


@posix
def test_a_fifo_called_gitignore_hangs_nobody(workspaces: Workspaces, run: Workspace) -> None:
    assert sys.platform != "win32"
    (run.path / ".gitignore").unlink()
    os.mkfifo(run.path / ".gitignore")
    os.mkfifo(run.path / "src" / ".gitattributes")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(run.path)
        try:
            server.bind("sock")
        finally:
            os.chdir(here)
    (run.path / "good").write_text("good", encoding="utf-8")
    # positive control: plain git blocks on it
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["git", "status"], cwd=run.path, capture_output=True, check=False, timeout=0.5)
    harvest = workspaces.harvest(run)
    assert harvest.changed_paths == [".gitignore", "good"]
    assert sorted(harvest.skipped) == [
        ".gitignore (a FIFO, removed)", "sock (a socket, removed)", "src/.gitattributes (a FIFO, removed)",
    ]  # fmt: skip


def test_line_endings_that_git_would_normalise_are_nobodys_change(tmp_path: Path, user: Any) -> None:
    crlf = user("hash-object", "-w", "--no-filters", "a.txt")
    (user.root / "crlf.bin").write_bytes(b"one\r\ntwo\r\n")
    crlf = user("hash-object", "-w", "--no-filters", "crlf.bin")
    user.write(**{".gitattributes": "*.txt text\n"})
    user("add", ".gitattributes")
    user("update-index", "--add", "--cacheinfo", f"100644,{crlf},phantom.txt")
    user("commit", "-q", "-m", "a file that git would normalise")
    hub = Hub.create_or_open(tmp_path / "s", user.root, "main")
    workspaces = Workspaces(hub, tmp_path / "s" / "workspaces")
    run = workspaces.create("x.1", hub.main().commit)
    assert (run.path / "phantom.txt").read_bytes() == b"one\r\ntwo\r\n"
    os.utime(run.path / "phantom.txt", (1, 1))
    # positive control: plain git calls it a change
    assert b"phantom.txt" in _plain_git(run.path, "status", "--porcelain").stdout
    assert workspaces.harvest(run).changed_paths == []
    (run.path / "a.txt").write_text("real\n", encoding="utf-8")
    harvest = workspaces.harvest(run)
    assert harvest.changed_paths == ["a.txt"]
    assert hub.read_file(harvest.tree, "phantom.txt") == b"one\r\ntwo\r\n"
    (run.path / "phantom.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    assert hub.read_file(workspaces.harvest(run).tree, "phantom.txt") == b"one\ntwo\nthree\n"


def test_the_harvest_does_not_need_the_workspaces_own_repository(workspaces: Workspaces, run: Workspace) -> None:
    shutil.rmtree(run.path / ".git")
    (run.path / ".git").write_text("gitdir: /nowhere\n", encoding="utf-8")
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    assert workspaces.harvest(run).changed_paths == ["a.txt"]


@posix
@pytest.mark.parametrize(
    ("settings", "trigger"),
    [
        pytest.param({"core.fsmonitor": "{evil}"}, ("status",), id="B01-fsmonitor"),
        pytest.param({"filter.evil.clean": "{evil}; cat"}, ("add", "-A"), id="filter"),
        pytest.param({"core.hooksPath": "{hooks}"}, ("commit", "-qam", "x"), id="B02-B03-hooks"),
    ],
)
def test_what_an_agent_plants_in_its_repository_does_not_run(
    settings: dict[str, str], trigger: tuple[str, ...], workspaces: Workspaces, run: Workspace, tmp_path: Path
) -> None:
    proof, hooks = tmp_path / "proof", run.path / ".git" / "hooks"
    evil = f"touch {proof}"
    hooks.mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout"):
        (hooks / hook).write_text(f"#!/bin/sh\n{evil}\n", encoding="utf-8")
        (hooks / hook).chmod(0o755)
    (run.path / ".git" / "info" / "attributes").unlink()
    (run.path / ".gitattributes").write_text("* filter=evil\n", encoding="utf-8")
    for key, value in settings.items():
        _plain_git(run.path, "config", key, value.format(evil=evil, hooks=hooks))
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    workspaces.harvest(run)
    assert not proof.exists()
    workspaces.create("after.1", run.base_commit)
    assert not proof.exists()
    (run.path / "a.txt").write_text("changed again\n", encoding="utf-8")
    _plain_git(run.path, *trigger)  # positive control
    assert proof.exists()


@posix
def test_b13_b14_a_nested_repository_becomes_files_and_never_a_gitlink(
    workspaces: Workspaces, run: Workspace, hub: Hub, tmp_path: Path
) -> None:
    nested, proof = run.path / "vendor", tmp_path / "proof"
    nested.mkdir()
    _plain_git(nested, "init", "-q")
    (nested / "lib.txt").write_text("lib\n", encoding="utf-8")
    _plain_git(nested, "add", "-A")
    _plain_git(nested, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "nested")
    _plain_git(nested, "config", "core.fsmonitor", f"touch {proof}")
    bare = run.path / "bare"
    _plain_git(run.path, "init", "-q", "--bare", str(bare))
    _plain_git(bare, "config", "core.fsmonitor", f"touch {proof}")
    proof.unlink(missing_ok=True)
    # positive control: git adds a gitlink, with exit code 0, and the file is lost
    shutil.copytree(run.path, tmp_path / "copy", symlinks=True)
    assert _plain_git(tmp_path / "copy", "add", "-A").returncode == 0
    assert b"160000" in _plain_git(tmp_path / "copy", "ls-files", "-s", "vendor").stdout
    proof.unlink(missing_ok=True)

    harvest = workspaces.harvest(run)
    assert not proof.exists()
    assert hub.read_file(harvest.tree, "vendor/lib.txt") == b"lib\n"
    assert not [entry for entry in hub.entries(harvest.tree) if entry.mode == "160000"]
    assert harvest.skipped == ["vendor/.git (a nested repository's .git, moved aside)"]
    assert "bare/HEAD" in harvest.changed_paths


def test_gitlinks_of_base_stay_whatever_the_run_does_to_them(tmp_path: Path, user: Any) -> None:
    link = user.head()
    user("update-index", "--add", "--cacheinfo", f"160000,{link},sub")
    user("commit", "-q", "-m", "a submodule")
    hub = Hub.create_or_open(tmp_path / "s", user.root, "main")
    workspaces = Workspaces(hub, tmp_path / "s" / "w")
    for number, act in enumerate(("remove", "fill", "replace", "nothing")):
        run = workspaces.create(f"x.{number}", hub.main().commit)
        sub = run.path / "sub"
        if act in ("remove", "replace"):
            sub.rmdir()
        if act == "fill":
            _plain_git(sub, "init", "-q")
            (sub / "file").write_text("x", encoding="utf-8")
        if act == "replace":
            sub.write_text("a file", encoding="utf-8")
        (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
        harvest = workspaces.harvest(run)
        assert harvest.changed_paths == ["a.txt"], act
        assert [(e.mode, e.sha) for e in hub.entries(harvest.tree) if e.path == "sub"] == [("160000", link)]


def test_b25_alternates_planted_in_a_workspace_bring_nothing_in(
    workspaces: Workspaces, run: Workspace, hub: Hub, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    _plain_git(tmp_path, "init", "-q", "--bare", str(store))
    planted = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=store, input=b"planted", capture_output=True, check=True
    ).stdout.decode().strip()  # fmt: skip
    with (run.path / ".git" / "objects" / "info" / "alternates").open("a", encoding="utf-8") as file:
        file.write(f"{store.as_posix()}/objects\n")
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    assert _plain_git(run.path, "cat-file", "-e", planted).returncode == 0  # positive control
    workspaces.harvest(run)
    assert not hub.has(planted)
    assert (hub.path / "objects" / "info" / "alternates").read_text(encoding="utf-8") == "../../base.git/objects\n"


def test_too_many_or_too_large_new_files_are_refused_with_a_sentence(hub: Hub, state: Path) -> None:
    workspaces = Workspaces(hub, state / "w", Caps(new_files=3, new_bytes=1000))
    many = workspaces.create("many.1", hub.main().commit)
    (many.path / "build").mkdir()
    for number in range(10):
        (many.path / "build" / f"{number}").write_text("ignored", encoding="utf-8")
    (many.path / "big.o").write_bytes(bytes(5000))
    assert workspaces.harvest(many).changed_paths == []  # ignored files do not count
    for number in range(4):
        (many.path / f"{number}").write_text("x", encoding="utf-8")
    with pytest.raises(SwarmError, match=r"4 new or changed files and at most 3.*\.gitignore"):
        workspaces.harvest(many)
    large = workspaces.create("large.1", hub.main().commit)
    (large.path / "a.txt").write_bytes(bytes(1001))
    with pytest.raises(SwarmError, match="more than 1000 bytes"):
        workspaces.harvest(large)
    few = Workspaces(hub, state / "w", Caps(entries=5))
    with pytest.raises(SwarmError, match="more than 5 files"):
        few.harvest(many)


@posix
def test_a_name_that_git_refuses_is_a_sentence_and_not_a_fault(workspaces: Workspaces, run: Workspace) -> None:
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    hidden = run.path / ".g\u200cit"
    hidden.mkdir()
    (hidden / "config").write_text("[core]", encoding="utf-8")
    with pytest.raises(SwarmError, match="git refuses") as caught:
        workspaces.harvest(run)
    assert not isinstance(caught.value, GitError)
    assert "\u200c" not in str(caught.value)


@posix
def test_read_only_and_closed_folders_are_harvested_and_removed(workspaces: Workspaces, run: Workspace) -> None:
    closed = run.path / "closed"
    closed.mkdir()
    (closed / "file").write_text("x", encoding="utf-8")
    (closed / "file").chmod(0)
    closed.chmod(0)
    assert workspaces.harvest(run).changed_paths == ["closed/file"]
    closed.chmod(0o500)
    assert workspaces.remove(run)
    assert not run.path.exists()
    assert workspaces.sweep() == 0


@posix
def test_folders_nested_too_deep_for_any_path_are_refused_and_removed(workspaces: Workspaces, run: Workspace) -> None:
    workspaces.harvest(run)
    here = os.open(run.path, os.O_RDONLY)
    try:
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=here)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    with pytest.raises(SwarmError, match="cannot be read"):
        workspaces.harvest(run)
    assert workspaces.remove(run)
    assert not run.path.exists()
    assert workspaces.sweep() == 0


@posix
def test_removal_follows_no_link(workspaces: Workspaces, run: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x", encoding="utf-8")
    (run.path / "link").symlink_to(outside)
    workspaces.harvest(run)
    assert workspaces.remove(run)
    assert (outside / "precious").exists()


def test_a_workspace_goes_only_when_its_tree_is_in_the_hub(workspaces: Workspaces, run: Workspace) -> None:
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    assert not workspaces.remove(run)
    assert run.path.exists()
    workspaces.harvest(run)
    assert workspaces.remove(run)
    assert not run.path.exists()
    assert workspaces.open("order.1") is None


def test_a_workspace_is_found_again_after_a_restart(
    workspaces: Workspaces, run: Workspace, hub: Hub, state: Path
) -> None:
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    restarted = Workspaces(hub, state / "workspaces")
    found = restarted.open("order.1")
    assert found == run
    assert restarted.names() == ["order.1"]
    assert restarted.harvest(run).changed_paths == ["a.txt"]
    assert restarted.open("order.2") is None
    with pytest.raises(SwarmError, match="has a workspace already"):
        restarted.create("order.1", hub.main().commit)
    restarted.discard(run)
    assert restarted.names() == []


def test_a_half_made_workspace_counts_as_none_and_is_swept(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    (run.index.parent / "workspace.json").unlink()
    assert workspaces.open("order.1") is None
    assert workspaces.sweep() == 0
    assert not run.path.exists()
    assert workspaces.create("order.1", hub.main().commit).path == run.path


def test_a_parked_run_goes_on_with_the_files_of_its_kept_tree(workspaces: Workspaces, run: Workspace, hub: Hub) -> None:
    (run.path / "a.txt").write_text("half\n", encoding="utf-8")
    (run.path / "new").write_text("new\n", encoding="utf-8")
    parked = workspaces.harvest(run)
    workspaces.remove(run)
    resumed = workspaces.create("order.2", run.base_commit, parked.tree)
    assert (resumed.path / "new").read_bytes() == b"new\n"
    status = _plain_git(resumed.path, "status", "--porcelain").stdout.splitlines()
    assert sorted(status) == [b" M a.txt", b"?? new"]
    assert workspaces.harvest(resumed).tree == parked.tree
    (resumed.path / "new").write_text("done\n", encoding="utf-8")
    harvest = workspaces.harvest(resumed)
    assert harvest.changed_paths == ["a.txt", "new"]
    assert hub.commits_between(run.base_commit, harvest.commit)[0].parents == (run.base_commit,)


def test_a_workspace_starts_only_from_main(workspaces: Workspaces, run: Workspace, hub: Hub, land: Any) -> None:
    (run.path / "a.txt").write_text("changed\n", encoding="utf-8")
    with pytest.raises(SwarmError, match="not on main"):
        workspaces.create("y.1", workspaces.harvest(run).commit)
    landed = land({"b": "b\n"})
    assert workspaces.create("y.1", landed).base_commit == landed


def test_a_file_that_was_changed_to_the_same_size_and_time_is_seen(workspaces: Workspaces, run: Workspace) -> None:
    before = (run.path / "a.txt").stat()
    (run.path / "a.txt").write_bytes(b"z\n")
    os.utime(run.path / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert workspaces.harvest(run).changed_paths == ["a.txt"]
