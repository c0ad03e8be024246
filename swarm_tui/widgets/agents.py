"""The agents pane: who works on what, and what it is doing right now; below them the runs that ended last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.rows import Cell, Column, Rows

if TYPE_CHECKING:
    from swarm_tui.room.room import Room

ENDED = 30
"""Ended runs that are listed."""
COLUMNS = (
    Column("work order", 0, most=20),
    Column("run", 10),
    Column("role", 11, from_width=45),
    Column("agent", 8, from_width=68),
    Column("doing", 0, from_width=84),
    Column("time", 5, right=True),
    Column("tokens", 6, right=True, from_width=60),
    Column("cost", 5, right=True, from_width=60),
    Column("memory", 8, right=True, from_width=100),
)


class AgentsPane(Pane):
    """Who works on what right now?"""

    WORD, NUMBER = "Agents", 2

    def __init__(self) -> None:
        super().__init__(id="agents")
        self._room: Room | None = None

    def contents(self) -> ComposeResult:
        yield Rows(COLUMNS, self._cells, empty="no run yet: work orders that are ready get one", id="agents-rows")

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        self._room = room
        if changes:
            runs = list(room.history.runs.values())
            running = [run.run for run in runs if not run.result]
            ended = sorted((run for run in runs[-4 * ENDED :] if run.result), key=lambda run: -run.ended_at)
            self.rows.show([*running, *(run.run for run in ended[:ENDED])])
            self.rows.touch()
            paused = _paused(room)
            working = f"{len(running)} running" if running else "" if paused else _none_running(room)
            self.head("Agents", " · ".join(filter(None, [*paused, working])))
        else:
            runs = room.history.runs
            self.rows.touch(run for run in self.rows.keys if run in runs and not runs[run].result)

    def _cells(self, key: str) -> Sequence[Cell]:
        from engine.text.sanitise import sanitise_line

        room = self._room
        assert room is not None
        run = room.history.runs.get(key)
        if run is None:  # a replay went back before it, and this pane was not seen since
            return [Cell("")] * len(COLUMNS)
        pulse = room.pulse.runs.get(key)
        sign = words.run_sign(run.result, run.reason)
        ended = run.ended_at or room.now
        quiet = "quiet" if run.result else "plain"
        doing = (pulse.last_line if pulse else "") if not run.result else sanitise_line(run.reason or run.summary)
        return (
            Cell(sanitise_line(run.order), quiet),
            Cell(f"{sign.glyph} {sign.word}", sign.tone if not run.result or sign.tone == "bad" else "quiet"),
            Cell(sanitise_line(run.role), quiet),
            Cell(sanitise_line(run.agent), quiet),
            Cell(doing, quiet),
            Cell(words.took(ended - run.started_at, still=not run.result), quiet),
            Cell(words.amount(run.tokens) if run.tokens else "?", "quiet"),
            Cell(f"{run.cost:.2f}" if run.cost else "?", "quiet"),
            Cell(words.size(pulse.rss_bytes) if pulse and pulse.rss_bytes else "", "quiet"),
        )


def _none_running(room: Room) -> str:
    from engine.status import spent_up

    return "none running: a budget is used up" if spent_up(room.state) else "none running"


def _paused(room: Room) -> list[str]:
    """Providers at their limit, and how many orders wait for each."""
    from engine.text.sanitise import sanitise_line
    from swarm_tui.room.spending_facts import paused_providers, until_words

    found: list[str] = []
    for name, waiting in paused_providers(room.state).items():
        until = until_words(room.state.spending.providers[name], room.now)
        found.append(f"‖ {sanitise_line(name)[:20]} until {until}: {len(waiting)} waiting")
    return found
