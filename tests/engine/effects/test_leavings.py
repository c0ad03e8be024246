"""D04: what a run leaves in its folder does not fill the disk night after night."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.effects.leavings import MOST_BYTES, MOST_FILES, clear_all_leavings, clear_leavings


def test_records_and_small_answers_stay_and_the_rest_goes(tmp_path: Path) -> None:
    side, outside = tmp_path / "run" / "side", tmp_path / "outside"
    for name in ("home/.cache/deep/er", "tmp", "made"):
        (side / name).mkdir(parents=True)
        (side / name / "file").write_bytes(b"x" * 1000)
    (tmp_path / "run" / "granted" / "home" / "x").mkdir(parents=True)
    for name in ("log", "result.json", "side/task.json", "side/handoff.json", "granted/log"):
        (tmp_path / "run" / name).write_text("record", encoding="utf-8")
    (side / "usage.json").write_bytes(bytes(MOST_BYTES + 1))
    outside.write_text("mine", encoding="utf-8")
    if sys.platform != "win32":
        (side / "ask.json").symlink_to(outside)
        (side / "home" / "mine").symlink_to(tmp_path)
        os.mkfifo(side / "pipe")
        (side / "tmp").chmod(0)
    clear_leavings(tmp_path / "run")
    left = sorted(
        each.relative_to(tmp_path / "run").as_posix() for each in (tmp_path / "run").rglob("*") if each.is_file()
    )
    assert left == ["granted/log", "log", "result.json", "side/handoff.json", "side/task.json"]
    assert sorted(each.name for each in side.iterdir()) == ["handoff.json", "task.json"]
    assert outside.read_text(encoding="utf-8") == "mine"


def test_many_small_files_are_too_many(tmp_path: Path) -> None:
    side = tmp_path / "side"
    side.mkdir()
    for number in range(MOST_FILES * 3):
        (side / f"{number:03}").touch()
    clear_leavings(tmp_path)
    assert len(list(side.iterdir())) == MOST_FILES


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks")
def test_a_side_folder_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "other" / "home").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "side").symlink_to(tmp_path / "other")
    clear_leavings(tmp_path / "run")
    clear_leavings(tmp_path / "no run")
    assert (tmp_path / "other" / "home").is_dir()


def test_what_an_engine_left_that_died_goes_at_the_next_start(tmp_path: Path) -> None:
    for folder in ("one.1/side/home/x", "one.2/granted/home", "gates/work"):
        (tmp_path / folder).mkdir(parents=True)
    clear_all_leavings(tmp_path)
    clear_all_leavings(tmp_path / "nothing yet")
    left = sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*"))
    assert left == ["gates", "gates/work", "one.1", "one.1/side", "one.2", "one.2/granted"]
