"""The inbox: everything that needs a decision, with its evidence and its keys. And the questions before a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from approvals import HASH, Hand, a_room, answered, asked
from nights import a_night
from textual.widgets import Static

from engine.models.event import NewEvent
from swarm_tui.screens.confirm import ConfirmScreen
from swarm_tui.screens.inbox import InboxScreen
from swarm_tui.widgets.rows import Rows

PARKED = NewEvent(
    "work_order_parked", {"why": "it failed [/red]\x1b[2J thrice", "do": "swarm retry two"}, work_order="two"
)
ORDERS = ({"id": "one"}, {"id": "two"})


def keys(hand: Hand) -> list[str]:
    return list(hand.app.screen.query_one(Rows).keys)


async def opened(hand: Hand) -> None:
    await hand.press("a")
    await hand.until(
        lambda: isinstance(hand.app.screen, InboxScreen) and bool(hand.app.screen.query(Rows)), "it is open"
    )


async def test_it_lists_what_needs_a_person_with_its_evidence(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, PARKED, asked("ap-1"), orders=ORDERS)) as hand:
        await opened(hand)
        assert keys(hand) == ["approval:ap-1", "parked:two"]
        assert "curl example.org" in hand.facts
        await hand.press("j")
        await hand.until(lambda: "thrice" in hand.facts, "the evidence follows the cursor")
        assert "[/red]␛[2J" in hand.facts
        assert "swarm retry two" in hand.facts


async def test_an_empty_inbox_says_so(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        await opened(hand)
        assert keys(hand) == []
        assert "nothing" in str(hand.app.screen.query_one("#title", Static).render())
        await hand.press("enter", "o", "R", "X", "v", "l")
        assert isinstance(hand.app.screen, InboxScreen)
        await hand.press("a")
        assert len(hand.app.screen_stack) == 1


@pytest.mark.slow
@pytest.mark.parametrize("key", ["enter", "o"])
async def test_a_question_is_opened_from_it_and_leads_back(tmp_path: Path, key: str) -> None:
    async with a_room(a_night(tmp_path, asked("ap-1"), asked("ap-2"))) as hand:
        await opened(hand)
        await hand.press("j", key)
        await hand.until_open("ap-2")
        await hand.press("A", "enter")
        assert hand.commands() == []
        hand.passes()
        await hand.press("A")
        await hand.until_open("ap-1")
        hand.passes()
        await hand.press("escape")
        await hand.until(lambda: "waits for the engine" in hand.facts, "the inbox says what was answered")
        assert hand.commands() == [("approve", {"id": "ap-2", "hash": HASH})]


@pytest.mark.slow
async def test_what_is_answered_elsewhere_leaves_it(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, asked("ap-1"), asked("ap-2"))) as hand:
        await opened(hand)
        hand.writer.write(answered("ap-1"))
        await hand.until(lambda: keys(hand) == ["approval:ap-2"], "it leaves the list")


async def test_a_parked_order_is_retried_once_it_is_confirmed(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, PARKED, orders=ORDERS)) as hand:
        await opened(hand)
        await hand.press("R")
        assert isinstance(hand.app.screen, ConfirmScreen)
        await hand.press("A", "enter", "y", "escape")
        assert isinstance(hand.app.screen, ConfirmScreen)
        hand.passes()
        await hand.press("enter", "y", "a", "space")
        assert isinstance(hand.app.screen, ConfirmScreen)
        await hand.press("A")
        await hand.until(lambda: bool(hand.commands()), "the command is sent")
        assert hand.commands() == [("retry", {"work_order": "two"})]


@pytest.mark.slow
async def test_a_confirmation_that_is_left_sends_nothing(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, PARKED, orders=ORDERS)) as hand:
        hand.app.ask_order("cancel", "two")
        await hand.until(lambda: isinstance(hand.app.screen, ConfirmScreen), "it asks")
        hand.passes()
        await hand.press("escape")
        assert len(hand.app.screen_stack) == 1
        assert hand.commands() == []


async def test_stopping_an_engine_is_asked_first_and_refused_where_none_runs(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        for action in (hand.app.action_stop_engine, hand.app.action_finish_engine):
            action()
            await hand.until(lambda: isinstance(hand.app.screen, ConfirmScreen), "it asks")
            hand.passes()
            await hand.press("A")
            await hand.until(lambda: "no engine runs" in hand.notes, "it is said")
        assert hand.commands() == []


@pytest.mark.slow
async def test_a_read_only_room_confirms_nothing(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path, PARKED, orders=ORDERS), read_only=True) as hand:
        hand.app.ask_order("retry", "two")
        hand.app.action_stop_engine()
        await hand.pilot.pause()
        assert len(hand.app.screen_stack) == 1
        assert "read-only" in hand.notes
