"""One run of one flow: package, start, steps, stop, judge. What it says of itself is never evidence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from canary.drivers import DRIVERS
from canary.drivers.driver import Launch, ProgramFault, Session
from canary.golden import ARRIVED, Difference, GoldenError, compare, parse_trace, trace_to_golden
from canary.launch import Ground
from canary.steps import Steps, describe, how_it_is, text_of
from canary.verdicts import Finding, Miss, worst
from engine.artifacts import ArtifactStore
from engine.canary_policy import PACKAGE_FAILED
from engine.errors import InfrastructureFault, UserError
from engine.models.flow import Flow
from engine.ports import FlowOutcome
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line

T = TypeVar("T")

REASON_CHARS = 600
LAST_WORDS_S = 1.0
ReadGolden = Callable[[str], bytes | None]
"""The file of this path in the commit's tree; None when it is not there. Blocks. Raises InfrastructureFault."""
Report = Callable[[str, dict[str, Any]], None]
"""Say how far it is: a word and some figures. Lossy."""


async def run_flow(
    flow: Flow,
    ground: Ground,
    store: ArtifactStore,
    read_golden: ReadGolden,
    report: Report = lambda said, fields: None,
    redactor: Redactor | None = None,
) -> FlowOutcome:
    """Run `flow` on `ground`, whose tree holds the commit, and judge it.

    Never raises for what the program or the machine does: that is FAIL, or ENVIRONMENT. Cancelling kills all processes
    of the flow before this returns.
    """
    began = asyncio.get_running_loop().time()
    run = _FlowRun(flow, ground, store, read_golden, report, redactor or Redactor({}))
    await run.perform()
    finding = run.verdict()
    reason = sanitise_line(run.redactor.redact(finding.reason), line_cap=REASON_CHARS)
    duration_s = asyncio.get_running_loop().time() - began
    return FlowOutcome(flow.name, finding.verdict, reason, duration_s, run.samples, run.artifacts)


