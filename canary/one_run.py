"""One run of a flow's program: start, steps, stop, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary.drivers import driver_of
from canary.drivers.doors import open_doors
from canary.drivers.driver import ProgramFault, Session
from canary.evidence import Evidence
from canary.launch import Ground
from canary.steps import Steps
from canary.surely import surely
from canary.verdicts import Miss
from canary.wording import describe, how_it_is, last_line
from engine.models.flow import Flow

LAST_WORDS_S = 1.0
Report = Callable[[str, dict[str, Any]], None]
"""Say how far it is: a word and some figures. Lossy."""


@dataclass
class OneRun:
    """`samples`: name -> values. What is wrong goes into `evidence`."""

    flow: Flow
    ground: Ground
    evidence: Evidence
    report: Report
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    at: str = "while it was started"

    async def perform(self, artifact: Path | None) -> None:
        """Raises Miss when the commit lacks its program, InfrastructureFault and UserError when the machine does."""
        async with open_doors(self.flow.isolate.ports, self.ground.doors) as doors:
            self.flow = self.flow.with_ports(doors.ports)
            launch = await asyncio.to_thread(self.ground.start, self.flow, artifact, doors)
            session: Session | None = None
            steps: Steps | None = None
            try:
                async with asyncio.timeout(self.flow.timeout):
                    session = await driver_of(self.flow.driver).start(launch)
                    steps = Steps(session, doors, self.ground.home)
                    await self._walk(session, steps)
            except TimeoutError:
                self.evidence.fail(f"expected the flow to end within {self.flow.timeout:g} s, saw it {self.at}")
            except Miss as miss:
                self.evidence.miss(miss)
            except ProgramFault as fault:
                self.evidence.fail(f"{self.at}: {fault}{await _why(session)}")
            finally:
                if session is not None:
                    await surely(session.kill())
                if steps is not None:
                    await surely(steps.close())
            if session is not None and steps is not None:
                self.samples = steps.samples
                await self.evidence.judge(session, steps)

    async def _walk(self, session: Session, steps: Steps) -> None:
        flow = self.flow
        self.report("started", {"steps": len(flow.steps)})
        if flow.start is None:
            self.at = "still running"
            await session.end_input()
            await session.until(lambda: session.ended or None, flow.timeout)
        elif flow.start.ready is not None:
            await steps.ready(flow.start.ready, flow.start.within)
        for number, step in enumerate(flow.steps, 1):
            self.at = f"at step {number} ({describe(step)})"
            self.report("step", {"step": number, "steps": len(flow.steps)})
            try:
                await steps.perform(step)
            except Miss as miss:
                # A missing sample spoils the verdict, but the steps after it may still find something worse.
                self.evidence.miss(Miss(miss.verdict, f"step {number}: {miss.reason}"))
                if miss.verdict == "FAIL":
                    return
        self.at = "when it was stopped"
        await self._stop(session, steps)

    async def _stop(self, session: Session, steps: Steps) -> None:
        stop = self.flow.stop
        if stop.send is not None and not session.ended:
            await steps.send(stop.send)
        await session.end_input()
        await session.until(lambda: session.ended or None, stop.within)
        if stop.send is not None and not session.ended:
            raise Miss("FAIL", f"expected it to exit within {stop.within:g} s of the stop, saw {how_it_is(session)}")


async def _why(session: Session | None) -> str:
    """How the program is after a fault: mostly it is about to end, and its last words say why."""
    if session is None:
        return ""
    await session.until(lambda: session.ended or None, LAST_WORDS_S)
    return f", saw that {how_it_is(session)}{last_line(session)}"
