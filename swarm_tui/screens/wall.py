"""The wall: what do all agents say right now, side by side?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Footer, Input, Static

from engine.history import History, RunRecord
from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.room import Room
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.log_view import LogView

MOST = 8
BLURRED_FRAMES = 4
"""Frames between two looks at a log that is not focused; the logs take turns."""
LEAST_WIDTH, LEAST_HEIGHT = 38, 6
"""Cells of a log below which fewer are shown."""
GOOD_WIDTH = 60
NO_RUN = "No run yet. A work order that is ready gets one as soon as an agent is free: the roadmap shows what waits."
NO_FILE = "nothing was printed yet"


class WallLog(LogView):
    """One log on the wall. `run` is "" while it shows none."""

    def __init__(self, number: int) -> None:
        super().__init__(id=f"log-{number}")
        self.number = number
        self.run = ""
        self._told = ("", "")

    def hang(self, room: Room, run: str) -> None:
        """Show the log of a run from its end; "" takes it down."""
        if run != self.run:
            self.run = run
            self._told = ("", "")
            self.show(room.source.folders.runs / run / "log" if run else None, empty=NO_FILE)
        self.set_class(bool(run), "-shown")

    def look(self, room: Room) -> None:
        """Draw what was printed since the last look, and how the run is."""
        record = room.history.runs.get(self.run)
        if record is None:
            return
        self.frame()
        at = "" if record.result and self.following else f" · {self.position}"
        told = (f"{self.number} {title_of(record)}", state_of(record, room.now) + at)
        if told != self._told:
            self._told = told
            self.border_title, self.border_subtitle = Content(told[0]), Content(told[1])


class WallScreen(RoomScreen):
    """What do all agents say right now?"""

    CSS_PATH = "wall.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", id="wall.close"),
        Binding("tab", "app.focus_next", "Next log", id="wall.next"),
        Binding("enter", "open", "Open the run", id="wall.open"),
        Binding("z", "zoom", "Zoom", id="wall.zoom"),
        Binding("slash", "find", "Find", id="wall.find", tooltip="Find in all logs on the wall"),
        *(Binding(str(n), f"log({n})", f"Log {n}", show=False, id=f"wall.log_{n}") for n in range(1, MOST + 1)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._logs = [WallLog(number) for number in range(1, MOST + 1)]
        self._told = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Container(id="wall"):
            yield from self._logs
        yield Static(Text(NO_RUN), id="none")
        yield Input(placeholder="find in all logs, enter goes to the newest hits", id="wall-find")
        yield Footer(compact=True, show_command_palette=False)

    @property
    def chosen(self) -> WallLog | None:
        """The focused log."""
        return self.focused if isinstance(self.focused, WallLog) else None

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        if changes:
            self._hang()
        for log in self._logs:
            focused = log is self.focused
            if log.run and log.display and (focused or changes.everything or (tick + log.number) % BLURRED_FRAMES == 0):
                log.look(self.room)

    def on_resize(self) -> None:
        if self.room_app.opened:
            self._hang()

    def _hang(self) -> None:
        """Choose the runs, each stays in its place while it is wanted, and divide the wall among them."""
        history, room_for = self.room.history, capacity(self.size)
        if self.has_class("-zoomed") and self.chosen is not None:
            room_for = max(room_for, len([log for log in self._logs if log.run]))
        places = hung([log.run for log in self._logs if log.run], wanted(history, room_for))
        for log, run in zip(self._logs, [*places, *[""] * (MOST - len(places))], strict=True):
            fresh = log.run != run
            log.hang(self.room, run)
            if fresh:
                log.look(self.room)
        self._divide(1 if self.has_class("-zoomed") else len(places))
        self.set_class(not places, "-empty")
        if places and self.chosen is None and not isinstance(self.focused, Input):
            self._logs[0].focus()
        self._show_head(history, len(places))

    def _divide(self, count: int) -> None:
        wall = self.query_one("#wall")
        columns, rows = grid(count, self.size)
        wall.styles.grid_size_columns, wall.styles.grid_size_rows = columns, rows
        for log in self._logs:
            last = log.number == count and not self.has_class("-zoomed")
            log.styles.column_span = columns * rows - count + 1 if last else 1

    def _show_head(self, history: History, shown: int) -> None:
        running = sum(not run.result for run in history.runs.values())
        more = f" · {running - shown} more run, make the terminal larger" if running > shown else ""
        ended = f" · {shown - min(shown, running)} ended" if shown > running else ""
        told = f"Logs · {running} running{ended}{more}"
        if told != self._told:
            self._told = told
            self.query_one("#head", Static).update(Text(told, no_wrap=True, overflow="ellipsis"))

    # -- actions -------------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        field = self.query_one("#wall-find", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_find()
        for log in self._logs:
            if log.run and event.value:
                log.start_find(event.value, backward=True)
            else:
                log.end_find()

    def _close_find(self) -> None:
        self.query_one("#wall-find", Input).display = False
        self._logs[0].focus()

    def action_close(self) -> None:
        if self.query_one("#wall-find", Input).display:
            self._close_find()
        elif self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.room_app.go_back()

    def action_open(self) -> None:
        if self.chosen is not None and self.chosen.run:
            self.room_app.action_open_run(self.chosen.run)

    def action_log(self, number: int) -> None:
        if (log := self._logs[number - 1]).run:
            if self.has_class("-zoomed"):
                self._zoom(log)
            log.focus()

    def action_zoom(self) -> None:
        """The focused log alone, and back."""
        self._zoom(None if self.has_class("-zoomed") else self.chosen)

    def _zoom(self, chosen: WallLog | None) -> None:
        self.set_class(chosen is not None, "-zoomed")
        for log in self._logs:
            log.set_class(log is chosen, "-chosen")
        self._divide(1 if chosen is not None else sum(bool(log.run) for log in self._logs))
        if chosen is None:
            for log in self._logs:
                log.look(self.room)


def title_of(run: RunRecord) -> str:
    """Which run it is, and whose."""
    return sanitise_line(f"{run.run} · {run.agent}" if run.agent else run.run)


def state_of(run: RunRecord, now: float) -> str:
    """How it stands, in glyph and word, and how long it has run."""
    sign = words.sign(words.RUNS, run.result)
    return f"{sign.glyph} {sign.word} {words.clock((run.ended_at or now) - run.started_at)}"


def wanted(history: History, room_for: int) -> list[str]:
    """Runs worth a place: those that run, the oldest first, then those that ended last."""
    runs = list(history.runs.values())
    running = [run.run for run in runs if not run.result]
    ended = sorted((run for run in runs if run.result), key=lambda run: -run.ended_at)
    return [*running, *(run.run for run in ended)][:room_for]


def hung(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The wanted runs, those that hang already in their old places, the others where one became free."""
    fresh = [run for run in now if run not in before]
    places = [run if run in now else (fresh.pop(0) if fresh else "") for run in before]
    return [run for run in (*places, *fresh) if run]


def capacity(size: Size) -> int:
    """How many logs are legible at a size, at least one."""
    return max(1, min(MOST, (size.width // LEAST_WIDTH) * max(1, (size.height - 2) // LEAST_HEIGHT)))


def grid(count: int, size: Size) -> tuple[int, int]:
    """(columns, rows) for so many logs: lines as long as they can be while the logs have some height."""
    high = size.height - 2
    most = max(1, min(count, size.width // LEAST_WIDTH))
    for columns in range(1, most):
        rows = -(-count // columns)
        narrower = size.width // (columns + 1)
        if high >= 2 * LEAST_HEIGHT * rows or (high >= LEAST_HEIGHT * rows and narrower < GOOD_WIDTH):
            return columns, rows
    return most, max(1, -(-count // most))
