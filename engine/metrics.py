"""The figures behind the metrics screen: how fast, how often, how well, at what price. Pure.

`Tally` is folded from events like the state, and for people alone: the engine decides nothing by it. Deployment
frequency, change lead time, change failure rate and failed deployment recovery time follow the DORA metrics (Forsgren,
Humble, Kim: Accelerate, 2018; dora.dev), with "deployed" read as "healthy on main"; the other figures are our own.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.mainline_tally import Mainline
from engine.models.event import Event, utc_text
from engine.models.metrics import (
    Deployment,
    Effort,
    GateTime,
    GateWork,
    Lead,
    Metrics,
    Progress,
    Series,
    Spent,
)
from engine.proof_tally import Proofs
from engine.series import MOST_POINTS, Curve, grouped, share, spread

NEWEST_GATES = 1_000
"""Runs of a gate of which median and p90 are told: so much is kept, however long the night."""
BUCKET_S = 3600.0
_TELLING = frozenset({"green", "red", "timeout"})
"""Results that say something of the tree; `error` and `skipped` do not."""


@dataclass(slots=True)
class _Order:
    kind: str = "feature"
    ready_at: float | None = None
    begun: bool = False
    changes: int = 0
    rejected: bool = False
    again: bool = False
    newest: str = ""
    landed: str = ""
    healthy: bool = False


@dataclass(slots=True)
class _Change:
    order: str
    agent: str
    proposed_at: float
    reported: bool = False
    gates: set[str] = field(default_factory=set[str])
    landed: bool = False
    open: bool = True


@dataclass(slots=True)
class _Gate:
    newest_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=NEWEST_GATES))
    runs: int = 0
    total_s: float = 0.0
    cached: int = 0
    first: int = 0
    first_green: int = 0


@dataclass(slots=True)
class _Effort:
    runs: int = 0
    attempts: int = 0
    orders: set[str] = field(default_factory=set[str])
    landed: int = 0
    tokens: int = 0
    cost: float = 0.0
    priced: int = 0
    counted: int = 0
    """Runs that told their cost, and their tokens."""

    def figures(self, name: str, landed: int) -> Effort:
        tokens = self.tokens if self.counted else None
        cost = self.cost if self.priced else None
        return Effort(
            name=name,
            runs=self.runs,
            attempts=self.attempts,
            work_orders=len(self.orders),
            attempts_per_work_order=self.attempts / len(self.orders) if self.orders else None,
            landed=landed,
            tokens=tokens,
            cost=cost,
            tokens_per_landed=tokens / landed if tokens is not None and landed else None,
            cost_per_landed=cost / landed if cost is not None and landed else None,
            runs_without_cost=max(0, self.runs - self.priced),
            runs_without_tokens=max(0, self.runs - self.counted),
        )


class Tally:
    """All figures so far, folded event by event. It grows with work orders, changes and canaries, not with events.

    What each figure counts, of the swarm's own changes:

    - Lead times: from the first time its work order was ready, and from when the change that landed was proposed (its
      commit is made then), until the work order is healthy. One pair for each healthy work order.
    - Deployment frequency: work orders that became healthy, a day of wall clock.
    - Change failure: changes that a canary condemned and the culprit search blamed, of all landings. Unknown until a
      canary has judged a landing, since before that nothing could have failed.
    - Time to restore: from the end of the first red run of a canary that was judged FAIL until main is restored, or a
      commit that contains it is judged PASS. Whoever broke it.
    - Rework: healthy work orders that took more than one change, or a run after a rejection, of all healthy ones.
    - False reverts: suspects that a restore took off main and the culprit search cleared, of those cleared or blamed.
    - Flakes: judgements in which a flow was both red and green, first run and reruns, of those it was part of.
    - Flaky tests: as the engine counts them for retries and quarantine (docs/flakes.md).
    - Regression tests: those that failed before the change and pass with it, of healthy work orders that mend something
      (kind `fix`, or they resolve a limitation). Unknown until a report of a healthy order said how many it had.
    - Limitations: resolved when a work order that names them is healthy; without such a test they are told apart.
    - Frozen: from `landing_frozen` until landing goes on or main is restored.
    - Merge success: changes that landed, of those proposed; `in_flight` are still open.
    - First pass: changes whose first signed report was green, of those that have one; for a gate, of the changes it has
      judged. A change that a guard refused has no report.
    - Effort: all runs, also those that failed; changes count once, even when they land again after a restore.

    Kinds that it does not count are ignored. No clock is read: what is folded up to a moment gives the figures of then.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._since: float | None = None
        self._until = 0.0
        self._mainline = Mainline()
        self._proofs = Proofs()
        self._orders: dict[str, _Order] = {}
        self._changes: dict[str, _Change] = {}
        self._leads: list[tuple[float, float | None, float | None]] = []
        self._uncanaried = 0
        self._landed_changes = 0
        self._in_flight = 0
        self._reworked = 0
        self._first_pass: Counter[str] = Counter()
        self._first_reports: Counter[str] = Counter()
        self._gates: dict[str, _Gate] = {}
        self._running: dict[str, tuple[str, str]] = {}
        self._all = _Effort()
        self._by_role: dict[str, _Effort] = {}
        self._by_agent: dict[str, _Effort] = {}
        self._healthy_in: Counter[int] = Counter()
        self._progress = Curve[tuple[int, int, int]]()
        self._spent = Curve[tuple[int, float]]()
        self._gate_work = Curve[tuple[float]]()
        self._gates_s = 0.0
        self._handlers: dict[str, Callable[[Event, dict[str, Any]], None]] = {
            "roadmap_read": self._read_roadmap,
            "work_order_added": self._added,
            "work_order_ready": self._ready,
            "work_order_parked": self._dropped,
            "work_order_cancelled": self._dropped,
            "work_order_healthy": self._healthy,
            "run_started": self._run_started,
            "run_finished": self._run_finished,
            "run_interrupted": self._run_interrupted,
            "budget_spent": self._budget_spent,
            "change_proposed": self._proposed,
            "golden_proposed": self._proposed,
            "change_rejected": self._rejected,
            "change_landed": self._landed,
            "report_signed": self._reported,
            "gate_finished": self._gate_finished,
        }

    def apply(self, event: Event) -> None:
        """Fold one event, in place. Events come in the order of their seq; those it has taken already are ignored."""
        if event.seq <= self.seq:
            return
        if self._since is None:
            self._since = event.at
        self.seq, self._until = event.seq, max(self._until, event.at)
        before = self._counts()
        self._mainline.apply(event)
        self._proofs.apply(event)
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, event.fields)
        if (after := self._counts()) != before:
            self._progress.add(self._t(event.at), after)

    def _counts(self) -> tuple[int, int, int]:
        return self._mainline.landings, len(self._leads), self._mainline.blamed

    def _t(self, at: float) -> float:
        return max(0.0, at - (self._since if self._since is not None else at))

    def _order(self, ident: str) -> _Order:
        return self._orders.setdefault(ident, _Order())

    def _efforts(self, role: str, agent: str) -> tuple[_Effort, _Effort, _Effort]:
        by_role = self._by_role.setdefault(role, _Effort())
        return self._all, by_role, self._by_agent.setdefault(agent, _Effort())

    def _read_roadmap(self, _event: Event, f: dict[str, Any]) -> None:
        for raw in f.get("orders", ()):
            self._order(raw["id"]).kind = raw.get("kind", "feature")
        for ident in f.get("gone", ()):
            if (order := self._orders.get(ident)) and not order.begun:
                del self._orders[ident]

    def _added(self, event: Event, f: dict[str, Any]) -> None:
        self._order(event.work_order).kind = f.get("order", {}).get("kind", "feature")

    def _ready(self, event: Event, _f: dict[str, Any]) -> None:
        order = self._order(event.work_order)
        if order.ready_at is None:
            order.ready_at = event.at

    def _run_started(self, event: Event, f: dict[str, Any]) -> None:
        order = self._order(event.work_order)
        order.begun = True
        order.again = order.again or order.rejected
        self._running[event.run] = (f.get("role", ""), f.get("agent", ""))

    def _run_finished(self, event: Event, f: dict[str, Any]) -> None:
        known = self._running.pop(event.run, None)
        for effort in self._efforts(*known) if known else (self._all,):
            effort.runs += 1
            if f.get("counted"):
                effort.attempts += 1
                effort.orders.add(event.work_order)

    def _run_interrupted(self, event: Event, _f: dict[str, Any]) -> None:
        self._running.pop(event.run, None)

    def _budget_spent(self, event: Event, f: dict[str, Any]) -> None:
        tokens, cost = int(f.get("tokens", 0)), float(f.get("cost", 0.0))
        for effort in self._efforts(f.get("role", ""), f.get("agent", "")):
            effort.tokens += tokens
            effort.cost += cost
            effort.priced += f.get("cost_known", cost > 0)
            effort.counted += f.get("tokens_known", tokens > 0)
        self._spent.add(self._t(event.at), (self._all.tokens, self._all.cost))

    def _proposed(self, event: Event, f: dict[str, Any]) -> None:
        if f.get("person") or not event.work_order or f["change"] in self._changes:
            return
        order = self._order(event.work_order)
        order.changes, order.newest = order.changes + 1, f["change"]
        self._changes[f["change"]] = _Change(event.work_order, f.get("agent", ""), event.at)
        self._in_flight += 1

    def _close(self, change: _Change | None) -> None:
        if change is not None and change.open:
            change.open = False
            self._in_flight -= 1

    def _rejected(self, event: Event, f: dict[str, Any]) -> None:
        self._close(self._changes.get(f.get("change", "")))
        if event.work_order:
            self._order(event.work_order).rejected = True

    def _dropped(self, event: Event, _f: dict[str, Any]) -> None:
        self._close(self._changes.get(self._order(event.work_order).newest))

    def _landed(self, event: Event, f: dict[str, Any]) -> None:
        change = self._changes.get(f["change"])
        if change is None:
            return
        self._close(change)
        self._order(change.order).landed = f["change"]
        if not change.landed:
            change.landed = True
            self._landed_changes += 1
            self._by_agent.setdefault(change.agent, _Effort()).landed += 1

    def _healthy(self, event: Event, f: dict[str, Any]) -> None:
        order = self._order(event.work_order)
        if order.healthy:
            return
        order.healthy = True
        change = self._changes.get(order.landed)
        from_ready = None if order.ready_at is None else max(0.0, event.at - order.ready_at)
        from_commit = None if change is None else max(0.0, event.at - change.proposed_at)
        self._leads.append((self._t(event.at), from_ready, from_commit))
        self._uncanaried += bool(f.get("uncanaried"))
        self._reworked += order.changes > 1 or order.again
        self._healthy_in[int(self._t(event.at) // BUCKET_S)] += 1

    def _reported(self, _event: Event, f: dict[str, Any]) -> None:
        change = self._changes.get(f.get("change", ""))
        if change is None or change.reported:
            return
        change.reported = True
        kind = self._order(change.order).kind
        self._first_reports[kind] += 1
        self._first_pass[kind] += f.get("result") == "green"

    def _gate_finished(self, event: Event, f: dict[str, Any]) -> None:
        gate, result = self._gates.setdefault(f["gate"], _Gate()), f.get("result")
        change = self._changes.get(f.get("change", ""))
        if change is not None and result in _TELLING and f["gate"] not in change.gates:
            change.gates.add(f["gate"])
            gate.first += 1
            gate.first_green += result == "green"
        if f.get("cached"):
            gate.cached += 1
        elif result in _TELLING:
            took_s = float(f.get("duration_s", 0.0))
            gate.newest_s.append(took_s)
            gate.runs += 1
            gate.total_s += took_s
            self._gates_s += took_s
            self._gate_work.add(self._t(event.at), (self._gates_s,))

    def figures(self, now: float) -> Metrics:
        """The figures at `now` (UTC seconds), or at the last event if that is later. Changes nothing."""
        if self._since is None:
            return Metrics()
        until = max(now, self._until)
        observed_s = until - self._since
        main, proofs = self._mainline, self._proofs
        told = proofs.listed is not None or proofs.regression_tests is not None
        return Metrics(
            seq=self.seq,
            since=utc_text(self._since),
            until=utc_text(until),
            observed_s=observed_s,
            ready_to_healthy=spread([ready for _, ready, _ in self._leads if ready is not None]),
            commit_to_healthy=spread([commit for _, _, commit in self._leads if commit is not None]),
            deployment=Deployment(
                healthy=len(self._leads),
                uncanaried=self._uncanaried,
                healthy_per_day=len(self._leads) / max(1.0, observed_s / 86_400.0),
                landed=main.landings,
                landed_by_people=main.landings_of_people,
            ),
            change_failure=main.change_failure(),
            time_to_restore=main.time_to_restore(until),
            rework=share(self._reworked, len(self._leads)),
            false_revert=main.false_revert(),
            flaky=share(main.flakes.judgements_flaky, main.flakes.judgements),
            flows=main.flakes.figures(),
            tests=proofs.flaky(until),
            frozen=main.frozen(until),
            regression_tests_added=proofs.regression_tests,
            limitations_resolved_with_a_test=len(proofs.resolved) if told else None,
            limitations_resolved_without_a_test=len(proofs.resolved_without_a_test) if told else None,
            limitations_listed=proofs.listed,
            merge_success=share(self._landed_changes, len(self._changes)),
            in_flight=self._in_flight,
            first_pass=share(self._first_pass.total(), self._first_reports.total()),
            first_pass_by_kind={
                kind: share(self._first_pass[kind], of) for kind, of in sorted(self._first_reports.items())
            },
            gates=[self._gate(name, gate) for name, gate in sorted(self._gates.items())],
            effort=self._all.figures("all", self._landed_changes),
            by_role=[each.figures(name, self._landed_changes) for name, each in sorted(self._by_role.items())],
            by_agent=[each.figures(name, each.landed) for name, each in sorted(self._by_agent.items())],
            series=self._series(observed_s),
        )

    def _gate(self, name: str, gate: _Gate) -> GateTime:
        took = spread(gate.newest_s)
        return GateTime(
            gate=name,
            count=gate.runs,
            median_s=took.median_s,
            p90_s=took.p90_s,
            total_s=gate.total_s,
            cached=gate.cached,
            first_pass=share(gate.first_green, gate.first),
        )

    def _series(self, observed_s: float) -> Series:
        hours = int(observed_s // BUCKET_S) + 1
        wide = -(-hours // MOST_POINTS)
        buckets = [0] * -(-hours // wide)
        for hour, healthy in self._healthy_in.items():
            buckets[hour // wide] += healthy
        return Series(
            progress=[Progress(t_s=t, landed=a, healthy=b, reverted=c) for t, (a, b, c) in self._progress.points()],
            leads=[Lead(t_s=t, ready_to_healthy_s=a, commit_to_healthy_s=b) for t, a, b in grouped(self._leads)],
            spent=[Spent(t_s=t, tokens=tokens, cost=cost) for t, (tokens, cost) in self._spent.points()],
            gate_work=[GateWork(t_s=t, gates_s=gates_s) for t, (gates_s,) in self._gate_work.points()],
            bucket_s=BUCKET_S * wide,
            healthy_per_bucket=buckets,
        )
