"""What `swarm gates` says: one line a gate, folded logs, a sentence and an advice for each reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.models.report import GateResult
from swarm_tui.gating import words
from swarm_tui.gating.board import Lines, Live, followed

GREEN: dict[str, Any] = GateResult(name="unit", result="green", executed=5, passed=5, duration_s=1.24).model_dump()
RED: dict[str, Any] = GateResult(
    name="stress", result="red", executed=3, passed=2, failed=1, duration_s=75.0, lost=["t.C.gone"],
    failing=["t.C.bad"],
    reason="1 of 3 tests failed: t.C.bad; 1 test that passed on the base did not run (LOST): t.C.gone.", log="sha256:1",
).model_dump()  # fmt: skip
SKIPPED: dict[str, Any] = GateResult(
    name="late", result="skipped", reason='it needs "stress", which was red.'
).model_dump()


def said(*gates: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    bad = [gate for gate in gates if gate["result"] not in ("green", "skipped")]
    fields: dict[str, Any] = {
        "result": "red" if bad else "green",
        "report": "/state/report",
        "tree": "a" * 40,
        "base": "b" * 40,
        "gates": list(gates),
        "reasons": [f"{gate['name']}: {gate['reason']}" for gate in bad],
        "flags": [],
    }
    return fields | more


def text(said: Mapping[str, Any], log: list[str]) -> str:
    return "\n".join(words.ending(said, lambda digest: (Path("/logs/x y"), log)))


def test_a_gate_is_one_line_with_glyph_word_time_and_counts() -> None:
    assert words.finished_row(GREEN, 6) == "✔ unit    green        1.2 s  5 passed"
    assert words.finished_row(RED, 6) == "✘ stress  red       1:15 min  2 passed, 1 failed, 1 lost"
    assert words.finished_row({**RED, "lost": 1}, 6) == words.finished_row(RED, 6), "as the event has it"
    assert words.finished_row({**GREEN, "cached": True}, 6) == "✔ unit    green    as before  5 passed"
    assert words.finished_row(SKIPPED, 6).endswith('skipped             it needs "stress", which was red.')
    assert words.running_row("unit", 4, 2.0, 12, 1) == "▶ unit  running      2.0 s  12 done, 1 failed"
    assert words.waiting_row("unit", 4) == "· unit  waiting"


def test_a_flaky_test_is_said_in_the_line_of_its_gate() -> None:
    assert "1 flaky, passed when tried again" in words.finished_row({**GREEN, "retried": ["t.a"]}, 4)


def test_only_the_end_of_a_failing_gates_log_is_shown_with_how_to_see_the_rest() -> None:
    shown = text(said(GREEN, RED), [f"line {number}" for number in range(100)])
    assert "stress printed 100 lines; the last 20 are:" in shown
    assert "line 80" in shown
    assert "line 79" not in shown
    assert "all of them: less '/logs/x y'" in shown
    assert "unit printed" not in shown
    assert "less" not in text(said(RED), ["all there is"])
    assert "stress printed nothing" in text(said(RED), [])


def test_every_reason_is_a_sentence_with_what_to_do() -> None:
    lines = text(said(RED), []).splitlines()
    reason = next(at for at, line in enumerate(lines) if line.startswith("✘ stress: 1 of 3 tests failed"))
    assert "swarm gates --gate stress" in lines[reason + 1]
    assert "tests_removed" in lines[reason + 2]


@pytest.mark.parametrize(
    ("reason", "result", "do"),
    [
        ("zero tests were executed.", "red", "finds the tests"),
        ("the gate changed the tree that it was to check.", "red", "git ignores"),
        ("the command ended with exit code 1.", "red", "what it printed"),
        ("the command left no out.xml.", "red", "say in results"),
        ("the output has no plan (a line 1..N).", "red", "say in results"),
        ("it was stopped after 2 s, its timeout.", "timeout", "longer timeout"),
    ],
)
def test_each_kind_of_red_has_its_own_advice(reason: str, result: str, do: str) -> None:
    gate = GateResult(name="x", result="red").model_dump() | {"reason": reason, "result": result}
    assert any(do in advice for advice in words.advice(gate))
    assert not words.advice({**gate, "result": "error"}), "the reason of an error says itself what to do"


def test_what_is_lost_beside_a_failure_may_only_have_been_left_out() -> None:
    assert any(advice.startswith("if they are lost still") for advice in words.advice(RED))
    lost = {**RED, "failing": [], "reason": "1 test that passed on the base did not run (LOST): t.C.gone."}
    assert any(advice.startswith("bring the lost tests back") for advice in words.advice(lost))


def test_of_an_unknown_base_the_command_that_makes_it_known_is_said() -> None:
    shown = text(said(GREEN, base_known=False, base_name="HEAD~2"), [])
    assert "swarm gates 'HEAD~2' --base 'HEAD~2'" in shown
    assert "swarm gates" not in text(said(GREEN, base_known=True, base_name="HEAD~2"), [])


def test_the_verdict_tells_what_ran_and_where_the_report_is() -> None:
    cached = {**GREEN, "cached": True}
    assert "✔ green: 1 gate; tree aaaaaaaaaaaa on base bbbbbbbbbbbb" in text(said(GREEN), [])
    assert "green: 2 gates, none had to run;" in text(said(cached, cached), [])
    assert "green: 2 gates, 1 of them run now;" in text(said(cached, GREEN), [])
    assert "✘ red: 1 of 3 gates not green;" in text(said(GREEN, RED, SKIPPED), [])
    assert text(said(GREEN), []).splitlines()[-1] == "  report /state/report"
    assert "said openly: shell" in text(said(GREEN, flags=["shell"]), [])


def test_no_control_character_of_a_test_reaches_the_terminal() -> None:
    evil = {**RED, "reason": "1 of 1 test failed: \x1b[2Jgone\u202e", "name": "st\x07ress"}
    shown = text(said(evil), [])
    assert not any(sign in shown for sign in "\x1b\x07\u202e")


def test_an_explanation_marks_the_parts_that_differ() -> None:
    row = {"gate": "unit", "reused": False, "why": "the tools differ.", "parts": {"tools": "1", "tree": "2"}}
    lines = words.explained([{**row, "differs": ("tools",)}])
    assert lines[0] == "▶ runs  unit: the tools differ."
    assert lines[1].startswith("  ≠ tools")
    assert lines[1].endswith("(differs)")
    assert lines[2] == "    tree   2"


def test_proof_runs_are_listed_with_their_cost() -> None:
    run = {"purpose": "overlay", "gate": "unit", "tree": "c" * 40, "result": "red", "duration_s": 2.5, "cached": False}
    lines = words.costs(said(GREEN, runs=[run, {**run, "cached": True}]))
    assert "2.5 s" in lines[2]
    assert "as before" in lines[3]
    assert words.costs(said(GREEN)) == []


def test_the_board_of_a_pipe_says_a_line_when_a_gate_starts_and_one_when_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = Lines(["unit", "stress"])
    board.started("unit")
    board.progress("unit", 3, 0, "")
    board.finished(GREEN)
    assert capsys.readouterr().out == "▶ unit    running\n✔ unit    green        1.2 s  5 passed\n"


async def test_the_board_of_a_terminal_shows_every_gate_and_what_its_progress_file_says(tmp_path: Path) -> None:
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=True, width=60, color_system=None, highlight=False)
    board = Live(["unit", "stress"], console)
    progress = tmp_path / "progress.jsonl"
    async with followed(progress, board):
        board.started("unit")
        rows = [json.dumps({"gate": "unit", "done": 12, "failed": 1}), "no json", '{"gate": "unit"}', '{"gate": "un']
        progress.write_text("\n".join(rows), encoding="utf-8")
        while "12 done, 1 failed" not in drawn.getvalue():
            await _a_moment()
    assert "· stress  waiting" in drawn.getvalue()
    board.finished(GREEN)
    board.close()
    assert "✔ unit    green        1.2 s  5 passed" in drawn.getvalue().rpartition("waiting")[0][-300:]


async def _a_moment() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def test_a_line_that_is_too_long_for_the_terminal_does_not_wrap() -> None:
    drawn = StringIO()
    board = Live(["unit"], Console(file=drawn, force_terminal=True, width=30, color_system=None, highlight=False))
    board.finished({**SKIPPED, "name": "unit", "reason": "x" * 200})
    board.close()
    assert "…" in drawn.getvalue()
    assert "x" * 31 not in drawn.getvalue()
