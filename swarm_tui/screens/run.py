"""The run screen: what did this agent do in this attempt, with what, and what is left of it?"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input

from engine.errors import SwarmError
from swarm_tui.room.changes import Changes
from swarm_tui.room.run_files import RunFiles, Said, read_run, said_of
from swarm_tui.screens import run_pages as pages
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.log_view import LogView
from swarm_tui.widgets.prose import Line, Prose, Span, line
from swarm_tui.widgets.sections import Sections

FLAT = 16
"""Lines below which the head keeps to two."""
CLOCK_TICKS = 5
FILES_TICKS = 20
"""Between two looks into the folder of a run that still goes on."""
READING = (line(Span("reading …", "quiet")),)


class RunScreen(RoomScreen):
    """What did this agent do in this attempt?"""

    CSS_PATH = "run.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find", id="run.find"),
        Binding("l", "log", "Log", show=False, id="run.log"),
        Binding("o", "order", "Work order", id="run.order"),
        Binding("v", "gates", "Gates", id="run.gates"),
        Binding("y", "copy", "Copy", id="run.copy"),
        Binding("escape", "back", "Back", id="run.back"),
    ]

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run
        self._files: RunFiles | None = None
        self._handoff: tuple[str, Said] = ("", Said())
        """The handoff that was taken, with its digest."""
        self._reading = False
        self._texts: dict[str, Said] = {}

    def compose(self) -> ComposeResult:
        yield Head(id="run-head")
        yield Sections(
            [
                ("log", LogView(id="run-log")),
                ("handoff", Prose(id="run-handoff")),
                ("prompt", Prose(id="run-prompt")),
                ("task", Prose(id="run-task")),
                ("sandbox", Prose(id="run-sandbox")),
                ("result", Prose(id="run-result")),
            ],
            id="run-sections",
        )
        yield Input(placeholder="find in the log, enter goes to the next hit", id="run-find")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        path = self.room.source.folders.runs / self.run / "log"
        self.query_one(LogView).show(path, self.run, empty="nothing was printed, or the log is gone")

    def on_resize(self) -> None:
        self.set_class(self.size.height < FLAT, "-flat")

    @property
    def sections(self) -> Sections:
        return self.query_one(Sections)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        room = self.room
        record = room.history.runs.get(self.run)
        touched = changes.everything or (record is not None and record.order in changes.orders)
        goes_on = record is not None and not record.result
        if touched or tick % CLOCK_TICKS == 0:
            self._show_head()
        if self.sections.name_shown == "log":
            self.query_one(LogView).frame()
        if touched or (goes_on and tick % FILES_TICKS == 0):
            self._show()
            self._read()

    def _show_head(self) -> None:
        lines = pages.head_lines(self.room, self.run)
        log = self.query_one(LogView)
        said = log.searching or log.position
        if self.sections.name_shown == "log" and said:
            lines[-1 if len(lines) < 2 else 1] = _with(lines[-1 if len(lines) < 2 else 1], f"  log {said}")
        self.query_one(Head).show(lines)

    def _read(self) -> None:
        if not self._reading:
            self._reading = True
            self.run_worker(self._read_files(), group="files")

    async def _read_files(self) -> None:
        try:
            folder = self.room.source.folders.runs / self.run
            self._files = await asyncio.to_thread(read_run, folder)
            record = self.room.history.runs.get(self.run)
            if record is not None and record.handoff and self._handoff[0] != record.handoff:
                self._handoff = (record.handoff, await asyncio.to_thread(self._artifact, record.handoff))
        finally:
            self._reading = False
        if self.lives:
            self._show()

    def _artifact(self, digest: str) -> Said:
        try:
            return said_of(self.room.source.artifact(digest))
        except (SwarmError, OSError) as error:
            return Said(problem=str(error))

    def _show(self) -> None:
        room, files = self.room, self._files
        if files is None:
            for name in ("handoff", "prompt", "task", "sandbox", "result"):
                self._fill(name, READING)
            return
        record = room.history.runs.get(self.run)
        if record is None or not record.handoff or self._handoff[0] == record.handoff:
            self._fill("handoff", pages.handoff_lines(record, self._handoff[1], files))
        self._fill_text("prompt", files.prompt)
        self._fill_text("task", files.task)
        self._fill("sandbox", pages.sandbox_lines(files, self.room.state.sandbox))
        self._fill("result", pages.result_lines(room, record, files, self._command()))

    def _fill(self, name: str, lines: list[Line] | tuple[Line, ...]) -> None:
        self.query_one(f"#run-{name}", Prose).show(list(lines))

    def _fill_text(self, name: str, said: Said) -> None:
        """Files are long and seldom change: their lines are only made when they did."""
        if self._texts.get(name) != said:
            self._texts[name] = said
            self._fill(name, pages.text_lines(said, f"the {name} that it got is not there", as_json=name == "task"))

    def _command(self) -> str:
        return pages.show_command(str(self.room.source.folders.hub), self.room.history.runs.get(self.run))

    # -- finding -------------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        self.sections.show("log")
        field = self.query_one("#run-find", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        log = self.query_one(LogView)
        self._close_find()
        if event.value:
            log.start_find(event.value)
        else:
            log.end_find()

    def on_log_view_searched(self, event: LogView.Searched) -> None:
        if not event.found:
            self.room_app.say(f"“{event.text}” is not in this log", "warning")

    def _close_find(self) -> None:
        self.query_one("#run-find", Input).display = False
        self.query_one(LogView).focus()

    # -- actions -------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        if self.query_one("#run-find", Input).display:
            self._close_find()
        else:
            self.room_app.go_back()

    def action_log(self) -> None:
        self.sections.show("log")

    def action_order(self) -> None:
        record = self.room.history.runs.get(self.run)
        if record is None:
            self.room_app.say("it is not known which work order it was for")
        else:
            self.room_app.action_open_order(record.order)

    def action_gates(self) -> None:
        record = self.room.history.runs.get(self.run)
        gates = self.room.history.gates_of.get(record.change, []) if record and record.change else []
        if gates:
            self.room_app.action_open_gates(gates[-1].change, gates[-1].tree)
        else:
            self.room_app.say("no gate has run on what it handed in")

    def action_copy(self) -> None:
        """The command that shows what it left, or else its name."""
        record = self.room.history.runs.get(self.run)
        text = self._command() or self.run
        if self.sections.name_shown == "handoff" and record is not None and record.handoff:
            text = record.handoff
        self.app.copy_to_clipboard(text)
        self.room_app.say(f"copied: {text}")


def _with(before: Line, text: str) -> Line:
    return Line((*before.spans, Span(text, "quiet")), before.hang)
