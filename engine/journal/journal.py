"""The engine's journal: appending, snapshots, and the inbox of commands."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.durable import sync_folder
from engine.errors import UserError
from engine.journal.heads import Trust, digest_of, trusted
from engine.journal.reader import Command, Reads
from engine.journal.rows import Draft, encode_body
from engine.journal.schema import connect, create_tables, explained, lacks_room
from engine.journal.writer import AppendRequest, HeadRequest, OnBatch, SettleRequest, SnapshotRequest, Writer
from engine.models.event import Event, NewEvent

if TYPE_CHECKING:
    # For types alone: a client reads journals without the weight of a loop.
    import asyncio

    from engine.ports import Clock, HeadSigner

BALLAST_BYTES = 8_000_000
"""About twice the write-ahead log, see `schema.WAL_PAGES`."""
_BLOCK_BYTES = 1_000_000


class Journal:
    """The append-only record. Nothing happened unless it is in here; an append is acknowledged only after COMMIT.

    One engine at a time may have it open (`engine.lock`); other processes use `JournalReader`.
    `append…`, `save_snapshot` and `settle_command` are called in the loop's thread; reading works in any thread.
    redact: applied to every string of an event's fields. ballast: a file that is given up when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        redact: Callable[[str], str] | None = None,
        ballast: Path | None = None,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> None:
        self._path = path
        self._clock = clock
        self._redact = redact
        self._ballast = ballast or path.with_name("ballast")
        self._ballast_bytes = ballast_bytes
        self._connection: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._reads: Reads | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Make what is missing and find the end of the chain.

        Raises UserError for a folder that cannot be written, a full disk, a damaged file, or one of a newer version.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = connect(self._path, write=True)
            create_tables(self._connection, self._path)
            self._writer = Writer(self._connection, self._path, boot_id(), self._ballast)
            self._reads = Reads(self._path)
            sync_folder(self._path.parent)
            self._fill_ballast()
        except OSError as error:
            self.close()
            raise UserError(
                f"The journal's folder {self._path.parent} cannot be written ({error.strerror or error}): make it "
                "writable, or name another one with --state."
            ) from error
        except sqlite3.Error as error:
            self.close()
            meaning = explained(self._path, error)
            raise UserError(str(meaning)) if lacks_room(error) else meaning from error
        except BaseException:
            self.close()
            raise

    def start(self, loop: asyncio.AbstractEventLoop, on_batch: OnBatch) -> None:
        """Start the writer. `on_batch` is called in the loop with each batch of durable events, in order,
        before the futures of that batch are resolved."""
        assert self._writer is not None, "open() comes before start()"
        self._loop = loop
        self._writer.start(loop, on_batch)

    def append(
        self, kind: str, fields: Mapping[str, Any] | None = None, *, work_order: str = "", run: str = ""
    ) -> asyncio.Future[Event]:
        """Queue one event; the future gets it once it is durable, or an InfrastructureFault when it cannot be.

        Events are numbered in the order of the calls. Raises ValueError or TypeError at once for fields that are not
        JSON-ready, use a reserved name, or are too large. Cancelling the future does not take the event back.
        """
        draft = self._draft(NewEvent(kind, fields or {}, work_order, run))
        return self._request(lambda future: AppendRequest(future, [draft], many=False))

    def append_all(self, events: Sequence[NewEvent]) -> asyncio.Future[list[Event]]:
        """Queue events that become durable together or not at all, with consecutive numbers."""
        drafts = [self._draft(event) for event in events]
        return self._request(lambda future: AppendRequest(future, drafts, many=True))

    def save_snapshot(self, seq: int, state: bytes) -> asyncio.Future[None]:
        """Keep `state`, the fold of all events up to `seq`. The newest two stay; the writer thread does the work."""
        return self._request(lambda future: SnapshotRequest(future, seq, state))

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """(seq, state) of the newest undamaged snapshot, or None."""
        return self._read().newest_snapshot()

    def events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Durable events with a seq above `after`, in order, at most `limit`, read page by page."""
        return self._read().events(after, limit)

    def last_seq(self) -> int:
        """The seq of the newest durable event; 0 when there is none."""
        return self._read().last_seq()

    def verify_chain(
        self, after: int = 0, until: int | None = None, going_on: Callable[[], bool] = lambda: True
    ) -> int | None:
        """The seq of the first event behind `after` (and up to `until`) that was changed, removed or put in later;
        None if all is well, or once `going_on`, asked now and then, is False.

        Events cut off at the very end leave no trace in the chain itself: `trusted` sees those.
        """
        return self._read().first_break(after, until, going_on)

    def trusted(self, copy: Path, signer: HeadSigner) -> Trust:
        """What may be believed of it, by its signed head and the copy of that: see `engine.journal.heads`. Blocking.

        Raises JournalBroken. The snapshots that the head vouches for are vouched for by the next one too.
        """
        trust = trusted(self._read(), copy, signer)
        if self._writer is not None:
            found = {trust.snapshot[0]: digest_of(trust.snapshot[1])} if trust.snapshot is not None else {}
            self._writer.snapshots = dict(trust.head.snapshots) if trust.head is not None else found
        return trust

    def head(self) -> tuple[int, bytes, dict[int, bytes]]:
        """(seq, hash) of the newest durable event, and the digests of the snapshots, as they were written, not as they
        can be read now."""
        assert self._writer is not None, "the journal is not open"
        return *self._writer.head, self._writer.snapshots

    def save_head(self, nth: int, payload: bytes, signature: bytes) -> asyncio.Future[None]:
        """Keep a signed head in place of the one before."""
        return self._request(lambda future: HeadRequest(future, nth, payload, signature))

    def take_commands(self) -> list[Command]:
        """The commands that have no answer yet, oldest first. A command comes again until it is settled."""
        return self._read().open_commands()

    def may_have_changed(self) -> bool:
        """Whether anybody, in this process or another, wrote since the last call. Costs microseconds, never waits."""
        return self._read().may_have_changed()

    def settle_command(self, command: int, answer: Mapping[str, Any]) -> asyncio.Future[None]:
        """Answer a command, in the order of the appends around it. A second answer changes nothing."""
        encoded = json.dumps(dict(answer), separators=(",", ":"), allow_nan=False)
        return self._request(lambda future: SettleRequest(future, command, encoded))

    def close(self) -> None:
        """Write what is queued, fold the write-ahead log into the file, let go. Blocks for milliseconds; idempotent.

        The futures of the last batch are resolved when the loop next runs.
        """
        writer, self._writer, self._loop = self._writer, None, None
        if writer is not None:
            writer.stop()
        if self._reads is not None:
            self._reads.close()
            self._reads = None
        if self._connection is not None:
            # The checkpoint can fail on a full disk; nothing is lost, the next start reads the write-ahead log.
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.close()
            self._connection = None

    def _draft(self, event: NewEvent) -> Draft:
        return Draft(event.kind, encode_body(event, self._redact), self._clock.now(), self._clock.monotonic())

    def _request(self, make: Callable[[asyncio.Future[Any]], Any]) -> asyncio.Future[Any]:
        if self._writer is None or self._loop is None:
            raise RuntimeError("the journal is not started")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._writer.put(make(future))
        return future

    def _read(self) -> Reads:
        if self._reads is None:
            raise RuntimeError("the journal is not open")
        return self._reads

    def _fill_ballast(self) -> None:
        """Have the ballast in place again. Real blocks, not a hole; when there is no room for it, there is none."""
        if self._ballast.exists() and self._ballast.stat().st_size >= self._ballast_bytes:
            return
        try:
            with self._ballast.open("wb") as file:
                for start in range(0, self._ballast_bytes, _BLOCK_BYTES):
                    file.write(b"\xa5" * min(_BLOCK_BYTES, self._ballast_bytes - start))
        except OSError:
            with suppress(OSError):
                self._ballast.unlink(missing_ok=True)


def boot_id() -> str:
    """What names this boot of the machine: monotonic times are comparable only within one."""
    if sys.platform == "linux":
        with suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    import psutil  # only here: every client would pay for it

    # Derived from the wall clock elsewhere, so it may move by a second when that is set: rounded to a minute.
    return f"boot-{round(psutil.boot_time() / 60)}"
