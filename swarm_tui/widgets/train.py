"""The gates pane: what is on its way to main, gate by gate, and the trees that were judged last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.rows import Cell, Column, Rows

if TYPE_CHECKING:
    from engine.history import GateRecord
    from engine.models.status import TrainStatus
    from swarm_tui.room.room import Room

JUDGED = 40
"""Judged trees that are listed."""
CUT = "|"
COLUMNS = (
    Column("", 2, right=True),
    Column("work order", 18),
    Column("gates", 0),
    Column("time", 5, right=True, from_width=44),
)


class TrainPane(Pane):
    """What is on its way to main, and what does it wait for?"""

    WORD, NUMBER = "Gates", 3

    def __init__(self) -> None:
        super().__init__(id="train")
        self._room: Room | None = None
        self._train: dict[str, TrainStatus] = {}

    def contents(self) -> ComposeResult:
        yield Rows(COLUMNS, self._cells, empty="nothing is on its way to main", id="train-rows")

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        from engine.train_status import train_rows  # not before the first picture: it reads journals, by pydantic

        self._room = room
        running = room.history.running_gates()
        if changes:
            self._train = {row.change: row for row in train_rows(room.state)}
            self.rows.show(_keys(room, running))
            self.rows.touch()
            queue = len(room.state.queue())
            self.head("Gates", f"train {queue}" if queue else "train empty")
        else:
            self.rows.touch({key for gate in running for key in self._keys_of(room, gate)})

    def _keys_of(self, room: Room, gate: GateRecord) -> list[str]:
        """The rows that tell of a running gate: its own, and those of the changes that are tried with it."""
        from engine.train_status import trial_of

        change = room.state.changes.get(gate.change)
        trial = trial_of(room.state, change) if change is not None else None
        beside = [name for name in trial.test if name in self._train] if trial is not None else []
        return [f"{gate.change}{CUT}{gate.tree}", *(_newest(room, name) for name in beside)]

    def _cells(self, key: str) -> Sequence[Cell]:
        from engine.text.sanitise import sanitise_line

        room = self._room
        assert room is not None
        change, tree = split_key(key)
        row = self._train.get(change)
        if row is not None and key != _newest(room, change):
            row = None  # what it was merged with is past
        gates = _gates(room, change, tree, row)
        place = str(row.place) if row is not None else ""
        known = room.state.changes.get(change)
        name = known.order or "a person" if known else change or "main"
        ends = [gate.ended_at or room.now for gate in gates]
        took = (
            words.took(max(ends) - min(gate.started_at for gate in gates), still=any(not gate.result for gate in gates))
            if ends
            else ""
        )
        text, tone = told(room, change, gates) if row is None or gates else _waits(room, row)
        if row is not None and gates and row.beside:
            text += f"  · with {', '.join(row.beside)}"
        if row is not None and gates and row.assumed:
            text = f"after {', '.join(row.assumed)}: {text}"  # in front: what is narrow cuts off the end
        return (Cell(place, "busy"), Cell(sanitise_line(name)), Cell(sanitise_line(text), tone), Cell(took, "quiet"))


def split_key(key: str) -> tuple[str, str]:
    """(change, tree) of a row; change "" is main itself."""
    change, _, tree = key.rpartition(CUT)
    return change, tree


def _keys(room: Room, running: Sequence[GateRecord]) -> list[str]:
    """The train in its order, then what else is being gated, then what was judged last."""
    keys: dict[str, None] = {}
    for change in room.state.queue():
        keys[_newest(room, change.id)] = None
    for gate in running:
        keys.setdefault(f"{gate.change}{CUT}{gate.tree}")
    for gate in reversed(room.history.gates[-200:]):
        if len(keys) >= JUDGED:
            break
        keys.setdefault(f"{gate.change}{CUT}{gate.tree}")
    return list(keys)


def _newest(room: Room, change: str) -> str:
    """The key of a queued change's row: the tree that its own gates ran on last."""
    own = room.history.gates_of.get(change, [])
    return f"{change}{CUT}{own[-1].tree if own else ''}"


def _gates(room: Room, change: str, tree: str, row: TrainStatus | None) -> list[GateRecord]:
    """The gates of a tree; of a change on the train those that run for it now, alone or with others: the journal has
    them under the last of the group. What a trial that was given up had run says nothing."""
    from engine.train_status import trial_of

    own = latest(room.history.gates_on(change, tree)) if tree else []
    if row is None:
        return own
    trial = trial_of(room.state, room.state.changes[change])
    if trial is None:
        return own if any(not gate.result for gate in own) else []
    if trial.verdict is not None:
        return []
    head = trial.test[-1]
    since = [gate for gate in room.history.gates_of.get(head, []) if gate.started_at >= trial.begun_at]
    return latest(room.history.gates_on(head, since[-1].tree)) if since else []


def _waits(room: Room, row: TrainStatus) -> tuple[str, str]:
    """What `swarm train` says of it, and its tone."""
    person = row.waits_for.startswith("a person") or bool(room.state.frozen)
    return f"waits for {row.waits_for}", "attention" if person else "quiet"


def latest(gates: Sequence[GateRecord]) -> list[GateRecord]:
    """Of each gate the newest record, in the order in which they first started."""
    by_name: dict[str, GateRecord] = {}
    for gate in gates:
        by_name[gate.gate] = gate
    return list(by_name.values())


def told(room: Room, change: str, gates: Sequence[GateRecord]) -> tuple[str, str]:
    """One line for the gates of a tree, and its tone."""
    if not gates:
        frozen = room.state.frozen
        return (f"waits: landing is frozen: {frozen}", "attention") if frozen else ("waits for a gate slot", "quiet")
    parts = [_chip(room, change, gate) for gate in gates]
    results = {gate.result for gate in gates}
    if "" in results:
        tone = "busy"
    elif results <= {"green"}:
        tone = "good"
    elif results & {"red", "timeout", "error"}:
        tone = "bad"
        reason = next(gate.reason for gate in gates if gate.result in ("red", "timeout", "error"))
        parts.append(f"· {reason}")
    else:
        tone = "quiet"
    return "  ".join(parts), tone


def _chip(room: Room, change: str, gate: GateRecord) -> str:
    sign = words.sign(words.GATES, gate.result)
    if gate.result:
        word = "" if gate.result in ("green", "red") else f" {sign.word}"
        count = f" {gate.passed}/{gate.executed}" if gate.executed and gate.result == "red" else ""
        cached = " cached" if gate.cached else ""
        return f"{sign.glyph} {gate.gate}{word}{count}{cached}"
    pulse = room.pulse.gates.get((change, gate.gate))
    usual = room.history.usual_tests.get(gate.gate, 0)
    if pulse is None or not pulse.done:
        spent, usual_s = room.now - gate.started_at, room.history.usual_s.get(gate.gate, 0.0)
        return f"{words.bar(min(spent, 0.95 * usual_s), usual_s, 4)} {gate.gate}"
    failed = f" {pulse.failed} failed" if pulse.failed else ""
    total = f"/{usual}" if usual >= pulse.done else ""
    return f"{words.bar(pulse.done, usual, 4)} {gate.gate} {pulse.done}{total}{failed}"
