"""The gate screen: what did the gates say about this tree, test by test, and why?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input

from engine.text.sanitise import sanitise_line
from swarm_tui.room.changes import Changes
from swarm_tui.room.gate_facts import counts_of, facts_of, head_of
from swarm_tui.room.results import (
    GateTests,
    TreeResults,
    by_hand,
    short_name,
    signed_results,
    unsigned_results,
)
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.screens.zoom import toggle_zoom
from swarm_tui.widgets.gate_log import GateLog
from swarm_tui.widgets.gate_rows import GATE_COLUMNS, STOPPED, TEST_COLUMNS, gate_cells, test_cells
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.log_view import LogView
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.prose import Prose
from swarm_tui.widgets.rows import Cell, Rows
from swarm_tui.widgets.train import latest

if TYPE_CHECKING:
    from engine.history import GateRecord

LIVE_FRAMES = 10
"""Frames between two looks at what a running gate notes down."""


class GateScreen(RoomScreen):
    """What did the gates say about this tree, test by test?

    change: "" is main itself. tree: "" is the newest, also when a newer one comes.
    """

    CSS_PATH = "gate.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short"), (32, "-tall")]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="gate.back"),
        Binding("n", "failure(1)", "Next failure", id="gate.next_failure"),
        Binding("N", "failure(-1)", "Previous", show=False, id="gate.previous_failure"),
        Binding("slash", "search", "Filter", id="gate.filter"),
        Binding("left_square_bracket", "tree(-1)", "Earlier tree", id="gate.earlier"),
        Binding("right_square_bracket", "tree(1)", "Later tree", show=False, id="gate.later"),
        Binding("f", "facts", "Facts", id="gate.facts"),
        Binding("l", "log", "Log", show=False, id="gate.log"),
        Binding("y", "copy", "Copy command", id="gate.copy"),
        Binding("o", "order", "Work order", show=False, id="gate.order"),
        Binding("z", "zoom", "Zoom", show=False, id="gate.zoom"),
    ]

    def __init__(self, change: str, tree: str) -> None:
        super().__init__()
        self.change = change
        self._asked_tree = tree
        self.shown = ""
        self._results = TreeResults()
        self._live: dict[str, GateTests] = {}
        self._loaded: tuple[str, str] = ("", "")
        self._gate = ""
        self._filter = ""
        self._read = False
        """Whether the report of this tree was looked for."""

    def compose(self) -> ComposeResult:
        yield Head(id="gate-head")
        with Horizontal(id="gate-body"):
            with Vertical(id="gate-left"):
                with Pane(id="gate-gates"):
                    yield Rows(GATE_COLUMNS, self._gate_cells, empty="no gate has run here yet", id="gate-rows")
                with Pane(id="gate-facts"):
                    yield Prose(id="gate-facts-text")
            with Vertical(id="gate-right"):
                with Pane(id="gate-tests"):
                    yield Rows(TEST_COLUMNS, self._test_cells, empty="", id="test-rows")
                    yield Input(
                        placeholder="filter by name or outcome; enter keeps it, escape clears", id="gate-filter"
                    )
                with Pane(id="gate-output"):
                    yield GateLog(id="gate-log")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.gates.focus()
        self.query_one("#gate-facts", Pane).head("Facts")

    @property
    def gates(self) -> Rows:
        return self.query_one("#gate-rows", Rows)

    @property
    def tests(self) -> Rows:
        return self.query_one("#test-rows", Rows)

    @property
    def log_view(self) -> GateLog:
        return self.query_one(GateLog)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        trees = self.trees()
        tree = self._asked_tree or (trees[-1] if trees else "")
        if tree != self.shown:
            self.shown, self._results, self._live, self._loaded = tree, TreeResults(), {}, ("", "")
            self._read = False
            changes = Changes(everything=True)
        ours = changes.everything or any(event.fields.get("change") == self.change for event in changes.events)
        if ours or (tick % 3 == 0 and self._runs()):
            self._draw_gates(trees)
        if (wanted := (tree, self._digest())) != self._loaded:
            self._loaded = wanted
            self.run_worker(self._load(*wanted), group="results", exclusive=True)
        elif ours or (tick % LIVE_FRAMES == 0 and self._runs()):
            self.run_worker(self._load_live(), group="live", exclusive=True)
        self.log_view.frame()
        self._show_position()

    def trees(self) -> list[str]:
        """The trees of this change that were gated or reported on, oldest first."""
        history = self.room.history
        seen = {gate.tree: gate.started_at for gate in reversed(history.gates_of.get(self.change, []))}
        for digest in history.reports_of.get(self.change, []):
            seen.setdefault(history.reports[digest].tree, history.reports[digest].at)
        return sorted(seen, key=lambda tree: seen[tree])

    def records(self) -> dict[str, GateRecord]:
        """The newest record of each gate on this tree."""
        return {gate.gate: gate for gate in latest(self.room.history.gates_on(self.change, self.shown))}

    def _digest(self) -> str:
        """The newest report on this tree; "" while there is none."""
        history = self.room.history
        digests = reversed(history.reports_of.get(self.change, []))
        return next((each for each in digests if history.reports[each].tree == self.shown), "")

    def _runs(self) -> bool:
        return any(not record.result for record in self.records().values())

    def _unsigned(self) -> list[GateRecord]:
        """Gates whose results no report has: those that run, and those that never got as far."""
        signed = self._results.gates
        # In a replay the run folder already knows how a gate that still runs will end.
        runs = () if self.room.source.engine() == "replay" else ("",)
        return [
            each
            for each in self.records().values()
            if each.result in runs or (each.result and each.gate not in signed and not each.cached)
        ]

    def _draw_gates(self, trees: Sequence[str]) -> None:
        self.query_one(Head).show(head_of(self.room, self.change, self.shown, trees, self._results))
        names = dict.fromkeys([*self.records(), *self._results.gates])
        self.gates.show(list(names))
        self.gates.touch()
        number = trees.index(self.shown) + 1 if self.shown in trees else 0
        many = f"tree {number} of {len(trees)}" if len(trees) > 1 else ""
        self.query_one("#gate-gates", Pane).head("Gates", many)
        if not self._gate or self._gate not in names:
            self._choose_gate(self._worst(list(names)))
        self._draw_facts()

    def _worst(self, names: Sequence[str]) -> str:
        """The gate that a person wants to see first: what failed, else what runs, else the first."""
        records = self.records()
        results = {name: records[name].result if name in records else "green" for name in names}
        bad = next((name for name in names if results[name] in ("red", "timeout", "error")), "")
        return bad or next((name for name in names if not results[name]), names[0] if names else "")

    def _draw_facts(self) -> None:
        lines = facts_of(self.records().get(self._gate), self._tests(), self._results, self.room.source.folders.hub)
        self.query_one(Prose).show(lines)

    # -- the selected gate ---------------------------------------------------------------------------------------

    def _tests(self) -> GateTests:
        return self._results.gates.get(self._gate) or self._live.get(self._gate) or GateTests()

    def _choose_gate(self, gate: str) -> None:
        if gate == self._gate:
            return
        self._gate = gate
        self.gates.select(gate)
        self._show_tests(anew=True)

    def _show_tests(self, *, anew: bool = False) -> None:
        """The tests of the selected gate, and its log."""
        tests, rows = self._tests(), self.tests
        wanted = self._filter.casefold().split()
        keys = [
            name
            for name, outcome in tests.outcomes.items()
            if all(word in f"{name} {outcome}".casefold() for word in wanted)
        ]
        rows.empty = self._why_no_tests(tests)
        rows.show(keys)
        rows.touch()
        if anew:
            rows.action_first()
        shown = f" · filter {sanitise_line(self._filter)}" if self._filter else ""
        live = "live, not signed" if tests.live and tests.outcomes else ""
        name = sanitise_line(self._gate)
        self.query_one("#gate-tests", Pane).head(f"Tests {name}{shown}", live or counts_of(tests.outcomes))
        self._show_log(tests.log)
        self._draw_facts()
        self._show_failure()

    def _why_no_tests(self, tests: GateTests) -> str:
        if tests.outcomes:
            return "no test matches the filter"
        if not self._read:
            return "reading …"
        record = self.records().get(self._gate)
        if record is not None and not record.result:
            return "it runs; no test has ended yet"
        if record is not None and record.result in STOPPED:
            return f"{record.result} before any test ended; nothing was signed"
        if record is not None and not tests.problem and not self._results.report:
            return self._results.problem or "no report was signed for it"
        return sanitise_line(tests.problem or self._results.problem) or "nothing is known of its tests"

    def _show_log(self, log: Path | None) -> None:
        nothing = "reading …" if not self._read else "no log of this gate is left"
        self.log_view.show_log(log, empty=nothing if log is None else "it printed nothing")

    def _show_failure(self) -> None:
        """Show what the log says of the test under the cursor, if it failed."""
        test = self.tests.key
        self.log_view.show_test(test if self._tests().outcomes.get(test) == "failed" else "")

    def _show_position(self) -> None:
        view, name = self.log_view, f"Log {sanitise_line(self._gate)}"
        if view.test and not view.searched:
            name += f" · {sanitise_line(short_name(view.test)[0])}"
        self.query_one("#gate-output", Pane).head(name, view.searching or view.position)

    # -- reading, in threads -------------------------------------------------------------------------------------

    async def _load(self, tree: str, digest: str) -> None:
        folders = self.room.source.folders
        results = await asyncio.to_thread(signed_results, folders, digest, tree) if digest else TreeResults()
        if self.shown != tree:
            return
        self._results, self._read = results, True
        await self._load_live()
        if self.lives:
            self._draw_gates(self.trees())

    async def _load_live(self) -> None:
        """What gates without a signed result have noted down, and where their logs lie."""
        runs, tree, wanted = self.room.source.folders.runs, self.shown, self._unsigned()
        live = await asyncio.to_thread(unsigned_results, runs, self.change, wanted) if wanted else {}
        if self.shown == tree and self.lives:
            self._live = live
            self._show_tests()

    # -- drawing -------------------------------------------------------------------------------------------------

    def _gate_cells(self, key: str) -> Sequence[Cell]:
        tests = self._results.gates.get(key)
        return gate_cells(self.room, key, self.records().get(key), tests.result if tests else None)

    def _test_cells(self, key: str) -> Sequence[Cell]:
        return test_cells(key, self._tests().outcomes.get(key, ""))

    # -- messages ------------------------------------------------------------------------------------------------

    def on_rows_moved(self, event: Rows.Moved) -> None:
        if event.rows is self.gates and event.key:
            self._choose_gate(event.key)
            self.gates.touch()
        elif event.rows is self.tests:
            self.log_view.follow_failures()
            self._show_failure()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        (self.tests if event.rows is self.gates else self.log_view).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if not self._searches_log:
            self._filter = event.value.strip()
            self._show_tests()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        field = event.input
        if self._searches_log:
            view = self.log_view
            view.search(event.value)
            field.set_class(False, "-open", "-log")
            with self.prevent(Input.Changed):
                field.value = self._filter
            view.focus()
            return
        field.set_class(bool(self._filter), "-open")
        self.tests.focus()

    def on_gate_log_wants_failure(self, event: GateLog.WantsFailure) -> None:
        self.action_failure(event.way)

    def on_log_view_searched(self, event: LogView.Searched) -> None:
        if not event.found and self.log_view.searched:
            self.room_app.say(f"not in this log: {event.text}", "warning")

    # -- actions -------------------------------------------------------------------------------------------------

    @property
    def _searches_log(self) -> bool:
        return self.query_one(Input).has_class("-log")

    def action_search(self) -> None:
        """In the log: search in it. Everywhere else: filter the tests."""
        field, in_log = self.query_one(Input), self.log_view.has_focus
        field.set_class(True, "-open")
        field.set_class(in_log, "-log")
        with self.prevent(Input.Changed):
            field.value = "" if in_log else self._filter
        field.placeholder = "find in the log" if in_log else "filter by name or outcome; enter keeps it, escape clears"
        field.focus()

    def action_leave(self) -> None:
        """Close the filter, then the zoom, then the screen."""
        field = self.query_one(Input)
        if field.has_class("-open"):
            back = self.log_view if self._searches_log else self.tests
            keep = self._searches_log
            field.set_class(False, "-open", "-log")
            field.value = self._filter if keep else ""
            back.focus()
        elif self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.room_app.go_back()

    def action_tree(self, way: int) -> None:
        trees = self.trees()
        if not trees or self.shown not in trees:
            return
        at = trees.index(self.shown) + way
        if not 0 <= at < len(trees):
            self.room_app.say("there is no earlier tree" if way < 0 else "this is the newest tree")
            return
        self._asked_tree = trees[at] if at < len(trees) - 1 else ""
        self._gate = ""
        self.frame(Changes(everything=True), 0)

    def action_failure(self, way: int) -> None:
        """To the next test that keeps the gate from being green, round at the ends."""
        outcomes, rows = self._tests().outcomes, self.tests
        bad = [at for at, key in enumerate(rows.keys) if outcomes.get(key) in ("failed", "lost")]
        if not bad:
            self.room_app.say("no test failed here")
            return
        at = rows.keys.index(rows.key)
        ahead = [each for each in bad[::way] if (each - at) * way > 0]
        self.log_view.follow_failures()
        if not self.log_view.has_focus:
            rows.focus()
        rows.select(rows.keys[ahead[0] if ahead else bad[::way][0]])
        self._show_failure()

    def action_facts(self) -> None:
        """The facts in place of the log, and back, where there is no room for both."""
        self.toggle_class("-facts")
        target = self.query_one(Prose) if self.has_class("-facts") else self.gates
        if target.display:
            target.focus()

    def action_log(self) -> None:
        self.set_class(False, "-facts")
        self.log_view.focus()

    def action_copy(self) -> None:
        report = self._results.report
        if report is None:
            self.room_app.say("no report is signed for this tree yet, so there is no command to copy", "warning")
            return
        lines = by_hand(report, self.room.source.folders.hub, self._tests().result)
        self.app.copy_to_clipboard("".join(f"{sanitise_line(line)}\n" for line in lines))
        self.room_app.say(f"copied {len(lines)} lines that run {self._gate or 'the gates'} on this tree by hand")

    def action_order(self) -> None:
        change = self.room.state.changes.get(self.change)
        order = change.order if change else next((r.order for r in self.records().values() if r.order), "")
        if order:
            self.room_app.action_open_order(order)
        else:
            self.room_app.say("no work order stands behind this tree")

    def action_zoom(self) -> None:
        toggle_zoom(self)