@dataclass
class _FlowRun:
    flow: Flow
    ground: Ground
    store: ArtifactStore
    read_golden: ReadGolden
    report: Report
    redactor: Redactor
    findings: list[Finding] = field(default_factory=list[Finding])
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    artifacts: dict[str, str] = field(default_factory=dict[str, str])
    at: str = ""

    def verdict(self) -> Finding:
        found = worst(self.findings)
        if found is not None:
            return found
        steps = len(self.flow.steps)
        golden = ", and its events are those of the golden trace" if self.flow.judge.golden else ""
        return Finding("PASS", f"{steps} steps held{golden}" if steps else f"it became ready{golden}")

    async def perform(self) -> None:
        try:
            await asyncio.to_thread(self.ground.lay)
            artifact = await self._package()
            env, argv = self.flow.start.env, self.flow.start.run
            launch = await asyncio.to_thread(self.ground.start, argv, env, artifact)
            await self._program(launch)
        except Miss as miss:
            self._add(miss)
        except (InfrastructureFault, UserError) as error:
            self.findings.append(Finding("ENVIRONMENT", str(error)))
        finally:
            await surely(asyncio.to_thread(self.ground.clear))

    # ---- package

    async def _package(self) -> Path | None:
        """Build the artifact from the commit under test, and keep it by its hash."""
        flow, ground = self.flow, self.ground
        if not flow.package:
            return None
        artifact = self._artifact_path()
        if artifact is not None:
            # A leftover, or a committed binary: what is not built now would prove nothing about this commit.
            await asyncio.to_thread(artifact.unlink, missing_ok=True)
        self.report("package", {})
        await self._build(await asyncio.to_thread(ground.package, flow.package))
        if artifact is not None:
            if not artifact.is_file():
                raise Miss("FAIL", f"{PACKAGE_FAILED}expected it to leave {flow.artifact}, which is not there")
            self.artifacts["artifact"] = await asyncio.to_thread(self.store.put_file, artifact)
        return artifact

    def _artifact_path(self) -> Path | None:
        named = self.flow.artifact
        if not named:
            return None
        inside = named.removeprefix("{cache}/")
        return (self.ground.cache if inside != named else self.ground.tree) / inside

    async def _build(self, launch: Launch) -> None:
        within_s = self.flow.package_within
        session = await DRIVERS["process"].start(launch)
        try:
            await session.end_input()
            await session.until(lambda: session.ended or None, within_s)
            if session.exit_code != 0 or not session.ended:
                last = _last_line(session)
                seen = (
                    how_it_is(session) if session.ended or session.overflow else f"it took longer than {within_s:g} s"
                )
                raise Miss("FAIL", f"{PACKAGE_FAILED}expected {self.flow.package[0]} to exit with 0, saw {seen}{last}")
        finally:
            await surely(session.kill())
            await self._keep_log("package-log", session)

    # ---- the program

    async def _program(self, launch: Launch) -> None:
        flow = self.flow
        self.at = "while it was started"
        session: Session | None = None
        steps: Steps | None = None
        try:
            async with asyncio.timeout(flow.timeout):
                session = await DRIVERS[flow.driver].start(launch)
                steps = Steps(session)
                await self._walk(session, steps)
        except TimeoutError:
            took = f"expected the flow to end within {flow.timeout:g} s, saw it {self.at}"
            self.findings.append(Finding("FAIL", took))
        except Miss as miss:
            self._add(miss)
        except ProgramFault as fault:
            self.findings.append(Finding("FAIL", f"{self.at}: {fault}{await self._why(session)}"))
        finally:
            if session is not None:
                await surely(session.kill())
        if session is not None and steps is not None:
            self.samples = steps.samples
            await self._judge(session, steps)

    async def _why(self, session: Session | None) -> str:
        """How the program is after a fault: mostly it is about to end, and its last words say why."""
        if session is None:
            return ""
        await session.until(lambda: session.ended or None, LAST_WORDS_S)
        return f", saw that {how_it_is(session)}{_last_line(session)}"

    async def _walk(self, session: Session, steps: Steps) -> None:
        flow = self.flow
        self.report("started", {"steps": len(flow.steps)})
        if flow.start.ready is not None:
            await steps.ready(flow.start.ready, flow.start.within)
        for number, step in enumerate(flow.steps, 1):
            self.at = f"at step {number} ({describe(step)})"
            self.report("step", {"step": number, "steps": len(flow.steps)})
            try:
                await steps.perform(step)
            except Miss as miss:
                # A missing sample spoils the verdict, but the steps after it may still find something worse.
                self._add(Miss(miss.verdict, f"step {number}: {miss.reason}"))
                if miss.verdict == "FAIL":
                    return
        self.at = "when it was stopped"
        await self._stop(session)

    async def _stop(self, session: Session) -> None:
        stop = self.flow.stop
        if stop.send is not None and not session.ended:
            await session.send(text_of(stop.send))
        await session.end_input()
        await session.until(lambda: session.ended or None, stop.within)
        if stop.send is not None and not session.ended:
            raise Miss("FAIL", f"expected it to exit within {stop.within:g} s of the stop, saw {how_it_is(session)}")

    # ---- judge

    async def _judge(self, session: Session, steps: Steps) -> None:
        code = session.exit_code
        if session.overflow:
            self.findings.append(Finding("FAIL", f"expected it to keep to its limits, saw that {session.overflow}"))
        if code not in (None, 0) and code not in steps.exits:
            # Whatever it printed about itself: the exit code is evidence.
            seen = f"{how_it_is(session)}{_last_line(session)}"
            self.findings.append(Finding("FAIL", f"expected no error exit, saw that {seen}"))
        await self._keep_log("log", session)
        await self._judge_trace(session)
        if self.samples:
            self.artifacts["samples"] = await asyncio.to_thread(self.store.put_json, self.samples)
        if not self._asks_something():
            self.findings.append(
                Finding("INCONCLUSIVE", "the flow waits for nothing, asserts nothing and has no golden")
            )

    def _asks_something(self) -> bool:
        flow = self.flow
        asked = any(step.wait is not None or step.assert_ is not None for step in flow.steps)
        return asked or flow.start.ready is not None or flow.judge.golden is not None

    async def _judge_trace(self, session: Session) -> None:
        judge = self.flow.judge
        trace = [dict(event.fields) for event in session.events]
        rows = [row | {ARRIVED: round(event.arrived_s, 6)} for row, event in zip(trace, session.events, strict=True)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        await self._keep("trace", text)
        if judge.golden is None:
            return
        finding = await asyncio.to_thread(self._against_golden, judge.golden, trace)
        if isinstance(finding, Difference):
            await self._keep("difference", finding.text)
            finding = Finding("FAIL", f"golden {judge.golden}: {finding.first}")
        if finding is not None:
            # What a person may accept as the new golden.
            await self._keep("golden", trace_to_golden(trace, judge.mask).decode("utf-8"))
            self.findings.append(finding)

    def _against_golden(self, path: str, trace: list[dict[str, Any]]) -> Difference | Finding | None:
        judge = self.flow.judge
        try:
            raw = self.read_golden(path)
            if raw is None:
                return Finding("INCONCLUSIVE", f"expected the golden {path}, saw no such file")
            return compare(parse_trace(raw), trace, judge.mask, judge.order)
        except GoldenError as error:
            return Finding("INCONCLUSIVE", f"the golden {path} cannot be read: {error}")
        except InfrastructureFault as error:
            return Finding("ENVIRONMENT", f"the golden {path} could not be read: {error}")

    # ---- artifacts

    def _add(self, miss: Miss) -> None:
        self.findings.append(Finding(miss.verdict, miss.reason))

    async def _keep_log(self, name: str, session: Session) -> None:
        lines = (f"{line.arrived_s:9.3f} {line.stream} {line.text}\n" for line in session.log)
        await self._keep(name, "".join(lines))

    async def _keep(self, name: str, text: str) -> None:
        content = self.redactor.redact_bytes(text.encode("utf-8", "backslashreplace"))
        self.artifacts[name] = await asyncio.to_thread(self.store.put, content)


def _last_line(session: Session) -> str:
    return f', last line "{session.log[-1].text[:160]}"' if session.log else ""


async def surely(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, also while this task is being cancelled; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
