"""What reports and landings show of tests that flake on main, and quarantine."""

from __future__ import annotations

from typing import Any, Protocol

from engine.flakes import Records, flaked, ran
from engine.fold.handler import Handler
from engine.models.event import Event
from engine.state import MainRed, State, Verdict


class Book(Protocol):
    """What is kept of flakes: by the state, and by the tally for people."""

    flakes: Records
    main_red: MainRed | None


def told(state: Book, verdict: Verdict, f: dict[str, Any]) -> None:
    """The verdict remembers what it rests on: tries that count only where the tree becomes main, and quarantine."""
    verdict.retried = {gate: list(tests) for gate, tests in f.get("retried", {}).items()}
    verdict.ran = list(f.get("ran", []))
    verdict.excused = bool(f.get("excused"))
    verdict.quarantined = [test for tests in f.get("quarantined", {}).values() for test in tests]
    ends = [state.flakes[test].until for test in verdict.quarantined if test in state.flakes]
    verdict.until = min(ends, default=0.0)


def signed(state: Book, event: Event, f: dict[str, Any]) -> None:
    """A report: its control runs, and what it says of main's own tree."""
    for gate, tests in f.get("flaked", {}).items():
        for test in tests:
            flaked(state.flakes, gate, test, event.at, event.work_order or f["change"])
    if f["report_kind"] != "gates" or f["tree"] != f["base"]:
        return
    gates = list(f.get("ran", []))
    seen = {gate: list(tests) for gate, tests in f.get("retried", {}).items()}
    before = state.main_red
    if before is not None and before.tree == f["tree"] and before.policy == f["policy"]:
        for gate, tests in before.failing.items():
            if gate in gates:
                now_red = f.get("failing", {}).get(gate, [])
                mended = [test for test in tests if test not in now_red and test not in seen.get(gate, [])]
                seen[gate] = [*seen.get(gate, []), *mended] if f["result"] == "green" else seen.get(gate, [])
    for gate, tests in seen.items():
        for test in tests:
            flaked(state.flakes, gate, test, event.at)
    counted = {gate: [*seen.get(gate, []), *f.get("flaked", {}).get(gate, [])] for gate in gates}
    ran(state.flakes, gates, counted)
    red = f["result"] == "red" and f.get("failing") and not f.get("flaked")
    state.main_red = MainRed(f["tree"], f["policy"], f["failing"]) if red else None


def landed(state: Book, event: Event, verdict: Verdict) -> None:
    """The tree of this verdict is main now, and what its tests did was done on main."""
    for gate, tests in verdict.retried.items():
        for test in tests:
            flaked(state.flakes, gate, test, event.at)
    ran(state.flakes, verdict.ran, verdict.retried)


def quarantined(state: Book, event: Event, f: dict[str, Any]) -> None:
    """A test's failures do not count for a while."""
    if record := state.flakes.get(f["test"]):
        record.order, record.owner, record.until = event.work_order, f["owner"], f["until"]


def lifted(state: Book, f: dict[str, Any]) -> None:
    """A test counts again."""
    record = state.flakes.get(f["test"])
    if f["why"] == "fixed":
        state.flakes.pop(f["test"], None)
    elif record is not None:
        record.until = 0.0


def _quarantine_lifted(state: State, _event: Event, f: dict[str, Any]) -> None:
    lifted(state, f)
    # What was proved of main while its failures did not count is asked again. Older trees keep their proof: nobody
    # would ask for it again, and without one the canary judges no landing and main cannot be put back to last good.
    base = state.verified.get(state.main_tree)
    if base is not None and f["test"] in base.quarantined:
        del state.verified[state.main_tree]


HANDLERS: dict[str, Handler] = {
    "test_quarantined": quarantined,
    "quarantine_lifted": _quarantine_lifted,
}
