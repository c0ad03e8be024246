"""Little of the machine and back, without privileges, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.process.priority import LOW, group_niceness, set_priority

grouped = pytest.mark.skipif(group_niceness(os.getpid()) is None, reason="this kernel does not group by session")
NESTED = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], start_new_session=True)"


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """A process in a session of its own, and its child in another, as a sandbox makes them."""
    root = subprocess.Popen([sys.executable, "-c", NESTED], stdin=subprocess.PIPE, start_new_session=True)
    found = psutil.Process(root.pid)
    while not found.children():
        assert root.poll() is None
    child = found.children()[0]
    while sys.platform != "win32" and os.getsid(child.pid) != child.pid:
        assert child.is_running()
    yield [found, child]
    root.communicate(b"\n", timeout=60)


@grouped
def test_every_session_of_a_run_is_lowered_and_raised_again(family: list[psutil.Process]) -> None:
    assert [group_niceness(each.pid) for each in family] == [0, 0]
    assert set_priority(family, low=True) == 2
    assert [group_niceness(each.pid) for each in family] == [LOW, LOW]
    assert set_priority(family, low=True) == 0
    assert set_priority(family, low=False) == 2
    assert [group_niceness(each.pid) for each in family] == [0, 0]


@grouped
def test_our_own_session_is_left_alone(family: list[psutil.Process]) -> None:
    before = group_niceness(os.getpid())
    assert set_priority([psutil.Process(), *family], low=True) == 2
    assert group_niceness(os.getpid()) == before


def test_what_has_ended_is_left_out() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(ended.pid)
    ended.wait()
    assert set_priority([process], low=True) == 0
    assert set_priority([process], low=False) == 0


def test_a_kernel_without_groups_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    assert group_niceness(7, tmp_path) is None
    (tmp_path / "7" / "autogroup").write_text("/autogroup-31 nice -5\n", encoding="ascii")
    assert group_niceness(7, tmp_path) == -5
