"""What is known of the user's remote, and of the pull requests there."""

from __future__ import annotations

from typing import Any

from engine.fold.handler import Handler
from engine.models.event import Event
from engine.state import PullRequest, State

RETRY_S, RETRY_MAX_S = 15.0, 900.0
POLL_S = 120.0
"""How often a remote with open pull requests is looked at."""


def engine_started(state: State) -> None:
    """A new start asks the remote at once, whatever it said before."""
    state.remote.looked, state.remote.retry_at, state.remote.tries = False, 0.0, 0


def published(state: State, event: Event, f: dict[str, Any]) -> None:
    """The remote's main is at this commit of hub's main."""
    state.remote.main = f["commit"]
    _settled(state, event, f["commit"])


def waits(state: State, event: Event, f: dict[str, Any]) -> None:
    """It did not work; the longer it has not, the later it is tried again."""
    remote = state.remote
    remote.rounds += 1
    remote.looked, remote.pending = True, f["reason"]
    pause_s = min(RETRY_S * 2 ** min(remote.tries, 16), RETRY_MAX_S)
    remote.retry_at = event.at + max(pause_s, f.get("wait_s", 0.0))
    remote.tries += 1
    state.failures.pop("publish-remote", None)


def refused(state: State, event: Event, why: str) -> None:
    """What a person has on the remote cannot join hub's main."""
    state.remote.pending, state.remote.retry_at = why, event.at


def _settled(state: State, event: Event, tip: str) -> None:
    remote = state.remote
    remote.rounds += 1
    remote.looked, remote.done, remote.pending, remote.tries = True, tip, "", 0
    remote.retry_at = event.at + POLL_S
    state.failures.pop("publish-remote", None)


def _remote_checked(state: State, event: Event, f: dict[str, Any]) -> None:
    state.remote.main = f["main"]
    _settled(state, event, f["commit"])


def _remote_main_seen(state: State, _event: Event, f: dict[str, Any]) -> None:
    remote = state.remote
    remote.rounds += 1
    remote.main, remote.seen, remote.looked = f["commit"], f["adopt"], True


def _pull_request_opened(state: State, event: Event, f: dict[str, Any]) -> None:
    state.remote.pull_requests[f["branch"]] = PullRequest(
        f["branch"], f["commit"], f["number"], f["url"], f["title"], event.work_order
    )


def _pull_request_updated(state: State, _event: Event, f: dict[str, Any]) -> None:
    known = state.remote.pull_requests[f["branch"]]
    known.status, known.ci = f["status"], f["ci"]
    if known.status == "merged":
        state.remote.looked = False  # its main has moved: it is fetched at once


HANDLERS: dict[str, Handler] = {
    "remote_main_seen": _remote_main_seen,
    "remote_checked": _remote_checked,
    "pull_request_opened": _pull_request_opened,
    "pull_request_updated": _pull_request_updated,
}
