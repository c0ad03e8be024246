"""Finding and killing by pid with create time, and by the marker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from real_processes import dead, until

from engine.process import tree

Start = Callable[..., psutil.Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that wait, and ends them all."""
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str = "", marker: str = "") -> psutil.Process:
        argv = [sys.executable, "-I", "-S", "-c", code + "\nimport time; print('up', flush=True); time.sleep(600)"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={tree.MARKER: marker} if marker else {})
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"up"
        return psutil.Process(process.pid)

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


CHILD = (
    "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=-3, env={})\n"
)


def test_a_process_is_known_by_pid_and_create_time(start: Start) -> None:
    process = start()
    assert tree.alive(process.pid, process.create_time())
    assert not tree.alive(process.pid, process.create_time() - 100)


@pytest.mark.skipif(sys.platform == "win32", reason="zombies are POSIX")
def test_a_zombie_is_dead(start: Start) -> None:
    process = start()
    born = process.create_time()
    process.kill()
    until(lambda: process.status() == psutil.STATUS_ZOMBIE, "nobody has buried it yet")
    assert not tree.alive(process.pid, born)


def test_a_tree_is_killed_with_its_children(start: Start) -> None:
    process = start(CHILD)
    child = process.children()[0]
    assert tree.kill_tree(process.pid, process.create_time()) == 2
    assert dead(process)
    assert dead(child)


def test_a_process_that_took_over_the_pid_is_not_killed(start: Start) -> None:
    process = start()
    assert tree.kill_tree(process.pid, process.create_time() - 100) == 0
    assert not dead(process)


def test_marked_processes_are_found_by_prefix(start: Start) -> None:
    one, two, other = start(marker="tree-1/a"), start(marker="tree-1/b"), start(marker="tree-2/a")
    assert {process.pid for process in tree.find_marked("tree-1/")} == {one.pid, two.pid}
    assert tree.marker_of(other) == "tree-2/a"
    assert tree.marked(other.pid, "tree-2/a")
    assert not tree.marked(other.pid, "tree-2/")


def test_killing_marked_processes_takes_unmarked_children_along_and_spares_the_spared(start: Start) -> None:
    doomed, spared = start(CHILD, marker="tree-3/a"), start(marker="tree-3/b")
    child = doomed.children()[0]
    assert tree.kill_marked("tree-3/", spare=lambda marker: marker.endswith("/b")) == 2
    assert [dead(process) for process in (doomed, child, spared)] == [True, True, False]


def test_the_asking_process_and_its_ancestors_are_never_found(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import subprocess, sys\n"
        "ask = 'from engine.process import tree; print(len(tree.find_marked(\"tree-4/\")))'\n"
        "subprocess.run([sys.executable, '-c', ask], check=True)"
    )
    monkeypatch.setenv(tree.MARKER, "tree-4/own")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"0"


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
@pytest.mark.parametrize("by", ["marker", "tree"])
def test_what_starts_its_children_again_is_killed_with_them(start: Start, by: str) -> None:
    again = (
        "import os\nif os.fork() == 0:\n    while True:\n        if (pid := os.fork()) == 0: break\n        os.wait()\n"
    )
    process = start(again, marker="again/1")
    until(lambda: len(process.children(recursive=True)) == 2, "it has a child that has one")
    family = process.children(recursive=True)
    killed = tree.kill_marked("again/") if by == "marker" else tree.kill_tree(process.pid, process.create_time())
    assert killed >= 3
    assert all(dead(each) for each in (process, *family))
    assert tree.find_marked("again/") == []
