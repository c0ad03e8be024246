"""What was: runs, gates, reports and canaries as records, folded from the journal for clients. Pure.

The engine decides by `State` and needs none of this; a client folds it for the people who look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.models.event import Event

SUPERSEDED = "superseded"
"""A gate that was cancelled because its tree no longer mattered: it did not fail."""


@dataclass
class RunRecord:
    """One attempt. Times in UTC seconds; `ended_at` is 0 and `result`, the journal's word, is "" while it runs."""

    run: str
    order: str
    attempt: int
    role: str
    agent: str
    base: str
    started_at: float
    ended_at: float = 0.0
    result: str = ""
    reason: str = ""
    kept: str = ""
    exit_code: int | None = None
    tokens: int = 0
    cost: float = 0.0
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    """The fields of `budget_spent`; empty while nothing is charged."""
    handoff: str = ""
    """Digest of the handoff."""
    summary: str = ""
    change: str = ""


@dataclass
class GateRecord:
    """One gate on one tree. `change` is "" when main itself was gated. `result` is "" while it runs."""

    gate: str
    tree: str
    change: str
    order: str
    started_at: float
    ended_at: float = 0.0
    result: str = ""
    reason: str = ""
    executed: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    duration_s: float = 0.0
    cached: bool = False


@dataclass
class ReportRecord:
    """One signed report. `report` is the digest of its envelope."""

    report: str
    at: float
    kind: str
    result: str
    tree: str
    base: str
    base_commit: str
    change: str
    order: str
    reasons: list[str]


@dataclass
class CanaryRecord:
    """One canary run. `flows` are the rows of `canary_finished`; `verdict` is "" while it runs. Of a comparison,
    `metrics` are what became of each sample, held `against` a good commit."""

    commit: str
    about: str
    purpose: str
    started_at: float
    ended_at: float = 0.0
    verdict: str = ""
    reason: str = ""
    flows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    metrics: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    against: str = ""


@dataclass
class Move:
    """Something that moved main: landed, restored, adopted."""

    kind: str
    at: float
    commit: str
    order: str
    change: str
    report: str


