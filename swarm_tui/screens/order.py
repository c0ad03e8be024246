"""The work order screen: what is it, how far is it, why, and what proves it?"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.widgets import Footer

from engine.commands import find_cancellable, find_retryable
from engine.errors import SwarmError, UserError
from engine.loading import ROADMAP_FILE, SETTINGS_FILE, load_settings
from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.differences import read_difference
from swarm_tui.room.editor import editor_command, line_of_order
from swarm_tui.room.order_events import OrderEvents
from swarm_tui.room.reports import ReadReport, read_report, verify_command
from swarm_tui.room.run_files import said_of
from swarm_tui.screens import order_pages as pages
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.diff_view import DiffView
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.prose import Prose
from swarm_tui.widgets.rows import Cell, Column, Rows
from swarm_tui.widgets.sections import Sections

FLAT = 16
"""Lines below which the head keeps to two."""
CLOCK_TICKS = 10
ATTEMPT_COLUMNS = (
    Column("run", 20),
    Column("ended as", 13),
    Column("time", 5, right=True),
    Column("tokens", 6, right=True),
    Column("cost", 5, right=True),
    Column("role", 11, from_width=110),
    Column("agent", 8, from_width=100),
    Column("kept", 10, from_width=84),
    Column("what came of it", 0, from_width=70),
)


class OrderScreen(RoomScreen):
    """What is this work order, how far is it, why, and what proves it?"""

    CSS_PATH = "order.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log", id="order.log"),
        Binding("g", "gates", "Gates", id="order.gates", priority=True),  # also where g would mean the first row
        Binding("c", "canary", "Canary", id="order.canary"),
        Binding("o,right_square_bracket", "other(-1)", "Other", id="order.older"),
        Binding("O,left_square_bracket", "other(1)", "Newer change", show=False, id="order.newer"),
        Binding("y", "copy", "Copy", id="order.copy"),
        Binding("e", "edit", "Edit", id="order.edit"),
        Binding("R", "retry", "Retry", id="order.retry"),
        Binding("X", "cancel", "Cancel", id="order.cancel"),
    ]

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        self._events = OrderEvents(order)
        self._allowed = 0
        self._back = {"diff": 0, "evidence": 0}
        """How many steps before the newest change, or report, is shown."""
        self._read: dict[str, ReadReport] = {}
        self._commands: dict[str, str] = {}
        self._diff_of: pages.Subject | None = None
        self._handoff: tuple[str, dict[str, Any]] = ("", {})
        """The digest of its newest handoff, and what stands in it."""

    def compose(self) -> ComposeResult:
        yield Head(id="order-head")
        yield Sections(
            [
                ("spec", Prose(id="order-spec")),
                ("timeline", Prose(follow=True, id="order-timeline")),
                ("diff", DiffView(id="order-diff")),
                ("evidence", Prose(id="order-evidence")),
                ("attempts", Rows(ATTEMPT_COLUMNS, self._attempt, empty="nobody has worked on it yet",
                                  id="order-attempts")),
            ],
            id="order-sections",
        )  # fmt: skip
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.run_worker(self._read_limits(), group="limits")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Retry and cancel are only offered to what can be retried or cancelled."""
        if action in ("retry", "cancel") and self.room_app.opened:
            order = self.room.state.orders.get(self.order)
            find = find_retryable if action == "retry" else find_cancellable
            try:
                return order is not None and find(self.room.state, self.order) is not None
            except UserError:
                return False
        return True

    def on_resize(self) -> None:
        self.set_class(self.size.height < FLAT, "-flat")

    @property
    def sections(self) -> Sections:
        return self.query_one(Sections)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        room = self.room
        order = room.state.orders.get(self.order)
        about = {self.order, *(order.spec.depends_on if order else ())}
        touched = changes.everything or not about.isdisjoint(changes.orders)
        if touched or tick % CLOCK_TICKS == 0:
            self.query_one(Head).show(pages.head_lines(room, self.order, self._allowed))
        if touched:
            self._look()
        elif tick % CLOCK_TICKS == 0:
            self._show_attempts()
        if self._events.read(room.source, room.history):
            lines = pages.timeline_lines(self.order, self._events.events, self._events.left_out)
            self.query_one("#order-timeline", Prose).show(lines)

    def _look(self) -> None:
        """Everything that the state and the history say."""
        run = pages.handed_in_by(self.room, self.order)
        if run is not None and run.handoff != self._handoff[0]:
            self._handoff = (run.handoff, {})
            self.run_worker(self._read_handoff(run.handoff), group="handoff", exclusive=True)
        self.query_one("#order-spec", Prose).show(pages.spec_lines(self.room, self.order, self._handoff[1]))
        if not self._events.events:
            lines = pages.timeline_lines(self.order, (), 0)
            self.query_one("#order-timeline", Prose).show(lines)
        self._show_attempts()
        self._show_section()
        self.refresh_bindings()

    def _show_section(self) -> None:
        """What is only made once somebody looks at it."""
        if self.sections.name_shown == "diff":
            self._show_diff()
        elif self.sections.name_shown == "evidence":
            self._show_evidence()

    def on_sections_shown(self, event: Sections.Shown) -> None:
        event.stop()
        self._show_section()

    async def _read_limits(self) -> None:
        path = self.room.source.repository / SETTINGS_FILE
        try:
            self._allowed = (await asyncio.to_thread(load_settings, path)).limits.attempts
        except (SwarmError, OSError):
            return  # how many attempts there are is left out of the head then
        if self.lives:
            self.query_one(Head).show(pages.head_lines(self.room, self.order, self._allowed))

    async def _read_handoff(self, digest: str) -> None:
        try:
            table = said_of(await asyncio.to_thread(self.room.source.artifact, digest)).table
        except (SwarmError, OSError):
            return  # the journal's summary of it is shown; its run says why it cannot be read
        if self.lives and self._handoff[0] == digest:
            self._handoff = (digest, table)
            self.query_one("#order-spec", Prose).show(pages.spec_lines(self.room, self.order, table))

    # -- diff ----------------------------------------------------------------------------------------------------

    @property
    def subject(self) -> pages.Subject | None:
        """Whose diff is shown."""
        found = pages.subjects_of(self.room, self.order)
        return found[-1 - min(self._back["diff"], len(found) - 1)] if found else None

    def _show_diff(self) -> None:
        subject, view = self.subject, self.query_one(DiffView)
        if subject is None:
            self._diff_of = None
            view.say("no agent has handed anything in yet, so there is no diff")
        elif subject != self._diff_of:
            self._diff_of = subject
            view.say("reading …", subject.name)
            self.run_worker(self._read_diff(subject), group="diff", exclusive=True)

    async def _read_diff(self, subject: pages.Subject) -> None:
        hub = self.room.source.folders.hub
        found = await asyncio.to_thread(read_difference, hub, subject.base, subject.head)
        if subject == self._diff_of and self.lives:
            count = len(pages.subjects_of(self.room, self.order))
            which = f"{count - min(self._back['diff'], count - 1)} of {count}  " if count > 1 else ""
            self.query_one(DiffView).show(found, f"{which}{subject.name} against main {subject.base[:10]}")

    # -- evidence ------------------------------------------------------------------------------------------------

    @property
    def report(self) -> str:
        """The digest of the report that is shown; "" when there is none."""
        found = pages.reports_of(self.room, self.order)
        return found[-1 - min(self._back["evidence"], len(found) - 1)] if found else ""

    def _show_evidence(self, *, stay: bool = True) -> None:
        digest = self.report
        if digest and digest not in self._read:
            self.run_worker(self._read_report(digest), group=f"report {digest}", exclusive=True)
        command = self._commands.get(digest, "")
        lines = pages.evidence_lines(self.room, self.order, digest, self._read.get(digest), command)
        self.query_one("#order-evidence", Prose).show(lines, stay=stay)

    async def _read_report(self, digest: str) -> None:
        source = self.room.source
        public_key = source.folders.keys / "public.pem"
        commit = pages.landing_of(self.room, self.order, self.room.history.reports[digest].change)
        record = await asyncio.to_thread(read_report, source.artifact, public_key, digest)
        proved = commit if record.report is not None and record.report.result == "green" else ""
        self._commands[digest] = await asyncio.to_thread(
            verify_command, source.repository, source.folders, digest, proved
        )
        self._read[digest] = record
        if self.lives:
            self._show_evidence()

    # -- attempts ------------------------------------------------------------------------------------------------

    def _show_attempts(self) -> None:
        rows = self.query_one("#order-attempts", Rows)
        rows.show(self.room.history.runs_of.get(self.order, []))
        rows.touch()

    def _attempt(self, key: str) -> Sequence[Cell]:
        room = self.room
        run = room.history.runs.get(key)
        if run is None:  # a replay went back before it, and this screen was not seen since
            return [Cell("")] * len(ATTEMPT_COLUMNS)
        sign = words.run_sign(run.result, run.reason)
        change = room.state.changes.get(run.change)
        came = f"{change.status}:" if change else ""
        why = run.reason or (change.why if change else "") or run.summary
        return (
            Cell(sanitise_line(key)),
            Cell(f"{sign.glyph} {sign.word}", sign.tone),
            Cell(words.took((run.ended_at or room.now) - run.started_at)),
            Cell(words.amount(run.tokens) if run.tokens else "?"),
            Cell(f"{run.cost:.2f}" if run.cost else "?"),
            Cell(sanitise_line(run.role), "quiet"),
            Cell(sanitise_line(run.agent), "quiet"),
            Cell(run.kept[:10], "quiet"),
            Cell(sanitise_line(" ".join(text for text in (came, why) if text))),
        )

    def on_rows_opened(self, event: Rows.Opened) -> None:
        if event.rows.id == "order-attempts":
            self.room_app.action_open_run(event.key)

    # -- actions -------------------------------------------------------------------------------------------------

    def action_other(self, way: int) -> None:
        """Another change's diff, or another report."""
        name = self.sections.name_shown
        if name not in self._back:
            self.sections.show(name := "diff")
        count = len((pages.subjects_of if name == "diff" else pages.reports_of)(self.room, self.order))
        if count < 2:
            self.room_app.say("there is no other one")
            return
        self._back[name] = (min(self._back[name], count - 1) - way) % count
        self._show_diff() if name == "diff" else self._show_evidence(stay=False)

    def action_log(self) -> None:
        runs = self.room.history.runs_of.get(self.order)
        if runs:
            self.room_app.action_open_run(runs[-1])
        else:
            self.room_app.say("nobody has worked on it yet, so there is no log")

    def action_gates(self) -> None:
        history = self.room.history
        change = self._change_in_sight()
        gates = history.gates_of.get(change, []) if change else []
        if gates:
            self.room_app.action_open_gates(change, gates[-1].tree)
        else:
            self.room_app.say("no gate has run on it yet")

    def _change_in_sight(self) -> str:
        name = self.sections.name_shown
        if name == "evidence" and self.report:
            return self.room.history.reports[self.report].change
        if name == "diff" and self.subject and self.subject.change:
            return self.subject.change
        if name == "attempts" and (key := self.query_one("#order-attempts", Rows).key):
            return self.room.history.runs[key].change
        return next(reversed(self.room.history.changes_of.get(self.order, [])), "")

    def action_canary(self) -> None:
        commit = pages.landing_of(self.room, self.order)
        if commit:
            self.room_app.action_open_canary(commit)
        else:
            self.room_app.say("it has not landed yet, so no canary has judged it")

    def action_copy(self) -> None:
        """What is in sight: the command that checks a report, the commit of a diff, a run, or the id."""
        name, text = self.sections.name_shown, self.order
        if name == "evidence" and self.report:
            text = self._commands.get(self.report, "") or self.report
        elif name == "diff" and self.subject:
            text = self.subject.head
        elif name == "attempts":
            text = self.query_one("#order-attempts", Rows).key or self.order
        self.app.copy_to_clipboard(text)
        self.room_app.say(f"copied: {text}")

    def action_retry(self) -> None:
        self.room_app.ask_order("retry", self.order)

    def action_cancel(self) -> None:
        self.room_app.ask_order("cancel", self.order)

    def action_edit(self) -> None:
        """Open the roadmap in the person's editor, where this work order stands."""
        roadmap = self.room.source.repository / ROADMAP_FILE
        try:
            argv = editor_command(roadmap, line_of_order(roadmap, self.order))
            self._run_in_terminal(argv, roadmap.parent)
        except UserError as error:
            self.room_app.say(str(error), "warning")
        except SuspendNotSupported:
            self.room_app.say(f"this terminal cannot be lent to an editor: edit {roadmap} beside it", "warning")

    def _run_in_terminal(self, argv: list[str], folder: Path) -> None:
        if self.room.source.engine() == "replay":
            raise UserError("this is a recorded night: its roadmap may be another one by now")
        with self.app.suspend():
            try:
                ended = subprocess.run(argv, cwd=folder, check=False)
            except OSError as error:
                raise UserError(f"the editor could not be started: {error}") from error
        if ended.returncode:
            self.room_app.say(f"the editor ended with exit code {ended.returncode}", "warning")
