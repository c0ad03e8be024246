"""Less of the machine for work that may be for nothing, and its full share again once it is not.

A niceness that was given can only be taken back with privileges. Linux has another knob, which everybody may turn both
ways for his own processes: where the kernel groups processes by session (`autogroup`, see sched(7)), the niceness of
the group is what counts between sessions, and that of a process only within its own. Where it does not group (another
kernel, a control group with shares of its own, macOS), the niceness that a run began with stays for good. Windows lets
priority classes be changed at will.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

LOW = 10
"""The niceness of what may be for nothing: about a tenth of the share of what is not."""
AUTOGROUP = "autogroup"
_TRIES = 5
_PAUSE_S = 0.12
"""The kernel takes one change in 0.1 s from those without privileges."""


def set_priority(processes: Iterable[psutil.Process], *, low: bool) -> int:
    """Give these processes and their sessions little of the machine, or their full share; how many were changed.

    Blocks for a few tenths of a second. What may not be changed, or has ended, is left as it is.
    """
    if sys.platform == "win32":
        wanted = psutil.BELOW_NORMAL_PRIORITY_CLASS if low else psutil.NORMAL_PRIORITY_CLASS
        return sum(_renice(process, wanted) for process in processes)
    listed = list(processes)
    changed = sum(_regroup(session, LOW if low else 0) for session in _sessions(listed))
    return changed + (0 if low else sum(_renice(process, 0) for process in listed))


def _renice(process: psutil.Process, wanted: int) -> bool:
    try:
        if process.nice() == wanted:
            return False
        process.nice(wanted)
    except (psutil.Error, OSError):
        return False
    return True


def _sessions(processes: Iterable[psutil.Process]) -> list[int]:
    """The pid of one process of each session of theirs: never of ours."""
    found: dict[int, int] = {}
    if sys.platform != "win32":
        own = os.getsid(0)
        for process in processes:
            try:
                session = os.getsid(process.pid)
            except OSError:
                continue
            if session != own:
                found.setdefault(session, process.pid)
    return list(found.values())


def group_niceness(pid: int, proc: Path = Path("/proc")) -> int | None:
    """The niceness of the group of a process's session; None where the kernel has no such groups."""
    try:
        said = (proc / str(pid) / AUTOGROUP).read_text(encoding="ascii")
        return int(said.rsplit(" ", 1)[1])
    except (OSError, ValueError, IndexError):
        return None


def _regroup(pid: int, wanted: int) -> bool:
    for _ in range(_TRIES):
        if group_niceness(pid) in (None, wanted):
            return False
        try:
            Path("/proc", str(pid), AUTOGROUP).write_text(str(wanted), encoding="ascii")
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return False
            time.sleep(_PAUSE_S)
            continue
        return True
    return False
