"""A canary that waits for landings, so that several of them are judged together; all of it is the real one."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

from engine.effects.world import Ports
from engine.journal import JournalReader
from engine.ports import CanaryOutcome, CanaryRequest, CanaryRunner, CompareRequest, Comparison

POLL_S = 0.1
PATIENCE_S = 100.0


class PatientCanary:
    """Runs nothing before so many changes have landed, in any engine of this journal."""

    def __init__(self, canary: CanaryRunner, journal: Path, landings: int) -> None:
        self._canary, self._journal, self._landings = canary, journal, landings

    async def run(self, request: CanaryRequest) -> CanaryOutcome:
        await asyncio.to_thread(self._wait)
        return await self._canary.run(request)

    async def compare(self, request: CompareRequest) -> Comparison:
        return await self._canary.compare(request)

    def _wait(self) -> None:
        """In a thread: it ends when the night does, at the latest."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            with JournalReader(self._journal) as reader:
                if sum(event.kind == "change_landed" for event in reader.events()) >= self._landings:
                    return
            time.sleep(POLL_S)


def patient(ports: Ports, journal: Path, landings: int) -> Ports:
    return dataclasses.replace(ports, canary=PatientCanary(ports.canary, journal, landings))
