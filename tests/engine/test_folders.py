from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UserError
from engine.folders import StateFolder, network_type, state_folder_for, synced_part


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "code" / "my repo!"
    folder.mkdir(parents=True)
    return folder


def test_by_default_it_is_the_platforms_folder_named_after_the_repository(repo: Path) -> None:
    root = state_folder_for(repo, None, environ={}).root
    assert root.parent.name == "swarm"
    assert root.name.startswith("my-repo-")
    assert len(root.name) == len("my-repo-") + 8
    assert root == state_folder_for(repo / ".." / repo.name, None, environ={}).root
    other = repo.parent.parent / "my repo!"
    other.mkdir()
    assert state_folder_for(other, None, environ={}).root != root


def test_an_override_counts_more_than_the_variable(repo: Path, tmp_path: Path) -> None:
    environ = {"SWARM_STATE": str(tmp_path / "variable")}
    assert state_folder_for(repo, None, environ=environ).root == (tmp_path / "variable").resolve()
    assert state_folder_for(repo, tmp_path / "option", environ=environ).root == (tmp_path / "option").resolve()


def test_looking_makes_nothing_and_create_makes_all(repo: Path, tmp_path: Path) -> None:
    state = state_folder_for(repo, tmp_path / "a" / "state", environ={})
    assert not (tmp_path / "a").exists()
    state.create()
    state.create()
    made = {path.name for path in state.root.iterdir()}
    assert made == {"workspaces", "slots", "artifacts", "runs", "patches", "keys"}
    assert state.journal == state.root / "journal.db"
    assert (state.hub.name, state.base.name) == ("hub.git", "base.git")


@pytest.mark.parametrize("inside", [".", ".swarm", "a/b"])
def test_a_folder_inside_the_repository_is_refused(repo: Path, inside: str) -> None:
    with pytest.raises(UserError, match="inside the repository"):
        state_folder_for(repo, repo / inside, environ={})
    with pytest.raises(UserError, match="inside the repository"):
        state_folder_for(repo, None, environ={"SWARM_STATE": str(repo / inside)})


@pytest.mark.parametrize(
    "name", ["OneDrive", "OneDrive - Some Company", "Dropbox", "Dropbox (Personal)", "iCloud Drive", "Google Drive"]
)
def test_a_synced_folder_is_refused(repo: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="synced"):
        state_folder_for(repo, tmp_path / name / "state", environ={})


def test_folders_that_only_sound_similar_are_taken() -> None:
    assert synced_part(Path("/home/me/dropbox-client/state")) is not None
    assert synced_part(Path("/home/me/mydropbox/onedriver/state")) is None
    assert synced_part(Path("/Users/me/Library/Mobile Documents/state")) == "Mobile Documents"


def test_the_deepest_and_latest_mount_decides() -> None:
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/me/local", "ext4"), ("/mnt", "ext4"), ("/mnt", "fuse.sshfs")]
    assert network_type(Path("/var/state"), mounts) is None
    assert network_type(Path("/home/me/state"), mounts) == "nfs4"
    assert network_type(Path("/home/me/local/state"), mounts) is None
    assert network_type(Path("/homely/state"), mounts) is None
    assert network_type(Path("/mnt/x"), mounts) == "fuse.sshfs"


def test_a_folder_that_cannot_be_made_is_refused(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        state_folder_for(repo, tmp_path / "file" / "state", environ={})
    with pytest.raises(UserError, match="cannot be written"):
        StateFolder(tmp_path / "file" / "state").create()
