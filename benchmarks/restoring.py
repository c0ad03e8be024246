"""How long main stays red once that is certain: from the confirmed verdict to last good's tree on main again.

The nights are real but for the canary's word, which is made up here: the first trees that land are red.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time

from benchmarks.engine_process import environment
from benchmarks.figure import Figure, Scale
from benchmarks.landing import notes
from engine.effects.world import Ports
from engine.models.event import Event
from engine.ports import CanaryOutcome, CanaryRequest, CompareRequest, Comparison, FlowOutcome
from swarm_tui.compose import make_host
from swarm_tui.place import find_place

GOAL_MS = 2_000.0
RESTORES = 4
"""Beyond, a person is asked."""


class MadeUpCanary:
    """The first tree is good, the next ones are red, whatever they are."""

    def __init__(self, reds: int) -> None:
        self._good: set[str] = set()
        self._red: set[str] = set()
        self._reds = reds

    async def run(self, request: CanaryRequest) -> CanaryOutcome:
        if request.tree not in self._good | self._red:
            (self._red if self._good and len(self._red) < self._reds else self._good).add(request.tree)
        if request.tree in self._good:
            return CanaryOutcome("PASS", "", (FlowOutcome("made-up", "PASS", "", 0.0),))
        return CanaryOutcome("FAIL", "made up", (FlowOutcome("made-up", "FAIL", "made up", 0.0),))

    async def compare(self, request: CompareRequest) -> Comparison:
        return Comparison("PASS", "")


def measure(scale: Scale) -> list[Figure]:
    count = min(RESTORES, scale.landings)
    bench = notes(scale.folder / "restored", count, scale.files)
    os.environ["PATH"] = environment()["PATH"]

    def made_up(ports: Ports) -> Ports:
        return dataclasses.replace(ports, canary=MadeUpCanary(count))

    host = make_host(find_place(bench.repo, bench.state), adapt=made_up)
    seen: list[tuple[float, Event]] = []
    host.on_events = lambda events: seen.extend((time.monotonic(), event) for event in events)
    asyncio.run(host.run(until_idle=True))
    took: list[float] = []
    frozen = 0.0
    for at, event in seen:
        if event.kind == "canary_judged" and event.fields["verdict"] == "FAIL":
            frozen = at
        elif event.kind == "main_restored":
            took.append((at - frozen) * 1000)
    return [Figure(f"restore on {scale.files:,} files, confirmed red to main restored", "ms", took, GOAL_MS)]
