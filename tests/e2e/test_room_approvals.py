"""Questions in a real room: they come up, they are answered once and on purpose, by whoever is first."""

from __future__ import annotations

import json
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("there are no ptys", allow_module_level=True)

from command_line import Desk, order, until
from conftest import MakeDesk
from room_steps import choose, engine, events, leave, left_in_order, room, room_desk, until_event, until_it_counts
from terminal import PATIENCE_S, Terminal

ASKS = order("deploy", "ask python3 -c print(7,file=open('ran.txt','a'))", "answer answer.json")
DELETES = order("deploy", "ask rm -rf build", "answer answer.json")
BURST = ("enter", "y", "A", "enter", "D", "y", "A", "enter")
BETWEEN_KEYS_S = 0.05
"""Faster than anybody types. Without it a test types thousands of keys a second, and all of them have to be obeyed."""


def asked(make_desk: MakeDesk, goal: str = ASKS) -> tuple[Desk, Terminal]:
    """A room in which the question of the order `deploy` has come up by itself, and keys count."""
    desk = room_desk(make_desk, goal)
    terminal = room(desk)
    until_it_counts(terminal, "deploy asks to run")
    return desk, terminal


def answers(desk: Desk) -> list[str]:
    return [event.fields["answer"] for event in events(desk, "approval_answered")]


def said_to_the_agent(desk: Desk) -> list[object]:
    until(lambda: desk.has("answer.json"), "what the agent was told, on main")
    return json.loads(desk.git("show", "main:answer.json"))


@pytest.mark.slow
def test_a_question_is_approved_by_its_key(make_desk: MakeDesk) -> None:
    desk, terminal = asked(make_desk)
    terminal.expect("A approves at once")
    terminal.press("A")
    terminal.expect_gone("deploy asks to run")
    assert said_to_the_agent(desk) == [["approved", 0]]
    assert answers(desk) == ["approved"]
    terminal.expect("1/1 healthy")


@pytest.mark.slow
def test_the_highest_class_wants_its_word_typed(make_desk: MakeDesk) -> None:
    desk, terminal = asked(make_desk, DELETES)
    terminal.expect("approving wants deploy typed")
    terminal.press("A")
    terminal.expect("type deploy and enter to approve")
    terminal.type("yes")
    terminal.press("enter")
    terminal.expect("is not deploy: nothing was answered")
    assert answers(desk) == []
    terminal.type("deploy")
    terminal.press("enter")
    until_event(desk, "approval_answered")
    assert answers(desk) == ["approved"]
    terminal.expect_gone("approving wants")


@pytest.mark.slow
def test_a_no_goes_to_the_agent_with_its_reason(make_desk: MakeDesk) -> None:
    desk, terminal = asked(make_desk)
    terminal.press("D")
    terminal.expect("why not?")
    terminal.type("not on a Friday")
    terminal.press("enter")
    assert said_to_the_agent(desk) == [["denied", None]]
    assert events(desk, "approval_answered")[0].fields["why"] == "not on a Friday"


@pytest.mark.slow
def test_what_is_typed_while_a_question_comes_up_answers_nothing(make_desk: MakeDesk) -> None:
    desk = room_desk(make_desk, ASKS)
    terminal = room(desk)
    ends = time.monotonic() + PATIENCE_S
    while "A Approve" not in terminal.text() and time.monotonic() < ends:
        terminal.press(*BURST[:2])  # y copies and enter opens on the main screen: what a person may be doing
        if terminal.find("esc Back"):
            terminal.press("escape")
        time.sleep(BETWEEN_KEYS_S)
    for _ in range(3):
        terminal.press(*BURST)
        terminal.paste("deploy\ndeploy\r")
    terminal.press("escape")
    _shows(terminal, "A approves at once")
    assert answers(desk) == []
    # On a slow machine an escape may count after all, even after the question said how to answer it: it is left then.
    for _ in range(5):
        if not _shows(terminal, "A approves at once"):
            terminal.press("a")
            terminal.expect("approval")
            terminal.press("enter")
            terminal.expect("A approves at once")
        terminal.press("A")
        if _answered(desk):
            break
    until_event(desk, "approval_answered")
    assert answers(desk) == ["approved"]


def _answered(desk: Desk, within_s: float = 10.0) -> bool:
    ends = time.monotonic() + within_s
    while not answers(desk) and time.monotonic() < ends:
        time.sleep(0.05)
    return bool(answers(desk))


def _shows(terminal: Terminal, text: str, within_s: float = 5.0) -> bool:
    ends = time.monotonic() + within_s
    while text not in terminal.text() and time.monotonic() < ends:
        time.sleep(0.05)
    return text in terminal.text()


@pytest.mark.slow
def test_an_answer_in_one_room_closes_the_question_in_the_other(make_desk: MakeDesk) -> None:
    desk, first = asked(make_desk)
    second = room(desk)
    second.expect("1 needs you")
    second.press("a")
    second.expect("approval")
    second.press("enter")
    until_it_counts(second, "deploy asks to run")
    first.press("A")
    second.expect("answered elsewhere: approved")
    second.expect_gone("A Approve")
    first.expect_gone("A Approve")
    assert answers(desk) == ["approved"]
    for terminal in (first, second):
        leave(terminal)
    assert len(events(desk, "engine_started")) == 1
    assert engine(desk)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["approve", "deny"])
def test_an_answer_on_the_command_line_closes_the_question_in_the_room(make_desk: MakeDesk, command: str) -> None:
    desk, terminal = asked(make_desk)
    ident = events(desk, "approval_asked")[0].fields["approval"]
    assert desk.swarm(command, ident).returncode == 0
    terminal.expect(f"answered elsewhere: {'approved' if command == 'approve' else 'denied'}")
    terminal.expect_gone("A Approve")
    assert len(answers(desk)) == 1


@pytest.mark.slow
def test_a_question_put_off_is_found_again_by_name(make_desk: MakeDesk) -> None:
    desk, terminal = asked(make_desk)
    terminal.press("escape")
    terminal.expect_gone("A Approve")
    terminal.expect("1 needs you, press a")
    choose(terminal, "Needs you", "Needs you")
    terminal.expect("Needs you ·")
    terminal.press("enter")
    until_it_counts(terminal, "deploy asks to run")
    terminal.press("A")
    until_event(desk, "approval_answered")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "closed"])
def test_a_room_that_dies_takes_neither_engine_nor_question_with_it(make_desk: MakeDesk, end: str) -> None:
    desk, terminal = asked(make_desk)
    pid = engine(desk)
    if end == "killed":
        terminal.process.kill()
        assert terminal.wait() == -9
    else:
        terminal.hang_up()
        assert terminal.wait() == 129
    assert engine(desk) == pid is not None
    assert [each["id"] for each in desk.status()["approvals"]]
    again = room(desk)
    again.expect("1 needs you")
    again.press("a", "enter")
    until_it_counts(again, "deploy asks to run")
    again.press("A")
    until_event(desk, "work_order_healthy")
    assert answers(desk) == ["approved"]
    again.press("q")
    assert again.wait() == 0
    left_in_order(again)
