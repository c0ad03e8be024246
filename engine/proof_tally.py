"""What tests showed, counted: which of them flake on main, and what landed with a test of its own. Pure.

A part of `engine.metrics.Tally`, which says what each figure means. Flakes are counted as the engine counts them
(`engine.fold.flakes`), because it retries and quarantines by the same records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.flakes import FlakeRecord, Records
from engine.fold import flakes
from engine.models.event import Event
from engine.models.metrics import FlakyTest
from engine.state import MainRed, Verdict

MOST_VERDICTS = 500
"""Green reports that are remembered until their trees land."""


@dataclass(slots=True)
class _Book:
    """What the engine's own fold keeps of flakes."""

    flakes: Records = field(default_factory=dict[str, FlakeRecord])
    main_red: MainRed | None = None


@dataclass(slots=True)
class _Order:
    """mends: it is for a fault, so its tests are regression tests. tests: None while no report said."""

    mends: bool = False
    resolves: tuple[str, ...] = ()
    tests: int | None = None
    healthy: bool = False


class Proofs:
    """The tally of tests. Figures are None until the journal speaks of them."""

    def __init__(self) -> None:
        self.regression_tests: int | None = None
        self.listed: int | None = None
        """Limitations on the roadmap now."""
        self.resolved: set[str] = set()
        self.resolved_without_a_test: set[str] = set()
        self._book = _Book()
        self._verdicts: dict[str, Verdict] = {}
        self._orders: dict[str, _Order] = {}
        self._handlers: dict[str, Callable[[Event, dict[str, Any]], None]] = {
            "roadmap_read": self._read_roadmap,
            "work_order_added": self._added,
            "work_order_healthy": self._healthy,
            "report_signed": self._reported,
            "change_landed": self._landed,
            "test_quarantined": self._quarantined,
            "quarantine_lifted": self._lifted,
        }

    def apply(self, event: Event) -> None:
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, event.fields)

    def flaky(self, now: float) -> list[FlakyTest]:
        """The tests that have flaked, most often first. `now`: UTC seconds."""
        found = [
            FlakyTest(
                test=test,
                gate=record.gate,
                flakes=record.flakes,
                runs=record.runs,
                rate=record.rate,
                quarantined=bool(record.order) and record.until > now,
            )
            for test, record in self._book.flakes.items()
        ]
        return sorted(found, key=lambda each: (-(each.rate or 0.0), -each.flakes, each.test))

    # Methods, because a replay pickles the tally.
    def _quarantined(self, event: Event, f: dict[str, Any]) -> None:
        flakes.quarantined(self._book, event, f)

    def _lifted(self, _event: Event, f: dict[str, Any]) -> None:
        flakes.lifted(self._book, f)

    def _read_roadmap(self, _event: Event, f: dict[str, Any]) -> None:
        for raw in f.get("orders", ()):
            self._spec(raw)
        if (listed := f.get("limitations")) is not None:
            self.listed = len(listed)

    def _added(self, _event: Event, f: dict[str, Any]) -> None:
        self._spec(f.get("order", {}))

    def _spec(self, raw: dict[str, Any]) -> None:
        order = self._orders.setdefault(raw.get("id", ""), _Order())
        order.resolves = tuple(raw.get("resolves", ()))
        order.mends = raw.get("kind") == "fix" or bool(order.resolves)

    def _reported(self, event: Event, f: dict[str, Any]) -> None:
        if f.get("result") == "green":
            for ident, tests in f.get("proved", {}).items():
                self._orders.setdefault(ident, _Order()).tests = tests
        verdict = Verdict(f["result"], f["report"], f["tree"], f["base"], f["policy"], [])
        flakes.told(self._book, verdict, f)
        flakes.signed(self._book, event, f)
        if verdict.result == "green" and f.get("change"):
            self._verdicts[verdict.report] = verdict
        while len(self._verdicts) > MOST_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]

    def _landed(self, event: Event, f: dict[str, Any]) -> None:
        verdict = self._verdicts.get(f.get("report", ""))
        if verdict is not None and verdict.tree == f["tree"]:  # else it is not the last of its group
            flakes.landed(self._book, event, verdict)
            del self._verdicts[verdict.report]

    def _healthy(self, event: Event, _f: dict[str, Any]) -> None:
        order = self._orders.get(event.work_order)
        if order is None or order.healthy:
            return
        order.healthy = True
        if order.tests is None:
            return
        self.regression_tests = (self.regression_tests or 0) + (order.tests if order.mends else 0)
        (self.resolved if order.tests else self.resolved_without_a_test).update(order.resolves)
        self.resolved_without_a_test -= self.resolved
