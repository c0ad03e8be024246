"""Reading the journal, from the engine and from any other process, while it is being written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.errors import UserError
from engine.journal.rows import GENESIS, chain_hash, decode_event
from engine.journal.schema import connect, damaged, explained, refuse_newer
from engine.models.event import Event
from engine.text.sanitise import sanitise_line

MAX_ARGS_BYTES = 64_000
_PAGE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asked the engine to do. `at` is UTC seconds by the client's clock."""

    id: int
    at: float
    name: str
    args: dict[str, Any]


class Reads:
    """Queries over one read-only connection, for any thread. Raises UserError (damaged) or InfrastructureFault.

    Results come in pages, so that no read transaction stays open and checkpoints are never held up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version: int | None = None
        if not path.is_file():
            raise UserError(f"there is no journal at {path}: start the engine once with `swarm`.")
        try:
            self._connection = connect(path, write=False)
        except sqlite3.Error as error:
            raise explained(path, error) from error
        try:
            if not refuse_newer(self._connection, path):
                raise UserError(f"The journal at {path} is empty: start the engine once with `swarm`.")
        except sqlite3.Error as error:
            self._connection.close()
            raise explained(path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query."""
        try:
            with self._lock:
                return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise explained(self._path, error) from error

    def may_have_changed(self) -> bool:
        """Whether another connection wrote since the last call; True when this one is in use and cannot be asked."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            before, self._version = self._version, self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise explained(self._path, error) from error
        finally:
            self._lock.release()
        return before != self._version

    def events(self, after: int, limit: int | None) -> Iterator[Event]:
        left = limit
        while left is None or left > 0:
            page = _PAGE_ROWS if left is None else min(left, _PAGE_ROWS)
            query = "SELECT seq, at, kind, json FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = self.rows(query, after, page)
            for seq, at, kind, body in rows:
                try:
                    yield decode_event(seq, at, kind, body)
                except ValueError as error:
                    raise damaged(self._path, str(error)) from error
            if len(rows) < page:
                return
            after = rows[-1][0]
            left = None if left is None else left - page

    def last_seq(self) -> int:
        return int(self.rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def newest_snapshot(self, vouched: Mapping[int, bytes] | None = None) -> tuple[int, bytes] | None:
        """vouched: take only one of these, digest by seq."""
        for seq, digest in self.rows("SELECT seq, digest FROM snapshots ORDER BY seq DESC"):
            # One at a time: each is megabytes. It may be gone by now.
            for (state,) in self.rows("SELECT state FROM snapshots WHERE seq = ?", seq):
                whole = isinstance(state, bytes) and hashlib.sha256(state).digest() == digest
                if whole and (vouched is None or vouched.get(seq) == digest):
                    return int(seq), bytes(state)
        return None

    def hash_of(self, seq: int) -> bytes | None:
        """The hash that the row of an event claims."""
        found = self.rows("SELECT hash FROM events WHERE seq = ?", seq)
        return found[0][0] if found else None

    def newest_head(self) -> tuple[bytes, bytes] | None:
        """(payload, signature) of the newest signed head."""
        if not self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'heads'"):
            return None
        found = self.rows("SELECT CAST(payload AS BLOB), CAST(signature AS BLOB) FROM heads ORDER BY nth DESC LIMIT 1")
        return (found[0][0] or b"", found[0][1] or b"") if found else None

    def had_heads(self) -> bool:
        """Whether an engine that signs heads has written here. Reads all events."""
        query = "SELECT 1 FROM events WHERE kind = 'engine_started' AND json LIKE '%\"heads\":true%' LIMIT 1"
        return bool(self.rows(query))

    def foreign(self) -> str:
        """What the engine never makes, and what could make a query say something else than the table holds."""
        found = self.rows("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1")
        return f"{found[0][0]} {sanitise_line(str(found[0][1]))[:80]}" if found else ""

    def first_break(
        self, after: int, until: int | None = None, going_on: Callable[[], bool] = lambda: True
    ) -> int | None:
        """The first seq behind `after`, and up to `until`, whose row does not follow from the row before it, or None.

        going_on: asked between pages; False ends the look, as if nothing more had been found.
        """
        prev = self.hash_of(after) if after else GENESIS
        if prev is None:
            return after
        if not after and (early := self.rows("SELECT min(seq) FROM events WHERE seq < 1")[0][0]) is not None:
            return int(early)
        # Cast to BLOB: a flipped bit may leave text that is no longer UTF-8, and that is a break, not an error.
        query = (
            "SELECT seq, at, CAST(boot_id AS BLOB), monotonic, CAST(kind AS BLOB), CAST(json AS BLOB), prev, hash "
            "FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        while going_on() and (rows := self.rows(query, after, _PAGE_ROWS)):
            for seq, at, boot_id, monotonic, kind, body, claimed_prev, claimed in rows:
                if until is not None and seq > until:
                    return None
                try:
                    expected = chain_hash(prev, after + 1, at, boot_id, monotonic, kind, body)
                except TypeError:  # a column that is empty, or of another type
                    return after + 1
                if seq != after + 1 or claimed_prev != prev or claimed != expected:
                    return after + 1
                after, prev = seq, claimed
        return None

    def open_commands(self) -> list[Command]:
        rows = self.rows("SELECT id, at, name, args FROM inbox WHERE answer IS NULL ORDER BY id")
        return [_command(*row) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _command(number: int, at: float, name: str, args: str) -> Command:
    # Whatever stands in the inbox must be settled some day, so what cannot be read becomes a command nobody knows.
    try:
        data = json.loads(args)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return Command(number, at, "unreadable", {})
    return Command(number, at, name, cast("dict[str, Any]", data))


class JournalReader:
    """A client's view of the journal of a running or stopped engine. Reading never writes, and never waits for it.

    Raises UserError when there is no journal, it is damaged, or a newer version wrote it.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._reads = Reads(path)

    def events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Events with a seq above `after`, in order, at most `limit`; those that arrive meanwhile may be among them."""
        return self._reads.events(after, limit)

    def last_seq(self) -> int:
        """The seq of the newest durable event; 0 when there is none."""
        return self._reads.last_seq()

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """(seq, state) of the newest undamaged snapshot: the state after all events up to and including seq."""
        return self._reads.newest_snapshot()

    def verify_chain(self, after: int = 0) -> int | None:
        """See `Journal.verify_chain`."""
        return self._reads.first_break(after)

    def data_version(self) -> int:
        """A number that changes when anyone else has written: a few microseconds, so it can be polled."""
        return int(self._reads.rows("PRAGMA data_version")[0][0])

    def send(self, name: str, args: Mapping[str, Any] | None = None) -> int:
        """Put a command into the engine's inbox, durably; its id. It waits there until an engine takes it."""
        encoded = json.dumps(dict(args or {}), separators=(",", ":"), allow_nan=False)
        if len(encoded) > MAX_ARGS_BYTES:
            raise UserError(f"The command {name} has {len(encoded)} bytes, at most {MAX_ARGS_BYTES}: make it shorter.")
        try:
            connection = connect(self._path, write=True)
            try:
                sql = "INSERT INTO inbox (at, name, args) VALUES (?, ?, ?)"
                number = connection.execute(sql, (self._now(), name, encoded)).lastrowid
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise explained(self._path, error) from error
        assert number is not None  # an INSERT into a rowid table always has one
        return number

    def open_commands(self) -> list[Command]:
        """The commands that no engine has answered yet, oldest first."""
        return self._reads.open_commands()

    def command_answer(self, number: int) -> dict[str, Any] | None:
        """The engine's answer to a command, or None while there is none."""
        rows = self._reads.rows("SELECT answer FROM inbox WHERE id = ?", number)
        return json.loads(rows[0][0]) if rows and rows[0][0] is not None else None

    def close(self) -> None:
        """Let go of the file."""
        self._reads.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
