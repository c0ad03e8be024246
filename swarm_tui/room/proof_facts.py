"""What a report proves beyond its gates, as lines: red before and green after, old tests, and what it cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.models.proof import Proof, ProvedCommand
from swarm_tui.room import words
from swarm_tui.widgets.prose import BLANK, Line, Span, line, title

SHOWN = 10
_SIGNS = {"green": ("✔", "good"), "red": ("✘", "bad"), "timeout": ("◷", "attention"), "error": ("!", "attention")}


def proof_lines(proof: Proof | None) -> list[Line]:
    """Empty where nothing had to be proved."""
    if proof is None:
        return []
    lines = [BLANK, title("Red before, green after")]
    weak = set(proof.weak)
    lines += _tests("✔", "good", [t for t in proof.fail_to_pass if t not in weak], "")
    lines += _tests("✔", "attention", proof.weak, "  red before only for an import or the compiler: weak")
    for command in proof.commands:
        lines += _command(command)
    lines += _tests("✘", "bad", proof.unproved, "  named by the order, and not red before and green after")
    if len(lines) == 2:
        lines.append(line(Span("  nothing", "attention"), Span("  no test and no command was red before", "quiet")))
    lines += _tests("·", "quiet", proof.already_passing, "  green before too: it proves nothing")
    lines += _tests("✘", "bad", proof.weakened, "  base's version of it fails: the test was weakened")
    lines += _tests("✘", "bad", proof.unstable, "  it did not pass every time")
    lines.append(line(Span(f"  {proof.pass_to_pass} tests passed before and pass now", "quiet")))
    if proof.runs:
        lines += [BLANK, title("What the proof cost")]
    for run in proof.runs:
        sign = words.sign(words.GATES, run.result)
        cost = "from the cache" if run.cached else words.took(run.duration_s)
        lines.append(
            line(Span(f"  {sign.glyph} {sign.word:<8}", sign.tone), f"{run.purpose:<12}{run.gate:<14}{cost}", hang=12)
        )
    return lines


def _command(command: ProvedCommand) -> list[Line]:
    parts: list[Span] = []
    for where, outcome in (("before", command.base), ("after", command.head)):
        glyph, tone = _SIGNS.get(outcome, ("·", "quiet"))
        right = outcome == {"before": "red", "after": "green"}[where]
        parts.append(Span(f"{where} {glyph} {outcome or 'not run'}  ", "good" if right else tone))
    mark = Span("  ✔ " if command.ok else "  ✘ ", "good" if command.ok else "bad")
    lines = [line(mark, Span(f"{command.name:<14}", "strong"), *parts, hang=4)]
    return lines + ([line(Span(f"      {command.reason}", "bad"), hang=6)] if command.reason else [])


def _tests(glyph: str, tone: str, tests: Sequence[str], why: str) -> list[Line]:
    lines = [line(Span(f"  {glyph} ", tone), test, Span(why, "quiet"), hang=4) for test in tests[:SHOWN]]
    if len(tests) > SHOWN:
        lines.append(line(Span(f"    … and {len(tests) - SHOWN} more", "quiet")))
    return lines
