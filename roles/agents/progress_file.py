"""`progress.jsonl` of a run: what its agent says and does, a row each, for people and for whoever watches it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine.text.redact import Redactor
from roles.agents.streams.stream import Row

MOST = 4_000_000
"""Bytes that are kept. It may be lossy: the log has all."""


class ProgressFile:
    """redactors: what they hide is in no row. Never raises: without room there is no progress."""

    def __init__(self, path: Path, redactors: Sequence[Redactor] = (), now: Callable[[], float] = time.time) -> None:
        self._path, self._redactors, self._now = path, redactors, now
        self._written = 0

    def write(self, rows: Sequence[Row]) -> None:
        if not rows or self._written > MOST:
            return
        at = round(self._now(), 3)
        text = "".join(f"{json.dumps({'at': at, **self._hidden(row).fields()})}\n" for row in rows)
        data = text.encode("ascii")
        self._written += len(data)
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        except OSError:
            return
        try:
            os.write(file, data)
        except OSError:
            self._written = MOST + 1
        finally:
            os.close(file)

    def _hidden(self, row: Row) -> Row:
        for redactor in self._redactors:
            row = replace(row, text=redactor.redact(row.text), tool=redactor.redact(row.tool))
        return row
