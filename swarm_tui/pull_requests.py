"""The remote and its pull requests in words."""

from __future__ import annotations

from engine.models.status import PullRequestStatus
from engine.text.sanitise import sanitise_line

_CI = {"pending": "checks run", "green": "checks green", "red": "checks RED"}


def state_words(state: str, ci: str) -> str:
    """`open, checks green`."""
    return ", ".join(word for word in (state, _CI.get(ci, "") if state == "open" else "") if word)


def pull_request_line(request: PullRequestStatus) -> str:
    """One line of `swarm status`."""
    title = sanitise_line(request.title)[:80]
    return (
        f"request    #{request.number} {state_words(request.state, request.ci)}: {title}  {sanitise_line(request.url)}"
    )
