"""The inbox: what needs a decision of a person, each with its evidence and what can be done?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static

from engine.text.sanitise import sanitise, sanitise_line
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.needs import Need
from swarm_tui.room.question import Line, class_words, question_of
from swarm_tui.room.words import Sign
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.rows import Cell, Column, Rows
from swarm_tui.widgets.sheet import Sheet

KINDS: dict[str, Sign] = {
    "approval": Sign("?", "approval", "attention"),
    "proposal": words.PROPOSAL,
    "parked": Sign("P", "parked", "attention"),
    "golden": Sign("≠", "golden", "attention"),
    "frozen": Sign("❄", "frozen", "bad"),
    "publish": Sign("⇡", "publishing", "attention"),
    "problem": Sign("!", "problem", "bad"),
}
COLUMNS = (Column("needs", 12), Column("what", 0), Column("for", 4, right=True, from_width=40))
EMPTY = "nothing needs you: the swarm goes on by itself"
MAX_REASONS = 40


class InboxScreen(RoomScreen):
    """What needs me?"""

    CSS_PATH = "inbox.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,o", "open", "Open", id="inbox.open"),
        Binding("v", "order", "Work order", id="inbox.order"),
        Binding("l", "log", "Log", id="inbox.log"),
        Binding("R", "retry", "Retry", id="inbox.retry"),
        Binding("X", "cancel", "Cancel", id="inbox.cancel"),
        Binding("J,ctrl+down", "scroll(1)", "Evidence down", show=False, id="inbox.scroll_down"),
        Binding("K,ctrl+up", "scroll(-1)", "Evidence up", show=False, id="inbox.scroll_up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._needs: dict[str, Need] = {}

    def compose(self) -> ComposeResult:
        yield Static("Needs you", id="title")
        yield Rows(COLUMNS, self._cells, empty=EMPTY, titles=False, id="inbox-rows")
        yield Sheet(id="evidence")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self._look()
        self.query_one(Rows).focus()

    def on_screen_resume(self) -> None:
        """Back from a question: what was answered there is no event yet."""
        if self.lives:
            self._look()

    @property
    def need(self) -> Need | None:
        """The one under the cursor."""
        return self._needs.get(self.query_one(Rows).key)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        if changes:
            self._look()
        elif tick % 10 == 0:
            self.query_one(Rows).touch()

    def _look(self) -> None:
        needs = self.room.needs
        rows = self.query_one(Rows)
        changed = [need.key for need in needs if self._needs.get(need.key) != need]
        self._needs = {need.key: need for need in needs}
        rows.show(list(self._needs))
        rows.styles.height = max(2, len(needs))
        rows.touch(changed)
        count = len(needs)
        self.query_one("#title", Static).update(f"Needs you · {count}" if count else "Needs you · nothing")
        self._show_evidence()

    def _cells(self, key: str) -> Sequence[Cell]:
        need = self._needs.get(key)
        if need is None:
            return (Cell(""), Cell("gone", "quiet"), Cell(""))
        approval = self.room.state.approvals.get(need.ident) if need.kind == "approval" else None
        proposed = approval is not None and approval.danger == "proposal"
        sign = words.sign(KINDS, "proposal" if proposed else need.kind)
        since = words.age(self.room.now - need.since) if need.since else ""
        why = f": {need.why}" if need.why and need.kind != "approval" else ""
        return (Cell(f"{sign.glyph} {sign.word}", sign.tone), Cell(f"{need.title}{why}"), Cell(since, "quiet"))

    def _show_evidence(self, *, top: bool = False) -> None:
        need = self.need
        self.query_one(Sheet).show(self._evidence(need) if need else [], top=top)
        self.refresh_bindings()

    def _evidence(self, need: Need) -> list[Line]:
        approval = self.room.state.approvals.get(need.ident) if need.kind == "approval" else None
        if approval is not None:
            question = question_of(approval, self.room.state, self.room.history)
            word, source = class_words(question.judged)
            level = "highest class" if question.judged.highest else "ordinary class"
            waits = self.room_app.desk.hindrance(need.ident)
            answered = [Line("answer", waits, "busy")] if waits else []
            return [
                Line("danger", f"{word} · {level} · {source}", "attention" if question.judged.highest else "plain"),
                *answered,
                Line("do", "enter opens it, to approve or deny"),
                Line("", ""),
                *question.lines,
                *question.bound,
            ]
        lines = [Line("", need.title, "strong"), *_prose("why", need.why), *_prose("do", need.do)]
        if need.kind == "frozen":
            lines += self._canary()
        return [*lines, *(self._order(need.order) if need.order else [])]

    def _canary(self) -> list[Line]:
        state = self.room.state
        lines = [Line("main", f"{sanitise_line(state.branch)} {state.main[:12]}", exact=True)]
        lines += [Line("last good", state.last_good[:12] or "none yet", exact=True)]
        for canary in self.room.history.canaries[-3:]:
            sign = words.sign(words.VERDICTS, canary.verdict)
            text = f"{sign.glyph} {sign.word} on {canary.commit[:12]} {sanitise_line(canary.reason)}"
            lines.append(Line("canary", text, sign.tone))
        return [*lines, Line("", "enter opens the canary")]

    def _order(self, ident: str) -> list[Line]:
        order = self.room.state.orders.get(ident)
        if order is None:
            return []
        lines = [
            Line("work order", f"{sanitise_line(ident)}: {sanitise_line(order.spec.title)}"),
            Line("attempts", f"{order.attempts} · {order.rejections} rejected · {order.reverts} reverted"),
        ]
        for number, reason in enumerate(order.feedback[:MAX_REASONS]):
            lines += _prose("" if number else "was told", reason)
        if runs := self.room.history.runs_of.get(ident):
            run = self.room.history.runs[runs[-1]]
            sign = words.sign(words.RUNS, run.result)
            said = sanitise_line(run.reason or run.summary)
            lines.append(Line("last run", f"{sign.glyph} {sanitise_line(run.run)} {sign.word} {said}", sign.tone))
        return lines

    def on_rows_moved(self) -> None:
        self._show_evidence(top=True)

    def on_rows_opened(self, event: Rows.Opened) -> None:
        self.action_open()

    # -- actions -------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action not in ("open", "order", "log", "retry", "cancel") or not self.lives:
            return True
        need = self.need
        if need is None:
            return False
        if action == "open":
            return need.kind in ("approval", "parked", "frozen", "golden")
        if action == "log":
            return bool(self.room.history.runs_of.get(need.order))
        return bool(need.order) and (action == "order" or need.kind == "parked")

    def action_open(self) -> None:
        """Open the question, the work order or the canary."""
        need = self.need
        if need is None:
            return
        if need.kind == "approval":
            self.room_app.open_approval(need.ident)
        elif need.kind == "golden":
            self.room_app.action_open_goldens(need.ident)
        elif need.kind == "parked":
            self.room_app.action_open_order(need.order)
        elif need.kind == "frozen":
            canaries = self.room.history.canaries
            self.room_app.action_open_canary(canaries[-1].about if canaries else "")

    def action_order(self) -> None:
        """Open the work order it is about."""
        if (need := self.need) and need.order:
            self.room_app.action_open_order(need.order)

    def action_log(self) -> None:
        """Open the last run of its work order."""
        need = self.need
        if need and (runs := self.room.history.runs_of.get(need.order)):
            self.room_app.action_open_run(runs[-1])

    def action_retry(self) -> None:
        """Try a parked work order again; asks first."""
        if (need := self.need) and need.kind == "parked":
            self.room_app.ask_order("retry", need.order)

    def action_cancel(self) -> None:
        """Cancel a parked work order; asks first."""
        if (need := self.need) and need.kind == "parked":
            self.room_app.ask_order("cancel", need.order)

    def action_scroll(self, way: int) -> None:
        self.query_one(Sheet).scroll_relative(y=way * 3, animate=False)


def _prose(label: str, text: str) -> list[Line]:
    rows = sanitise(text).split("\n") if text else []
    return [Line("" if number else label, row) for number, row in enumerate(rows[:MAX_REASONS])]
