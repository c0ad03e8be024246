"""A red report, as the next attempt reads it."""

from __future__ import annotations

from engine.models.report import GateResult, GuardResult, VerificationReport
from roles.verifier import LINE_CAP, LINES_CAP, feedback


def report(**fields: object) -> VerificationReport:
    whole = {"kind": "land", "result": "red", "tree": "t", "base": "b", "repository": "r", "policy": "p", **fields}
    return VerificationReport.model_validate(whole)


def test_guards_come_before_red_gates_before_timeouts_before_what_was_skipped() -> None:
    unit = GateResult(name="unit", result="red", reason="1 failed", argv=["python", "x"], failing=["a.B.c"], lost=["d"])
    gates = [
        GateResult(name="late", result="skipped", reason="unit was red"),
        GateResult(name="slow", result="timeout", reason="60 s"),
        GateResult(name="fine", result="green"),
        unit,
    ]
    guards = [
        GuardResult(rule="paths", ok=False, reason="outside", paths=["x.py"]),
        GuardResult(rule="size", ok=True),
    ]
    said = feedback(report(gates=gates, guards=guards, reasons=["main moved on"]))
    assert said == [
        "guard paths: outside: x.py",
        "gate unit is red: 1 failed (python x)",
        "gate unit, failing: a.B.c",
        "gate unit, lost (passed before, and now not run): d",
        "gate slow is timeout: 60 s",
        "main moved on",
        "gate late did not run: unit was red",
    ]


def test_a_green_report_has_nothing_to_say() -> None:
    assert feedback(report(result="green", reasons=["x"])) == []


def test_it_is_short_whatever_happened() -> None:
    gates = [
        GateResult(name=f"gate-{number}", result="red", reason="x" * 5_000, failing=[f"test-{n}" for n in range(500)])
        for number in range(200)
    ]
    said = feedback(report(gates=gates))
    assert len(said) == LINES_CAP
    assert said[-1] == f"… and {400 - LINES_CAP + 1} more"
    assert max(map(len, said)) < LINE_CAP + 40
    assert "and 488 more" in said[1]


def test_the_same_line_is_said_once_and_made_visible() -> None:
    assert feedback(report(reasons=["gate\x1b[2J\nred", "gate\x1b[2J\nred"])) == ["gate␛[2J␤red"]
