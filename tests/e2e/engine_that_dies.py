"""An engine that kills itself at a boundary of its journal. All of it is the real one; only the journal is mortal.

    python -m tests.e2e.engine_that_dies --repo R --state S --kinds intent --nth 1 --side before

side before: it dies instead of making the event durable; after: as soon as it is durable, before anybody acts on it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.host import Host, Site
from engine.journal import Journal
from engine.models.event import Event, NewEvent
from swarm_tui.compose import make_host
from swarm_tui.place import find_place


def die(*_: object) -> None:
    """As `kill -9`: no handler runs, nothing is flushed."""
    psutil.Process().kill()


class MortalJournal(Journal):
    """Dies before or after the n-th event of some kinds. Set `kinds`, `nth` and `side` before it is started."""

    kinds: frozenset[str] = frozenset()
    nth = 1
    side = "before"

    def append(
        self, kind: str, fields: Mapping[str, Any] | None = None, *, work_order: str = "", run: str = ""
    ) -> asyncio.Future[Event]:
        hit = self._hit([NewEvent(kind, fields or {})])
        future = super().append(kind, fields, work_order=work_order, run=run)
        if hit:
            future.add_done_callback(die)
        return future

    def append_all(self, events: Sequence[NewEvent]) -> asyncio.Future[list[Event]]:
        hit = self._hit(events)
        future = super().append_all(events)
        if hit:
            future.add_done_callback(die)
        return future

    def _hit(self, events: Sequence[NewEvent]) -> bool:
        met = sum(event.kind in self.kinds for event in events)
        self.nth, hit = self.nth - met, bool(met) and self.nth - met <= 0
        if hit and self.side == "before":
            die()
        return hit


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--repo", "--state", "--kinds", "--side"):
        parser.add_argument(name, required=True)
    parser.add_argument("--nth", type=int, default=1)
    asked = parser.parse_args()
    place = find_place(Path(asked.repo), Path(asked.state))
    host = make_host(place)
    open_site = host.open_site

    def open_mortal() -> Site:
        site = open_site()
        journal = MortalJournal(site.folders.journal, clock=site.clock, ballast=site.folders.ballast)
        journal.kinds, journal.nth, journal.side = frozenset(asked.kinds.split(",")), asked.nth, asked.side
        return dataclasses.replace(site, journal=journal)

    mortal: Host = dataclasses.replace(host, open_site=open_mortal)
    asyncio.run(mortal.run(until_idle=True))


if __name__ == "__main__":
    main()
