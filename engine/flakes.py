"""Tests that flake on main: what is known of each, which are in quarantine, and what a report says about them. Pure.

A test flaked when it failed and passed on the same tree of main: in main's own gates, in a control run, or in the
second try of a change that landed. What it does on other trees says nothing about main.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.models.report import GateResult, VerificationReport
from engine.models.roadmap import WorkOrder
from engine.models.settings import Flakes
from engine.text.sanitise import sanitise_line

MOST_TESTS = 500
"""Tests of which there is a record: beyond that the longest unseen one is forgotten."""
MOST_RUNS = 200
"""Runs after which old ones begin to fade: both counts are halved."""
MOST_TOLD = 50
"""Tests of one gate that an event names: where more failed, it was not chance."""
MOST_EXCUSED = 3
"""So often is a red trial of one change, or of main, asked again because of flakes."""
_MOST_BY = 50
_TITLE_CHARS = 200
_TEST_CHARS = 300


@dataclass
class FlakeRecord:
    """What main showed of one test: it flaked in `flakes` of about `runs` runs, last at `seen_at` (UTC seconds).

    by: the newest work orders whose control runs showed it; each is believed once, or changes that harm the machine
    could bring the test that they break into quarantine. order: the one that mends it, once it is in quarantine; owner,
    until: who sees to it, and when the quarantine ends (0: it has ended).
    """

    gate: str
    runs: int = 0
    flakes: int = 0
    seen_at: float = 0.0
    by: list[str] = field(default_factory=list[str])
    order: str = ""
    owner: str = ""
    until: float = 0.0

    @property
    def rate(self) -> float:
        return self.flakes / self.runs if self.runs else 0.0

    def is_due(self, rules: Flakes) -> bool:
        """Whether it flakes often enough to be put in quarantine."""
        return not self.order and self.flakes >= rules.seen and self.rate >= rules.rate


Records = dict[str, FlakeRecord]


def known_flaky(records: Mapping[str, FlakeRecord]) -> tuple[str, ...]:
    """Tests with a record of flaking: only these are tried a second time."""
    return tuple(test for test, record in records.items() if record.flakes)


def in_quarantine(records: Mapping[str, FlakeRecord], rules: Flakes, now: float) -> tuple[str, ...]:
    """Tests whose failures do not count now (UTC seconds)."""
    if not rules.quarantine:
        return ()
    return tuple(test for test, record in records.items() if record.order and record.until > now)


def flaked(records: Records, gate: str, test: str, at: float, by: str = "") -> None:
    """It failed and passed on the same tree of main. by: for whose control run that was seen."""
    record = records.setdefault(test, FlakeRecord(gate))
    record.gate, record.seen_at = gate, at
    if by and by in record.by:
        return
    record.by = [*record.by, by][-_MOST_BY:] if by else record.by
    record.flakes += 1
    _ran(record)
    while len(records) > MOST_TESTS:
        records.pop(min(records, key=lambda name: (bool(records[name].order), records[name].seen_at)))


def ran(records: Records, gates: list[str], but: Mapping[str, list[str]]) -> None:
    """These gates ran on a tree of main. but: gate -> tests that flaked in that run, and have been counted."""
    for test, record in list(records.items()):
        if record.gate in gates and test not in but.get(record.gate, ()):
            _ran(record)
            if not record.flakes and not record.order:
                del records[test]  # it has not been seen to flake for a long time


def _ran(record: FlakeRecord) -> None:
    record.runs += 1
    if record.runs > MOST_RUNS:
        record.runs, record.flakes = record.runs // 2, record.flakes // 2


def flakes_in(report: VerificationReport) -> dict[str, list[str]]:
    """Gate -> tests that the report's control runs showed to flake on main.

    Of a change: green in main's report, red on main now. Of main itself: red at first, and green when run once more.
    """
    shown = "passed" if report.kind == "gates" else "failed"
    found = {gate.name: [t for t, outcome in gate.control.items() if outcome == shown] for gate in report.gates}
    return {gate: tests for gate, tests in found.items() if tests}


def is_excused(report: VerificationReport) -> bool:
    """Whether a red report has nothing wrong but tests that flake on main."""
    shown = flakes_in(report)
    bad = [gate for gate in report.gates if gate.result not in ("green", "skipped")]
    if report.result != "red" or not bad or not all(guard.ok for guard in report.guards):
        return False
    return all(_by_chance(gate) and set(gate.failing) <= set(shown.get(gate.name, ())) for gate in bad)


def _by_chance(gate: GateResult) -> bool:
    return gate.result == "red" and bool(gate.failing) and bool(gate.control) and not gate.lost


def told_by(report: VerificationReport) -> dict[str, object]:
    """What `report_signed` says of single tests. Names are as the tree has them."""
    fresh = [gate for gate in report.gates if not gate.cached and gate.result in ("green", "red")]
    return {
        "ran": [gate.name for gate in fresh],
        "failing": {gate.name: gate.failing for gate in fresh if 0 < len(gate.failing) <= MOST_TOLD},
        "flaked": flakes_in(report),
        "retried": {gate.name: gate.retried[:MOST_TOLD] for gate in fresh if gate.retried},
        "quarantined": {gate.name: gate.quarantined[:MOST_TOLD] for gate in report.gates if gate.quarantined},
        "excused": is_excused(report),
    }


def mending_order(test: str, record: FlakeRecord, rules: Flakes, taken: Mapping[str, object]) -> WorkOrder:
    """The work order that makes the test steady. taken: ids that are in use."""
    stem = f"flaky-{hashlib.sha256(test.encode('utf-8')).hexdigest()[:10]}"
    nth = next(n for n in range(1, len(taken) + 2) if f"{stem}-{n}" not in taken)
    name = sanitise_line(test, line_cap=_TEST_CHARS)
    return WorkOrder(
        id=f"{stem}-{nth}",
        title=f"Flaky test: {name}"[:_TITLE_CHARS],
        kind="fix",
        goal=(
            f"A test of the gate {record.gate} failed and passed on the same tree of main, {record.flakes} times in "
            f"about {record.runs} runs:\n> {name}\n"
            "Find what it depends on (time, order, chance, a shared place) and mend that, in the code or in the test. "
            "It keeps its name, checks what it checked, and has to pass many times in a row."
        ),
        steady=[test],
        rollback="revert; it touches no data",
        priority=2,
        owner=rules.owner,
    )
