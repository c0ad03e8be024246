"""The remote and its pull requests where people and scripts look: status, room, and one line for each event."""

from __future__ import annotations

from typing import Any

from engine.fold import apply
from engine.models.event import Event
from engine.models.events import EVENTS
from engine.state import State
from engine.status import status_of
from swarm_tui.phrases import phrase
from swarm_tui.pull_requests import pull_request_line
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
