"""The rows of the gate screen: a gate of a tree, and a test of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.results import short_name
from swarm_tui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from engine.history import GateRecord
    from engine.models.report import GateResult
    from swarm_tui.room.room import Room

GATE_COLUMNS = (
    Column("gate", 0),
    Column("result", 13),
    Column("tests", 14, from_width=40),
    Column("time", 6, right=True),
)
TEST_COLUMNS = (
    Column("outcome", 9),
    Column("test", 0),
    Column("in", 0, from_width=64),
)
STOPPED = ("superseded", "interrupted")
"""Results of gates that were stopped and therefore say nothing of the tree."""


def gate_cells(room: Room, gate: str, record: GateRecord | None, signed: GateResult | None) -> Sequence[Cell]:
    """A gate by its record in the journal, or by its signed result where the journal has none (after a restore)."""
    known = record or signed
    result = known.result if known is not None else "waiting"
    sign = words.sign(words.GATES, result)
    name, told = Cell(sanitise_line(gate)), Cell(f"{sign.glyph} {sign.word}", sign.tone)
    if record is not None and not result:
        return (name, told, _progress(room, record), Cell(words.clock(room.now - record.started_at), "quiet"))
    if known is None:
        return (name, told, Cell(""), Cell(""))
    counts = f"{known.passed}/{known.executed} passed" if known.executed else ""
    took = record.ended_at - record.started_at if record is not None and result in STOPPED else known.duration_s
    return (name, told, Cell(counts, "quiet"), Cell("cached" if known.cached else words.took(took), "quiet"))


def _progress(room: Room, record: GateRecord) -> Cell:
    pulse = room.pulse.gates.get((record.change, record.gate))
    usual = room.history.usual_tests.get(record.gate, 0)
    if pulse is None or not pulse.done:
        spent, usual_s = room.now - record.started_at, room.history.usual_s.get(record.gate, 0.0)
        return Cell(words.bar(min(spent, 0.95 * usual_s), usual_s, 6), "busy")
    total = f"/{usual}" if usual >= pulse.done else ""
    failed = f" ✘{pulse.failed}" if pulse.failed else ""
    return Cell(f"{words.bar(pulse.done, usual, 4)} {pulse.done}{total}{failed}", "bad" if failed else "busy")


def test_cells(test: str, outcome: str) -> Sequence[Cell]:
    """A test: its outcome, its name, and where it stands."""
    sign = words.sign(words.TESTS, outcome)
    name, where = short_name(test)
    return (
        Cell(f"{sign.glyph} {sign.word}", sign.tone),
        Cell(sanitise_line(name), "quiet" if sign.tone == "good" else "plain"),
        Cell(sanitise_line(where), "quiet"),
    )
