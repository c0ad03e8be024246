"""Main itself: its own gates, people's commits, publishing."""

from __future__ import annotations

from engine.actions import (
    Adopt,
    GateMain,
    Publish,
)
from engine.planner.remote import publish_remote, remote_to_adopt
from engine.planner.wishes import Wishes


def main_itself(wishes: Wishes) -> None:
    state = wishes.state
    base = state.base_verdict()
    if base is None:
        effect = f"gates:{state.main_tree[:16]}:{state.policy[-12:]}"
        again = f".{state.main_excused}" if state.main_excused else ""
        if (
            not wishes.attempt(effect, lambda key: GateMain(f"{key}{again}", effect, state.main, state.main_tree))
            and not state.frozen
        ):
            why = f"main's gates cannot run: {state.failures[effect].error}; try swarm gates, mend it, and start again"
            wishes.record("landing_frozen", reason=why, why="gates")
    elif base.result != "green" and not state.frozen:
        said = "; ".join(base.reasons)[:300]
        why = f"main itself is {base.result}: {said} See it with swarm gates, mend it, and commit on {state.branch}"
        wishes.record("landing_frozen", reason=why, why="gates")
    elif base.result == "green" and state.frozen_kind == "gates":
        wishes.record("landing_thawed", reason="main's gates are green again")


def to_adopt(wishes: Wishes) -> str:
    """The person's commit that has not been taken yet, or ""."""
    state = wishes.state
    known = state.user_main in state.known_main or state.user_main in state.settled_user_main
    return "" if known else state.user_main


def adopt(wishes: Wishes) -> None:
    for seen, source in ((to_adopt(wishes), "local"), (remote_to_adopt(wishes), "remote")):
        effect = f"adopt:{seen}"
        # After too many faults of the machine it waits for the next start; the commits are safe where they are.
        if seen:
            wishes.attempt(effect, lambda key, e=effect, c=seen, s=source: Adopt(key, e, c, s))


def publish(wishes: Wishes) -> None:
    publish_remote(wishes)
    state = wishes.state
    if wishes.settings.project.publish not in ("local", "both") or state.published == state.main:
        return
    if state.publish_pending and state.publish_retry_at > wishes.now:
        wishes.wake(state.publish_retry_at)
        return
    effect = f"publish:{state.main}"
    failed = state.failures.get(effect)
    key = f"{effect}#{state.publish_tries}.{failed.count if failed else 0}"
    if not wishes.attempt(effect, lambda _: Publish(key, effect, state.main)):
        error = state.failures[effect].error
        wishes.record(
            "publish_pending", "", state.main, commit=state.main, reason=f"it failed again and again: {error}"
        )


def people_proved(wishes: Wishes) -> None:
    state = wishes.state
    base = state.base_verdict()
    canaried = not wishes.settings.judges or state.last_good == state.main
    waiting = {commit for change in state.changes.values() if not change.commit for commit in change.commits}
    on_main = [commit for commit in state.unproven if commit not in waiting]
    if on_main and base is not None and base.result == "green" and canaried:
        wishes.record("people_proved", "", state.main, commits=on_main)
