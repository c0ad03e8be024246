"""The desk: questions that wait for a person, in the order in which they came, and one of them open at most. Pure.

The questions live in the engine; the desk only remembers which is shown, and which answers are on their way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.state import Approval, State

GUARD_S = 0.5
"""After a question appears or looks different, nothing that is typed counts for so long."""
QUIET_S = 0.2
"""And whoever was in the middle of typing or pasting must have paused for so long."""

Verb = Literal["approve", "deny"]


@dataclass
class Guard:
    """Tells an answer from what was typed at something else. `clock` is monotonic, in seconds. Shut until `restart`."""

    clock: Callable[[], float]
    _ready_at: float = math.inf

    def restart(self) -> None:
        """What is shown has just changed."""
        self._ready_at = self.clock() + GUARD_S

    @property
    def armed(self) -> bool:
        """Whether a key pressed now counts."""
        return self.clock() >= self._ready_at

    def lets(self, typed_at: float) -> bool:
        """Whether what was typed at this moment of the clock counts. What does not count keeps the guard shut a little
        longer."""
        if typed_at >= self._ready_at:
            return True
        self._ready_at = max(self._ready_at, typed_at + QUIET_S)
        return False


@dataclass(frozen=True)
class Gone:
    """An open question that got its answer without us: it was answered elsewhere, or expired."""

    ident: str
    title: str
    status: str
    by: str

    @property
    def said(self) -> str:
        """One sentence. Not clean: title and name come from outside."""
        if self.status == "expired":
            return f"nobody answered in time, or it was settled otherwise: {self.title}"
        answer = f"answered elsewhere{'' if self.status == 'used' else f': {self.status}'}"
        return f"{answer} by {self.by or 'somebody'}: {self.title}"


@dataclass
class _Answer:
    verb: Verb
    taken: bool = False


@dataclass
class Desk:
    """First come, first shown. `popup`: a question that comes while the room is open opens by itself."""

    popup: bool = True
    current: str = ""
    """The open question; "" when none is open."""
    _waiting: list[str] = field(default_factory=list[str])
    _fresh: set[str] = field(default_factory=set[str])
    _answers: dict[str, _Answer] = field(default_factory=dict[str, _Answer])
    _gone: list[Gone] = field(default_factory=list[Gone])
    _seq: int = -1

    @property
    def waiting(self) -> tuple[str, ...]:
        """Pending questions, first come first."""
        return tuple(self._waiting)

    @property
    def place(self) -> tuple[int, int]:
        """(which of, how many): of the open question among those that wait, from 1."""
        at = self._waiting.index(self.current) + 1 if self.current in self._waiting else 0
        return at, len(self._waiting)

    def look(self, state: State, answers: Mapping[str, str] | None = None) -> None:
        """Take in what the engine says. The first look, and one after a jump back in time, call nothing new.

        answers: what was answered since the last look, by question. The state itself forgets it once it is acted on.
        """
        jumped, self._seq = state.seq < self._seq or self._seq < 0, state.seq
        pending = {one.id: one for one in state.approvals.values() if one.status == "pending"}
        before = self._waiting
        came = sorted((ident for ident in pending if ident not in before), key=lambda ident: pending[ident].asked_at)
        self._waiting = [ident for ident in before if ident in pending] + came
        self._fresh = set() if jumped else (self._fresh | set(came)) & pending.keys()
        if self.current and self.current not in pending:
            self._leave(before, state.approvals.get(self.current), (answers or {}).get(self.current, ""))
        self._answers = {ident: answer for ident, answer in self._answers.items() if ident in pending}

    def next_popup(self) -> str:
        """The question that wants to open by itself now; "" if none does or one is open already."""
        if self.current or not self.popup:
            return ""
        return next((ident for ident in self._waiting if ident in self._fresh), "")

    def open(self, ident: str) -> bool:
        """Open a question; False when it waits no longer, or another is open."""
        if self.current or ident not in self._waiting:
            return False
        self._turn_to(ident)
        return True

    def put_off(self) -> None:
        """Decide later: what waits now does not open by itself again."""
        self.current = ""
        self._fresh.clear()

    def turn(self, way: int) -> None:
        """To the next (1) or previous (-1) question, around the end."""
        if self.current in self._waiting:
            at = self._waiting.index(self.current)
            self._turn_to(self._waiting[(at + way) % len(self._waiting)])

    # -- answers -------------------------------------------------------------------------------------------------

    def hindrance(self, ident: str) -> str:
        """Why this question takes no answer now, or ""."""
        answer = self._answers.get(ident)
        if ident not in self._waiting:
            return "this question has its answer already"
        if answer is None:
            return ""
        if answer.taken:
            return f"your answer, {answer.verb}, waits for the engine"
        return f"sending {answer.verb} …"

    def send(self, ident: str, verb: Verb) -> None:
        """An answer is on its way. Only without a `hindrance`."""
        assert not self.hindrance(ident), "a question gets one answer"
        self._answers[ident] = _Answer(verb)

    def sent(self, ident: str, taken: bool) -> None:
        """What became of an answer: taken, and the next question is opened; or refused, and it may be given again."""
        answer = self._answers.get(ident)
        if answer is not None and taken:
            answer.taken = True
        elif answer is not None:
            del self._answers[ident]
        if taken and ident == self.current:
            self._turn_to(self._after(self._waiting, ident))

    def take_gone(self) -> list[Gone]:
        """Questions that were answered elsewhere while they were open; each is told once."""
        gone, self._gone = self._gone, []
        return gone

    # -- inside --------------------------------------------------------------------------------------------------

    def _leave(self, before: list[str], approval: Approval | None, answer: str) -> None:
        ident = self.current
        if approval is not None and ident not in self._answers:
            self._gone.append(Gone(ident, approval.title, answer or approval.status, approval.by))
        self._turn_to(self._after(before, ident))

    def _after(self, order: list[str], ident: str) -> str:
        """Who is next behind `ident` in this order, then around the end, of those that wait for an answer."""
        at = order.index(ident) if ident in order else -1
        new = [each for each in self._waiting if each not in order]
        for each in (*order[at + 1 :], *new, *order[: max(0, at)]):
            if each != ident and each in self._waiting and each not in self._answers:
                return each
        return ""

    def _turn_to(self, ident: str) -> None:
        self.current = ident
        self._fresh.discard(ident)
