"""Journals for the metrics, told event by event."""

from __future__ import annotations

from typing import Any

from engine.metrics import Tally
from engine.models.event import Event
from engine.models.events import EVENTS
from engine.models.metrics import Metrics

START = 1_800_000_000.0
"""UTC seconds of the first event."""


class Story:
    """Events as the engine writes them; `t` is seconds since the start. Fields are checked against the models."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.add(0, "repository_opened", commit="c0", tree="t0", repository="c0", branch="main")

    def add(self, t: float, kind: str, order: str = "", run: str = "", **fields: Any) -> None:
        EVENTS[kind].model_validate(fields)
        self.events.append(Event(len(self.events) + 1, START + t, kind, order, run, fields))

    def ready(self, t: float, order: str, kind: str = "feature") -> None:
        raw = {"id": order, "title": order, "kind": kind}
        self.add(t, "roadmap_read", count=1, orders=[raw], gone=[], items=[])
        self.add(t, "work_order_ready", order)

    def run(
        self,
        t: float,
        order: str,
        nth: int,
        *,
        result: str = "done",
        agent: str = "a",
        tokens: int = 0,
        cost: float = 0,
    ) -> None:
        """A run that ends at `t`, a second after it began."""
        name = f"{order}.{nth}"
        self.add(t - 1, "run_started", order, name, attempt=nth, role="implementer", agent=agent, base="c0")
        if tokens or cost:
            self.add(t, "budget_spent", order, name, tokens=tokens, cost=cost, agent=agent, role="implementer")
        ended: dict[str, Any] = {"reason": "", "kept": "", "exit_code": 0, "duration_s": 1.0}
        self.add(t, "run_finished", order, name, result=result, counted=result in ("done", "idle", "failed"), **ended)

    def propose(self, t: float, order: str, change: str, agent: str = "a", **more: Any) -> None:
        what: dict[str, Any] = {"base": "c0", "head": "h", "tree": "t", "paths": [], "summary": "", **more}
        self.add(t, "change_proposed", order, change=change, agent=agent, **what)

    def gate(self, t: float, change: str, gate: str, result: str, duration_s: float, *, cached: bool = False) -> None:
        counts: dict[str, Any] = {"executed": 1, "passed": 1, "failed": 0, "skipped": 0}
        self.add(
            t, "gate_finished", gate=gate, tree="t", change=change, result=result, reason="", duration_s=duration_s,
            cached=cached, **counts,
        )  # fmt: skip

    def report(self, t: float, change: str, result: str) -> None:
        digests = {"report": "sha256:0", "tree": "t", "base": "b", "base_commit": "c", "policy": "p", "reasons": []}
        self.add(t, "report_signed", report_kind="land", result=result, change=change, **digests)

    def reject(self, t: float, order: str, change: str) -> None:
        self.add(t, "change_rejected", order, change=change, reasons=["it is red"])

    def land(self, t: float, order: str, change: str, commit: str) -> None:
        moved = {"tree": "t", "report": "sha256:0", "parent": "p", "effect_id": f"land-{commit}"}
        self.add(t, "change_landed", order, change=change, commit=commit, **moved)

    def ran(self, t: float, commit: str, purpose: str, about: str = "", **flows: str) -> None:
        """A canary run that ended; `flows` are verdicts by name."""
        red = next((flow for flow, verdict in flows.items() if verdict != "PASS"), "")
        rows = [{"flow": flow, "verdict": verdict} for flow, verdict in flows.items()]
        told = {"verdict": flows[red] if red else "PASS", "reason": "", "flow": red, "flows": rows}
        self.add(t, "canary_finished", commit=commit, about=about or commit, purpose=purpose, **told)

    def judged(self, t: float, commit: str, verdict: str) -> None:
        self.add(t, "canary_judged", commit=commit, verdict=verdict, reason="", flaky=False, flow="")

    def passed(self, t: float, commit: str) -> None:
        self.ran(t, commit, "first", flow="PASS")
        self.judged(t, commit, "PASS")

    def condemned(self, t: float, commit: str) -> None:
        """Judged red at `t`, ten seconds after the first red run."""
        self.ran(t - 10, commit, "first", flow="FAIL")
        self.ran(t - 5, commit, "rerun", flow="FAIL")
        self.judged(t, commit, "FAIL")
        self.add(t, "landing_frozen", reason="red", why="canary")

    def restored(self, t: float, to: str, red: str, commit: str) -> None:
        moved = {"tree": "t", "report": "sha256:0", "effect_id": f"restore-{commit}", "from": red}
        self.add(t, "main_restored", commit=commit, to=to, red=red, **moved)

    def healthy(self, t: float, order: str, commit: str, *, uncanaried: bool = False) -> None:
        self.add(t, "work_order_healthy", order, commit=commit, uncanaried=uncanaried)

    def figures(self, t: float = 0.0) -> Metrics:
        tally = Tally()
        for event in self.events:
            tally.apply(event)
        return tally.figures(START + t)
