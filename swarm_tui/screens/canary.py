"""The canary screen: is what landed good, and if not, who did it?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher, Footer

from engine.models.event import Event
from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.canary_facts import (
    flow_lines,
    golden_lines,
    head_of,
    judgements,
    note_lines,
    order_of,
    row_of,
    runs_of,
    samples_of,
    story_lines,
    under_way,
    whose,
)
from swarm_tui.room.canary_files import FlowFiles, events_for_stories, flow_files
from swarm_tui.room.canary_story import KINDS, PURPOSES, Beat, story_of
from swarm_tui.room.changes import Changes
from swarm_tui.room.comparison import comparison_lines, flows_of, moved, summary_of
from swarm_tui.room.golden_facts import waiting_of
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.screens.zoom import toggle_zoom, zoom
from swarm_tui.widgets.canary import sparkline
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.log_view import LogView
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.prose import Prose, line
from swarm_tui.widgets.rows import Cell, Column, Rows

if TYPE_CHECKING:
    from engine.history import CanaryRecord

RUN_COLUMNS = (
    Column("run", 8),
    Column("commit", 10, from_width=44),
    Column("verdict", 14),
    Column("flows", 0),
    Column("time", 5, right=True),
)
FLOW_COLUMNS = (
    Column("flow", 0),
    Column("verdict", 14),
    Column("samples", 18, from_width=48),
    Column("time", 5, right=True),
)
VIEWS = ("flow", "golden", "log", "trace")


class CanaryScreen(RoomScreen):
    """Is what landed good, and if not, who did it? about: the judged commit; "" is the newest."""

    CSS_PATH = "canary.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short"), (32, "-tall")]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="canary.back"),
        Binding("left_square_bracket", "judgement(-1)", "Older", id="canary.older"),
        Binding("right_square_bracket", "judgement(1)", "Newer", id="canary.newer"),
        Binding("s", "story", "Story", id="canary.story"),
        Binding("f", "view('flow')", "Flow", id="canary.flow"),
        Binding("d", "view('golden')", "Golden", id="canary.golden"),
        Binding("l", "view('log')", "Log", id="canary.log"),
        Binding("e", "view('trace')", "Events", id="canary.trace"),
        Binding("enter,o", "order", "Work order", id="canary.order"),
        Binding("D", "goldens", "Goldens", id="canary.goldens"),
        Binding("z", "zoom", "Zoom", show=False, id="canary.zoom"),
    ]

    def __init__(self, about: str) -> None:
        super().__init__()
        self._asked = about
        self.about = ""
        self._view = "flow"
        self._run = -1
        self._flow = ""
        self._files: FlowFiles | None = None
        self._files_of: tuple[int, str] = (-1, "")
        self._events: list[Event] = []
        self._read_to = -1
        self._seen = -1
        """The seq of the last event that this screen was told of."""
        self._beats: list[Beat] = []

    def compose(self) -> ComposeResult:
        yield Head(id="canary-head")
        with Horizontal(id="canary-body"):
            with Vertical(id="canary-left"):
                with Pane(id="canary-runs"):
                    yield Rows(RUN_COLUMNS, self._run_cells, empty="no run yet", id="canary-run-rows")
                with Pane(id="canary-flows"):
                    yield Rows(FLOW_COLUMNS, self._flow_cells, empty="no flow has ended", id="canary-flow-rows")
                with Pane(id="canary-story"):
                    yield Prose(id="canary-story-text")
            with Vertical(id="canary-right"), Pane(id="canary-detail"):
                with ContentSwitcher(initial="canary-text"):
                    yield Prose(id="canary-text")
                    yield LogView(id="canary-log")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.runs.focus()

    @property
    def runs(self) -> Rows:
        return self.query_one("#canary-run-rows", Rows)

    @property
    def flows(self) -> Rows:
        return self.query_one("#canary-flow-rows", Rows)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        canaries = self.room.history.canaries
        all_ = judgements(canaries)
        about = self._asked or (all_[-1] if all_ else "")
        seq = self.room.state.seq
        missed, self._seen = seq - len(changes.events) != self._seen, seq
        if about != self.about:
            self._begin(about)
            changes = Changes(everything=True)
        elif missed and about:  # another screen was in front, or a replay jumped
            self._events, self._read_to = [], -1
            self.run_worker(self._read_story(about), group="story", exclusive=True)
        new = [event for event in changes.events if event.kind in KINDS]
        self._events += [event for event in new if event.seq > self._read_to >= 0]
        if new or changes.everything:
            self._draw(all_)
        elif tick % 3 == 0 and any(not canaries[number].verdict for number in runs_of(canaries, about)):
            self.runs.touch()
            self._show_flows()
        self.query_one(LogView).frame()
        self._show_title()

    def _begin(self, about: str) -> None:
        """Another judgement: everything anew."""
        self.about, self._run, self._flow = about, -1, ""
        self._files, self._files_of = None, (-1, "")
        self._events, self._beats, self._read_to = [], [], -1
        red = self.room.history.judged.get(about, "") == "FAIL"
        self.set_class(red, "-story")
        self.run_worker(self._read_story(about), group="story", exclusive=True)

    def _draw(self, all_: Sequence[str]) -> None:
        self.query_one(Head).show(head_of(self.room, self.about))
        number = all_.index(self.about) + 1 if self.about in all_ else 0
        self.query_one("#canary-runs", Pane).head("Runs", f"judgement {number} of {len(all_)}" if all_ else "")
        own = runs_of(self.room.history.canaries, self.about)
        self.runs.show([str(each) for each in own])
        self.runs.touch()
        if own and self._run not in own:
            self._choose_run(own[0])
        self._show_flows()
        self._tell_story()

    def _tell_story(self) -> None:
        self._beats = story_of(self._events, self.about, self.room.history.moves)
        lines = story_lines(self._beats, self.room.state, self.about)
        if self._read_to < 0:
            lines = [line("reading the journal …")]
        self.query_one("#canary-story-text", Prose).show(lines)
        self.query_one("#canary-story", Pane).head("Story", "enter opens the work order" if self._accused() else "")

    async def _read_story(self, about: str) -> None:
        source, upto = self.room.source, self.room.state.seq
        seqs = self.room.history.events_of.get(order_of(self.room, about))
        after = seqs[0] - 1 if seqs else 0
        events = await asyncio.to_thread(events_for_stories, source, after, upto)
        if self.about == about and self.lives:
            read_to = self.room.state.seq
            self._events, self._read_to = [*events, *events_for_stories(source, upto, read_to, pace_s=0.0)], read_to
            self._tell_story()

    # -- the selected run and flow -------------------------------------------------------------------------------

    def _record(self) -> CanaryRecord | None:
        canaries = self.room.history.canaries
        return canaries[self._run] if 0 <= self._run < len(canaries) else None

    def _choose_run(self, number: int) -> None:
        if number != self._run:
            self._run = number
            self.runs.select(str(number))
            self._show_flows()

    def _show_flows(self) -> None:
        record = self._record()
        names = self._names(record) if record else []
        rows = self.flows
        rows.show(names)
        rows.touch()
        purpose = PURPOSES.get(record.purpose, record.purpose) if record else ""
        self.query_one("#canary-flows", Pane).head(
            "Flows", sanitise_line(f"{purpose} {record.commit[:7]}" if record else "")
        )
        if self._flow not in names and names:
            bad = [str(row["flow"]) for row in record.flows if row.get("verdict") != "PASS"] if record else []
            self._flow = bad[0] if bad and bad[0] in names else names[0]
            rows.select(self._flow)
        self._show_detail()

    def _names(self, record: CanaryRecord) -> list[str]:
        """The flows of a run; of one that is under way those that ran last time."""
        canaries = self.room.history.canaries
        if record.metrics:
            return flows_of(record)
        known = record if record.flows else next((run for run in reversed(canaries) if run.flows), record)
        return [str(row.get("flow", "")) for row in known.flows] if record.flows or not record.verdict else []

    def _show_detail(self) -> None:
        record, key = self._record(), (self._run, self._flow)
        ended = record is not None and bool(record.flows) and bool(self._flow)
        if ended and record is not None and self._files_of != key:
            self._files, self._files_of = None, key
            self.run_worker(self._load(key, record, self._flow), group="files", exclusive=True)
        files = self._files if self._files_of == key else None
        text, view = self.query_one("#canary-text", Prose), self.query_one(LogView)
        if self._view in ("log", "trace"):
            path = (files.log or files.package_log if self._view == "log" else files.trace) if files else None
            if view.path != path or path is None:
                view.show(path, follow=False, empty=self._why_no_file(files, ended))
            return
        if record is None:
            text.show([])
        elif record.purpose == "compare" and record.verdict and self._view == "flow":
            text.show(comparison_lines(record))
        elif not ended:
            text.show([line(under_way(record, self.room.pulse))])
        elif self._view == "golden":
            text.show(golden_lines(files, record.commit) if files else [line("reading …")])
        else:
            notes = note_lines(files) if files else []
            health = self.room.state.flows.get(self._flow)
            text.show([*flow_lines(self.room.history.canaries, self._run, self._flow, files, health), *notes])

    def _why_no_file(self, files: FlowFiles | None, ended: bool) -> str:
        if not ended:
            return "the run has to end first"
        return f"this run left no {self._view}" if files else "reading …"

    async def _load(self, key: tuple[int, str], record: CanaryRecord, flow: str) -> None:
        files = await asyncio.to_thread(flow_files, self.room.source.folders, record.commit, row_of(record, flow))
        if self._files_of == key and self.lives:
            self._files = files
            self._show_detail()

    def _show_title(self) -> None:
        view = self.query_one(LogView)
        names = {"flow": "Flow", "golden": "Golden", "log": "Log", "trace": "Events"}
        where = view.position if self._view in ("log", "trace") else ""
        self.query_one("#canary-detail", Pane).head(f"{names[self._view]} · {sanitise_line(self._flow)}", where)

    # -- drawing -------------------------------------------------------------------------------------------------

    def _run_cells(self, key: str) -> Sequence[Cell]:
        canaries = self.room.history.canaries
        if int(key) >= len(canaries):  # a replay went back before it, and this screen was not seen since
            return [Cell("")] * len(RUN_COLUMNS)
        run = canaries[int(key)]
        sign = words.sign(words.VERDICTS, run.verdict)
        flows = " ".join(f"{_glyph(row.get('verdict', ''))} {row.get('flow', '')}" for row in run.flows)
        said = flows or moved(run.metrics) or (run.reason if run.verdict else under_way(run, self.room.pulse))
        return (
            Cell(sanitise_line(PURPOSES.get(run.purpose, run.purpose)), "plain"),
            Cell(run.commit[:10], "quiet"),
            Cell(f"{sign.glyph} {sign.word}", sign.tone),
            Cell(sanitise_line(said), "quiet"),
            Cell(words.took((run.ended_at or self.room.now) - run.started_at), "quiet"),
        )

    def _flow_cells(self, key: str) -> Sequence[Cell]:
        record = self._record()
        row = row_of(record, key) if record else {}
        if record is not None and record.metrics:
            sign, said = summary_of(record, key)
            return (
                Cell(sanitise_line(key)),
                Cell(f"{sign.glyph} {sign.word}", sign.tone),
                Cell(said, "quiet"),
                Cell(""),
            )
        if not row:
            word, tone = self._flow_under_way(key)
            return (Cell(sanitise_line(key)), Cell(word, tone), Cell(""), Cell(""))
        sign = words.sign(words.VERDICTS, str(row.get("verdict", "")))
        found = [f"{name} {sparkline(values, 6)}" for name, values in samples_of(row).items()]
        return (
            Cell(sanitise_line(key)),
            Cell(f"{sign.glyph} {sign.word}", sign.tone),
            Cell(sanitise_line(" ".join(found)), "quiet"),
            Cell(words.took(float(row.get("duration_s", 0.0))), "quiet"),
        )

    def _flow_under_way(self, flow: str) -> tuple[str, str]:
        pulse = self.room.pulse.canaries.get(self.about)
        if pulse is None or flow not in self.flows.keys:
            return "· waiting", "quiet"
        place = self.flows.keys.index(flow) + 1
        if place < pulse.number:
            return "· ended", "quiet"
        if place > pulse.number:
            return "· waiting", "quiet"
        return (f"▶ step {pulse.step}/{pulse.steps}" if pulse.steps else f"▶ {pulse.doing}"), "busy"

    # -- messages ------------------------------------------------------------------------------------------------

    def on_rows_moved(self, event: Rows.Moved) -> None:
        if not event.key:
            return
        if event.rows is self.runs:
            self._choose_run(int(event.key))
        elif event.key != self._flow:
            self._flow = event.key
            self._show_detail()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        if event.rows is self.runs:
            self.flows.focus()
        else:
            self.action_view(self._view)

    # -- actions -------------------------------------------------------------------------------------------------

    def _accused(self) -> str:
        """The work order of the culprit; "" while there is none."""
        regressions = [each for each in self.room.state.regressions if each.commit == self.about]
        return regressions[-1].order if regressions else ""

    def action_order(self) -> None:
        """The culprit's work order, or that of the judged commit."""
        order = self._accused() or order_of(self.room, self.about)
        if order:
            self.room_app.action_open_order(order)
        else:
            self.room_app.say(f"no work order stands behind this commit: it is {whose(self.room, self.about)}")

    def action_goldens(self) -> None:
        """Open the goldens that wait, first of all one of this flow."""
        self.room_app.action_open_goldens(waiting_of(self.room.state, self._flow))

    def action_judgement(self, way: int) -> None:
        all_ = judgements(self.room.history.canaries)
        at = all_.index(self.about) + way if self.about in all_ else -1
        if not 0 <= at < len(all_):
            self.room_app.say("there is no older judgement" if way < 0 else "this is the newest judgement")
            return
        self._asked = all_[at] if at < len(all_) - 1 else ""
        self.frame(Changes(everything=True), 0)

    def action_story(self) -> None:
        self.add_class("-story")
        zoom(self, None)
        self.query_one("#canary-story-text", Prose).focus()

    def action_view(self, view: str) -> None:
        """Show one side of the selected flow: flow, golden, log or trace."""
        self._view = view
        self.remove_class("-story")
        if not self.query_one("#canary-detail").has_class("-chosen"):
            zoom(self, None)
        in_log = view in ("log", "trace")
        self.query_one(ContentSwitcher).current = "canary-log" if in_log else "canary-text"
        self._show_detail()
        (self.query_one(LogView) if in_log else self.query_one("#canary-text", Prose)).focus()

    def action_leave(self) -> None:
        if self.has_class("-zoomed"):
            zoom(self, None)
        else:
            self.room_app.go_back()

    def action_zoom(self) -> None:
        toggle_zoom(self)


def _glyph(verdict: object) -> str:
    return words.sign(words.VERDICTS, str(verdict)).glyph
