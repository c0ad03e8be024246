"""How main fared, counted: landings, red canaries, restores, who was to blame, flakes, time frozen. Pure.

A part of `engine.metrics.Tally`, which says what each figure means. Landings since last good are followed as the state
follows them (`engine.fold.canary`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.models.event import Event
from engine.models.metrics import ChangeFailure, FalseRevert, Flow, Frozen, Restore
from engine.series import share, spread

Kind = Literal["origin", "change", "person", "restore"]


@dataclass(slots=True)
class _Landing:
    commit: str
    kind: Kind
    judged: bool = False


@dataclass(slots=True)
class _Search:
    """For the culprit of one red main. `ours`: the suspects that the swarm landed. `green`, `red`: what probes said."""

    ours: list[str]
    green: set[str] = field(default_factory=set[str])
    red: set[str] = field(default_factory=set[str])


class Flakes:
    """Judgements in which a flow was both red and green on the same commit. Kept: the runs of open judgements."""

    def __init__(self) -> None:
        self.judgements = 0
        self.judgements_flaky = 0
        self._open: dict[str, dict[str, list[bool]]] = {}
        self._judged: dict[str, int] = {}
        self._flaky: dict[str, int] = {}

    def ran(self, f: dict[str, Any]) -> None:
        """A first run or a rerun ended."""
        seen = self._open.setdefault(f["about"], {})
        told = {str(flow.get("flow", "")): flow.get("verdict") for flow in f.get("flows", ())}
        if not told and f.get("flow"):
            told = {f["flow"]: f["verdict"]}
        elif not told and f["verdict"] == "PASS":
            told = dict.fromkeys(seen, "PASS")  # it names no flow: all of them passed
        for flow, verdict in told.items():
            if verdict in ("PASS", "FAIL"):
                seen.setdefault(flow, []).append(verdict == "PASS")

    def judge(self, commit: str) -> None:
        """The runs on `commit` are complete."""
        runs = {flow: greens for flow, greens in self._open.pop(commit, {}).items() if greens}
        shaky = [flow for flow, greens in runs.items() if len(set(greens)) > 1]
        for flow in runs:
            self._judged[flow] = self._judged.get(flow, 0) + 1
        for flow in shaky:
            self._flaky[flow] = self._flaky.get(flow, 0) + 1
        self.judgements += bool(runs)
        self.judgements_flaky += bool(shaky)

    def figures(self) -> list[Flow]:
        """By name of the flow."""
        return [
            Flow(flow=flow, flaky=self._flaky.get(flow, 0), judged=judged, rate=self._flaky.get(flow, 0) / judged)
            for flow, judged in sorted(self._judged.items())
        ]


class Mainline:
    """The tally of main. `landings`: of the swarm's changes, each time; `blamed`: those that the canary had undone."""

    def __init__(self) -> None:
        self.flakes = Flakes()
        self.landings = 0
        self.landings_of_people = 0
        self.blamed = 0
        self._judged = 0
        self._taken_off = 0
        self._cleared = 0
        self._unresolved = 0
        self._since_good: list[_Landing] = []
        self._searches: list[_Search] = []
        self._first_red: dict[str, float] = {}
        self._red: tuple[str, float] | None = None
        self._restores_s: list[float] = []
        self._frozen_at: float | None = None
        self._frozen_s = 0.0
        self._freezes = 0
        self._handlers: dict[str, Callable[[Event, dict[str, Any]], None]] = {
            "repository_opened": self._opened,
            "change_landed": self._landed,
            "commits_adopted": self._adopted,
            "canary_finished": self._canary_finished,
            "canary_judged": self._canary_judged,
            "main_restored": self._restored,
            "culprit_found": self._culprit_found,
            "culprit_unresolved": self._culprit_unresolved,
            "landing_frozen": self._froze,
            "landing_thawed": self._thawed,
        }

    def apply(self, event: Event) -> None:
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, event.fields)

    def change_failure(self) -> ChangeFailure:
        """Unknown until a canary has judged a landing."""
        known = self._judged > 0
        return ChangeFailure(
            count=self.blamed,
            of=self.landings,
            rate=self.blamed / self.landings if known and self.landings else None,
            unjudged=self.landings - self._judged,
            unresolved=self._unresolved,
        )

    def false_revert(self) -> FalseRevert:
        """Unknown until a search has cleared or blamed a landing of the swarm."""
        told = share(self._cleared, self._cleared + self.blamed)
        return FalseRevert(count=told.count, of=told.of, rate=told.rate, taken_off=self._taken_off)

    def time_to_restore(self, now: float) -> Restore:
        """`now`: UTC seconds."""
        took = spread(self._restores_s)
        open_s = None if self._red is None else max(0.0, now - self._red[1])
        return Restore(count=took.count, median_s=took.median_s, p90_s=took.p90_s, open_s=open_s)

    def frozen(self, now: float) -> Frozen:
        """`now`: UTC seconds."""
        going = 0.0 if self._frozen_at is None else max(0.0, now - self._frozen_at)
        return Frozen(times=self._freezes, frozen_s=self._frozen_s + going, now=self._frozen_at is not None)

    def _opened(self, _event: Event, f: dict[str, Any]) -> None:
        self._since_good = [_Landing(f["commit"], "origin", judged=True)]

    def _landed(self, event: Event, f: dict[str, Any]) -> None:
        ours = bool(event.work_order)
        self._since_good.append(_Landing(f["commit"], "change" if ours else "person"))
        self.landings += ours
        self.landings_of_people += not ours

    def _adopted(self, _event: Event, f: dict[str, Any]) -> None:
        self._since_good.append(_Landing(f["commit"], "person"))
        self.landings_of_people += 1

    def _place(self, commit: str) -> int | None:
        return next((at for at, landing in enumerate(self._since_good) if landing.commit == commit), None)

    def _mark_judged(self, landings: list[_Landing]) -> None:
        for landing in landings:
            if landing.kind == "change" and not landing.judged:
                landing.judged = True
                self._judged += 1

    def _canary_finished(self, event: Event, f: dict[str, Any]) -> None:
        if f["purpose"] == "culprit":
            if self._searches and f["verdict"] in ("PASS", "FAIL"):
                search = self._searches[0]
                (search.green if f["verdict"] == "PASS" else search.red).add(f["commit"])
        elif f["purpose"] in ("first", "rerun"):
            self.flakes.ran(f)
            if f["verdict"] == "FAIL":
                self._first_red.setdefault(f["about"], event.at)

    def _canary_judged(self, event: Event, f: dict[str, Any]) -> None:
        commit = f["commit"]
        self.flakes.judge(commit)
        red_at = self._first_red.pop(commit, event.at)
        at = self._place(commit)
        if f["verdict"] == "FAIL":
            self._red = self._red or (commit, red_at)
            if at is not None:
                self._mark_judged(self._since_good[at : at + 1])
        elif f["verdict"] == "PASS" and at is not None:
            self._mark_judged(self._since_good[: at + 1])
            red = None if self._red is None else self._place(self._red[0])
            self._since_good = self._since_good[at:]
            if red is None or red <= at:
                self._green_again(event.at)

    def _green_again(self, at: float) -> None:
        if self._red is not None:
            self._restores_s.append(max(0.0, at - self._red[1]))
            self._red = None

    def _restored(self, event: Event, f: dict[str, Any]) -> None:
        good = self._place(f["to"])
        kept = 0 if good is None else good + 1
        gone = self._since_good[kept:]
        red = next((at for at, landing in enumerate(gone) if landing.commit == f["red"]), len(gone) - 1)
        self._taken_off += sum(landing.kind == "change" for landing in gone)
        self._searches.append(_Search([each.commit for each in gone[: red + 1] if each.kind == "change"]))
        self._since_good = [*self._since_good[:kept], _Landing(f["commit"], "restore")]
        self._green_again(event.at)
        self._thawed(event, f)

    def _culprit_found(self, _event: Event, f: dict[str, Any]) -> None:
        if self._searches:
            ours = self._searches.pop(0).ours
            self.blamed += f["commit"] in ours
            self._cleared += sum(commit != f["commit"] for commit in ours)

    def _culprit_unresolved(self, _event: Event, f: dict[str, Any]) -> None:
        """A range clears those outside of it; without one, only a suspect that was seen green alone is cleared."""
        self._unresolved += 1
        if self._searches:
            search, between = self._searches.pop(0), set(f.get("range", ()))
            green = search.green - search.red
            self._cleared += sum(commit not in between if between else commit in green for commit in search.ours)

    def _froze(self, event: Event, _f: dict[str, Any]) -> None:
        if self._frozen_at is None:
            self._frozen_at = event.at
            self._freezes += 1

    def _thawed(self, event: Event, _f: dict[str, Any]) -> None:
        if self._frozen_at is not None:
            self._frozen_s += max(0.0, event.at - self._frozen_at)
            self._frozen_at = None
