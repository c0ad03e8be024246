"""The remote and its pull requests where people and scripts look: status, room, and one line for each event."""

from __future__ import annotations

from typing import Any

from engine.fold import apply
from engine.models.event import Event
from engine.models.events import EVENTS
from engine.models.roadmap import WorkOrder
from engine.remote_proposals import proposals
from engine.state import Change, Order, State
from engine.status import status_of
from swarm_tui.phrases import phrase
from swarm_tui.pull_requests import pull_request_line, waiting_lines
from swarm_tui.room.needs import needs_of

OPENED = {"branch": "agent/a/1", "commit": "c" * 40, "number": 7, "url": "https://x/7", "title": "Do \x1b[31ma"}


def tell(state: State, kind: str, **fields: Any) -> Event:
    EVENTS[kind].model_validate(fields)
    event = Event(state.seq + 1, 1.0, kind, "", "", fields)
    assert apply(state, event) is None
    return event


def test_pull_requests_and_what_is_pending_stand_in_the_status() -> None:
    state = State()
    tell(state, "pull_request_opened", **OPENED)
    tell(state, "pull_request_updated", branch="agent/a/1", number=7, status="open", ci="red")
    tell(state, "publish_pending", commit="c", reason="origin is down.", to="remote")
    told = status_of(state, 2.0, running=True)
    (request,) = told.pull_requests
    assert (request.number, request.state, request.ci, request.branch) == (7, "open", "red", "agent/a/1")
    assert told.publish_pending == "origin is down."
    line = pull_request_line(request)
    assert "#7 open, checks RED" in line
    assert "\x1b" not in line
    (need,) = needs_of(state)
    assert (need.kind, need.why) == ("publish", "origin is down.")


def test_every_event_of_the_remote_has_its_words() -> None:
    state = State()
    said = [
        tell(state, "pull_request_opened", **OPENED),
        tell(state, "pull_request_updated", branch="agent/a/1", number=7, status="merged", ci=""),
        tell(state, "remote_main_seen", commit="d" * 40, adopt="d" * 40),
        tell(state, "published", commit="c" * 40, to="remote"),
        tell(state, "publish_pending", commit="c" * 40, reason="it is down", to="remote", wait_s=2.0),
    ]
    lines = [made.text for made in map(phrase, said) if made is not None]
    assert len(lines) == len(said)
    assert "#7 opened" in lines[0]
    assert "merged" in lines[1]
    assert "ddddd" in lines[2]
    assert not any("\x1b" in line for line in lines)
    assert phrase(tell(state, "remote_checked", commit="c", main="d")) is None


def landed(state: State, order: str, commit: str) -> None:
    state.orders[order] = Order(WorkOrder(id=order, title=order), phase="healthy", change=f"{order}/1")
    change = Change(f"{order}/1", order, "b", "h", "t", [])
    change.commit = commit
    state.changes[change.id] = change
    state.known_main.append(commit)


def proposed(state: State, number: int, commit: str, status: str = "open", ci: str = "") -> None:
    branch = f"agent/x/{number}"
    tell(
        state, "pull_request_opened", branch=branch, commit=commit, number=number, url=f"https://x/{number}", title="t"
    )
    if (status, ci) != ("open", ""):
        tell(state, "pull_request_updated", branch=branch, number=number, status=status, ci=ci)


def test_each_order_is_told_with_the_request_that_brings_it() -> None:
    state = State()
    for order in ("a", "b", "c", "d"):
        landed(state, order, order * 40)
    assert proposals(state) == {}  # nothing was ever proposed, so nothing is missing
    proposed(state, 1, "a" * 40, "closed")
    proposed(state, 2, "b" * 40, ci="green")
    proposed(state, 3, "c" * 40)
    found = {name: request and request.number for name, request in proposals(state).items()}
    assert found == {"a": 2, "b": 2, "c": 3, "d": None}  # the first was closed: the next has what it had
    told = status_of(state, 2.0, running=True)
    assert [request.work_orders for request in told.pull_requests] == [[], ["a", "b"], ["c"]]
    assert [order.pull_request for order in told.orders] == [2, 2, 3, None]
    assert "(brings a, b)" in pull_request_line(told.pull_requests[1])
    heading, *lines = waiting_lines(state)
    assert "not merged" in heading
    assert lines == [
        "     a: #2 open, checks green", "     b: #2 open, checks green", "     c: #3 open", "     d: not proposed yet",
    ]  # fmt: skip


def test_what_the_remote_merged_waits_no_more() -> None:
    state = State()
    for order in ("a", "b"):
        landed(state, order, order * 40)
    proposed(state, 1, "a" * 40)
    proposed(state, 2, "b" * 40, "merged")
    assert {request.number for request in proposals(state).values() if request} == {2}
    assert waiting_lines(state) == []
    state.orders["a"].phase = "reverted"
    assert list(proposals(state)) == ["b"]


def test_only_a_closed_request_is_said_to_be_closed() -> None:
    state = State()
    landed(state, "a", "a" * 40)
    proposed(state, 1, "a" * 40, "closed")
    assert waiting_lines(state)[1] == "     a: #1 closed"
