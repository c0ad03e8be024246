"""When a canary's word counts, and who is to blame. Pure: probes in, the next probe or a judgement out.

A single red run is never acted on. `confirm` repeats it and holds a control on last good against it; `culprit` walks
the suspects in landing order and accuses only where a confirmed red stands above a verified green. Bayes' rule gives a
figure to show to a person; it never decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.models.verdict import Purpose, Verdict

PACKAGE_FAILED = "package: "
"""How the reason of a FAIL begins whose flow never started, because the artifact could not be built."""
FLAKE_RATE = 0.05
"""The chance, assumed for the figure of `Found` alone, that a run shows the wrong colour."""
NOBODY_PRIOR = 0.0017
"""How often two reruns confirm a red that is not there, with a flow that is red by chance one time in twenty."""


@dataclass(frozen=True)
class Probe:
    """One canary run that ended. `flow` is the flow that gave the verdict, "" if it is not known."""

    commit: str
    purpose: Purpose
    verdict: Verdict
    reason: str = ""
    flow: str = ""


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


@dataclass(frozen=True)
class _Outcomes:
    """How often a suspect was green, red, could not be built, and could not tell."""

    green: int
    red: int
    unbuilt: int
    mute: int

    @property
    def total(self) -> int:
        return self.green + self.red + self.unbuilt + self.mute

    def stand(self) -> Literal["green", "red", "unbuilt", "mute"] | None:
        """What is known of it; None while one more run is needed, and never after three."""
        bad = self.red + self.unbuilt
        if self.total == 0 or (self.total < 3 and self._open(bad)):
            return None
        if self.green > bad and (self.green > 1 or self.total < 3):
            return "green"
        if self.green:
            return "mute"
        if self.red > 1:
            return "red"
        return "unbuilt" if self.unbuilt > self.mute else "mute"

    def _open(self, bad: int) -> bool:
        if self.total == 1:
            return bool(self.red or self.mute)
        # Of two runs: a contradiction, or one red that was not seen again yet.
        return (self.green > 0 and bad > 0) or self.red == 1

    def verified(self) -> bool:
        return self.green > 1


def _tally(probes: Iterable[Probe]) -> _Outcomes:
    green = red = unbuilt = mute = 0
    for probe in probes:
        if probe.verdict == "PASS":
            green += 1
        elif probe.verdict != "FAIL":
            mute += 1
        elif probe.reason.startswith(PACKAGE_FAILED):
            unbuilt += 1
        else:
            red += 1
    return _Outcomes(green, red, unbuilt, mute)


def culprit(suspects: Sequence[str], probes: Sequence[Probe], last_good: str | None = None) -> Next | Found | Nobody:
    """Who broke main: `suspects` are its commits since last good in landing order; the newest was confirmed red.

    A red suspect is confirmed by a rerun, and the green below it (last good for the oldest, if it is given) is verified
    by another run before anybody is accused. Suspects that cannot be built or that cannot tell are passed over, and if
    the culprit may be among them, the answer is the range. At most three runs a commit are asked for.
    """
    order = tuple(dict.fromkeys(suspects))
    if not order:
        return Nobody("nothing of ours has landed since last good")
    seen = {c: _tally(p for p in probes if p.commit == c and p.purpose != "control") for c in order}
    if len(order) == 1:
        return Found(order, _share(order, order, seen))
    red = _first_red(order, seen)
    if not isinstance(red, int):
        return red
    below = next((i for i in range(red - 1, -1, -1) if seen[order[i]].stand() == "green"), -1)
    if below >= 0 and not seen[order[below]].verified():
        return Next("culprit", order[below])
    if below < 0 and last_good is not None and (doubt := _doubt_of(last_good, probes)) is not None:
        return doubt
    accused = order[below + 1 : red + 1]
    return Found(accused, _share(order, accused, seen))


def _first_red(order: Sequence[str], seen: dict[str, _Outcomes]) -> int | Next | Nobody:
    """Index of the oldest confirmed red suspect."""
    stands: list[str] = []
    for at, commit in enumerate(order):
        stand = seen[commit].stand()
        if stand is None:
            return Next("culprit", commit)
        if stand == "red":
            return at
        stands.append(stand)
    if stands[-1] == "unbuilt":
        # The newest cannot be built, so that is the failure looked for: the oldest unbuilt one above the greens.
        start = len(stands) - next((n for n, stand in enumerate(reversed(stands)) if stand == "green"), len(stands))
        at = start + stands[start:].index("unbuilt")
        return at if seen[order[at]].unbuilt > 1 or seen[order[at]].total > 2 else Next("culprit", order[at])
    told = stands.count("green")
    return Nobody(
        f"no suspect was red again: {told} of {len(order)} were green, {len(order) - told} could not be judged"
    )


def _doubt_of(last_good: str, probes: Sequence[Probe]) -> Next | Nobody | None:
    """None when last good is green now too; otherwise the run that asks, or why nobody is blamed."""
    outcomes = _tally(p for p in probes if p.commit == last_good and p.purpose == "culprit")
    stand = outcomes.stand()
    if stand == "green":
        return None
    if stand is None:
        return Next("culprit", last_good)
    return Nobody(f"last good {last_good[:12]} is not green any more, so the machine is to blame and no landing")


def _share(order: Sequence[str], accused: Sequence[str], seen: dict[str, _Outcomes]) -> float:
    """Posterior of `accused` by Bayes' rule over n suspects and "nobody", with FLAKE_RATE either way."""
    building = seen[accused[-1]].stand() == "unbuilt"
    counts = [(seen[commit].green, seen[commit].unbuilt if building else seen[commit].red) for commit in order]
    prior = (1 - NOBODY_PRIOR) / len(order)
    weights = {guilty: prior * _likelihood(counts, at) for at, guilty in enumerate(order)}
    total = sum(weights.values()) + NOBODY_PRIOR * _likelihood(counts, len(order))
    return sum(weights[commit] for commit in accused) / total


def _likelihood(counts: Sequence[tuple[int, int]], guilty: int) -> float:
    value = 1.0
    for at, (green, red) in enumerate(counts):
        expected, surprising = (red, green) if at >= guilty else (green, red)
        value *= (1 - FLAKE_RATE) ** expected * FLAKE_RATE**surprising
    return value


def may_restore(restores_at: Sequence[float], now: float, limit: int = 4, window_s: float = 86_400.0) -> bool:
    """Whether main may be put back once more without a person. Times are UTC seconds."""
    return sum(1 for at in restores_at if now - at < window_s) < limit
