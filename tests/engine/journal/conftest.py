"""Journals in a temporary folder, closed at the end of each test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.journal import Journal
from engine.models.event import Event

OpenJournal = Callable[..., Journal]


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def batches() -> list[list[Event]]:
    """What `on_batch` was given, by the journals of `open_journal`."""
    return []


@pytest.fixture
def open_journal(path: Path, batches: list[list[Event]]) -> Iterator[OpenJournal]:
    """Opens the journal, and starts it when the test has a running loop."""
    opened: list[Journal] = []

    def opening(**options: Any) -> Journal:
        journal = Journal(path, clock=SystemClock(), **{"ballast_bytes": 100_000, **options})
        opened.append(journal)
        journal.open()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return journal
        journal.start(loop, batches.append)
        return journal

    yield opening
    for journal in opened:
        journal.close()
