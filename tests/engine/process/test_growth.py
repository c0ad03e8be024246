"""What was written into folders since a moment."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from engine.process.growth import SLACK_S, Growth


def counted(growth: Growth) -> tuple[int, int]:
    while not growth.count(1.0):
        pass
    return growth.files, growth.bytes


def since_now(*folders: Path) -> Growth:
    """What is there already was there before."""
    time.sleep(SLACK_S + 0.05)
    return Growth([str(folder) for folder in folders])


def test_only_what_was_written_since_counts_however_old_it_pretends_to_be(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(os.urandom(100_000))
    growth = since_now(tmp_path)
    assert counted(growth) == (0, 0)
    (tmp_path / "new").write_bytes(os.urandom(200_000))
    os.utime(tmp_path / "new", (0, 0))
    files, written = counted(growth)
    assert files == 1
    assert 200_000 <= written < 300_000
    assert growth.largest == 200_000
    (tmp_path / "new").unlink()
    assert counted(growth) == (0, 0)


def test_folders_within_folders_and_other_names_of_a_file_count_once(tmp_path: Path) -> None:
    growth = Growth([str(tmp_path / "a"), str(tmp_path), str(tmp_path / "a" / "b")])
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(os.urandom(50_000))
    (tmp_path / "second").hardlink_to(tmp_path / "a" / "b" / "file")
    files, written = counted(growth)
    assert files == 3  # two folders and one file
    assert written < 80_000


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks")
def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(os.urandom(500_000))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "round").symlink_to(inside)
    files, written = counted(Growth([str(inside)]))
    assert files == 2
    assert written < 20_000


@pytest.mark.skipif(sys.platform == "win32", reason="there the size counts")
def test_holes_take_no_disk_but_make_a_file_large(tmp_path: Path) -> None:
    growth = Growth([str(tmp_path)])
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(50_000_000)
    assert counted(growth)[1] < 100_000
    assert growth.largest == 50_000_000


def test_a_count_goes_on_where_it_was_and_tells_what_it_has_so_far(tmp_path: Path) -> None:
    growth = Growth([str(tmp_path)])
    for number in range(1_000):
        (tmp_path / f"{number}").touch()
    steps = 0
    while not growth.count(0.0):
        steps += 1
        assert growth.files >= 60 * steps
    assert steps > 5
    assert growth.files == 1_000


@pytest.mark.skipif(sys.platform == "win32", reason="paths are not limited so there")
def test_folders_too_deep_to_look_into_are_told(tmp_path: Path) -> None:
    growth = Growth([str(tmp_path)])
    here, name = os.open(tmp_path, os.O_RDONLY), "d" * 200
    try:
        for _ in range(25):
            os.mkdir(name, dir_fd=here)
            deeper = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        counted(growth)
        assert growth.deepest
    finally:
        os.close(here)
        _flatten(tmp_path / name)


def _flatten(top: Path) -> None:
    """Take a chain of folders that is too deep for one path apart, from its top."""
    while top.exists():
        inner = [each.name for each in top.iterdir()]
        if inner:
            (top / inner[0]).rename(top.with_name("next"))
        top.rmdir()
        if inner:
            top.with_name("next").rename(top)


@pytest.mark.skipif(sys.platform == "win32", reason="statvfs")
def test_free_space_is_that_of_the_disk(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    now = os.statvfs(tmp_path)
    free, files = Growth([str(tmp_path), str(tmp_path / "x"), str(tmp_path / "missing")]).free()
    assert abs(free - now.f_bfree * now.f_frsize) < now.f_blocks * now.f_frsize / 10
    assert (files > 0) == (now.f_ffree > 0)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_a_folder_that_may_not_be_looked_into_is_told_until_it_may(tmp_path: Path) -> None:
    """In a process of a user who is not root: root may look everywhere."""
    assert sys.platform != "win32"
    top, nobody = tmp_path / "top", 64321
    top.mkdir()
    if os.geteuid() == 0:
        os.chown(top, nobody, nobody)
    here = os.open(top, os.O_RDONLY)
    if (child := os.fork()) == 0:
        try:
            os.fchdir(here)
            if os.geteuid() == 0:
                os.setuid(nobody)
            Path("locked").mkdir()
            growth = Growth(["."])
            growth._roots = ["."]  # type: ignore[reportPrivateUsage]  # the path to it is root's
            counted(growth)
            open_at_first = growth.locked
            Path("locked").chmod(0)
            counted(growth)
            locked = growth.locked
            Path("locked").chmod(0o700)
            counted(growth)
            os._exit(0 if (open_at_first, locked, growth.locked) == ("", "./locked", "") else 1)
        finally:
            os._exit(2)
    os.close(here)
    assert os.waitpid(child, 0)[1] == 0
