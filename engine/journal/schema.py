"""The journal's tables, its connections, and what SQLite's errors mean to a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.errors import InfrastructureFault, SwarmError, UserError

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 10.0
WAL_PAGES = 1000

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    boot_id TEXT NOT NULL,
    monotonic REAL NOT NULL,
    kind TEXT NOT NULL,
    json TEXT NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    args TEXT NOT NULL,
    answer TEXT
);
CREATE INDEX IF NOT EXISTS inbox_open ON inbox (id) WHERE answer IS NULL;
CREATE TABLE IF NOT EXISTS snapshots (seq INTEGER PRIMARY KEY, digest BLOB NOT NULL, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS heads (nth INTEGER PRIMARY KEY, payload TEXT NOT NULL, signature BLOB NOT NULL);
"""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CLOSED_TO_US = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 when the error is the Python module's own."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return 0 if code is None else code & 0xFF


def damaged(path: Path, why: str) -> UserError:
    """What to say of a journal that cannot be believed."""
    return UserError(
        f"The journal {path} is damaged ({why}): put back a copy of its folder, or move that folder away to begin anew."
    )


def explained(path: Path, error: sqlite3.Error) -> SwarmError:
    """The error in our own words: what a person can mend is a UserError, the rest an InfrastructureFault."""
    code = primary_code(error)
    if code in _DAMAGED:
        return damaged(path, str(error))
    if code in _CLOSED_TO_US:
        return UserError(
            f"The journal {path} cannot be opened for writing ({error}): make its folder writable, "
            "or name another one with --state."
        )
    if code == sqlite3.SQLITE_FULL:
        return InfrastructureFault(f"There is no room left for the journal {path} ({error}): free some disk space.")
    return InfrastructureFault(f"The journal {path} failed: {error}")


def lacks_room(error: sqlite3.Error) -> bool:
    """Whether freeing disk space may help. A full quota or file size limit shows as an I/O error, not as FULL."""
    return primary_code(error) in _NO_ROOM


def connect(path: Path, *, write: bool, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection without implicit transactions. Its owner sees to it that one thread at a time uses it.

    A reading connection never writes the database file. Raises sqlite3.Error.
    """
    mode = "rwc" if write else "ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    if write:
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=1")  # macOS: through the drive's cache; without effect elsewhere
            connection.execute("PRAGMA checkpoint_fullfsync=1")
            # The log must fit into the ballast: on a full disk, that is the room which its checkpoint has.
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_PAGES * 4096}")
        except BaseException:
            connection.close()
            raise
    return connection


def create_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Switch to WAL and make what is missing, in one transaction. Raises sqlite3.Error, UserError for a newer file."""
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise UserError(
            f"The folder of {path} does not support SQLite's WAL mode (a network drive?): "
            "name a local folder with --state."
        )
    refuse_newer(connection, path)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_newer(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables exist. Raises UserError when a newer version of the product wrote them."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchone():
        return False
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    version = str(row[0]) if row else ""
    if not version.isdecimal():
        raise damaged(path, "its version is missing")
    if int(version) > SCHEMA_VERSION:
        raise UserError(
            f"The state in {path.parent} was written by a newer swarm (journal version {version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade swarm, or name another folder with --state."
        )
    return True
