"""Journals for benchmarks that need a night but no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.folders import StateFolder
from engine.journal import Journal
from engine.models.event import NewEvent
from swarm_tui.compose import SystemClock


def write_journal(folders: StateFolder, events: Sequence[NewEvent]) -> None:
    """Append them durably to the journal of a state folder."""

    async def append() -> None:
        journal = Journal(folders.journal, clock=SystemClock())
        journal.open()
        try:
            journal.start(asyncio.get_running_loop(), lambda _: None)
            for at in range(0, len(events), 200):
                await journal.append_all(events[at : at + 200])
        finally:
            journal.close()

    asyncio.run(append())
