"""Finding and killing process trees from the engine: by pid and create time, and by the marker in the environment.

A pid alone names nobody, because pids are used again; a pid with its create time does. The marker `SWARM_RUN` finds
what has lost its parent. Zombies count as dead.

Killing starts with stopping, the oldest first: what is stopped starts nothing new, and a parent that starts its
children again does not see them die.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable

import psutil

MARKER = "SWARM_RUN"
STOP_ROUNDS = 20
"""How often what was started meanwhile is stopped too, before the killing begins all the same."""
CREATE_TIME_TOLERANCE_S = 2.0
"""Create times are derived from the wall clock on some platforms, and the wall clock gets corrected."""


def find(pid: int, create_time: float) -> psutil.Process | None:
    """The living process that had this pid since that time, or None."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - create_time) > CREATE_TIME_TOLERANCE_S or not _lives(process):
            return None
    except psutil.Error:
        return None
    return process


def alive(pid: int, create_time: float) -> bool:
    """Whether the process that had this pid since that time still runs."""
    return find(pid, create_time) is not None


def marked(pid: int, marker: str) -> bool:
    """Whether a living process with this pid carries exactly this marker. False where it may not be read."""
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return False
    return marker_of(process) == marker and _lives(process)


def marker_of(process: psutil.Process) -> str:
    """The value of SWARM_RUN in a process's environment; "" when it has none or may not be read."""
    try:
        return process.environ().get(MARKER, "")
    except (psutil.Error, OSError, ValueError):
        return ""


def find_marked(prefix: str) -> list[psutil.Process]:
    """Every living process whose marker starts with `prefix`, this process and its ancestors excepted.

    What may not be read is skipped: the processes of other users are not ours.
    """
    spared = {os.getpid(), *(parent.pid for parent in _ancestors())}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        if process.pid not in spared:
            marker = marker_of(process)
            if marker and marker.startswith(prefix) and _lives(process):
                found.append(process)
    return found


def kill_tree(pid: int, create_time: float, timeout_s: float = 5.0) -> int:
    """Kill that process and all its descendants; how many were killed. Returns when they are dead, or at the timeout.

    The root is stopped first and dies last: a stopped parent starts nothing new, and a stopped subreaper still gathers
    the orphans of those that die before it.
    """
    root = find(pid, create_time)
    if root is None:
        return 0
    if sys.platform != "win32":
        _each([root], psutil.Process.suspend)
    give_up = time.monotonic() + timeout_s
    killed: set[int] = set()
    while time.monotonic() < give_up:
        try:
            left = [child for child in root.children(recursive=True) if _lives(child)]
        except psutil.Error:
            break
        if not left:
            break
        left = _stopped(left, lambda: _children(root))
        killed.update(child.pid for child in left)
        _each(left, psutil.Process.kill)
        _wait_for(left, give_up)
    _each([root], psutil.Process.kill)
    _wait_for([root], give_up)
    return len(killed) + 1


def kill_marked(prefix: str, spare: Callable[[str], bool] = lambda marker: False, timeout_s: float = 5.0) -> int:
    """Kill every process with a marker of this prefix, and its descendants, whatever their environment; how many.

    spare: tells of a marker whether its processes are to be left alone.
    """
    give_up = time.monotonic() + timeout_s
    killed: set[int] = set()
    while True:
        marked = [process for process in find_marked(prefix) if not spare(marker_of(process))]
        if not marked or time.monotonic() > give_up:
            return len(killed)

        def below(marked: list[psutil.Process] = marked) -> list[psutil.Process]:
            return [child for process in marked for child in _children(process)]

        doomed = _stopped([*marked, *below()], below)
        killed.update(process.pid for process in doomed if _lives(process))
        _each(doomed, psutil.Process.kill)
        _wait_for(doomed, give_up)


def _stopped(found: list[psutil.Process], more: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Those and what they have started meanwhile, stopped as far as that is possible, the oldest first."""
    doomed = {process.pid: process for process in found}
    fresh = list(doomed.values())
    for _ in range(STOP_ROUNDS if sys.platform != "win32" else 0):
        if not fresh:
            break
        _each(_by_age(fresh), psutil.Process.suspend)
        fresh = [process for process in more() if process.pid not in doomed and _lives(process)]
        doomed.update((process.pid, process) for process in fresh)
    return _by_age(doomed.values())


def _by_age(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    def born(process: psutil.Process) -> float:
        try:
            return process.create_time()
        except psutil.Error:
            return 0.0

    return sorted(processes, key=born)


def _lives(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        # When its first thread has ended, a process looks like a zombie, and is none.
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) or process.num_threads() > 1
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _ancestors() -> list[psutil.Process]:
    try:
        return psutil.Process().parents()
    except psutil.Error:
        return []


def _each(processes: Iterable[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            act(process)
        except psutil.Error:
            continue  # it ended by itself, or is not ours to touch


def _wait_for(processes: list[psutil.Process], give_up: float) -> None:
    """Until none of them lives. Polls, because a zombie counts as dead here and never ends for psutil's own wait."""
    while any(_lives(process) for process in processes) and time.monotonic() < give_up:
        time.sleep(0.005)
