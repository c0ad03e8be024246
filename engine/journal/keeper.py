"""Keeps the journal's head signed, beside the events and never in their way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.durable import write_durably
from engine.errors import SwarmError
from engine.journal.heads import Head, SignedHead, Trust
from engine.journal.journal import Journal
from engine.models.event import Event
from engine.ports import Clock, HeadSigner

SIGN_AFTER_S = 5.0
SIGN_AFTER_EVENTS = 500
AT_ONCE = frozenset({"change_landed", "change_reverted", "commits_adopted", "main_restored", "approval_answered"})
"""What is signed for as soon as it is durable: main moved, or a person has spoken."""


class HeadKeeper:
    """Signs the head at start, at stop, after each landing, and while events come: `SIGN_AFTER_S` seconds or
    `SIGN_AFTER_EVENTS` events behind the oldest unsigned one, whichever is first. Idle, it does nothing.

    Everything is called in the loop; signing and writing the copy run in threads. A signing that fails is said by
    `warn` and tried again with the next events: what is not signed yet can be cut off unseen, but the engine goes on.
    """

    def __init__(
        self,
        journal: Journal,
        signer: HeadSigner,
        copy: Path,
        trust: Trust,
        *,
        clock: Clock,
        epoch: int,
        warn: Callable[[str], None],
    ) -> None:
        self._journal, self._signer, self._copy = journal, signer, copy
        self._clock, self._epoch, self._warn = clock, epoch, warn
        self._nth = trust.head.nth if trust.head is not None else 0
        self._due = trust.signed if trust.behind else None
        self._signed_seq = -1
        self._unsigned = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[bool] | None = None
        self._again = False
        self._closed = False

    def saw(self, events: Sequence[Event]) -> None:
        """Events became durable."""
        self._unsigned += len(events)
        if self._closed or not events:
            return
        if self._unsigned >= SIGN_AFTER_EVENTS or any(event.kind in AT_ONCE for event in events):
            self._again = self._task is not None
            self._now()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SIGN_AFTER_S, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self.sign(), name="sign the head")
            self._task.add_done_callback(self._signed)

    def _signed(self, task: asyncio.Task[bool]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            self._warn(f"the journal's head was not signed: {task.exception()!r}")
        if self._again and not self._closed:
            self._again = False
            self._now()
        elif self._unsigned and self._timer is None and not self._closed:  # what came meanwhile
            self._timer = asyncio.get_running_loop().call_later(SIGN_AFTER_S, self._now)

    async def sign(self) -> bool:
        """Sign what is durable now. True when journal and copy hold a head for it."""
        try:
            await self._write_copy()
            seq, hashed, snapshots = self._journal.head()
            if seq == self._signed_seq:
                return True
            self._unsigned = 0
            head = Head(self._nth + 1, seq, hashed, self._epoch, self._clock.now(), snapshots)
            payload = head.payload()
            signed = SignedHead(payload, await asyncio.to_thread(self._signer.sign, payload))
            await self._journal.save_head(head.nth, signed.payload, signed.signature)
            self._nth, self._signed_seq, self._due = head.nth, seq, signed
            await self._write_copy()
        except (SwarmError, OSError) as error:
            self._warn(f"the journal's head was not signed: {error}")
            return False
        return True

    async def _write_copy(self) -> None:
        """Never two heads ahead of the copy: one that could not be written comes before the next head."""
        if (due := self._due) is not None:
            await asyncio.to_thread(write_durably, self._copy, due.as_file())
            self._due = None

    async def close(self) -> None:
        """Sign what is durable, for the last time."""
        await self.leave()
        await self.sign()

    async def leave(self) -> None:
        """Sign nothing more; what is being signed is waited for."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
