"""Changes on their way to main, main's moves, and what people and their repository did."""

from __future__ import annotations

from typing import Any

from engine.flakes import MOST_EXCUSED
from engine.fold import flakes, goldens, remote, train
from engine.fold.handler import Handler
from engine.models.event import Event
from engine.state import (
    Change,
    Landing,
    State,
    Verdict,
)

PUBLISH_RETRY_S = 5.0


def _change_proposed(state: State, event: Event, f: dict[str, Any]) -> None:
    change = Change(
        id=f["change"], order=event.work_order, base=f["base"], head=f["head"], tree=f["tree"], paths=list(f["paths"]),
        summary=f.get("summary", ""), risk=f.get("risk", ""), rollback=f.get("rollback", ""), agent=f.get("agent", ""),
        person=bool(f.get("person")), commits=list(f.get("commits", [])), asks=list(f.get("asks", [])),
    )  # fmt: skip
    if change.person:
        change.status, change.queued_seq, change.queued_at = "queued", event.seq, event.at
        state.settled_user_main.append(change.head)
        state.unproven += [commit for commit in change.commits if commit not in state.unproven]
    state.changes[change.id] = change
    if order := state.orders.get(event.work_order):
        order.change = change.id


def _change_verifying(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.changes[f["change"]].status = "verifying"


def _change_queued(state: State, event: Event, f: dict[str, Any]) -> None:
    change = state.changes[f["change"]]
    change.status, change.queued_seq, change.queued_at = "queued", event.seq, event.at
    change.guards, change.lines = list(f["guards"]), int(f.get("lines", 0))


def _change_rejected(state: State, event: Event, f: dict[str, Any]) -> None:
    if change := state.changes.get(f.get("change", "")):
        if change.status == "queued" and f.get("report"):
            train.decided(state, change.id, passed=False)
        change.status, change.why = "rejected", "; ".join(f["reasons"])
        train.left(state)
        goldens.refused(state, change)
        if change.golden and change.person:
            return
        if change.person and change.head == state.remote.seen:
            remote.refused(state, event, change.why)
        elif change.person:
            state.publish_pending, state.publish_retry_at = change.why, event.at
    if order := state.orders.get(event.work_order):
        order.feedback = list(f.get("feedback") or f["reasons"])
        order.why = "; ".join(f["reasons"])
        order.rejections += 1


def _report_signed(state: State, event: Event, f: dict[str, Any]) -> None:
    verdict = Verdict(
        f["result"], f["report"], f["tree"], f["base"], f["policy"], list(f["reasons"]), list(f.get("feedback", []))
    )
    flakes.told(state, verdict, f)
    flakes.signed(state, event, f)
    if train.is_asked_again(state, f.get("trial", ""), verdict):
        return
    train.found(state, f.get("trial", ""), verdict)
    if change := state.changes.get(f.get("change", "")):
        change.verdicts[verdict.base] = verdict
    elif f["report_kind"] == "gates" and f["tree"] == f["base"]:
        if verdict.excused and state.main_excused < MOST_EXCUSED:
            state.main_excused += 1
        else:
            state.verified[verdict.tree] = verdict


def _intent(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.intents[f["effect_id"]] = f


def _intent_abandoned(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.intents.pop(f["effect_id"], None)


def moved_main(state: State, f: dict[str, Any]) -> None:
    """Main is now at `f["commit"]`, and the intent that said so is settled."""
    state.intents.pop(f["effect_id"], None)
    state.main, state.main_tree = f["commit"], f["tree"]
    state.known_main.append(f["commit"])
    state.publish_retry_at = 0.0


def _change_landed(state: State, event: Event, f: dict[str, Any]) -> None:
    moved_main(state, f)
    change = state.changes[f["change"]]
    train.decided(state, change.id, passed=True)
    change.status, change.commit = "landed", f["commit"]
    verdict = train.verdict_of(state, change, f["report"])
    train.landed(state, change.id)
    goldens.landed(state, change, f["commit"])
    if verdict is not None and verdict.tree == f["tree"]:
        flakes.landed(state, event, verdict)
    order = state.orders.get(event.work_order)
    if verdict is not None and verdict.tree == f["tree"] and not (order is not None and order.spec.gates):
        # A report on some of the gates let the change land, but does not say that main's tree passes all of them.
        state.verified[verdict.tree] = Verdict("green", verdict.report, verdict.tree, verdict.base, verdict.policy, [])
        state.verified[verdict.tree].quarantined = list(verdict.quarantined)
    kind = "person" if change.person else "change"
    state.landings.append(Landing(f["commit"], f["tree"], kind, change.id, event.work_order))
    if order is not None:
        order.landed += 1


def _commits_adopted(state: State, _event: Event, f: dict[str, Any]) -> None:
    moved_main(state, f)
    train.elsewhere(state)
    for commit in f["commits"]:
        state.known_main.append(commit)
        state.unproven.append(commit)
    state.landings.append(Landing(f["commit"], f["tree"], "person"))
    if f.get("source") != "remote":  # else the user's repository does not have them yet
        state.published = f["commit"]
        state.publish_pending = ""


def _user_main_seen(state: State, event: Event, f: dict[str, Any]) -> None:
    state.user_main = f["commit"]
    state.publish_retry_at = event.at


def _user_main_settled(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settled_user_main.append(f["commit"])


def _published(state: State, event: Event, f: dict[str, Any]) -> None:
    if f["to"] == "remote":
        remote.published(state, event, f)
        return
    state.published, state.publish_pending = f["commit"], ""
    if state.user_main in state.known_main:  # else the person has committed since, and that is still to be adopted
        state.user_main = f["commit"]


def _publish_pending(state: State, event: Event, f: dict[str, Any]) -> None:
    if f.get("to") == "remote":
        remote.waits(state, event, f)
        return
    state.publish_tries += 1
    if f["commit"] != state.main or state.published == state.main:
        return  # a late word about a main that has moved on, or came from the user's repository in the meantime
    state.publish_pending = f["reason"]
    state.publish_retry_at = event.at + PUBLISH_RETRY_S
    state.failures.pop(f"publish:{f['commit']}", None)


def _people_proved(state: State, _event: Event, f: dict[str, Any]) -> None:
    proved = set(f["commits"])
    state.unproven = [commit for commit in state.unproven if commit not in proved]


HANDLERS: dict[str, Handler] = {
    "change_proposed": _change_proposed,
    "change_verifying": _change_verifying,
    "change_queued": _change_queued,
    "change_rejected": _change_rejected,
    "report_signed": _report_signed,
    "intent": _intent,
    "intent_abandoned": _intent_abandoned,
    "change_landed": _change_landed,
    "commits_adopted": _commits_adopted,
    "user_main_seen": _user_main_seen,
    "user_main_settled": _user_main_settled,
    "published": _published,
    "publish_pending": _publish_pending,
    "people_proved": _people_proved,
}
