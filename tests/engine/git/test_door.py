"""The door: what git is told, what it is not told, and what happens when it hangs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import GitError, UserError
from engine.git import door
from engine.git.door import TIMED_OUT, Git, UserGit, find_git
from engine.git.hub import Hub


def test_git_is_found_at_an_absolute_path() -> None:
    assert Path(find_git()).is_absolute()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
@pytest.mark.parametrize(("said", "wanted"), [("git version 2.37.9", "git 2.37"), ("something else", "version")])
def test_a_git_that_is_too_old_is_a_user_error(
    said: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=wanted):
        find_git.__wrapped__()


def test_no_git_is_a_user_error_and_the_current_folder_is_never_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 9.9\n", encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([".", ""]))
    with pytest.raises(UserError, match="install git"):
        find_git.__wrapped__()


def test_inherited_variables_and_personal_configuration_have_no_say(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, planted = tmp_path / "trace", tmp_path / "planted"
    planted.write_text("[alias]\n\tplanted = version\n", encoding="utf-8")
    monkeypatch.setenv("GIT_TRACE", str(trace))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(planted))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(tmp_path))
    # positive control: as the user, the same variables do have a say
    assert UserGit(tmp_path).run("planted").returncode == 0
    with pytest.raises(GitError):
        hub.git.run("planted")
    assert hub.main().commit
    assert not trace.exists()


def _is_dead(pid: int) -> bool:
    """Gone, or a zombie that nobody has collected yet; a kill takes a moment to arrive."""
    try:
        process = psutil.Process(pid)
        deadline = time.monotonic() + 5
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
    except psutil.NoSuchProcess:
        pass
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="the hanging child is a shell script")
def test_a_hanging_git_is_killed_with_its_children(hub: Hub, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hanging = f"alias.hang=!echo $$ > '{pid}'; exec sleep 600"
    with pytest.raises(GitError) as caught:
        hub.git.run("-c", hanging, "hang", timeout_s=0.7)
    assert caught.value.returncode == TIMED_OUT
    assert _is_dead(int(pid.read_text(encoding="utf-8")))


def test_output_is_cut_at_the_cap_and_says_whether_it_is_whole(hub: Hub) -> None:
    commit = hub.main().commit
    assert hub.git.head("cat-file", "commit", commit, cap_bytes=4) == (b"tree", False)
    asked = f"{commit}\n".encode() * 50_000  # more than pipes hold, both ways
    answered, whole = hub.git.head("cat-file", "--batch", stdin=asked, cap_bytes=100_000_000)
    assert (answered.count(commit.encode()), whole) == (50_000, True)
    assert hub.git.head("cat-file", "--batch", stdin=asked, cap_bytes=1_000)[1] is False
    content, whole = hub.git.head("cat-file", "commit", commit, cap_bytes=100_000)
    assert whole
    assert content.startswith(b"tree ")
    with pytest.raises(GitError):
        hub.git.head("cat-file", "commit", "0" * 40, cap_bytes=10)


def test_transports_are_shut_unless_a_call_opens_the_one_to_folders(hub: Hub, tmp_path: Path) -> None:
    target = str(hub.path)
    other = Git(hub.base_path)
    with pytest.raises(GitError, match="not allowed"):
        other.run("fetch", target, "refs/heads/main")
    assert other.run("fetch", "--no-write-fetch-head", target, "refs/heads/main", local_fetch=True).returncode == 0


def test_b10_a_command_as_transport_does_not_run(hub: Hub, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    url = f"ext::sh -c touch% {proof}"
    # positive control: a git that allows it runs the command
    UserGit(tmp_path).run("-c", "protocol.ext.allow=always", "ls-remote", url, ok=(0, 128))
    assert proof.exists()
    proof.unlink()
    with pytest.raises(GitError, match="not allowed"):
        hub.git.run("ls-remote", url, local_fetch=True)
    assert not proof.exists()


def test_settings_stay_out_of_error_messages(hub: Hub) -> None:
    with pytest.raises(GitError) as caught:
        hub.git.run("cat-file", "-t", "nonsense")
    assert caught.value.argv == ["cat-file", "-t", "nonsense"]
    assert door.NOT_STARTED != TIMED_OUT
