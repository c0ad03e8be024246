"""One flow on two commits in turns, A B B A: whatever the machine does meanwhile, it does to both."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from canary.awake import Awake
from canary.judge.budgets import limit_of, limits_of
from canary.judge.rule import FIRST_PAIRS, FRESH_PAIRS, Metric, judge, wants_fresh
from canary.judge.sides import Sides
from canary.verdicts import Finding, worst
from engine.models.flow import Flow, Sample
from engine.ports import FlowOutcome, MetricVerdict
from engine.text.sanitise import sanitise_line

SPARE = 5
"""Pairs of a flow that may be lost to the machine before it is given up."""
REASON_CHARS = 800
REDS = 2
"""Failures of a flow on one side that end the measuring: one alone may be chance."""
Name = Literal["old", "new"]
"""Last good, and the commit that is judged. Equally long: the length of a path can be measured."""
COMMITS: Mapping[Name, str] = {"old": "last good", "new": "the new commit"}


class RunsSide(Protocol):
    async def __call__(self, flow: Flow, name: Name, *, build: bool) -> FlowOutcome:
        """One run of the flow on that side's checkout; without `build`, with the artifact that lies there."""
        ...


class _Over(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


@dataclass
class Measured:
    """What one flow gave. `first`, `fresh`: sample -> numbers, by side. `finding`: why it ended early. `reds`: the
    reasons of failed runs, by side. `lost`: why runs did not count."""

    flow: Flow
    first: dict[Name, dict[str, list[float]]] = field(default_factory=lambda: {"old": {}, "new": {}})
    fresh: dict[Name, dict[str, list[float]]] | None = None
    finding: Finding | None = None
    reds: dict[Name, list[str]] = field(default_factory=lambda: {"old": [], "new": []})
    lost: list[str] = field(default_factory=list[str])
    kept: bool = False

    def metrics(self, budgets: Mapping[str, str]) -> list[Metric]:
        """Each sample of the flow, with the limits of the flow and those of the work orders."""
        return [self._metric(sample, budgets) for sample in samples_of(self.flow)]

    def _metric(self, sample: Sample, budgets: Mapping[str, str]) -> Metric:
        limits = limits_of(self.flow.judge.budgets, sample.name)
        ordered = limit_of(budgets[sample.name], sample.better) if sample.name in budgets else None
        return Metric(
            self.flow.name,
            sample.name,
            sample.unit,
            sample.better,
            _sides(self.first, sample.name),
            _sides(self.fresh, sample.name) if self.fresh is not None else None,
            limits if ordered is None else (*limits, ordered),
        )

    def told(self) -> dict[str, Any]:
        """As JSON-ready data, to be kept."""
        return {
            "flow": self.flow.name,
            "kept_artifact": self.kept,
            "first": self.first,
            "fresh": self.fresh,
            "ended": self.finding.reason if self.finding else "",
            "failed": self.reds,
            "lost": self.lost,
        }


def samples_of(flow: Flow) -> list[Sample]:
    """Its samples; of two with one name the later, whose numbers replace the earlier's."""
    return list({step.sample.name: step.sample for step in flow.steps if step.sample is not None}.values())


def _sides(numbers: Mapping[Name, Mapping[str, Sequence[float]]], sample: str) -> Sides:
    return Sides(tuple(numbers["old"].get(sample, ())), tuple(numbers["new"].get(sample, ())))


class Turns:
    """Measures one flow. `lay_kept` puts last good's artifact of an earlier run in its place, if there is one."""

    def __init__(
        self,
        flow: Flow,
        budgets: Mapping[str, str],
        run: RunsSide,
        lay_kept: Callable[[], Awaitable[bool]],
        awake: Awake,
        report: Callable[[str, dict[str, Any]], None],
    ) -> None:
        # Its own bounds and repeats are for single runs; here they are held against the medians of many.
        alone = flow.judge.model_copy(update={"repeat": 1, "budgets": []})
        self._flow = flow.model_copy(update={"judge": alone})
        self._budgets = budgets
        self._run = run
        self._lay_kept = lay_kept
        self._awake = awake
        self._report = report
        self._measured = Measured(flow)

    async def measure(self) -> Measured:
        """Package both, run each once for nothing (caches are warm then, and it is seen that it works), then take
        turns. Raises InfrastructureFault as the runs do."""
        measured = self._measured
        try:
            await self._warm_old()
            await self._warm("new")
            await self._pairs(FIRST_PAIRS, measured.first, 1)
            if any(wants_fresh(metric) for metric in measured.metrics(self._budgets)):
                measured.fresh = {"old": {}, "new": {}}
                await self._pairs(FRESH_PAIRS, measured.fresh, 2)
        except _Over as over:
            measured.finding = over.finding
        return measured

    async def _warm_old(self) -> None:
        if self._flow.artifact and await self._lay_kept():
            self._report("warm", {"side": "old"})
            outcome = await self._run(self._flow, "old", build=False)
            self._measured.kept = outcome.verdict in ("PASS", "INCONCLUSIVE")
        # What was kept may need files that were built beside it: then all of it is built again.
        if not self._measured.kept:
            await self._warm("old")

    async def _warm(self, name: Name) -> None:
        self._report("warm", {"side": name})
        while await self._once(name, build=True) is None:
            pass

    async def _pairs(self, count: int, into: dict[Name, dict[str, list[float]]], stage: int) -> None:
        done = 0
        while done < count:
            self._report("pair", {"pair": done + 1, "pairs": count, "stage": stage})
            pair = await self._pair(("old", "new") if done % 2 == 0 else ("new", "old"))
            if pair is None:
                continue
            done += 1
            for name, outcome in pair.items():
                for sample, values in outcome.samples.items():
                    if values:
                        into[name].setdefault(sample, []).append(statistics.median(values))

    async def _pair(self, order: Sequence[Name]) -> dict[Name, FlowOutcome] | None:
        """One run of each, None when the pair does not count."""
        pair: dict[Name, FlowOutcome] = {}
        for name in order:
            outcome = await self._once(name, build=False)
            if outcome is None:
                return None
            pair[name] = outcome
        return pair

    async def _once(self, name: Name, *, build: bool) -> FlowOutcome | None:
        """One run; None when it does not count. Raises _Over when there is nothing more to be had."""
        gaps = self._awake.gaps()
        outcome = await self._run(self._flow, name, build=build)
        if self._awake.gaps() != gaps:
            self._lose("the machine was suspended, or stood still")
            return None
        if outcome.verdict == "ENVIRONMENT":
            self._lose(outcome.reason)
            return None
        if outcome.verdict == "FAIL":
            reds = self._measured.reds
            reds[name].append(outcome.reason)
            if len(reds[name]) >= REDS:
                raise _Over(_broken(self._flow.name, name, reds))
            return None
        return outcome

    def _lose(self, why: str) -> None:
        lost = self._measured.lost
        lost.append(why)
        if len(lost) > SPARE:
            told = f"flow {self._flow.name}: {len(lost)} runs were lost to the machine, the last: {why}"
            raise _Over(Finding("ENVIRONMENT", told))


def _broken(flow: str, name: Name, reds: Mapping[Name, Sequence[str]]) -> Finding:
    told = f"flow {flow} failed in {REDS} runs of {COMMITS[name]} while it was measured"
    if name == "old":
        return Finding("INCONCLUSIVE", f"{told}: {reds['old'][-1]}")
    if reds["old"]:
        return Finding("INCONCLUSIVE", f"{told}, and in one of last good too: {reds['new'][-1]}")
    return Finding("FAIL", f"{told}, and in none of last good: {reds['new'][-1]}")


@dataclass(frozen=True)
class Word:
    """What all flows together say."""

    finding: Finding
    metrics: tuple[MetricVerdict, ...]


def word(measured: Sequence[Measured], budgets: Mapping[str, str]) -> Word:
    """The verdict on all samples of all flows. A budget of a work order that cannot be judged is INCONCLUSIVE."""
    verdicts = judge([metric for each in measured for metric in each.metrics(budgets)])
    findings = [each.finding for each in measured if each.finding is not None]
    findings += [Finding("FAIL", _sentence(each)) for each in verdicts if each.verdict in ("worse", "over-budget")]
    findings += [Finding("INCONCLUSIVE", why) for why in _unread(measured, budgets)]
    held = [each for each in verdicts if each.verdict != "unknown"]
    new = {(each.flow.name, sample) for each in measured for sample in each.first["new"] if _lacks(each, sample)}
    for each in verdicts:
        # A sample that came with this commit has nothing to be held against, and spoils nothing.
        if each.verdict == "unknown" and (not held or (each.flow, each.sample) not in new):
            findings.append(Finding("INCONCLUSIVE", f"{each.flow}: {each.sample} cannot be judged: {each.reason}"))
    if not verdicts:
        findings.append(Finding("INCONCLUSIVE", "no flow takes a sample: there is nothing to compare"))
    found = worst(findings) or Finding("PASS", _none_worse(held))
    return Word(
        Finding(found.verdict, sanitise_line(found.reason + _beside(findings, found, measured), line_cap=REASON_CHARS)),
        tuple(verdicts),
    )


def _lacks(measured: Measured, sample: str) -> bool:
    return sample not in measured.first["old"]


def _sentence(each: MetricVerdict) -> str:
    medians = f"{each.before:.4g} → {each.after:.4g} {each.unit}".rstrip()
    pairs = f"{each.pairs} {'pair' if each.pairs == 1 else 'pairs'}"
    return f"{each.flow}: {each.sample} is {each.reason} ({medians}, {pairs}, p = {each.p:.2g})"


def _unread(measured: Sequence[Measured], budgets: Mapping[str, str]) -> list[str]:
    better = {sample.name: sample.better for each in measured for sample in samples_of(each.flow)}
    found = [f"the budget {name} names no sample of a flow" for name in budgets if name not in better]
    unread = [name for name in budgets if name in better and limit_of(budgets[name], better[name]) is None]
    for name in unread:
        wanted = "+10%" if better[name] == "lower" else "-10%"
        found.append(f'the budget {name} = "{budgets[name]}" cannot be read: write it as "{wanted}"')
    return found


def _none_worse(held: Sequence[MetricVerdict]) -> str:
    granted = [
        f"; {each.flow}: {each.sample} is {each.reason}" for each in held if each.verdict == "same" and each.reason
    ]
    count = f"{len(held)} {'sample' if len(held) == 1 else 'samples'}"
    return f"{count} held against last good's, none worse{''.join(granted)}"


def _beside(findings: Sequence[Finding], found: Finding, measured: Sequence[Measured]) -> str:
    """What else there is to tell: more of the same, and runs that failed once."""
    more = sum(each.verdict == found.verdict for each in findings) - 1
    told = f"; and {more} more" if more > 0 else ""
    for each in measured:
        for name, reasons in each.reds.items():
            # Where the flow ended because of them, they have been told.
            if reasons and (each.finding is None or each.finding.verdict == "ENVIRONMENT"):
                told += f"; one run of flow {each.flow.name} on {COMMITS[name]} failed: {reasons[0]}"
    return told
