"""No file that a run may write has another name somewhere else: what is written there changes nothing but itself."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from engine.git.hub import Hub
from engine.git.slots import Slots
from engine.git.workspaces import Workspaces

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def linked(folder: Path) -> list[str]:
    """Files below it that have more than one name."""
    files = [path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    assert files
    return [str(path.relative_to(folder)) for path in files if path.lstat().st_nlink > 1]


def test_the_files_of_a_workspace_have_one_name_its_repository_included(workspaces: Workspaces, hub: Hub) -> None:
    run = workspaces.create("order.1", hub.main().commit)
    assert linked(run.path) == []
    os.link(run.path / "a.txt", run.path / "second")
    assert sorted(linked(run.path)) == ["a.txt", "second"]  # positive control: one would be seen


async def test_the_files_of_a_slot_have_one_name(hub: Hub, tmp_path: Path) -> None:
    async with Slots(hub, tmp_path / "slots", 1).lease("a") as slot:
        slot.checkout(hub.main().tree)
        assert linked(slot.path) == []


def test_names_that_a_run_gave_a_file_outside_share_nothing_with_later_runs(
    workspaces: Workspaces, hub: Hub, tmp_path: Path
) -> None:
    """Without a sandbox an agent can link its files elsewhere, and elsewhere's into its workspace."""
    kept, planted = tmp_path / "kept", tmp_path / "planted"
    planted.write_text("before\n", encoding="utf-8")
    run = workspaces.create("order.1", hub.main().commit)
    os.link(run.path / "a.txt", kept)
    os.link(planted, run.path / "planted.txt")
    harvest = workspaces.harvest(run)
    workspaces.remove(run)
    kept.write_text("evil\n", encoding="utf-8")
    planted.write_text("evil\n", encoding="utf-8")
    assert hub.read_file(harvest.commit, "planted.txt") == b"before\n"
    again = workspaces.create("order.2", hub.main().commit, harvest.tree)
    assert (again.path / "a.txt").read_bytes() == b"a\n"
    assert (again.path / "planted.txt").read_bytes() == b"before\n"
    assert linked(again.path) == []
    assert hub.read_file(hub.main().commit, "a.txt") == b"a\n"
