"""The remote and its pull requests in words."""

from __future__ import annotations

from engine.models.status import PullRequestStatus
from engine.remote_proposals import NOT_PROPOSED, proposals
from engine.state import PullRequest, State
from engine.text.sanitise import sanitise_line

_CI = {"pending": "checks run", "green": "checks green", "red": "checks RED"}


def state_words(state: str, ci: str) -> str:
    """`open, checks green`."""
    return ", ".join(word for word in (state, _CI.get(ci, "") if state == "open" else "") if word)


def pull_request_line(request: PullRequestStatus) -> str:
    """One line of `swarm status`."""
    title = sanitise_line(request.title)[:80]
    brings = f" (brings {', '.join(request.work_orders)})" if len(request.work_orders) > 1 else ""
    said = f"request    #{request.number} {state_words(request.state, request.ci)}: {title}{brings}"
    return f"{said}  {sanitise_line(request.url)}"


def proposal_words(request: PullRequest | None) -> str:
    """What became of a work order at the remote: `#7 open, checks green`."""
    return NOT_PROPOSED if request is None else f"#{request.number} {state_words(request.status, request.ci)}"


def waiting_lines(state: State) -> list[str]:
    """The work orders that are on hub's main and not on the remote's: lines of `swarm train`."""
    found = proposals(state).items()
    open_ones = [(name, request) for name, request in found if request is None or request.status != "merged"]
    rows = [f"     {name}: {proposal_words(request)}" for name, request in open_ones]
    return ["landed here, and not merged by the remote:", *rows] if rows else []
