"""When a canary's word counts, and who is to blame. Pure: probes in, the next probe or a judgement out.

A single red run is never acted on. `confirm` repeats it and holds a control on last good against it; `culprit` asks
the search of `engine.culprit` and accuses only whom it saw red itself, above a green that it saw too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine import culprit as finder
from engine.models.verdict import Purpose, Verdict

PACKAGE_FAILED = "package: "
"""How the reason of a FAIL begins whose flow never started, because the artifact could not be built."""
RUNS_A_HALVING = 8
"""Canary runs, at most, each time that the suspects are halved: beyond, nobody is accused."""
CONFIDENCE = 0.995
"""The posterior that an accusation needs, beside what was seen of the accused itself."""
SURE = 0.9983
"""Of a single suspect: two reruns confirm a red that is not there 17 times in 10,000, if the flow is red by chance one
time in twenty."""


@dataclass(frozen=True)
class Probe:
    """One canary run that ended. `flow` is the flow that gave the verdict, "" if it is not known; `flows` what each of
    them said."""

    commit: str
    purpose: Purpose
    verdict: Verdict
    reason: str = ""
    flow: str = ""
    flows: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Next:
    """The canary run that is wanted now."""

    purpose: Purpose
    commit: str


@dataclass(frozen=True)
class Judged:
    """The canary's judgement on a commit. `flaky`: it passed, but not every run of it did."""

    verdict: Verdict
    reason: str
    flaky: bool = False
    flow: str = ""


@dataclass(frozen=True)
class Found:
    """The culprit is among `commits` (in landing order); one commit when it could be separated.

    probability: of the whole range, for people to read.
    """

    commits: tuple[str, ...]
    probability: float

    @property
    def commit(self) -> str:
        """The culprit, or "" when only a range is known."""
        return self.commits[0] if len(self.commits) == 1 else ""


@dataclass(frozen=True)
class Nobody:
    """No landing is blamed, and why."""

    reason: str


def confirm(commit: str, last_good: str | None, probes: Sequence[Probe]) -> Next | Judged:
    """The next run that is needed to judge `commit`, or the judgement. At most six runs are ever asked for.

    Three runs that can tell and one control on last good, in the order run, rerun, control, rerun: a control between
    the reruns sees the same weather. One run that cannot tell (INCONCLUSIVE, ENVIRONMENT) is replaced, a second ends
    it. Three reds in different flows are INCONCLUSIVE: with many flows, each a little flaky, that is chance.
    """
    own = [p for p in probes if p.commit == commit and p.purpose in ("first", "rerun")]
    if not own:
        return Next("first", commit)
    telling = [p for p in own if p.verdict in ("PASS", "FAIL")]
    mute = [p for p in own if p.verdict not in ("PASS", "FAIL")]
    if len(mute) > 1:
        return _mute(mute[-1], bool(telling))
    if not telling:
        return Next("rerun", commit)
    if telling[0].verdict == "PASS":
        return Judged("PASS", "", flaky=any(p.verdict == "INCONCLUSIVE" for p in mute))
    reds = [p for p in telling[:3] if p.verdict == "FAIL"]
    greens = len(telling[:3]) - len(reds)
    if greens > 1:
        return Judged("PASS", f"flaky: green in {greens} of 3 runs, once red: {reds[0].reason}", True, reds[0].flow)
    if greens == 0 and len(reds) > 1 and last_good is not None and last_good != commit:
        against = _held_against(
            [p for p in probes if p.purpose == "control" and p.commit == last_good], last_good, reds[0]
        )
        if against is not None:
            return against
    if len(telling) < 3:
        return Next("rerun", commit)
    return _all_told(reds, greens, controlled=last_good is not None and last_good != commit)


def _mute(last: Probe, some_told: bool) -> Judged:
    if some_told:
        return Judged("INCONCLUSIVE", f"red once, but two runs could not tell: {last.reason}", flow=last.flow)
    return Judged(last.verdict, last.reason, flow=last.flow)


def _held_against(controls: Sequence[Probe], last_good: str, red: Probe) -> Next | Judged | None:
    """What the control on last good says; None when it is green."""
    if not controls or (len(controls) == 1 and controls[0].verdict == "INCONCLUSIVE"):
        return Next("control", last_good)
    control = controls[-1]
    if control.verdict == "PASS":
        return None
    if control.verdict == "INCONCLUSIVE":
        return Judged("INCONCLUSIVE", f"the control on last good could not tell: {control.reason}", flow=red.flow)
    told = f"the machine is to blame, because last good {last_good[:12]} is not green either ({control.reason})"
    return Judged("ENVIRONMENT", f"{told}: {red.reason}", flow=red.flow)


