"""Which pull request brings which work order to the remote, as far as the journal says. Pure."""

from __future__ import annotations

from engine.state import PullRequest, State

NOT_PROPOSED = "not proposed yet"


def proposals(state: State) -> dict[str, PullRequest | None]:
    """Work orders on hub's main -> the pull request that has their newest landing, None: none yet. {} where nothing
    was ever proposed.

    One brings all that landed before it and was not proposed earlier, and a newer one builds on those that are open. So
    it is the first that was merged, else the first that is open, else the newest that a person closed.
    """
    requests = list(state.remote.pull_requests.values())
    if not requests:
        return {}
    place = {commit: nth for nth, commit in enumerate(state.known_main)}
    found: dict[str, PullRequest | None] = {}
    for name, order in state.orders.items():
        change = state.changes.get(order.change)
        if change is None or order.phase not in ("landed", "healthy") or change.commit not in place:
            continue
        at = place[change.commit]
        having = [request for request in requests if place.get(request.commit, -1) >= at]
        by_status = {status: [each for each in having if each.status == status] for status in ("merged", "open")}
        first = [*by_status["merged"], *by_status["open"]] or having[-1:]
        found[name] = first[0] if first else None
    return found
