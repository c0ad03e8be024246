"""What came of this process: all its descendants, with what they use, on Linux and macOS. For the shim: fast to import.

On Linux a process becomes a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): a descendant that loses its parent, such as a
double-forked daemon, becomes its child, and a walk over the lists of children in /proc finds it. That walk costs some
15 µs a process, however many others there are. macOS is untested.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH110, PTH208

from __future__ import annotations

import functools
import os
import sys
from typing import NamedTuple

CHUNK = 1 << 16
PF_EXITING = 4
"""Of the flags in /proc/PID/stat (include/linux/sched.h)."""


class Relative(NamedTuple):
    """One descendant. parent: pid. age: its place in the order of creation. tasks: its threads. resident: bytes.

    over: it is a zombie, or about to be one. Of the first process of a pid namespace that means that the kernel is
    ending all the others there.
    """

    pid: int
    parent: int
    over: bool
    age: int
    tasks: int
    resident: int


@functools.cache
def become_reaper() -> bool:
    """Whether orphans of this process's descendants become its own children (Linux only)."""
    if sys.platform != "linux":
        return False
    import ctypes

    pr_set_child_subreaper = 36
    return ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0


def relatives(most: int = sys.maxsize) -> list[Relative]:
    """All descendants of this process, parents before their children; no more of them than it takes to
    have more than `most` tasks."""
    if lists_children():
        return _walked(os.getpid(), most)
    return _below(os.getpid(), _all_of_linux() if os.path.exists("/proc/self/stat") else _all_by_ps())


def family(pid: int) -> list[Relative]:
    """That process and all its descendants, as far as they still hang together."""
    if lists_children():
        root = _stat(pid)
        return [root, *_walked(pid)] if root is not None else []
    everybody = _all_of_linux() if os.path.exists("/proc/self/stat") else _all_by_ps()
    return [*(one for one in everybody if one.pid == pid), *_below(pid, everybody)]


def descendants() -> list[Relative]:
    """Those of them that live, the oldest first."""
    return sorted((one for one in relatives() if not one.over), key=lambda one: one.age)


@functools.cache
def lists_children() -> bool:
    """Whether the kernel lists the children of a thread (CONFIG_PROC_CHILDREN)."""
    return os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK)


def _walked(root: int, most: int = sys.maxsize) -> list[Relative]:
    found: list[Relative] = []
    seen = {root}
    stack, tasks = _children(root, 0), 0
    while stack and tasks <= most:
        pid = stack.pop()
        if pid in seen or (one := _stat(pid)) is None:
            continue
        seen.add(pid)
        found.append(one)
        tasks += one.tasks
        if not one.over:
            stack += _children(pid, one.tasks)
    return found


def _children(pid: int, tasks: int) -> list[int]:
    """Of all its threads. tasks: how many those are; 0: not known."""
    threads = [str(pid)]
    if tasks != 1:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return []
    return [int(child) for thread in threads for child in content(f"/proc/{pid}/task/{thread}/children").split()]


def _stat(pid: int) -> Relative | None:
    fields = content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 22:
        return None  # it has ended meanwhile
    tasks, resident = int(fields[17]), int(fields[21])
    over = fields[0] in b"ZX" or int(fields[6]) & PF_EXITING != 0
    if over and tasks > 1:
        over, resident = False, _of_other_threads(pid)
    return Relative(pid, int(fields[1]), over, int(fields[19]), tasks, resident * _page_bytes())


def _of_other_threads(pid: int) -> int:
    """Resident pages of a process whose first thread has ended. It looks like a zombie then, and is none."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0
    rows = (content(f"/proc/{pid}/task/{thread}/stat").rpartition(b")")[2].split() for thread in threads)
    return max((int(row[21]) for row in rows if len(row) > 21), default=0)


def _all_of_linux() -> list[Relative]:
    return [one for name in os.listdir("/proc") if name.isdigit() and (one := _stat(int(name))) is not None]


def _all_by_ps() -> list[Relative]:
    import subprocess

    command = ["/bin/ps", "-Axo", "pid=,ppid=,state=,rss="]
    found: list[Relative] = []
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        pid, parent, state, kilobytes = line.split(None, 3)
        found.append(Relative(int(pid), int(parent), state[0] == "Z", int(pid), 1, int(kilobytes) * 1024))
    return found


def _below(root: int, everybody: list[Relative]) -> list[Relative]:
    children: dict[int, list[Relative]] = {}
    for one in everybody:
        children.setdefault(one.parent, []).append(one)
    found: list[Relative] = []
    stack = [root]
    while stack:
        for child in children.get(stack.pop(), ()):
            found.append(child)
            stack.append(child.pid)
    return found


def proportional(found: list[Relative], enough: int) -> tuple[int, int]:
    """Resident bytes, with each shared page shared out among those who share it, and how many of these are shared
    memory (the kernel's Shmem). Stops counting beyond `enough`.

    Slow: the kernel walks all their pages. What may not be read counts with all that is resident.
    """
    total = shared = 0
    for one in found:
        mine = one.resident
        for line in content(f"/proc/{one.pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                mine = int(line.split()[1]) * 1024
            elif line.startswith(b"Pss_Shmem:"):
                shared += int(line.split()[1]) * 1024
        total += mine
        if total > enough:
            break
    return total, shared


def shared_memory() -> int:
    """Bytes of it on the whole machine; 0: not known."""
    for line in content("/proc/meminfo").splitlines():
        if line.startswith(b"Shmem:"):
            return int(line.split()[1]) * 1024
    return 0


def content(path: str) -> bytes:
    """Empty when it cannot be read. The kernel gives a list of children in pieces of a page."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    content = b""
    try:
        while piece := os.read(descriptor, CHUNK):
            content += piece
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return content


@functools.cache
def _page_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") if sys.platform != "win32" else 0
