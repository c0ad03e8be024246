"""What one run of a flow has shown: how it ended, its events and shots against their goldens, its samples against hard
budgets. What the program says of itself is never evidence."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from canary.against_golden import Held, ReadGolden, hold
from canary.drivers.driver import Picture, Screen, Session
from canary.golden import ARRIVED, trace_to_golden
from canary.golden_files import renderer_of
from canary.numbers import over_budget
from canary.records import Records
from canary.shots import hold_shot
from canary.steps import Steps
from canary.verdicts import Finding, Miss
from canary.wording import how_it_is, last_line
from engine.models.flow import Flow, Shot
from engine.ports import GoldenProposal

INCONCLUSIVE_EXIT = 125
"""Of a flow with `run`, as `git bisect run` has it: it cannot tell."""


@dataclass
class Evidence:
    """`goldens`: how many of the findings are about goldens. `proposed`: what a person may accept in their place."""

    flow: Flow
    records: Records
    read_golden: ReadGolden
    findings: list[Finding] = field(default_factory=list[Finding])
    proposed: list[GoldenProposal] = field(default_factory=list[GoldenProposal])
    goldens: int = 0

    def miss(self, miss: Miss) -> None:
        self.findings.append(Finding(miss.verdict, miss.reason))

    def fail(self, reason: str) -> None:
        self.findings.append(Finding("FAIL", reason))

    async def judge(self, session: Session, steps: Steps) -> None:
        """All that a program which has ended can be judged by. Its steps have had their say."""
        if session.overflow:
            self.fail(f"expected it to keep to its limits, saw that {session.overflow}")
        self._exit(session, steps)
        await self.records.log("log", session)
        if steps.spoke_http:
            await self.records.rows("http", steps.http.rows())
        if isinstance(session, Screen):
            await self.records.text("screen", session.screen_text())
        await self._trace(session)
        for shot, picture in steps.shots:
            await self._shot(shot, picture, session)
        self.findings += over_budget(self.flow.judge.budgets, steps.samples)
        if not self._asks_something():
            said = "the flow waits for nothing, asserts nothing and has no golden"
            self.findings.append(Finding("INCONCLUSIVE", said))

    def _exit(self, session: Session, steps: Steps) -> None:
        code = session.exit_code
        if self.flow.run and code is None:
            self.fail(f"expected it to end by itself, saw that {how_it_is(session)}")
        if code in (None, 0) or code in steps.exits:
            return
        seen = f"{how_it_is(session)}{last_line(session)}"
        if self.flow.run and code == INCONCLUSIVE_EXIT:
            self.findings.append(Finding("INCONCLUSIVE", f"it could not tell: {seen}"))
        else:
            # Whatever it printed about itself: the exit code is evidence.
            self.fail(f"expected no error exit, saw that {seen}")

    def _asks_something(self) -> bool:
        flow = self.flow
        asked = any(each.wait is not None or each.assert_ is not None or each.shot is not None for each in flow.steps)
        ready = flow.start is not None and flow.start.ready is not None
        return asked or ready or flow.judge.golden is not None or bool(flow.run)

    async def _trace(self, session: Session) -> None:
        judge = self.flow.judge
        trace = [dict(event.fields) for event in session.events]
        arrived = (round(event.arrived_s, 6) for event in session.events)
        await self.records.rows("trace", (row | {ARRIVED: at} for row, at in zip(trace, arrived, strict=True)))
        if judge.golden is None:
            return
        held = await asyncio.to_thread(hold, judge, judge.golden, trace, self.read_golden)
        difference = await self.records.text("difference", held.difference) if held.difference else ""
        digest = ""
        if held.asks:
            golden = trace_to_golden(trace, judge.mask)
            digest = self._as_shown(golden, await self.records.text("golden", golden.decode("utf-8")))
        self._golden("golden", held, digest, difference)

    async def _shot(self, shot: Shot, picture: Picture, session: Session) -> None:
        renderer = renderer_of([dict(event.fields) for event in session.events])
        held, difference = await asyncio.to_thread(hold_shot, self.flow.name, shot, picture, renderer, self.read_golden)
        if held.finding is None:
            return
        name = f"shot:{shot.name}"
        changed = await self._picture(f"difference:{shot.name}", difference) if difference is not None else ""
        digest = self._as_shown(picture.content, await self._picture(name, picture))
        self._golden(name, held, digest if held.asks else "", changed)

    def _as_shown(self, content: bytes, digest: str) -> str:
        """The digest; "" where a secret was hidden in what was kept: accepted, that would never be shown again."""
        return digest if digest == f"sha256:{hashlib.sha256(content).hexdigest()}" else ""

    async def _picture(self, name: str, picture: Picture) -> str:
        if picture.kind == "text":
            return await self.records.text(name, picture.content.decode("utf-8", errors="replace"))
        return await self.records.raw(name, picture.content)

    def _golden(self, name: str, held: Held, digest: str, difference: str) -> None:
        """digest: of what a person may accept, if nothing else is wrong; "": nothing."""
        if (finding := held.finding) is not None:
            if held.asks and not digest:
                finding = Finding(finding.verdict, f"{finding.reason}; a secret is in it, so it is not proposed")
            self.findings.append(finding)
            self.goldens += 1
        if digest:
            self.proposed.append(GoldenProposal(name, held.path, held.keyed, digest, held.was, difference))
