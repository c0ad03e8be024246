"""The one modal: it cannot be missed, and it cannot be answered by mistake."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from approvals import DEADLINE_S, HASH, a_room, answered, asked
from nights import a_night
from textual import events
from textual.widgets import Input

from engine.models.event import NewEvent
from swarm_tui.room.source import LiveSource
from swarm_tui.screens.approval import ApprovalScreen
from swarm_tui.screens.inbox import InboxScreen

NASTY = "[/red][@click=app.quit]x[/] \x1b[31m\x1b]0;t\x07 \u202eevil\u202c \r\n'; rm -rf / #"


async def test_a_new_question_opens_by_itself(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1"))
        await hand.until_open("ap-1")
        assert "curl example.org" in hand.facts
        assert "one asks to run" in hand.text("#heading")
        assert "claimed by its agent" in hand.text("#danger")


async def test_what_waited_before_the_room_came_only_shows_the_banner(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, asked("ap-1"))) as hand:
        await hand.until(lambda: bool(hand.text("#banner")), "the banner tells")
        assert hand.shown == ""
        hand.writer.write(asked("ap-2"))
        await hand.until_open("ap-2")


async def test_whoever_wants_no_popup_has_the_banner_alone(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path), popup=False) as hand:
        hand.writer.write(asked("ap-1"))
        await hand.until(lambda: "ap-1" in hand.text("#banner"), "the banner tells")
        assert hand.shown == ""


@pytest.mark.parametrize(
    "burst", [["enter"], ["y"], ["escape"], ["A"], ["D"], ["A", "enter"], ["y", "enter", "escape", "A", "A", "n", "D"]]
)
async def test_a_burst_of_keys_before_it_can_be_read_does_nothing(tmp_path: Path, burst: Sequence[str]) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1"))
        await hand.until_open("ap-1")
        for _ in range(3):
            await hand.burst(*burst)
            hand.passes(0.02)
        hand.passes(2.0)
        await hand.pilot.pause(0.25)
        assert hand.shown == "ap-1"
        assert hand.app.focused is None
        assert not hand.app.screen.query_one(Input).display
        assert hand.commands() == []


async def test_a_paste_before_it_can_be_read_does_nothing_even_when_it_takes_long(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1"))
        await hand.until_open("ap-1")
        hand.app.post_message(events.Paste("A\nD\ny\n"))
        for _ in range(10):  # a terminal without bracketed paste sends keys, one after the other
            await hand.press("A", "enter")
            hand.passes(0.1)
        assert (hand.shown, hand.commands()) == ("ap-1", [])


async def test_a_click_before_it_can_be_read_does_nothing(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1"))
        await hand.until_open("ap-1")
        await hand.pilot.click("FooterKey")
        await hand.pilot.pause(0.25)
        assert (hand.shown, hand.commands()) == ("ap-1", [])
        hand.passes(1.0)
        await hand.pilot.click("FooterKey")
        await hand.until(lambda: bool(hand.commands()), "the same click counts later")


async def test_a_key_of_the_moment_before_does_not_reach_what_opens_in_between(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, asked("ap-1"))) as hand:
        hand.app.open_approval("ap-1")
        await hand.until_open("ap-1")
        # Typed at the main screen: its own handling is over, its bindings are looked up only now.
        late = events.Key("A", "A")
        late._set_forwarded()
        hand.app.post_message(late)
        await hand.pilot.pause(0.25)
        assert (hand.shown, hand.commands()) == ("ap-1", [])


async def test_enter_and_y_never_answer(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        await hand.press("enter", "y", "space", "tab", "enter", "a", "d", "ctrl+p", "enter")
        assert (hand.shown, hand.commands()) == ("ap-1", [])


async def test_one_key_approves_an_ordinary_question(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        await hand.press("A")
        await hand.until_closed()
        assert hand.commands() == [("approve", {"id": "ap-1", "hash": HASH})]
        assert "the next engine" in hand.notes
        assert hand.app.desk.waiting == ("ap-1",)


async def test_the_highest_class_wants_the_right_name(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1", danger="large_deletion"))
        await hand.until_open("ap-1")
        assert "highest class" in hand.text("#danger")
        hand.passes()
        await hand.press("A", *"One", "enter")
        assert "nothing was answered" in hand.status
        await hand.press("enter")
        await hand.press(*"one ", "enter")
        assert hand.commands() == []
        assert hand.shown == "ap-1"
        await hand.press(*"one", "enter")
        await hand.until_closed()
        assert hand.commands() == [("approve", {"id": "ap-1", "hash": HASH})]


async def test_a_denial_says_why(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        await hand.press("D", *"not now", "enter")
        await hand.until_closed()
        assert hand.commands() == [("deny", {"id": "ap-1", "hash": HASH, "why": "not now"})]


async def test_escape_leaves_the_line_first_and_then_the_question_which_stays_pending(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        await hand.press("D", "escape")
        assert hand.shown == "ap-1"
        await hand.press("escape")
        await hand.until_closed()
        assert hand.commands() == []
        assert hand.app.desk.waiting == ("ap-1",)
        await hand.until(lambda: "ap-1" in hand.text("#banner"), "the banner stays")
        await hand.pilot.pause(0.25)
        assert hand.shown == ""


async def test_a_second_question_queues_behind_the_open_one(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        hand.writer.write(asked("ap-2"))
        await hand.until(lambda: len(hand.app.desk.waiting) == 2, "the second waits")
        await hand.pilot.pause(0.25)
        assert hand.shown == "ap-1"
        assert sum(isinstance(screen, ApprovalScreen) for screen in hand.app.screen_stack) == 1
        assert "1 of 2" in str(hand.app.screen.query_one("#question").border_title)
        await hand.press("A")
        await hand.until_open("ap-2")
        await hand.press("A", "enter")  # meant for the first: the second has just appeared
        assert hand.commands() == [("approve", {"id": "ap-1", "hash": HASH})]
        hand.passes(1.0)
        await hand.press("N")
        assert hand.app.desk.current == "ap-1"
        assert "waits for the engine" in hand.status
        hand.passes()
        await hand.press("A")
        assert len(hand.commands()) == 1


async def test_typing_at_one_question_never_reaches_the_next(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.writer.write(asked("ap-1", danger="large_deletion"), asked("ap-2", danger="large_deletion"))
        await hand.until_open("ap-1")
        hand.passes()
        await hand.press("A", *"on")
        hand.writer.write(answered("ap-1"))
        await hand.until_open("ap-2")
        await hand.press("e", "enter")
        assert hand.app.focused is None
        assert hand.commands() == []


async def test_answered_elsewhere_closes_it_here_and_says_so(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        hand.writer.write(answered("ap-1"))
        await hand.until_closed()
        assert "answered elsewhere: approved by Kim" in hand.notes
        assert isinstance(hand.app.screen_stack[0], type(hand.app.screen))


async def test_a_refused_answer_is_shown_and_the_question_stays(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        hand.app.room.source.send("deny", {"id": "ap-1"}).result()
        await hand.press("A")
        await hand.until(lambda: "refused" in hand.status, "the refusal is shown")
        assert hand.shown == "ap-1"
        assert hand.commands() == [("deny", {"id": "ap-1"})]


async def test_a_refusal_that_comes_after_the_question_was_put_off_lets_it_be_answered_again(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        source, sender_is_free = hand.app.room.source, threading.Event()
        assert isinstance(source, LiveSource)
        source._sender.submit(sender_is_free.wait, DEADLINE_S)
        source.send("deny", {"id": "ap-1"})  # comes first, so that ours is refused
        await hand.press("A")
        await hand.press("escape")
        await hand.until_closed()
        assert hand.app.desk.hindrance("ap-1")
        sender_is_free.set()
        await hand.until(lambda: not hand.app.desk.hindrance("ap-1"), "it may be answered again")
        assert "its answer already" in hand.notes


async def test_a_read_only_room_shows_everything_and_answers_nothing(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, asked("ap-1")), read_only=True) as hand:
        await hand.press("a", "enter")
        await hand.until_open("ap-1")
        hand.passes()
        await hand.press("A", "enter", "D", "enter")
        assert "read-only" in hand.status
        assert hand.shown == "ap-1"
        assert hand.commands() == []
        await hand.press("escape")
        await hand.until(lambda: isinstance(hand.app.screen, InboxScreen), "back in the inbox")


async def test_it_waits_until_a_half_typed_line_is_closed(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.press("slash", "a", "b")
        hand.writer.write(asked("ap-1"))
        await hand.until(lambda: "ap-1" in hand.text("#banner"), "the banner tells")
        await hand.press("A")
        assert hand.shown == ""
        hand.app.post_message(events.AppBlur())
        await hand.pilot.pause(0.25)
        assert hand.shown == ""
        hand.app.post_message(events.AppFocus())
        await hand.press("escape")
        await hand.until_open("ap-1")


async def test_it_never_opens_over_another_question(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        hand.app.ask_order("cancel", "one")
        await hand.pilot.pause()
        hand.writer.write(asked("ap-1"))
        await hand.until(lambda: bool(hand.app.desk.waiting), "it waits")
        await hand.pilot.pause(0.25)
        assert hand.shown == ""
        hand.passes()
        await hand.press("escape")
        await hand.until_open("ap-1")


async def test_who_comes_back_to_the_terminal_with_a_key_has_answered_nothing(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await hand.opens("ap-1")
        hand.app.post_message(events.AppBlur())
        hand.app.post_message(events.AppFocus())
        await hand.press("A")
        assert (hand.shown, hand.commands()) == ("ap-1", [])


@pytest.mark.parametrize("size", [(100, 30), (40, 10)])
async def test_nasty_text_is_drawn_as_text(tmp_path: Path, size: tuple[int, int]) -> None:
    night = a_night(tmp_path, asked("ap-1", title=NASTY, why=NASTY, argv=["sh", "-c", NASTY, "", "two words"]))
    async with a_room(night, size=size) as hand:
        hand.app.open_approval("ap-1")
        await hand.until_open("ap-1")
        assert "[@click=app.quit]" in hand.facts
        assert "\\u202e" in hand.facts
        assert "'two words'" in hand.facts
        assert "\t''\n" in hand.facts
        assert not {"\x1b", "\r", "\u202e", "\x07"} & set(hand.facts)
        assert "\x1b" not in hand.app.export_screenshot()


async def test_a_command_of_a_megabyte_is_shown_in_full_and_is_of_the_highest_class(tmp_path: Path) -> None:
    night = a_night(tmp_path, asked("ap-1", argv=["x", "y" * 700_000 + "end"], why="é\n" * 25_000))
    async with a_room(night) as hand:
        hand.app.open_approval("ap-1")
        await hand.until_open("ap-1")
        assert "yend" in hand.facts
        assert "highest class" in hand.text("#danger")
        hand.passes(5.0)
        await hand.press("pagedown", "down", "up")
        assert hand.shown == "ap-1"


async def test_a_landing_and_a_restore_show_what_they_are_about(tmp_path: Path) -> None:
    change = {
        "change": "one.1", "base": "a" * 40, "head": "b" * 40, "tree": "d" * 40, "paths": ["src/x.py"],
        "summary": "it does one", "agent": "demo", "risk": "high", "rollback": "revert it",
    }  # fmt: skip
    night = a_night(
        tmp_path,
        NewEvent("work_order_ready", {}, work_order="one"),
        NewEvent(
            "run_started", {"attempt": 1, "role": "implementer", "agent": "demo", "base": "a" * 40}, "one", "one.1"
        ),
        NewEvent("change_proposed", change, work_order="one"),
        asked("ap-1", danger="land", subject="one.1", operation={"argv": ["land", "one.1"], "tree": "d" * 40}),
        asked("ap-2", "", danger="restore", operation={"to": "a" * 40, "from": "b" * 40, "tree": "c" * 40}),
    )
    async with a_room(night) as hand:
        hand.app.open_approval("ap-1")
        await hand.until_open("ap-1")
        for part in ("it does one", "src/x.py", "high", "revert it", "cannot be read"):
            assert part in hand.facts
        hand.passes()
        await hand.press("n")
        await hand.until_open("ap-2")
        assert "a" * 12 in hand.facts
        hand.passes()
        await hand.press("A")
        assert "type main" in hand.status