def _all_told(reds: Sequence[Probe], greens: int, *, controlled: bool) -> Judged:
    first = reds[0]
    if greens:
        return Judged("INCONCLUSIVE", f"red in {len(reds)} of 3 runs: {first.reason}", flow=first.flow)
    flows = {p.flow for p in reds if p.flow}
    if len(flows) > 1:
        reason = f"red three times, but in different flows ({', '.join(sorted(flows))})"
        return Judged("INCONCLUSIVE", reason, flow=first.flow)
    if not controlled and first.reason.startswith(PACKAGE_FAILED):
        reason = f"there is no last good to build for comparison: {first.reason}"
        return Judged("INCONCLUSIVE", reason, flow=first.flow)
    proof = "red three times, last good is green" if controlled else "red three times, with no last good to compare"
    return Judged("FAIL", f"{first.reason} ({proof})", flow=first.flow)


def culprit(
    suspects: Sequence[str],
    probes: Sequence[Probe],
    last_good: str = "",
    *,
    flow: str = "",
    unbuilt: bool = False,
    reds: int = 0,
    runs: int = 0,
) -> Next | Found | Nobody:
    """Who broke main: `suspects` are its commits since last good in landing order; the newest was confirmed red.

    Both ends are run once more before any other, the accused and what lies below it are seen themselves, and suspects
    that cannot be built or that cannot tell are passed over: if the culprit may be among them, the answer is the range.
    flow: the one that was red. unbuilt: it was red because the artifact could not be built, so that is what counts.
    reds, runs: how often the flow was red on good commits.
    """
    order = tuple(dict.fromkeys(suspects))
    if not order:
        return Nobody("nothing of ours has landed since last good")
    if len(order) == 1:
        return Found(order, SURE)
    seen = _observations(order, probes, last_good, flow, unbuilt=unbuilt)
    search = _search(order, reds, runs)
    step = search.next_step(seen)
    match step:
        case finder.Probe(index):
            return Next("culprit", last_good if index == finder.GOOD_END else order[index])
        case finder.Culprit(index, probability):
            return Found((order[index],), probability)
        case finder.Range(indexes, probability):
            return Found(tuple(order[index] for index in indexes), probability)
        case finder.Nobody(_, "always"):
            return Nobody(
                f"last good {last_good[:12]} is not green any more, so the machine is to blame and no landing"
            )
        case finder.Nobody():
            return Nobody("no suspect was red again: it was chance, or the machine")
        case finder.Unresolved():
            if step.reason == "untestable":
                return Nobody("too few suspects could be judged to tell who it was")
            return Nobody(f"{len(seen)} runs do not tell who it was")


def suspicion(
    suspects: Sequence[str],
    probes: Sequence[Probe],
    last_good: str = "",
    *,
    flow: str = "",
    unbuilt: bool = False,
    reds: int = 0,
    runs: int = 0,
) -> dict[str, float]:
    """What `culprit` believes of each suspect after these probes; what is missing from 1 is "nobody"."""
    order = tuple(dict.fromkeys(suspects))
    if len(order) < 2:
        return dict.fromkeys(order, SURE)
    seen = _observations(order, probes, last_good, flow, unbuilt=unbuilt)
    return dict(zip(order, _search(order, reds, runs).suspicion(seen), strict=True))


def _observations(
    order: Sequence[str], probes: Sequence[Probe], last_good: str, flow: str, *, unbuilt: bool
) -> list[finder.Observation]:
    places = {commit: at for at, commit in enumerate(order)} | {last_good: finder.GOOD_END}
    told = [probe for probe in probes if probe.purpose == "culprit" and probe.commit in places]
    hiccups = {probe.commit: probe for probe in reversed(told) if probe.verdict == "ENVIRONMENT"}
    return [
        finder.Observation(places[probe.commit], _outcome(probe, flow, unbuilt=unbuilt))
        for probe in told
        if hiccups.get(probe.commit) is not probe  # a bad moment of the machine is asked again once
    ]


def _search(order: Sequence[str], reds: int, runs: int) -> finder.Search:
    return finder.Search(
        len(order),
        confidence=CONFIDENCE,
        rates=finder.Rates.learned(reds, runs),
        limit=RUNS_A_HALVING * len(order).bit_length() + 6,
    )


def _outcome(probe: Probe, flow: str, *, unbuilt: bool) -> finder.Outcome:
    """What a run says about the failure that is looked for: another flow's red is not it."""
    verdict = probe.flows.get(flow, probe.verdict)
    if verdict == "PASS":
        return "good"
    if verdict != "FAIL" or probe.reason.startswith(PACKAGE_FAILED) != unbuilt:
        return "skip"
    return "bad"


def may_restore(restores_at: Sequence[float], now: float, limit: int = 4, window_s: float = 86_400.0) -> bool:
    """Whether main may be put back once more without a person. Times are UTC seconds."""
    return sum(1 for at in restores_at if now - at < window_s) < limit
