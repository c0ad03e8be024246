"""The one question that is open: may this exact operation be done?"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Static

from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.desk import Desk, Verb
from swarm_tui.room.evidence import evidence_of
from swarm_tui.room.question import Line, Question, Sides, class_words, question_of
from swarm_tui.room.source import READ_ONLY
from swarm_tui.screens.guarded import RESTS, GuardedModal
from swarm_tui.widgets.sheet import Sheet

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp

READING = (Line("changes", "reading what it would change …", "quiet"),)
MAX_WHY = 2_000


class ApprovalScreen(GuardedModal[None]):
    """May this be done? Shows the desk's open question, and leaves when there is none."""

    CSS_PATH = "approval.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short")]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "approve", "Approve", id="approval.approve"),
        Binding("D", "deny", "Deny", id="approval.deny"),
        Binding("escape", "later", "Decide later", id="approval.later"),
        Binding("escape", "unask", "Back to the question", id="approval.unask"),
        Binding("n", "turn(1)", "Next", id="approval.next"),
        Binding("N", "turn(-1)", "Previous", id="approval.previous"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._question: Question | None = None
        self._evidence: dict[Sides, Sequence[Line]] = {}
        self._asking: Verb | None = None
        """What the open input line is for."""
        self._said: tuple[str, str] = ("", "")
        """(text, tone) of the last thing that happened to this question."""
        self._status: tuple[str, str] = ("", "")
        self._titles: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Static(id="heading")
            yield Static(id="danger")
            yield Sheet(id="facts")
            yield Input(id="answer")
            yield Static(id="status")
            yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._look()

    @property
    def desk(self) -> Desk:
        return self.room_app.desk

    # -- what is shown -------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        for gone in self.desk.take_gone():
            self.room_app.say(gone.said, "warning")
        if not self.desk.current:
            self._leave()
        elif changes or self._question is None or self._question.ident != self.desk.current:
            self._look()
        else:
            self._say_status()
            self._head()

    def _look(self) -> None:
        """Show the open question; whatever is different on it shuts the guard again."""
        approval = self.room.state.approvals.get(self.desk.current)
        if approval is None:
            return
        question = question_of(approval, self.room.state, self.room.history)
        if question != self._question:
            other = self._question is None or question.ident != self._question.ident
            self._question = question
            self._close_input()
            self._said = ("", "")
            self._show(top=other)
            if question.sides is not None and question.sides not in self._evidence:
                self._read(question.sides)
        self._say_status()
        self._head()
        self.refresh_bindings()

    def _show(self, *, top: bool) -> None:
        question = self._question
        assert question is not None
        self.query_one("#heading", Static).update(Text(question.heading, style="bold"))
        word, source = class_words(question.judged)
        level = "highest class" if question.judged.highest else "ordinary class"
        danger = self.query_one("#danger", Static)
        danger.update(Text.assemble(("▲ " if question.judged.highest else "△ ") + word, f" · {level} · {source}"))
        danger.set_class(question.judged.highest, "-highest")
        evidence = self._evidence.get(question.sides, READING) if question.sides else ()
        self.query_one(Sheet).show([*question.lines, Line("", ""), *evidence, Line("", ""), *question.bound], top=top)
        self.restart_guard()

    def _head(self) -> None:
        """Which of how many, and the clock."""
        question, dialog = self._question, self.query_one("#question")
        if question is None:
            return
        at, count = self.desk.place
        now = self.room.now
        left = question.expires_at - now
        expires = f"expires in {words.age(left)}" if left > 0 else "expires now"
        title = f"Approval {at} of {count}" if count > 1 else "Approval"
        subtitle = f"asked {words.age(now - question.asked_at)} ago · {expires}"
        if self._titles != (title, subtitle):
            self._titles = (title, subtitle)
            dialog.border_title, dialog.border_subtitle = Content(title), Content(subtitle)

    def _say_status(self) -> None:
        """One line: what happens to the answer, what went wrong, or how to answer."""
        question = self._question
        if question is None:
            return
        hindrance = self.desk.hindrance(question.ident)
        if hindrance:
            said = (hindrance, "busy")
        elif self._said[0]:
            said = self._said
        elif self.room.source.read_only:
            said = (READ_ONLY, "attention")
        elif not self.armed:
            said = (RESTS, "quiet")
        else:
            said = (self._how(question), "plain")
        if said != self._status:
            self._status = said
            status = self.query_one("#status", Static)
            status.update(Text(said[0]))
            status.set_classes(f"-{said[1]}")
        self.query_one("#question").set_class(not self.armed, "-resting")

    def _how(self, question: Question) -> str:
        if self._asking == "deny":
            return "why not? the agent is told; enter denies, escape goes back"
        if self._asking == "approve":
            return f"type {question.word} and enter to approve; escape goes back"
        how = f"approving wants {question.word} typed" if question.word else "A approves at once"
        offline = " · no engine runs: the next takes it" if self.room.source.engine() == "stopped" else ""
        return f"{how}{offline}"

    @work(thread=True, group="evidence")
    def _read(self, sides: Sides) -> None:
        lines = evidence_of(self.room.source.folders.root, sides)
        self.app.call_from_thread(self._was_read, sides, lines)

    def _was_read(self, sides: Sides, lines: list[Line]) -> None:
        self._evidence[sides] = lines
        self._said = ("", "")
        if self.lives and self._question is not None and self._question.sides == sides:
            self._show(top=False)
            self._say_status()  # with it: keys do not count again

    # -- answering -----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("later", "unask"):
            return (action == "unask") == (self._asking is not None)
        return action != "turn" or not self.lives or self.desk.place[1] > 1

    def action_approve(self) -> None:
        """Allow exactly this; the highest class wants a name typed first."""
        question = self._question
        if question is None or not self._may_answer(question):
            return
        if question.sides is not None and question.sides not in self._evidence:
            self._said = ("what it would change is still being read: approve it when you have seen that", "attention")
            self._say_status()
        elif question.word:
            self._open_input("approve", f"{question.word} — typed exactly, then enter")
        else:
            self._send("approve")

    def action_deny(self) -> None:
        """Say no, and why if you like."""
        if self._question is not None and self._may_answer(self._question):
            self._open_input("deny", "why not? (may be empty)")

    def action_later(self) -> None:
        """Leave the question open; it stays in the inbox."""
        if self.armed:
            self.desk.put_off()
            self._leave()

    def action_unask(self) -> None:
        """Answer nothing, and look at the question again."""
        if self.armed:
            self._close_input()
            self._said = ("", "")
            self._say_status()

    def action_turn(self, way: int) -> None:
        if self.armed:
            self.desk.turn(way)
            self._look()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        question, asking = self._question, self._asking
        if question is None or asking is None or not self._may_answer(question):
            return
        if asking == "deny":
            self._close_input()
            self._send("deny", event.value.strip())
        elif event.value == question.word:
            self._close_input()
            self._send("approve")
        else:
            typed = sanitise_line(event.value, line_cap=40)
            self._said = (f"“{typed}” is not {question.word}: nothing was answered", "bad")
            event.input.value = ""
            self._say_status()

    def _may_answer(self, question: Question) -> bool:
        """Whether an answer counts now; says why not."""
        if not self.armed or question.ident != self.desk.current:
            return False
        if self.room.source.read_only:
            self._said = (READ_ONLY, "attention")
        elif not self.desk.hindrance(question.ident):
            self._said = ("", "")
            return True
        self._say_status()
        return False

    def _send(self, verb: Verb, why: str = "") -> None:
        question = self._question
        assert question is not None
        args = {"id": question.ident, "hash": question.hash, **({"why": why} if why else {})}
        self.desk.send(question.ident, verb)
        self._say_status()
        app = self.room_app  # by the time of the answer this screen may be gone, and know no app any more
        future = self.room.source.send(verb, args)
        future.add_done_callback(lambda done: app.call_later(partial(self._answered, app, question.ident, done)))

    def _answered(self, app: RoomApp, ident: str, done: Future[str]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        app.desk.sent(ident, taken=error is None)
        if error is None:
            app.say(done.result())
        elif self.lives and self._question is not None and self._question.ident == ident:
            self._said = (f"refused: {sanitise_line(str(error))}", "bad")
            self._say_status()
        else:
            app.say(str(error), "error")

    def _open_input(self, asking: Verb, placeholder: str) -> None:
        self._asking = asking
        field = self.query_one("#answer", Input)
        field.value = ""
        field.max_length = MAX_WHY
        field.placeholder = placeholder
        field.set_class(True, "-open")
        field.focus()
        self.refresh_bindings()
        self._say_status()

    def _close_input(self) -> None:
        self._asking = None
        field = self.query_one("#answer", Input)
        field.set_class(False, "-open")
        field.value = ""
        self.set_focus(None)
        self.refresh_bindings()

    def _leave(self) -> None:
        if self.is_current:
            self.dismiss(None)
