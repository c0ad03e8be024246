"""The desk: first come, first shown; one question open; each gets one answer. And what keeps mis-keys from it."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from engine.approvals.dangers import judge
from engine.history import History
from engine.state import Approval, State
from swarm_tui.room.desk import GUARD_S, QUIET_S, Desk, Guard
from swarm_tui.room.question import Line, question_of, quoted
from swarm_tui.widgets.sheet import MORE, laid_out


def an_approval(
    ident: str, at: float = 0.0, danger: str = "external", order: str = "one", argv: tuple[str, ...] = ("x",)
) -> Approval:
    operation = {"argv": list(argv), "cwd": ".", "why": "", "danger": danger}
    return Approval(ident, danger, f"title {ident}", "", operation, "h" * 64, at, at + 100.0, order)


class Engine:
    """A state that asks and answers, with a desk that looks after each step."""

    def __init__(self, *, popup: bool = True) -> None:
        self.state, self.desk = State(branch="main"), Desk(popup)
        self.look()

    def look(self) -> None:
        self.state.seq += 1
        self.desk.look(self.state)

    def asks(self, *idents: str) -> None:
        for ident in idents:
            self.state.approvals[ident] = an_approval(ident, float(self.state.seq))
        self.look()

    def settles(self, ident: str, status: str = "approved", by: str = "Kim") -> None:
        approval = self.state.approvals[ident]
        approval.status, approval.by = status, by  # pyright: ignore[reportAttributeAccessIssue]
        self.look()


def test_what_waited_before_the_first_look_does_not_open_by_itself() -> None:
    state = State(seq=5, approvals={"a": an_approval("a")})
    desk = Desk()
    desk.look(state)
    assert (desk.waiting, desk.next_popup()) == (("a",), "")
    state.approvals["b"], state.seq = an_approval("b"), 6
    desk.look(state)
    assert desk.next_popup() == "b"


def test_a_jump_back_in_time_calls_nothing_new() -> None:
    engine = Engine()
    engine.asks("a")
    earlier = State(seq=1, approvals={"z": an_approval("z")})
    engine.desk.look(earlier)
    assert (engine.desk.waiting, engine.desk.next_popup()) == (("z",), "")


def test_put_off_questions_do_not_open_again_but_new_ones_do() -> None:
    engine = Engine()
    engine.asks("a", "b")
    assert engine.desk.open(engine.desk.next_popup())
    engine.desk.put_off()
    assert engine.desk.next_popup() == ""
    assert engine.desk.waiting == ("a", "b")
    engine.asks("c")
    assert engine.desk.next_popup() == "c"


def test_an_answer_opens_the_next_and_a_refusal_keeps_it_open() -> None:
    engine = Engine()
    engine.asks("a", "b")
    desk = engine.desk
    desk.open("a")
    desk.send("a", "approve")
    assert "sending" in desk.hindrance("a")
    desk.sent("a", taken=False)
    assert (desk.current, desk.hindrance("a")) == ("a", "")
    desk.send("a", "deny")
    desk.sent("a", taken=True)
    assert desk.current == "b"
    engine.settles("a", "denied")
    assert desk.take_gone() == []
    assert desk.waiting == ("b",)


def test_answered_elsewhere_is_told_once_and_the_next_opens() -> None:
    engine = Engine()
    engine.asks("a", "b", "c")
    engine.desk.open("b")
    engine.settles("b")
    assert engine.desk.current == "c"
    (gone,) = engine.desk.take_gone()
    assert gone.said == "answered elsewhere: approved by Kim: title b"
    assert engine.desk.take_gone() == []
    engine.settles("c", "expired", "clock")
    assert "in time" in engine.desk.take_gone()[0].said
    assert engine.desk.current == "a"


@pytest.mark.parametrize(("answer", "said"), [("denied", ": denied"), ("approved", ": approved"), ("", "")])
def test_an_answer_from_elsewhere_that_was_acted_on_at_once_is_told_as_it_was(answer: str, said: str) -> None:
    engine = Engine()
    engine.asks("a")
    engine.desk.open("a")
    approval = engine.state.approvals["a"]
    approval.status, approval.by = "used", "Kim"
    engine.desk.look(engine.state, {"a": answer} if answer else {})
    assert engine.desk.take_gone()[0].said == f"answered elsewhere{said} by Kim: title a"


STEP = st.sampled_from(["ask", "settle", "open", "turn", "back", "send", "taken", "refused", "later"])
STEPS = st.lists(st.tuples(STEP, st.integers(0, 5)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.booleans())
def test_the_queue_keeps_its_order_and_each_question_gets_one_answer(steps: list[tuple[str, int]], popup: bool) -> None:
    engine = Engine(popup=popup)
    desk, expected, made = engine.desk, list[str](), 0
    sending: list[str] = []
    taken: set[str] = set()
    for step, number in steps:
        waiting = desk.waiting
        chosen = waiting[number % len(waiting)] if waiting else ""
        if step == "ask":
            made += 1
            engine.asks(f"q{made}")
            expected.append(f"q{made}")
        elif step == "settle" and chosen:
            engine.settles(chosen)
            expected.remove(chosen)
        elif step == "open":
            before = desk.current
            opened = desk.open(chosen)
            assert opened == (not before and bool(chosen))
        elif step in ("turn", "back"):
            desk.turn(1 if step == "turn" else -1)
        elif step == "send" and desk.current and not desk.hindrance(desk.current):
            assert desk.current not in taken
            sending.append(desk.current)
            desk.send(desk.current, "approve")
        elif step in ("taken", "refused") and sending:
            ident = sending.pop(0)
            if ident in desk.waiting:
                desk.sent(ident, taken=step == "taken")
                taken |= {ident} if step == "taken" else set()
        elif step == "later":
            desk.put_off()
            assert desk.next_popup() == ""
        assert list(desk.waiting) == expected
        assert not desk.current or desk.current in expected
        popped = desk.next_popup()
        assert not popped or (popup and not desk.current and popped in expected)
        sending = [ident for ident in sending if ident in expected]
        assert all(desk.hindrance(ident) for ident in taken)


@given(st.lists(st.floats(0.0, 0.3), max_size=20))
def test_nothing_typed_early_or_in_one_go_with_it_counts(pauses: list[float]) -> None:
    now = [100.0]
    guard = Guard(lambda: now[0])
    assert not guard.armed
    guard.restart()
    quiet, passed = 0.0, 0.0
    for pause in pauses:
        now[0], passed, quiet = now[0] + pause, passed + pause, pause
        counted = guard.lets(now[0])
        assert not (counted and passed < GUARD_S - 1e-9)
        if counted:
            return
        assert quiet < QUIET_S or passed < GUARD_S + QUIET_S
    now[0] += GUARD_S + 1e-6
    assert guard.armed
    assert guard.lets(now[0])


def test_what_was_typed_before_counts_as_typed_before_however_late_it_comes() -> None:
    guard = Guard(lambda: 200.0)
    guard.restart()
    assert not guard.lets(200.1)
    assert guard.lets(201.0)


@pytest.mark.parametrize(
    ("danger", "argv", "highest"),
    [
        ("external", ["curl", "x"], False),
        ("large_deletion", ["python", "tidy.py"], True),
        ("Large-Deletion", ["x"], True),
        ("external", ["git", "push", "--force"], True),
        ("external", ["git", "push", "origin", "+main"], True),
        ("external", ["git", "push"], False),
        ("dependency", ["sh", "-c", "cd x;/bin/rm -rf y"], True),
        ("external", ["git", "reset", "--hard", "HEAD~3"], True),
        ("unknown", ["x"], True),
        ("harmless", ["x"], True),
        ("land", ["x"], True),
        ("external", ["x" * 30_000], True),
    ],
)
def test_an_agents_word_may_be_raised_and_is_never_lowered(danger: str, argv: list[str], highest: bool) -> None:
    assert judge(danger, argv, claimed=True).highest == highest


def test_the_name_to_type_is_the_orders_or_the_branchs() -> None:
    state, history = State(branch="main"), History()
    assert question_of(an_approval("a", danger="large_deletion"), state, history).word == "one"
    assert question_of(an_approval("a", danger="large_deletion", order=""), state, history).word == "main"
    assert question_of(an_approval("a", danger="large_deletion", order="o" * 99), state, history).word == "a"
    assert question_of(an_approval("a"), state, history).word == ""


def test_each_argument_is_told_from_its_neighbours() -> None:
    assert quoted(["a b", "", "c'd", "$HOME", "\u202ex", "plain/x.py"]) == [
        "'a b'", "''", "'c'\"'\"'d'", "'$HOME'", "'\\u202ex'", "plain/x.py",
    ]  # fmt: skip


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp", "Mn", "Me", "Mc")), max_size=200),
    st.integers(1, 90),
)
def test_what_is_exact_is_wrapped_without_losing_a_character(text: str, width: int) -> None:
    rows = [row for _, row, _ in laid_out([Line("", text, exact=True)], width)]
    assert rows[0] + "".join(row.removeprefix(MORE) for row in rows[1:]) == text


@given(st.text("ab 漢é", max_size=300), st.integers(3, 90))
def test_prose_is_wrapped_without_losing_a_word(text: str, width: int) -> None:
    rows = [row for _, row, _ in laid_out([Line("", text)], width)]
    assert "".join("".join(rows).split()) == "".join(text.split())
