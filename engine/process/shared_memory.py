"""What a run uses and no look at its processes and folders shows (Linux). For the shim: fast to import.

Memory that is resident in none of its processes: files in its own tmpfs, memfds, shared mappings that were let go of;
and files on disks that have no name any more.

What is not seen: System V segments that nobody has attached, and descriptors that lie unread in a socket.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH115, PTH116

from __future__ import annotations

import os
import stat
import sys

from engine.process.relatives import Relative, content

BLOCK_BYTES = 512


def held(found: list[Relative], most: int) -> int:
    """Bytes of shared memory that these processes keep, at most `most`, which is also what one has that cannot be
    looked into. A shared mapping without a descriptor counts with its whole length."""
    if sys.platform != "linux":
        return 0
    ours, anonymous = set(_tmpfs(os.getpid())), _device_of_memfds()
    total, namespaces, lengths = 0, set[str](), dict[int, int]()
    for one in found:
        try:
            if (namespace := os.readlink(f"/proc/{one.pid}/ns/mnt")) not in namespaces:
                namespaces.add(namespace)
                for device, folder in _tmpfs(one.pid).items():
                    if device not in ours:
                        ours.add(device)
                        total += _used(f"/proc/{one.pid}/root{folder}")
            for inode, length in _lengths(one.pid, anonymous).items():
                lengths[inode] = max(length, lengths.get(inode, 0))
        except PermissionError:
            return most
        except OSError:
            continue  # it has ended meanwhile
        if total + sum(lengths.values()) >= most:
            return most
    return total + sum(lengths.values())


def nameless(found: list[Relative]) -> int:
    """Bytes of the files without a name that these processes have open, or mapped with their whole length."""
    if sys.platform != "linux":
        return 0
    memfds, sizes = _device_of_memfds(), dict[tuple[int, int], int]()
    for one in found:
        try:
            for line in content(f"/proc/{one.pid}/maps").splitlines():
                if line.endswith(b" (deleted)"):
                    device, inode, length = _mapped(line)
                    sizes[device, inode] = max(length, sizes.get((device, inode), 0))
            with os.scandir(f"/proc/{one.pid}/fd") as descriptors:
                states = [state for each in descriptors if (state := _state(each.path)) is not None]
        except OSError:
            continue  # it has ended meanwhile, or may not be looked into
        for state in states:
            if not state.st_nlink and stat.S_ISREG(state.st_mode):
                sizes[state.st_dev, state.st_ino] = state.st_blocks * BLOCK_BYTES
    return sum(size for (device, _), size in sizes.items() if device != memfds)


def _mapped(line: bytes) -> tuple[int, int, int]:
    """Device, inode and bytes in a line of /proc/PID/maps."""
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    span, _, _, numbers, inode, *_ = line.split(None, 5)
    major, _, minor = numbers.partition(b":")
    first, _, last = span.partition(b"-")
    return os.makedev(int(major, 16), int(minor, 16)), int(inode), int(last, 16) - int(first, 16)


def _state(descriptor: str) -> os.stat_result | None:
    """None when it was closed meanwhile."""
    try:
        return os.stat(descriptor)
    except FileNotFoundError:
        return None


def _tmpfs(pid: int) -> dict[bytes, str]:
    """major:minor -> where it is mounted, as this process sees it."""
    found: dict[bytes, str] = {}
    for line in content(f"/proc/{pid}/mountinfo").splitlines():
        before, _, after = line.partition(b" - ")
        if after.startswith(b"tmpfs "):
            fields = before.split()
            folder = fields[4].decode("unicode_escape").encode("latin-1")  # blanks are \040 there
            found.setdefault(fields[2], os.fsdecode(folder))
    return found


def _used(folder: str) -> int:
    if sys.platform == "win32":
        return 0
    seen = os.statvfs(folder)
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


def _device_of_memfds() -> int:
    """It is that of shared anonymous mappings, too."""
    if sys.platform != "linux":
        return -1
    made = os.memfd_create("own", os.MFD_CLOEXEC)
    try:
        return os.fstat(made).st_dev
    finally:
        os.close(made)


def _lengths(pid: int, device: int) -> dict[int, int]:
    """Inode -> bytes, of what this process has mapped or open without a name. Raises OSError."""
    if sys.platform != "linux":
        return {}
    found: dict[int, int] = {}
    for line in content(f"/proc/{pid}/maps").splitlines():
        where, inode, length = _mapped(line)
        if inode and where == device:
            found[inode] = found.get(inode, 0) + length
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for each in descriptors:
            if (state := _state(each.path)) is not None and state.st_dev == device:
                found[state.st_ino] = state.st_blocks * BLOCK_BYTES
    return found
