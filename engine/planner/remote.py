"""The user's remote: when it is spoken with, and what of a person's there is taken in first."""

from __future__ import annotations

from engine.actions import PublishRemote
from engine.planner.wishes import Wishes
from engine.remote_tip import remote_tip

EFFECT = "publish-remote"


def remote_to_adopt(wishes: Wishes) -> str:
    """The commit on the remote's main that has not been taken in yet, or ""."""
    state, seen = wishes.state, wishes.state.remote.seen
    known = seen in state.known_main or seen in state.settled_user_main
    return "" if known or wishes.settings.project.publish not in ("remote", "both") else seen


def publish_remote(wishes: Wishes) -> None:
    """Ask for a round with the remote: at each start, when it lacks something, and while pull requests are open."""
    state, remote = wishes.state, wishes.state.remote
    if wishes.settings.project.publish not in ("remote", "both"):
        return
    if (seen := remote_to_adopt(wishes)) and not wishes.given_up(f"adopt:{seen}"):
        return
    if any(c.person and c.head == remote.seen and c.status == "queued" for c in state.changes.values()):
        return  # what is there joins first
    tip = remote_tip(state, wishes.settings)
    lacking = bool(tip) and remote.done != tip
    watched = any(request.status == "open" for request in remote.pull_requests.values())
    if not (remote.pending or lacking or watched or not remote.looked):
        return
    if (remote.pending or (remote.looked and not lacking)) and remote.retry_at > wishes.now:
        wishes.wake(remote.retry_at)
        return
    # The key has no commit in it: what lands meanwhile does not stop a push that is under way.
    failed = state.failures.get(EFFECT)
    key = f"{EFFECT}#{state.epoch}.{remote.rounds}.{failed.count if failed else 0}"
    if not wishes.attempt(EFFECT, lambda _: PublishRemote(key, EFFECT)):
        reason = f"it failed again and again: {state.failures[EFFECT].error}"
        wishes.record("publish_pending", "", EFFECT, commit=state.main, reason=reason, to="remote")
