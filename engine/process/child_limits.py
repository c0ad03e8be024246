"""What the system itself holds a command to, from its first instruction on. For the shim: fast to import. POSIX.

Limits are inherited, so the shim takes them on for the moment in which it starts the command. The hard ones follow
then, because without privileges they could not be taken back: on Linux, by prlimit(2); elsewhere they stay as they are.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH123

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

OOM_SCORE = 500
"""When memory is short, the kernel ends what agents and gates started before it ends the engine (Linux)."""


@contextmanager
def limited(quota: dict[str, int]) -> Generator[None]:
    """While the body starts the command: what it inherits. quota: see `engine.ports.Quota`."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    import resource

    before = _said(OOM_FILE)
    if before is not None and before < OOM_SCORE:
        _say(OOM_FILE, OOM_SCORE)
    kept = {kind: resource.getrlimit(kind) for kind in _limits(quota)}
    try:
        for kind, limit in _limits(quota).items():
            resource.setrlimit(kind, (_at_most(limit, kept[kind][1]), kept[kind][1]))
        yield
    finally:
        for kind, was in kept.items():
            resource.setrlimit(kind, was)
        if before is not None and before < OOM_SCORE:
            _say(OOM_FILE, before)


def fasten(child: int, quota: dict[str, int]) -> None:
    """The limits of a child that was just started become hard, so that it cannot lift them."""
    if sys.platform == "linux":
        import resource

        for kind in _limits(quota):
            try:
                limit = resource.prlimit(child, kind)[0]
                resource.prlimit(child, kind, (limit, limit))
            except OSError:
                pass  # it has ended, or its program belongs to somebody else


OOM_FILE = "/proc/self/oom_score_adj"


def _limits(quota: dict[str, int]) -> dict[int, int]:
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    import resource

    found: dict[int, int] = {}
    if quota["file_size"]:
        found[resource.RLIMIT_FSIZE] = quota["file_size"]
    # Of root they are not counted.
    if quota["processes"] and os.getuid() and (everybody := _tasks()):
        found[resource.RLIMIT_NPROC] = everybody + quota["processes"]
    return found


def _tasks() -> int:
    """Of the whole machine, which are at least the user's: the limit counts all of those. 0: not known."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[3].partition(b"/")[2])
    except (OSError, ValueError, IndexError):
        return 0


def _at_most(limit: int, hard: int) -> int:
    return limit if hard < 0 else min(limit, hard)


def _said(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _say(path: str, value: int) -> None:
    try:
        with open(path, "wb") as file:
            file.write(b"%d" % value)
    except OSError:
        pass
