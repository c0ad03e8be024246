"""The verifier: what it is told, and its word to the next attempt: a red report as a few lines, the most important
first."""

from __future__ import annotations

from collections.abc import Iterator

from engine.models.report import GateResult, VerificationReport
from engine.models.task import Task
from engine.text.sanitise import sanitise_line
from roles.role import Names, Role, gates_of, proofs_of, text_of

LINES_CAP = 40
LINE_CAP = 400
NAMES_CAP = 12
_URGENCY = {"red": 0, "timeout": 1, "error": 2, "skipped": 3, "green": 4}


def _prompt_names(task: Task) -> Names:
    oracle = text_of(task, "oracle") or "(there is none)"
    return {"gates": gates_of(task), "tests": proofs_of(task), "oracle": oracle}


VERIFIER = Role("verifier", _prompt_names)


def feedback(report: VerificationReport) -> list[str]:
    """What was wrong, in order of importance: guards, red gates with their tests, timeouts, faults, then the rest.

    At most LINES_CAP lines of LINE_CAP characters; what is left out is counted. Empty for a green report.
    """
    if report.result == "green":
        return []
    lines = list(dict.fromkeys(sanitise_line(line, line_cap=LINE_CAP) for line in _lines(report)))
    if len(lines) <= LINES_CAP:
        return lines
    return [*lines[: LINES_CAP - 1], f"… and {len(lines) - LINES_CAP + 1} more"]


def _lines(report: VerificationReport) -> Iterator[str]:
    for guard in report.guards:
        if not guard.ok:
            yield f"guard {guard.rule}: {guard.reason or 'no'}{_names(': ', guard.paths)}"
    gates = sorted(report.gates, key=lambda gate: _URGENCY[gate.result])
    for gate in gates:
        if gate.result in ("red", "timeout", "error"):
            yield from _of_gate(gate)
    yield from report.reasons
    for gate in gates:
        if gate.result == "skipped":
            yield f"gate {gate.name} did not run: {gate.reason or 'what it needs was not green'}"


def _of_gate(gate: GateResult) -> Iterator[str]:
    argv = f" ({' '.join(gate.argv)})" if gate.argv else ""
    yield f"gate {gate.name} is {gate.result}: {gate.reason or f'exit code {gate.exit_code}'}{argv}"
    if gate.failing:
        yield f"gate {gate.name}, failing{_names(': ', gate.failing)}"
    if gate.lost:
        yield f"gate {gate.name}, lost (passed before, and now not run){_names(': ', gate.lost)}"


def _names(lead: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMES_CAP} more" if len(names) > NAMES_CAP else ""
    return f"{lead}{', '.join(names[:NAMES_CAP])}{more}"