@dataclass
class History:
    """All records so far. `apply` takes events in order; `seq` is the last one taken."""

    seq: int = 0
    at: float = 0.0
    """When the last event was."""
    items: dict[str, str] = field(default_factory=dict[str, str])
    """Roadmap items: id to title."""
    runs: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    runs_of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    gates: list[GateRecord] = field(default_factory=list[GateRecord])
    gates_of: dict[str, list[GateRecord]] = field(default_factory=dict[str, list[GateRecord]])
    """By change; "" is main itself."""
    reports: dict[str, ReportRecord] = field(default_factory=dict[str, ReportRecord])
    reports_of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By change; "" is main itself."""
    canaries: list[CanaryRecord] = field(default_factory=list[CanaryRecord])
    judged: dict[str, str] = field(default_factory=dict[str, str])
    """Verdict by judged commit, in order."""
    moves: list[Move] = field(default_factory=list[Move])
    trials: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """(change, tree) of a trial's gates: what tries several changes is told of the last."""
    changes_of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    events_of: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Seqs of the events of a work order, for its timeline."""
    usual_tests: dict[str, int] = field(default_factory=dict[str, int])
    """Tests that a gate executed last, so that progress has something to be measured against."""
    usual_s: dict[str, float] = field(default_factory=dict[str, float])
    """How long a gate took last, uncached."""

    def apply(self, event: Event) -> None:
        """Fold one event in. Events it has taken already are ignored."""
        if event.seq <= self.seq:
            return
        self.seq, self.at = event.seq, event.at
        if event.work_order:
            self.events_of.setdefault(event.work_order, []).append(event.seq)
        take = _TAKE.get(event.kind)
        if take is not None:
            take(self, event, event.fields)

    def running_gates(self) -> list[GateRecord]:
        """Gates that run now, oldest first."""
        return [gate for gate in self.gates[-200:] if not gate.result]

    def gates_on(self, change: str, tree: str) -> list[GateRecord]:
        """The gates of one change (or main: "") on one tree, in the order in which they started."""
        return [gate for gate in self.gates_of.get(change, []) if gate.tree == tree]


Fields = dict[str, Any]


def _roadmap_read(history: History, _event: Event, f: Fields) -> None:
    history.items = {item["id"]: item.get("title", item["id"]) for item in f["items"]}


def _run_started(history: History, event: Event, f: Fields) -> None:
    run = RunRecord(event.run, event.work_order, f["attempt"], f["role"], f["agent"], f["base"], event.at)
    history.runs[event.run] = run
    history.runs_of.setdefault(event.work_order, []).append(event.run)


def _run_finished(history: History, event: Event, f: Fields) -> None:
    if (run := history.runs.get(event.run)) is not None:
        run.ended_at, run.result, run.reason = event.at, f["result"], f["reason"]
        run.kept, run.exit_code = f["kept"], f["exit_code"]


def _run_interrupted(history: History, event: Event, f: Fields) -> None:
    if (run := history.runs.get(event.run)) is not None and not run.result:
        run.ended_at, run.result, run.reason = event.at, "interrupted", f["why"]


def _budget_spent(history: History, event: Event, f: Fields) -> None:
    if (run := history.runs.get(event.run)) is not None:
        run.tokens += f["tokens"]
        run.cost += f["cost"]
        run.usage = f


def _handoff_received(history: History, event: Event, f: Fields) -> None:
    if (run := history.runs.get(event.run)) is not None:
        run.handoff, run.summary = f["digest"], f["summary"]


def _change_proposed(history: History, event: Event, f: Fields) -> None:
    history.changes_of.setdefault(event.work_order, []).append(f["change"])
    runs = history.runs_of.get(event.work_order)
    if runs and (run := history.runs.get(event.run or runs[-1])) is not None:
        run.change = f["change"]


def _golden_proposed(history: History, event: Event, f: Fields) -> None:
    if event.work_order:
        history.changes_of.setdefault(event.work_order, []).append(f["change"])


def _change_over(history: History, event: Event, f: Fields) -> None:
    change = f.get("change") or ""
    if change:
        _supersede(history.gates_of.get(change, []), event.at)


def _order_over(history: History, event: Event, _f: Fields) -> None:
    for change in history.changes_of.get(event.work_order, []):
        _supersede(history.gates_of.get(change, []), event.at)


def _supersede(gates: list[GateRecord], at: float) -> None:
    for gate in gates:
        if not gate.result:
            gate.result, gate.ended_at = SUPERSEDED, at


def _gate_started(history: History, event: Event, f: Fields) -> None:
    own = history.gates_of.setdefault(f["change"], [])
    _supersede([gate for gate in own if gate.tree != f["tree"] or gate.gate == f["gate"]], event.at)
    gate = GateRecord(f["gate"], f["tree"], f["change"], event.work_order, event.at)
    own.append(gate)
    history.gates.append(gate)


def _trial_started(history: History, _event: Event, f: Fields) -> None:
    history.trials[f["trial"]] = (f["test"][-1], f["tree"])


def _trial_ended(history: History, event: Event, f: Fields) -> None:
    change, tree = history.trials.pop(f["trial"], ("", ""))
    _supersede([gate for gate in history.gates_of.get(change, []) if gate.tree == tree], event.at)


def _gate_finished(history: History, event: Event, f: Fields) -> None:
    own = history.gates_of.setdefault(f["change"], [])
    gate = next((g for g in reversed(own) if g.gate == f["gate"] and g.tree == f["tree"] and not g.result), None)
    if gate is None:
        gate = GateRecord(f["gate"], f["tree"], f["change"], event.work_order, event.at - f["duration_s"])
        own.append(gate)
        history.gates.append(gate)
    gate.ended_at, gate.result, gate.reason = event.at, f["result"], f["reason"]
    gate.executed, gate.passed, gate.failed, gate.skipped = f["executed"], f["passed"], f["failed"], f["skipped"]
    gate.duration_s, gate.cached = f["duration_s"], f["cached"]
    if gate.executed:
        history.usual_tests[gate.gate] = gate.executed
    if not gate.cached and gate.result == "green":
        history.usual_s[gate.gate] = gate.duration_s


def _report_signed(history: History, event: Event, f: Fields) -> None:
    record = ReportRecord(
        f["report"], event.at, f["report_kind"], f["result"], f["tree"], f["base"], f["base_commit"], f["change"],
        event.work_order, list(f["reasons"]),
    )  # fmt: skip
    history.reports[record.report] = record
    history.reports_of.setdefault(record.change, []).append(record.report)


def _canary_started(history: History, event: Event, f: Fields) -> None:
    history.canaries.append(CanaryRecord(f["commit"], f["about"], f["purpose"], event.at))


def _canary_finished(history: History, event: Event, f: Fields) -> None:
    key = (f["commit"], f["about"], f["purpose"], "")
    run = next((c for c in reversed(history.canaries) if (c.commit, c.about, c.purpose, c.verdict) == key), None)
    if run is None:
        run = CanaryRecord(f["commit"], f["about"], f["purpose"], event.at)
        history.canaries.append(run)
    run.ended_at, run.verdict, run.reason, run.flows = event.at, f["verdict"], f["reason"], f.get("flows", [])
    run.metrics, run.against = f.get("metrics", []), f.get("against", "")


def _canary_judged(history: History, _event: Event, f: Fields) -> None:
    history.judged.pop(f["commit"], None)  # the newest judgement is the last
    history.judged[f["commit"]] = f["verdict"]


def _landed(history: History, event: Event, f: Fields) -> None:
    _change_over(history, event, f)
    history.moves.append(Move("landed", event.at, f["commit"], event.work_order, f["change"], f["report"]))


def _restored(history: History, event: Event, f: Fields) -> None:
    history.moves.append(Move("restored", event.at, f["commit"], "", "", f["report"]))


def _adopted(history: History, event: Event, f: Fields) -> None:
    history.moves += [Move("adopted", event.at, commit, "", "", "") for commit in f["commits"]]


def _engine_started(history: History, event: Event, _f: Fields) -> None:
    """What ran when the engine before this one ended, ended with it."""
    for gate in history.running_gates():
        gate.result, gate.ended_at = "interrupted", event.at
    for canary in history.canaries[-50:]:
        if not canary.verdict:
            canary.verdict, canary.ended_at = "interrupted", event.at


_TAKE: dict[str, Callable[[History, Event, Fields], None]] = {
    "engine_started": _engine_started,
    "roadmap_read": _roadmap_read,
    "run_started": _run_started,
    "run_finished": _run_finished,
    "run_interrupted": _run_interrupted,
    "budget_spent": _budget_spent,
    "handoff_received": _handoff_received,
    "change_proposed": _change_proposed,
    "golden_proposed": _golden_proposed,
    "change_rejected": _change_over,
    "change_reverted": _change_over,
    "change_landed": _landed,
    "work_order_parked": _order_over,
    "work_order_cancelled": _order_over,
    "trial_started": _trial_started,
    "trial_ended": _trial_ended,
    "gate_started": _gate_started,
    "gate_finished": _gate_finished,
    "report_signed": _report_signed,
    "canary_started": _canary_started,
    "canary_finished": _canary_finished,
    "canary_judged": _canary_judged,
    "main_restored": _restored,
    "commits_adopted": _adopted,
}
