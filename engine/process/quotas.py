"""Quotas: what one run may use, and how its supervisor sees that it uses more. For the shim: fast to import.

A run that is over before the first look costs nothing. While it lives there is a look every TICK_S, at its processes
and its output; they are counted, so a run can be beyond its quota for as long as that. Its folders are counted only
when the disk has less room than before or some time has passed, and a little at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from engine.process.relatives import shared_memory
from engine.text.sizes import size_words

if TYPE_CHECKING:
    from engine.process.growth import Growth
    from engine.process.relatives import Relative

TICK_S = 0.2
BUSY_SHARE = 0.05
"""How much of its time a supervisor may spend on looking, while nothing comes near its quota."""
NEAR = 0.5
"""From this share of a quota on, the next look is never put off."""
RATE_WINDOW_S = 10.0
COUNT_S = 0.02
"""How long folders are counted in one look."""
FIRST_COUNT_S = 5.0
COUNT_EVERY_S = 30.0
"""How often folders are counted where the disk shows no growth."""
TRIGGER = 8
"""A fall of free space by this part of the quota has the folders counted at once."""
EXCEEDED_BY_SIGNAL = 128 + 25
"""Exit code of what SIGXFSZ ended (Linux, macOS): it wrote a file beyond its limit."""


class Exceeded(NamedTuple):
    """quota: its name in `engine.ports.Quota`. note: one sentence with numbers."""

    quota: str
    note: str


class Watch:
    """Looks after one run. quota: the fields of `engine.ports.Quota`. used: the processes of the run that are to
    be counted. printed: bytes of output so far. folders: what may be written. clock: monotonic."""

    def __init__(
        self,
        quota: dict[str, int],
        used: Callable[[], list[Relative]],
        printed: Callable[[], int],
        folders: list[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._used = used if quota["memory"] or quota["processes"] else None
        self._rate = Rate(quota["log_rate"], printed) if quota["log_rate"] else None
        counted = quota["disk"] or quota["files"] or quota["file_size"]
        self._disk = disk_for(quota, folders, used) if counted else None
        self._clock = clock
        self._due = clock() + TICK_S
        self._shared = 0
        """Bytes at which most of them turned out to be shared, or others' shared memory."""
        self._shmem_first = shared_memory() if quota["memory"] else 0
        self._grown = 0
        """By how much the whole machine's shared memory is more than it was at its least."""

    def rest(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._due - self._clock())

    def look(self) -> Exceeded | None:
        """What is used up, if it is time to look."""
        began = self._clock()
        if began < self._due:
            return None
        near = False
        if self._used is not None:
            found = self._used()
            if exceeded := self._processes(found) or self._memory(found):
                return exceeded
            near = self._near(found)
        if self._rate is not None and (exceeded := self._rate.look(began)):
            return exceeded
        if self._disk is not None:
            if exceeded := self._disk.look(began):
                return exceeded
            near |= self._disk.urgent
        ended = self._clock()
        self._due = ended + max(TICK_S, 0.0 if near else (ended - began) / BUSY_SHARE)
        return None

    def said_by(self, exit_code: int | None) -> Exceeded | None:
        """What the exit code of a command that has ended tells."""
        limit = self._quota["file_size"]
        return _beyond_file_size(limit) if limit and exit_code == EXCEEDED_BY_SIGNAL else None

    def _processes(self, found: list[Relative]) -> Exceeded | None:
        limit, tasks = self._quota["processes"], sum(one.tasks for one in found)
        if not limit or tasks <= limit:
            return None
        return Exceeded("processes", f"it had {tasks} processes and threads at once, of {limit} that it may have")

    def _memory(self, found: list[Relative]) -> Exceeded | None:
        limit, resident = self._quota["memory"], sum(one.resident for one in found)
        if not limit:
            return None
        now = shared_memory()
        self._shmem_first = min(now, self._shmem_first)
        self._grown = now - self._shmem_first
        if resident + self._grown <= max(limit, self._shared):
            return None
        from engine.process.relatives import proportional

        used, shared = proportional(found, limit)
        if used <= limit and self._grown:
            from engine.process.shared_memory import held

            used += max(0, held(found, self._grown) - shared)
        if used <= limit:
            self._shared = resident + self._grown + limit // 20  # asked again when it has grown
            return None
        return Exceeded("memory", f"it used {size_words(used)} of memory, of {size_words(limit)} that it may have")

    def _near(self, found: list[Relative]) -> bool:
        tasks, resident = sum(one.tasks for one in found), sum(one.resident for one in found) + self._grown
        return tasks > NEAR * self._quota["processes"] > 0 or resident > NEAR * self._quota["memory"] > 0


