"""What a report and a gate's record say, as text: two lines above the gate screen, and the facts beside it. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.models.report import GateResult, VerificationReport
from swarm_tui.room import words
from swarm_tui.room.proof_facts import proof_lines
from swarm_tui.room.results import ORDER, GateTests, TreeResults, by_hand
from swarm_tui.widgets.prose import BLANK, Line, Span, line, title

if TYPE_CHECKING:
    from engine.history import GateRecord
    from swarm_tui.room.room import Room

SHORT = 10
_TRIPWIRES = {
    "tripped": "✔ a must-fail test was reported as failed",
    "silent": "✘ a must-fail test was not reported: the runner lies",
}
KINDS = {"land": "to land", "restore": "to restore main", "gates": "of main itself"}


def counts_of(outcomes: Mapping[str, str]) -> str:
    """How many tests had which outcome, the worst first."""
    counts = Counter(outcomes.values())
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in ORDER if counts[outcome])


def head_of(room: Room, change: str, tree: str, trees: Sequence[str], results: TreeResults) -> list[Line]:
    """Two lines: whose tree it is, and what was signed about it."""
    known = room.state.changes.get(change)
    whose = (known.order or "a person") if known else change or "main itself"
    later = len(trees) - 1 - trees.index(tree) if tree in trees else 0
    newer = f" · {later} newer tree{'s' * (later > 1)} (])" if later else ""
    status = f" · change {known.status}" if known else ""
    first = f"{whose} · tree {tree[:SHORT] or 'none yet'}{status}{newer}"
    return [line(Span(first, "strong")), line(_signed(results, room.history.gates_on(change, tree)))]


def _signed(results: TreeResults, records: Sequence[GateRecord]) -> Span:
    report = results.report
    if report is None:
        if results.problem:
            return Span(results.problem, "bad")
        if any(not record.result for record in records):
            return Span("gates are running; nothing is signed yet", "busy")
        if any(record.result == "superseded" for record in records):
            return Span("superseded: main or the change moved on first; this is no failure", "quiet")
        return Span("no report is signed for this tree", "quiet")
    sign = words.sign(words.GATES, report.result)
    base = f"merged with main {report.base_commit[:SHORT]}" if report.change else KINDS[report.kind]
    flags = f" · {', '.join(report.flags)}" if report.flags else ""
    return Span(
        f"{sign.glyph} report {sign.word} · {base} · signed as {results.digest[7 : 7 + SHORT]}{flags}", sign.tone
    )


def facts_of(record: GateRecord | None, tests: GateTests, results: TreeResults, repository: Path) -> list[Line]:
    """Everything about one gate that is not a test: reason, command, exit code, report, and how to run it again."""
    lines: list[Line] = []
    result = tests.result
    reason = (record.reason if record else "") or (result.reason if result else "")
    sign = words.sign(words.GATES, record.result if record else result.result if result else "waiting")
    lines.append(line(Span(f"{sign.glyph} {sign.word}", sign.tone), f"  {_meaning(record)}".rstrip(), hang=2))
    if reason:
        lines.append(line(Span(reason, "bad" if sign.tone == "bad" else "plain"), hang=2))
    if result is not None:
        lines += _of_gate(result)
    if results.report is not None:
        lines += _of_report(results, results.report)
        lines += proof_lines(results.report.proof)
        lines += [BLANK, title("Run it by hand (y copies)")]
        lines += [line(Span(each), hang=2) for each in by_hand(results.report, repository, result)]
    elif results.problem:
        lines += [BLANK, line(Span(results.problem, "attention"), hang=2)]
    return lines


def _meaning(record: GateRecord | None) -> str:
    if record is None:
        return ""
    if record.result == "superseded":
        return "it was stopped because its tree no longer mattered: it did not fail"
    if record.result == "interrupted":
        return "the engine ended while it ran: it did not fail"
    return "a green result on the same tree was used again" if record.cached else ""


def _of_gate(result: GateResult) -> list[Line]:
    code = "none" if result.exit_code is None else str(result.exit_code)
    return [
        BLANK,
        title("Gate"),
        _fact("argv", shlex.join(result.argv) or "none"),
        _fact("exit code", code),
        _fact("program", result.program or "none"),
        _fact("took", "cached" if result.cached else f"{result.duration_s:.2f} s"),
        _fact("environment", " ".join(result.env) or "empty"),
        _fact("log", _short(result.log)),
        _fact("outcomes", _short(result.tests)),
        *([_fact("tripwire", _TRIPWIRES[result.tripwire])] if result.tripwire else []),
        *([_fact("flaky", ", ".join(result.retried))] if result.retried else []),
    ]


def _of_report(results: TreeResults, report: VerificationReport) -> list[Line]:
    sign = words.sign(words.GATES, report.result)
    held = [name for name, holds in report.sandbox.items() if holds]
    facts = [
        BLANK,
        title("Report"),
        _fact("digest", results.digest),
        _fact("says", f"{sign.glyph} {sign.word}, {KINDS[report.kind]}"),
        _fact("tree", report.tree),
        _fact("base", f"{report.base[:SHORT]} (commit {report.base_commit[:SHORT]})"),
        _fact("policy", _short(report.policy)),
        _fact("sandbox", f"{report.sandbox_backend}: {', '.join(held) or 'holds nothing'}"),
        _fact("from to", f"{report.started_at} {report.finished_at}"),
    ]
    facts += [_fact("guard", f"✘ {guard.rule}: {guard.reason}") for guard in report.guards if not guard.ok]
    facts += [_fact("flags", ", ".join(report.flags))] if report.flags else []
    facts += [_fact("proved by", report.previous)] if report.previous else []
    facts += [_fact(name, said) for name, said in sorted(report.toolchain.items())]
    return facts


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:SHORT] or "none"


def _fact(name: str, said: str) -> Line:
    return line(Span(f"{name:<12}", "quiet"), said, hang=12)
