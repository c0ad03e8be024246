"""An engine that kills itself at a boundary of its journal, or at a step of git. All of it is the real one.

    python -m tests.e2e.engine_that_dies --repo R --state S --kinds intent --nth 1 --side before
    python -m tests.e2e.engine_that_dies --repo R --state S --steps FILE

side before: it dies instead of making the event durable; after: as soon as it is durable, before anybody acts on it.
steps: it dies at the first call of git that writes and is not in FILE yet: first before git starts, at the next start
of the engine while git runs. So each start gets one step further.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.folders import StateFolder
from engine.git import door
from engine.host import Host, Site
from engine.journal import Journal
from engine.models.event import Event, NewEvent
from swarm_tui.compose import make_host
from swarm_tui.place import find_place
from tests.e2e.patient_canary import patient


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


READS = frozenset(
    {
        "cat-file",
        "check-ref-format",
        "config",
        "diff-index",
        "diff-tree",
        "for-each-ref",
        "log",
        "ls-files",
        "ls-remote",
    }
    | {"ls-tree", "merge-base", "rev-list", "rev-parse", "show-ref", "status", "symbolic-ref", "var", "version"}
    | {"worktree"}
)
"""Calls of git that write nothing: dying there is dying before the next one that does."""


_DYING = threading.Lock()


def die_at_steps(file: Path) -> None:
    """Dies at the first writing call of git that `file` does not tell of, and tells of it."""
    start = door._start

    def mortal(args: tuple[str, ...], *more: Any, **named: Any) -> subprocess.Popen[bytes]:
        step = re.sub(r"[0-9a-f]{12,}", "*", " ".join(args))
        if args[0] in READS or (args[0] == "notes" and "list" in args):
            return start(args, *more, **named)
        _die_once(file, f"before {step}")
        process = start(args, *more, **named)
        _die_once(file, f"during {step}")
        return process

    door._start = mortal


def _die_once(file: Path, moment: str) -> None:
    with _DYING, file.open("a+", encoding="utf-8") as told:
        told.seek(0)
        if moment not in told.read().splitlines():
            told.write(moment + "\n")
            told.flush()
            die()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--repo", "--state"):
        parser.add_argument(name, required=True)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--side", default="before")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--landings", type=int, default=0, help="how many the canary waits for")
    parser.add_argument("--steps", type=Path)
    asked = parser.parse_args()
    if asked.steps:
        die_at_steps(asked.steps)
    place = find_place(Path(asked.repo), Path(asked.state))
    journal = StateFolder(Path(asked.state).resolve()).journal
    host = make_host(place, adapt=lambda ports: patient(ports, journal, asked.landings) if asked.landings else ports)
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
