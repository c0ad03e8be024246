"""The canary pane: is what landed good? The last canary runs, flow by flow, and the trend of a health sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.rows import Cell, Column, Rows

if TYPE_CHECKING:
    from engine.history import CanaryRecord
    from swarm_tui.room.room import Room

LISTED = 60
SPARKS = "▁▂▃▄▅▆▇█"
PURPOSES = {"first": "", "rerun": "again ", "control": "control ", "culprit": "suspect ", "compare": "samples "}
COLUMNS = (
    Column("commit", 7),
    Column("of", 18, from_width=58),
    Column("verdict", 14),
    Column("flows", 0),
    Column("time", 5, right=True, from_width=44),
)


class CanaryPane(Pane):
    """Is what landed good?"""

    WORD, NUMBER = "Canary", 4

    def __init__(self) -> None:
        super().__init__(id="canary")
        self._room: Room | None = None
        self._orders: dict[str, str] = {}

    def contents(self) -> ComposeResult:
        empty = "no canary yet: each landing gets one when there is a [[canary.flow]]"
        yield Rows(COLUMNS, self._cells, empty=empty, id="canary-rows")

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        self._room = room
        canaries = room.history.canaries
        if changes:
            self._orders = {move.commit: move.order or move.kind for move in room.history.moves}
            first = max(0, len(canaries) - LISTED)
            self.rows.show([str(number) for number in range(len(canaries) - 1, first - 1, -1)])
            self.rows.touch()
            self.head("Canary", _subtitle(room))
        else:
            self.rows.touch(str(first + at) for first in [max(0, len(canaries) - 5)]
                            for at, run in enumerate(canaries[-5:]) if not run.verdict)  # fmt: skip

    def _cells(self, key: str) -> Sequence[Cell]:
        from engine.text.sanitise import sanitise_line

        room = self._room
        assert room is not None
        canaries = room.history.canaries
        if int(key) >= len(canaries):  # a replay went back before it, and this pane was not seen since
            return [Cell("")] * len(COLUMNS)
        run = canaries[int(key)]
        sign = words.sign(words.VERDICTS, run.verdict)
        purpose = PURPOSES.get(run.purpose, run.purpose)
        quiet = "quiet" if run.verdict == "PASS" else "plain"
        return (
            Cell(run.commit[:7], quiet),
            Cell(sanitise_line(purpose + self._orders.get(run.commit, "first commit")), quiet),
            Cell(f"{sign.glyph} {sign.word}", sign.tone),
            Cell(sanitise_line(_flows(room, run)), quiet),
            Cell(words.took((run.ended_at or room.now) - run.started_at, still=not run.verdict), "quiet"),
        )


def _subtitle(room: Room) -> str:
    name, trend = trend_of(room.history.canaries)
    return f"{name} {sparkline(trend, 12)} {trend[-1]:.3g}" if trend else ""


def _flows(room: Room, run: CanaryRecord) -> str:
    if run.metrics and run.verdict == "PASS":
        from swarm_tui.room.comparison import moved

        return moved(run.metrics)
    if run.verdict:
        bad = [flow for flow in run.flows if flow.get("verdict") != "PASS"]
        if not bad:
            return " ".join(f"✔ {flow.get('flow', '')}" for flow in run.flows) or run.reason
        signs = [words.sign(words.VERDICTS, flow.get("verdict", "?")).glyph for flow in bad]
        told = zip(signs, bad, strict=True)
        return " ".join(f"{glyph} {flow.get('flow', '')}: {flow.get('reason', '')}" for glyph, flow in told)
    pulse = room.pulse.canaries.get(run.about)
    if pulse is None or not pulse.flow:
        return "starting"
    step = f" step {pulse.step}/{pulse.steps}" if pulse.steps else f" {pulse.doing}"
    return f"{words.bar(pulse.number - 1, pulse.flows, 4)} {pulse.flow} {pulse.number}/{pulse.flows}{step}"


def trend_of(canaries: Sequence[CanaryRecord]) -> tuple[str, list[float]]:
    """The first sampled metric of the newest green run that has one, and its median by green run, oldest first."""
    import statistics  # not for the first paint

    chosen: tuple[str, str] | None = None
    values: list[float] = []
    for run in reversed(canaries[-200:]):
        if run.purpose != "first":
            continue
        for flow in (row for row in run.flows if row.get("verdict") == "PASS"):
            for name, samples in _samples(flow).items():
                chosen = chosen or (str(flow.get("flow", "")), name)
                if chosen == (str(flow.get("flow", "")), name) and samples:
                    values.append(statistics.median(samples))
    return (chosen[1] if chosen else ""), values[::-1]


def _samples(flow: dict[str, Any]) -> dict[str, list[float]]:
    samples = flow.get("samples")
    return samples if isinstance(samples, dict) else {}


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars from the least to the greatest of them."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low
    return "".join(SPARKS[int((value - low) / span * 7.99)] if span else SPARKS[3] for value in shown)
