"""Memory: what large readings leave behind, and what there is for more."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_GROUP = Path("/sys/fs/cgroup")


def give_back() -> None:
    """Hand freed memory back to the system, where the C library would keep it (glibc); elsewhere this does nothing.

    Takes some milliseconds. Reading a roadmap of ten thousand work orders leaves tens of megabytes behind.
    """
    if sys.platform != "linux":
        return
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def available() -> int:
    """Bytes that programs can still have: of the machine, or of the container that holds us (cgroup v2)."""
    machine = int(psutil.virtual_memory().available)
    try:
        most = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        rows = (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next((int(row.split()[1]) for row in rows if row.startswith("inactive_file ")), 0)
    except (OSError, ValueError, IndexError):  # no such container, or no limit ("max")
        return machine
    return min(machine, max(0, most - used + cached))
