"""A flow on one commit: package, then its runs, then the verdict. What it says of itself is never evidence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from canary.against_golden import ReadGolden
from canary.evidence import Evidence
from canary.launch import Ground
from canary.one_run import OneRun, Report
from canary.packaging import artifact_path, package
from canary.records import Records
from canary.surely import surely
from canary.verdicts import Finding, Miss, worst
from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.models.flow import Flow
from engine.ports import FlowOutcome
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line

__all__ = ["ReadGolden", "Report", "artifact_path", "run_flow", "surely"]

REASON_CHARS = 600


async def run_flow(
    flow: Flow,
    ground: Ground,
    store: ArtifactStore,
    read_golden: ReadGolden,
    report: Report = lambda said, fields: None,
    redactor: Redactor | None = None,
    *,
    build: bool = True,
) -> FlowOutcome:
    """Run `flow` on `ground`, whose tree holds the commit, and judge it. Without `build`, its artifact is there already
    and is taken as it is.

    Never raises for what the program or the machine does: that is FAIL, or ENVIRONMENT. Cancelling kills all processes
    of the flow before this returns.
    """
    began = asyncio.get_running_loop().time()
    records = Records(store, redactor or Redactor({}))
    run = _FlowRun(flow, ground, Evidence(flow, records, read_golden), report, build)
    await run.perform()
    finding = run.verdict()
    reason = sanitise_line(records.redactor.redact(finding.reason), line_cap=REASON_CHARS)
    duration_s = asyncio.get_running_loop().time() - began
    evidence = run.evidence
    # A trace that something else went wrong with is not what anybody should record as right.
    proposed = tuple(evidence.proposed) if len(evidence.findings) == evidence.goldens else ()
    return FlowOutcome(flow.name, finding.verdict, reason, duration_s, run.samples, records.artifacts, proposed)


@dataclass
class _FlowRun:
    flow: Flow
    ground: Ground
    evidence: Evidence
    report: Report
    build: bool
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    number: int = 1

    def verdict(self) -> Finding:
        found = worst(self.evidence.findings)
        repeat = self.flow.judge.repeat
        if found is not None:
            which = f"run {self.number} of {repeat}: " if repeat > 1 else ""
            return Finding(found.verdict, f"{which}{found.reason}")
        if self.flow.run:
            said = "it exited with 0"
        else:
            steps = len(self.flow.steps)
            said = f"{steps} steps held" if steps else "it became ready"
        golden = ", and its events are those of the golden trace" if self.flow.judge.golden else ""
        return Finding("PASS", f"{said}{golden}{f', {repeat} times in a row' if repeat > 1 else ''}")

    async def perform(self) -> None:
        evidence, records = self.evidence, self.evidence.records
        try:
            await asyncio.to_thread(self.ground.lay)
            if self.flow.package and self.build:
                self.report("package", {})
                await package(self.flow, self.ground, records)
            await self._run()
            while not evidence.findings and self.number < self.flow.judge.repeat:
                self.number += 1
                self.report("again", {"run": self.number, "runs": self.flow.judge.repeat})
                await asyncio.to_thread(self.ground.lay)
                await self._run()
        except Miss as miss:
            evidence.miss(miss)
        except (SwarmError, OSError) as error:
            evidence.findings.append(Finding("ENVIRONMENT", str(error)))
        finally:
            await surely(asyncio.to_thread(self.ground.clear))
        if self.samples:
            records.artifacts["samples"] = await asyncio.to_thread(records.store.put_json, self.samples)

    async def _run(self) -> None:
        run = OneRun(self.flow, self.ground, self.evidence, self.report)
        try:
            await run.perform(artifact_path(self.flow, self.ground))
        finally:
            for name, values in run.samples.items():
                self.samples.setdefault(name, []).extend(values)
