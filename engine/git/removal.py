"""Taking files away that somebody hostile or careless left: read-only, mode 000, nested too deep, linked elsewhere.

Links (and Windows' junctions) are removed themselves; nothing behind them is touched.
"""

# Plain strings throughout: a Path per entry doubles the time of a sweep, and Path knows no DirEntry.
# ruff: noqa: PTH100, PTH118, PTH208

from __future__ import annotations

import os
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

_LONGEST_PATH = 1_000
"""Characters. Well under every system's limit, so that one more level always fits."""


def is_real_folder(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is a folder itself, and neither a link nor a junction to one."""
    if sys.platform == "win32":
        attributes = entry.stat(follow_symlinks=False).st_file_attributes
        return entry.is_dir(follow_symlinks=False) and not attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return entry.is_dir(follow_symlinks=False)


def is_unlocked_folder(path: str) -> bool:
    """Whether it is a folder, and listable and writable for its owner."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and mode & stat.S_IRWXU == stat.S_IRWXU


def unlock_folder(path: str) -> None:
    """Make a folder listable and writable for its owner."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode) and not is_unlocked_folder(path):
        Path(path).chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def remove_file(path: str) -> None:
    """Remove what is not a folder: a file, a link, a FIFO, a junction. Raises OSError."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        pass
    except PermissionError:
        if sys.platform != "win32":
            raise
        if Path(path).is_dir():  # a junction
            Path(path).rmdir()
        else:
            Path(path).chmod(stat.S_IWRITE)
            Path(path).unlink()


def remove_tree(root: Path) -> bool:
    """Remove a folder with all that is in it, or one file. False if something is still there, held open by somebody:
    then as much as possible is gone, and a later call finishes."""
    top = _absolute(root)
    try:
        mode = os.lstat(top).st_mode
    except OSError:
        return not os.path.lexists(top)
    if not stat.S_ISDIR(mode):
        return _tried(remove_file, top)
    open_, done = [top], list[str]()
    while open_:
        folder = open_.pop()
        if len(folder) > _LONGEST_PATH and folder != top:
            folder = _moved_up(folder, top)
        done.append(folder)
        for entry in _listed(folder):
            if is_real_folder(entry):
                open_.append(entry.path)
            else:
                _tried(remove_file, entry.path)
    for folder in reversed(done):  # every folder was listed before what is in it
        _tried(os.rmdir, folder)
    return not os.path.lexists(top)


def move_aside(path: Path, into: Path) -> bool:
    """Take `path` away at once by moving it into the folder `into` (same filesystem), then remove it if that works now.

    On Windows a folder with an open file in it cannot be moved; then what can be removed is removed where it is.
    False if `path` is still there.
    """
    if not os.path.lexists(_absolute(path)):
        return True
    into.mkdir(parents=True, exist_ok=True)
    target = into / uuid.uuid4().hex
    try:
        Path(_absolute(path)).rename(_absolute(target))
    except OSError:
        return remove_tree(path)
    remove_tree(target)
    return True


def sweep_aside(into: Path) -> int:
    """Remove what `move_aside` had to leave. How many entries are still there."""
    if not into.is_dir():
        return 0
    return sum(not remove_tree(into / name) for name in sorted(os.listdir(into)))


def _listed(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        unlock_folder(folder)
        with os.scandir(folder) as entries:
            yield from list(entries)
    except OSError:  # held open or vanished; what could not be listed shows as a folder that is still there
        return


def _moved_up(folder: str, top: str) -> str:
    """A folder whose path is getting too long, moved to directly below the top."""
    target = os.path.join(top, uuid.uuid4().hex)
    try:
        Path(folder).rename(target)
    except OSError:
        return folder
    return target


def _tried(act: Callable[[str], None], path: str) -> bool:
    try:
        act(path)
    except OSError:
        return False
    return True


def _absolute(path: Path) -> str:
    """On Windows with the prefix that lifts the limit of 260 characters."""
    absolute = os.path.abspath(path)
    if sys.platform == "win32" and not absolute.startswith("\\\\"):
        return f"\\\\?\\{absolute}"
    return absolute
