"""When main is put back without asking, and what a person is asked otherwise."""

from __future__ import annotations

from engine import canary_policy
from engine.planner.wishes import Wishes, approval_id
from engine.scope import matches
from engine.state import Landing
from engine.text.sanitise import sanitise_line

MOST_FACTS = 40


def why_ask(wishes: Wishes) -> str:
    """Why a person decides whether main is put back; "" when nobody has to be asked."""
    state = wishes.state
    off = _taken_off(wishes)
    if not canary_policy.may_restore(state.restores_at, wishes.now):
        return "main was restored too often within a day"
    if any(landing.kind == "person" for landing in off):
        return "a person's commits have come since last good, and this takes them off main (they stay in its history)"
    if kept := next((landing for landing in off if _stays(wishes, landing)), None):
        return f"{kept.order} says Auto-Revert: off"
    if path := next((path for landing in off if (path := _protected(wishes, landing))), ""):
        return f"it takes back a change of {sanitise_line(path)}, which is protected"
    return ""


def ask_about(wishes: Wishes, red: str, title: str, why: str) -> str:
    """The answer to a question about this red main, which is asked again when nobody answered in time."""
    state = wishes.state
    asked = [a for a in state.approvals.values() if a.danger == "restore" and a.subject == red]
    current = [a for a in asked if a.operation["from"] == state.main and a.status != "expired"]
    if current:
        return current[-1].status
    operation = {"to": state.last_good, "from": state.main, "tree": state.last_good_tree}
    ident = approval_id("restore", red, state.main, str(len(asked)))
    wishes.ask(ident, "restore", title, why, "", operation, red, facts=_effects(wishes))
    return "pending"


def _effects(wishes: Wishes) -> list[str]:
    """What each answer does."""
    state = wishes.state
    if not state.last_good:
        return [
            "if approved: landing goes on although main is red",
            "if denied: landing stays frozen until a commit passes the canary",
        ]
    off = [f"takes off main: {landing.order or 'a person'} ({landing.commit[:12]})" for landing in _taken_off(wishes)]
    return [
        f"if approved: one more commit gives main the tree of {state.last_good[:12]}, and no history is rewritten",
        "then the swarm's changes go back to the queue; what a person committed only he can bring back",
        "if denied: main stays red as it is, and landing goes on",
        *off[:MOST_FACTS],
    ]


def _taken_off(wishes: Wishes) -> list[Landing]:
    return [landing for landing in wishes.state.landings if landing.commit != wishes.state.last_good]


def _stays(wishes: Wishes, landing: Landing) -> bool:
    order = wishes.state.orders.get(landing.order)
    return order is not None and not order.spec.auto_revert


def _protected(wishes: Wishes, landing: Landing) -> str:
    """A protected file that this landing changed, which a person must have allowed; "" for none."""
    change = wishes.state.changes.get(landing.change)
    if change is None:
        return ""
    guarded = wishes.settings.guards.protected
    return next((path for path in change.paths if guarded and matches(path, guarded)), "") or (
        change.paths[0] if change.waivers and change.paths else ""
    )
