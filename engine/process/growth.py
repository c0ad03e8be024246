"""How much was written into some folders since a moment, found out a little at a time. For the shim: fast to import.

A file counts when its change time, which no program can set, is not before that moment; so nothing has to be counted
beforehand, and a file that was there and was changed counts as a whole.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

BLOCK_BYTES = 512
SLACK_S = 1.0
"""A file's times come from a clock that ticks coarsely, and on some disks in whole seconds."""
LOOK_EVERY = 64


class Growth:
    """folders: absolute paths; one below another is counted once. `files` and `bytes` are those of the last complete
    count, or of the one under way if that has found more already; `largest`: bytes of the largest file found.

    deepest: "" or a folder whose path is too long to look into, which is a place to hide in. locked: "" or one that
    may not be looked into.
    """

    def __init__(self, folders: list[str]) -> None:
        self._roots = _outermost(folders)
        self._offset = time.time() - time.monotonic()
        self._began = time.monotonic()
        self._counting: Iterator[None] | None = None
        self.files = 0
        self.bytes = 0
        self.largest = 0
        self.deepest = ""
        self.locked = ""
        self._locked = ""

    def count(self, budget_s: float) -> bool:
        """Go on counting for about that long. True when every folder has been looked at once more."""
        give_up = time.monotonic() + budget_s
        if self._counting is None:
            self._counting = self._count()
        for _ in self._counting:
            if time.monotonic() >= give_up:
                return False
        self._counting = None
        return True

    def free(self) -> tuple[int, int]:
        """Free bytes and free files (0 where there is no such number) on the disks of the folders, summed up."""
        if sys.platform == "win32":
            return 0, 0
        seen: dict[int, os.statvfs_result] = {}
        for root in self._roots:
            try:
                seen[os.stat(root).st_dev] = os.statvfs(root)
            except OSError:
                continue
        found = seen.values()
        return sum(one.f_bfree * one.f_frsize for one in found), sum(one.f_ffree for one in found)

    def _count(self) -> Iterator[None]:
        files = size = largest = 0
        since = self._since()
        linked: set[tuple[int, int]] = set()
        stack = list(self._roots)
        steps = 0
        self._locked = ""
        while stack:
            folder = stack.pop()
            try:
                listing = os.scandir(folder)
            except OSError as error:
                self._unseen(folder, error)
                continue
            with listing:
                for entry in listing:
                    steps += 1
                    if steps % LOOK_EVERY == 0:
                        self.files, self.bytes = max(self.files, files), max(self.bytes, size)
                        self.largest = max(self.largest, largest)
                        yield
                    try:
                        state = entry.stat(follow_symlinks=False)
                        inner = entry.is_dir(follow_symlinks=False)
                    except OSError as error:
                        self._unseen(entry.path, error)
                        continue
                    if inner:
                        stack.append(entry.path)
                    if state.st_ctime < since:
                        continue
                    if state.st_nlink > 1 and not inner:
                        if (state.st_dev, state.st_ino) in linked:
                            continue
                        linked.add((state.st_dev, state.st_ino))
                    files += 1
                    size += _taken(state)
                    if not inner:
                        largest = max(largest, state.st_size)
        self.files, self.bytes, self.largest, self.locked = files, size, largest, self._locked

    def _since(self) -> float:
        """UTC seconds. When the clock is set back, what comes after has earlier times too."""
        self._offset = min(self._offset, time.time() - time.monotonic())
        return self._began + self._offset - SLACK_S

    def _unseen(self, folder: str, error: OSError) -> None:
        import errno

        if error.errno == errno.ENAMETOOLONG:
            self.deepest = folder
        elif error.errno == errno.EACCES:
            self.locked = self._locked = folder


def _taken(state: os.stat_result) -> int:
    """Bytes on the disk; of a file with holes that is less than its size."""
    return state.st_size if sys.platform == "win32" else state.st_blocks * BLOCK_BYTES


def _outermost(folders: list[str]) -> list[str]:
    kept: list[str] = []
    for folder in sorted({os.path.realpath(each) for each in folders}):
        if not any(folder == other or folder.startswith(os.path.join(other, "")) for other in kept):
            kept.append(folder)
    return kept
