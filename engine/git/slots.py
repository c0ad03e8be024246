"""Slots: a fixed number of checkouts at fixed paths, in which gates run, so that build caches stay warm.

Each is leased under a lock of the operating system, so that another process (the local CI emulator) takes another one,
and a dead process holds none.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.git.checkout import Checkout
from engine.git.hub import Hub
from engine.git.names import check_id

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_PATIENCE_S = (0.02, 0.25)
"""First and longest pause between two looks for a free slot; other processes cannot wake us."""


class Slot:
    """One leased checkout. path: the tree, the same for every lease. cache: beside it, for build caches.

    adopted: this key had the slot when its last holder died, and `tree` is still what was checked out for it (a process
    of that lease may still run here). Otherwise `tree` is None until `checkout`.
    """

    def __init__(self, number: int, folder: Path, key: str, checkout: Checkout, tree: str | None) -> None:
        self.number, self.key = number, key
        self.path, self.cache = folder / "tree", folder / "cache"
        self.tree, self.adopted = tree, tree is not None
        self._checkout, self._record = checkout, folder / "lease.json"

    def checkout(self, tree: str) -> None:
        """Make `path` hold exactly `tree`; files that are right already keep their mtime. Blocking.

        Raises GitError, or SwarmError when a file is held open by another program.
        """
        if self.tree == tree and not self.adopted and self._checkout.holds(tree):
            return
        self.tree, self.adopted = None, False
        _write_lease(self._record, self.key, None)
        self.cache.mkdir(parents=True, exist_ok=True)
        self._checkout.make(check_id(tree))
        self.tree = tree
        _write_lease(self._record, self.key, tree)

    def freshen(self) -> None:
        """Give every file of the tree that was touched since the checkout the time of now: builders trust times, and
        somebody may have set an old one. Blocking. Raises RuntimeError before `checkout`."""
        if self.tree is None:
            raise RuntimeError("nothing is checked out in this slot")
        self._checkout.freshen(self.tree)

    def unchanged(self) -> list[str]:
        """The paths of the checked-out tree whose files differ from it now; empty when nothing does. Blocking.

        Files that are not in the tree do not count. Raises RuntimeError before `checkout`.
        """
        if self.tree is None:
            raise RuntimeError("nothing is checked out in this slot")
        return self._checkout.unchanged(self.tree)


class Slots:
    """`count` slots in `folder`, called `<prefix>-<n>` from 1."""

    def __init__(self, hub: Hub, folder: Path, count: int, prefix: str = "gate") -> None:
        self._folders = [folder / f"{prefix}-{number}" for number in range(1, count + 1)]
        # A checkout remembers what it wrote, so that a look afterwards need not read every file.
        self._checkouts = [Checkout(hub, place / "tree", place / "index") for place in self._folders]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._folders)

    @asynccontextmanager
    async def lease(self, key: str) -> AsyncGenerator[Slot]:
        """A slot for the time of the `async with`; waits until one is free.

        Taken first: the slot that `key` had when its holder died (a gate that is adopted runs there); then one that was
        given back; last, one whose holder died under another key.
        """
        pause = _PATIENCE_S[0]
        # Taking is a few short calls on local files. In a thread, a cancellation in between would lose the lock.
        while (taken := self._take(key)) is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PATIENCE_S[1])
        slot, descriptor = taken
        try:
            yield slot
        finally:
            try:
                _write_lease(slot.path.parent / "lease.json", "", slot.tree)
            finally:
                os.close(descriptor)

    def _take(self, key: str) -> tuple[Slot, int] | None:
        ranked = sorted(range(len(self._folders)), key=lambda at: (_rank(_lease(self._folders[at])[0], key), at))
        for at in ranked:
            folder = self._folders[at]
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            descriptor = os.open(folder / "lock", flags, 0o600)
            if not _try_lock(descriptor):
                os.close(descriptor)
                continue
            holder, tree = _lease(folder)
            adopted = tree if holder == key and key else None
            try:
                _write_lease(folder / "lease.json", key, adopted)
            except BaseException:
                os.close(descriptor)
                raise
            return Slot(at + 1, folder, key, self._checkouts[at], adopted), descriptor
        return None


def _rank(holder: str, key: str) -> int:
    if holder == key and key:
        return 0
    return 1 if not holder else 2


def _lease(folder: Path) -> tuple[str, str | None]:
    """Who had the slot and did not give it back ("": nobody), and the tree that was checked out."""
    try:
        saved = json.loads((folder / "lease.json").read_text(encoding="utf-8"))
        return str(saved["key"]), saved["tree"]
    except (OSError, ValueError, KeyError, TypeError):
        return "", None


def _write_lease(record: Path, key: str, tree: str | None) -> None:
    """Whole or not at all, but not hardened: after a power loss nothing runs in any slot."""
    fresh = record.with_name(f"{record.name}.new")
    fresh.write_text(json.dumps({"key": key, "tree": tree}), encoding="utf-8")
    fresh.replace(record)