class Rate:
    """Bytes of output over the last RATE_WINDOW_S seconds."""

    def __init__(self, limit: int, printed: Callable[[], int]) -> None:
        self._limit = limit
        self._printed = printed
        self._seen: deque[tuple[float, int]] = deque([(float("-inf"), 0)])

    def look(self, now: float) -> Exceeded | None:
        """now: monotonic seconds."""
        total = self._printed()
        while len(self._seen) > 1 and self._seen[1][0] <= now - RATE_WINDOW_S:
            self._seen.popleft()
        recent = total - self._seen[0][1]
        self._seen.append((now, total))
        if recent <= self._limit * RATE_WINDOW_S:
            return None
        most = f"{size_words(self._limit)} a second that it may print"
        return Exceeded("log_rate", f"it printed {size_words(recent)} in {RATE_WINDOW_S:g} s, of {most}")


class Disk:
    """What was written into folders. Counted anew when free space fell, after a while, and in small portions.

    urgent: so much free space is gone since the beginning that nothing may be put off. nameless: bytes of files that
    are in no folder any more and still open.
    """

    def __init__(
        self, quota: dict[str, int], growth: Growth, now: float, nameless: Callable[[], int] = lambda: 0
    ) -> None:
        self._quota = quota
        self._growth = growth
        self._nameless = nameless
        self._free_first = self._free = growth.free()
        self._counting = False
        self._next = now + FIRST_COUNT_S
        self.urgent = False

    def look(self, now: float) -> Exceeded | None:
        """now: monotonic seconds."""
        free = self._growth.free()
        self.urgent = self._fell(self._free_first, free, 1)
        if not self._counting:
            if now < self._next and not self._fell(self._free, free, TRIGGER):
                return None
            self._free, self._counting = free, True
        if self._growth.count(COUNT_S * (5 if self.urgent else 1)):
            self._counting, self._next = False, now + COUNT_EVERY_S
        return self._exceeded()

    def _fell(self, before: tuple[int, int], after: tuple[int, int], part: int) -> bool:
        """Whether free bytes or files fell by that part of what may be used."""
        limits = (self._quota["disk"] or self._quota["file_size"], self._quota["files"])
        gone = (was - now for was, now in zip(before, after, strict=True))
        return any(0 < limit <= less * part for limit, less in zip(limits, gone, strict=True))

    def _exceeded(self) -> Exceeded | None:
        quota, growth = self._quota, self._growth
        if limit := quota["disk"]:
            # Only for a disk that has lost so much is every process asked what it has open.
            total = growth.bytes + (self._nameless() if self.urgent else 0)
            if total > limit:
                written = f"it wrote {size_words(total)} into its folders"
                return Exceeded("disk", f"{written}, of {size_words(limit)} that it may write")
            if growth.locked and self.urgent:
                return Exceeded("disk", f"{size_words(limit)} of the disk are gone, and it keeps folders locked")
        if 0 < quota["files"] < growth.files:
            return Exceeded("files", f"it wrote {growth.files} files, of {quota['files']} that it may write")
        if growth.deepest:
            return Exceeded("files", "it made folders whose paths are too long to count what is in them")
        if 0 < quota["file_size"] <= growth.largest:
            return _beyond_file_size(quota["file_size"])
        return None


def _beyond_file_size(limit: int) -> Exceeded:
    """What the system itself keeps to: no file gets larger."""
    return Exceeded("file_size", f"it wrote a file beyond {size_words(limit)}, the most that one file may have")


def disk_for(quota: dict[str, int], folders: list[str], used: Callable[[], list[Relative]]) -> Disk | None:
    """None when there is no folder that may be written."""
    if not folders:
        return None
    from engine.process.growth import Growth

    def of_processes() -> int:
        from engine.process.shared_memory import nameless

        return nameless(used())

    return Disk(quota, Growth(folders), time.monotonic(), of_processes)
