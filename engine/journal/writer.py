"""The one thread that writes the journal: group commit, one transaction and one wake-up of the loop for a batch."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from engine.errors import InfrastructureFault
from engine.journal.rows import GENESIS, Draft, chain_hash
from engine.journal.schema import explained, lacks_room
from engine.models.event import Event

if TYPE_CHECKING:
    import asyncio

MAX_BATCH: Final = 512
_KEEP_SNAPSHOTS: Final = 2
_INSERT = "INSERT INTO events (seq, at, boot_id, monotonic, kind, json, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

OnBatch = Callable[[list[Event]], None]


@dataclass(slots=True)
class AppendRequest:
    """Events that become durable together. The future gets the one event, or the list when `many`."""

    future: asyncio.Future[Any]
    drafts: list[Draft]
    many: bool


@dataclass(slots=True)
class SettleRequest:
    future: asyncio.Future[Any]
    command: int
    answer: str


@dataclass(slots=True)
class SnapshotRequest:
    future: asyncio.Future[Any]
    seq: int
    state: bytes


@dataclass(slots=True)
class HeadRequest:
    """A signed head, which replaces the one before."""

    future: asyncio.Future[Any]
    nth: int
    payload: bytes
    signature: bytes


Request = AppendRequest | SettleRequest | SnapshotRequest | HeadRequest
Outcome = tuple["asyncio.Future[Any]", Any]


class Writer:
    """Owns the writing connection from `start` on. Requests are served in the order in which they were put."""

    def __init__(self, connection: sqlite3.Connection, path: Path, boot_id: str, ballast: Path) -> None:
        self._connection = connection
        self._path = path
        self._boot_id = boot_id
        self._ballast = ballast
        row = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._seq, self._hash = (int(row[0]), bytes(row[1])) if row else (0, GENESIS)
        self.head: tuple[int, bytes] = self._seq, self._hash
        """(seq, hash) of the newest durable event, as this thread wrote it; may be read in any thread."""
        self.snapshots: dict[int, bytes] = {}
        """Digest by seq of the newest snapshots that this thread wrote. Replaced, never changed."""
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop, on_batch: OnBatch) -> None:
        self._loop, self._on_batch = loop, on_batch
        # A daemon: a crash of the main thread must not hang in the interpreter's exit; an orderly end goes by stop().
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()

    def put(self, request: Request) -> None:
        self._queue.put(request)

    def stop(self) -> None:
        """Serve what is queued, then end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _serve(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(Empty):
                while len(batch) < MAX_BATCH:
                    batch.append(self._queue.get_nowait())
            requests = [request for request in batch if request is not None]
            if requests:
                self._serve_batch(requests)
            if len(requests) < len(batch):
                return

    def _serve_batch(self, requests: list[Request]) -> None:
        events: list[Event] = []
        outcomes: list[Outcome] = []
        small = [request for request in requests if not isinstance(request, SnapshotRequest)]
        if small and not self._attempt(small, lambda: self._store(small, events), outcomes):
            events.clear()
        # Snapshots are large and can be made again, so one that does not fit must not take events down with it.
        for request in requests:
            if isinstance(request, SnapshotRequest):
                self._attempt([request], lambda snapshot=request: self._store_snapshot(snapshot), outcomes)
        # After a hard stop the loop may be closed before the last batch is done; its events are durable all the same.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, events, outcomes)

    def _attempt(self, requests: list[Any], work: Callable[[], list[Outcome]], outcomes: list[Outcome]) -> bool:
        """Do the work in one transaction, once more if the disk was full; whether it became durable in the end."""
        try:
            try:
                outcomes.extend(self._in_transaction(work))
            except sqlite3.Error as error:
                if not lacks_room(error):
                    raise
                self._make_room()
                outcomes.extend(self._in_transaction(work))
            return True
        except sqlite3.Error as error:
            fault = InfrastructureFault(str(explained(self._path, error)))
            fault.__cause__ = error
            outcomes.extend((request.future, fault) for request in requests)
        except Exception as error:  # a bug of ours must not end the thread: everyone would wait for ever
            outcomes.extend((request.future, error) for request in requests)
        return False

    def _in_transaction(self, work: Callable[[], list[Outcome]]) -> list[Outcome]:
        head = self._seq, self._hash
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            done = work()
            self._connection.execute("COMMIT")
            self.head = self._seq, self._hash
            return done
        except BaseException:
            self._seq, self._hash = head
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise

    def _store(self, requests: list[Any], events: list[Event]) -> list[Outcome]:
        events.clear()  # what a first, failed attempt left here
        rows: list[tuple[Any, ...]] = []
        done: list[Outcome] = []
        for request in requests:
            if isinstance(request, SettleRequest):
                sql = "UPDATE inbox SET answer = ? WHERE id = ? AND answer IS NULL"
                self._connection.execute(sql, (request.answer, request.command))
                done.append((request.future, None))
                continue
            if isinstance(request, HeadRequest):
                sql = "INSERT OR REPLACE INTO heads (nth, payload, signature) VALUES (?, ?, ?)"
                self._connection.execute(sql, (request.nth, request.payload.decode("ascii"), request.signature))
                self._connection.execute("DELETE FROM heads WHERE nth <> ?", (request.nth,))
                done.append((request.future, None))
                continue
            fresh = [self._link(draft, rows) for draft in request.drafts]
            events.extend(fresh)
            done.append((request.future, fresh if request.many else fresh[0]))
        self._connection.executemany(_INSERT, rows)
        return done

    def _link(self, draft: Draft, rows: list[tuple[Any, ...]]) -> Event:
        seq, prev = self._seq + 1, self._hash
        boot, kind, body = self._boot_id.encode(), draft.kind.encode(), draft.body.encode()
        self._hash = chain_hash(prev, seq, draft.at, boot, draft.monotonic, kind, body)
        self._seq = seq
        rows.append((seq, draft.at, self._boot_id, draft.monotonic, draft.kind, draft.body, prev, self._hash))
        # Decoded again on purpose: subscribers see exactly what a later fold of the journal will see.
        data = json.loads(draft.body)
        return Event(seq, draft.at, draft.kind, data["work_order"], data["run"], data["fields"])

    def _store_snapshot(self, request: SnapshotRequest) -> list[Outcome]:
        digest = hashlib.sha256(request.state).digest()
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshots (seq, digest, state) VALUES (?, ?, ?)",
            (request.seq, digest, request.state),
        )
        self._connection.execute(
            "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?)",
            (_KEEP_SNAPSHOTS,),
        )
        kept = sorted({*self.snapshots, request.seq})[-_KEEP_SNAPSHOTS:]
        self.snapshots = {seq: digest if seq == request.seq else self.snapshots[seq] for seq in kept}
        return [(request.future, None)]

    def _make_room(self) -> None:
        """Throw off the ballast, then shrink the write-ahead log; in this order, since a checkpoint needs room too."""
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _deliver(self, events: list[Event], outcomes: list[Outcome]) -> None:
        try:
            if events:
                self._on_batch(events)
        finally:
            for future, outcome in outcomes:
                if future.done():  # its waiter was cancelled; the event is durable all the same
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
