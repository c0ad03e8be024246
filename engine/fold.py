"""From events to state. `apply` is pure, total, and the same after every restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from engine.lifecycle import next_phase
from engine.models.event import Event
from engine.models.roadmap import WorkOrder
from engine.state import (
    Approval,
    Canaried,
    CanaryRun,
    Change,
    Failure,
    InForce,
    Landing,
    Order,
    Regression,
    Resume,
    State,
    Verdict,
)

FOLD_VERSION = 1
"""Raised when an event comes to mean something else: older snapshots are then folded again."""
RETRY_BASE_S = 2.0
PUBLISH_RETRY_S = 5.0


def apply(state: State, event: Event) -> str | None:
    """Fold one event into `state` (in place). Returns why a transition was refused, or None.

    A refused event leaves the order as it was; the fold stays the same on every replay. That main moved is a fact and
    never refused, whatever the order was doing.
    """
    state.seq = event.seq
    refusal = _move_order(state, event) if event.work_order and event.kind in _MOVES else None
    handler = _HANDLERS.get(event.kind)
    if handler is None or (refusal is not None and event.kind not in _FACTS):
        return refusal
    try:
        handler(state, event, event.fields)
    except (KeyError, IndexError) as error:
        return f"{event.kind} speaks of {error}, which is not known"
    return refusal


def _move_order(state: State, event: Event) -> str | None:
    order = state.orders.get(event.work_order)
    if order is None:
        return f"{event.work_order}: {event.kind} is not possible, there is no such order"
    phase = next_phase(order.phase, event.kind)
    if phase is None:
        return f"{event.work_order}: {event.kind} is not possible while it is {order.phase}"
    order.phase, order.since = phase, event.at
    return None


def _engine_started(state: State, event: Event, f: dict[str, Any]) -> None:
    state.epoch, state.started_at, state.running = int(f["epoch"]), event.at, True
    state.draining = False
    state.publish_retry_at = 0.0
    state.cost_tonight = 0.0
    state.failures.clear()
    # What a bad moment of the machine left undecided is asked again.
    state.verified = {tree: verdict for tree, verdict in state.verified.items() if verdict.result == "green"}
    unsure = ("ENVIRONMENT", "INCONCLUSIVE")
    state.canaries = {commit: judged for commit, judged in state.canaries.items() if judged.verdict not in unsure}


def _engine_stopped(state: State, _event: Event, _f: dict[str, Any]) -> None:
    state.running = False


def _repository_opened(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.repository, state.branch = f["repository"], f["branch"]
    state.main, state.main_tree = f["commit"], f["tree"]
    state.published = state.user_main = f["commit"]
    state.known_main = [f["commit"]]
    state.landings = [Landing(f["commit"], f["tree"], "origin")]


def _roadmap_read(state: State, event: Event, f: dict[str, Any]) -> None:
    state.roadmap_error = ""
    for raw in f["orders"]:
        spec = WorkOrder.model_validate(raw)
        known = state.orders.get(spec.id)
        if known is None:
            state.orders[spec.id] = Order(spec, since=event.at)
        else:
            # An order that the swarm added belongs to people once they have put it on the roadmap.
            known.spec, known.source = spec, "roadmap"
    for order_id in f["gone"]:
        # What has begun goes on to its end; only what nobody has started leaves with its line. Runs are numbered by
        # their order: were it forgotten, the next of its name would be given the results of its runs.
        order = state.orders.get(order_id)
        if order is not None and order.phase in ("draft", "ready") and not order.runs:
            del state.orders[order_id]


def _roadmap_refused(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.roadmap_error = f["reason"]


def _settings_read(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settings_error = ""
    state.policy, state.bootstrap = f["policy"], f["bootstrap"]
    told = {each.name: f[each.name] for each in fields(InForce) if each.name in f}
    state.in_force = InForce(**told)


def _settings_refused(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settings_error = f["reason"]


def _work_order_ready(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.why = order.do = ""
    order.ready_at = order.ready_at or event.at
    if f.get("fresh"):
        order.spent = 0
        state.failures.pop(f"dispatch:{event.work_order}", None)
    resume = f.get("resume")
    if resume:
        order.resume = Resume(resume["tree"], resume["base"], resume["approval"], resume["answer"], resume["operation"])
        state.approvals[resume["approval"]].status = "used"
    order.approval = ""


def _run_started(state: State, event: Event, _f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.runs += 1
    order.run = event.run


def _run_finished(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders.get(event.work_order)
    if order is None:
        return
    order.run = ""
    if f["counted"] or f["result"] == "asked":
        order.resume = None
    if f["counted"]:
        order.attempts += 1
        order.spent += 1
        state.failures.pop(f"dispatch:{event.work_order}", None)


def _budget_spent(state: State, event: Event, f: dict[str, Any]) -> None:
    state.tokens += int(f["tokens"])
    state.cost += float(f["cost"])
    state.cost_tonight += float(f["cost"])
    order = state.orders.get(event.work_order)
    if order is not None:
        order.tokens += int(f["tokens"])
        order.cost += float(f["cost"])


def _change_proposed(state: State, event: Event, f: dict[str, Any]) -> None:
    change = Change(
        id=f["change"], order=event.work_order, base=f["base"], head=f["head"], tree=f["tree"], paths=list(f["paths"]),
        summary=f.get("summary", ""), risk=f.get("risk", ""), rollback=f.get("rollback", ""), agent=f.get("agent", ""),
        person=bool(f.get("person")),
    )  # fmt: skip
    if change.person:
        change.status, change.queued_seq = "queued", event.seq
        state.settled_user_main.append(change.head)
        state.unproven += [commit for commit in f.get("commits", [change.head]) if commit not in state.unproven]
    state.changes[change.id] = change
    if order := state.orders.get(event.work_order):
        order.change = change.id


def _change_verifying(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.changes[f["change"]].status = "verifying"


def _change_queued(state: State, event: Event, f: dict[str, Any]) -> None:
    change = state.changes[f["change"]]
    change.status, change.queued_seq, change.guards = "queued", event.seq, list(f["guards"])


def _change_rejected(state: State, event: Event, f: dict[str, Any]) -> None:
    if change := state.changes.get(f.get("change", "")):
        change.status, change.why = "rejected", "; ".join(f["reasons"])
        if change.person:
            state.publish_pending, state.publish_retry_at = change.why, event.at
    if order := state.orders.get(event.work_order):
        order.feedback = list(f.get("feedback") or f["reasons"])
        order.rejections += 1


def _report_signed(state: State, _event: Event, f: dict[str, Any]) -> None:
    verdict = Verdict(
        f["result"], f["report"], f["tree"], f["base"], f["policy"], list(f["reasons"]), list(f.get("feedback", []))
    )
    if change := state.changes.get(f.get("change", "")):
        change.verdicts[verdict.base] = verdict
    elif f["report_kind"] == "gates" and f["tree"] == f["base"]:
        state.verified[verdict.tree] = verdict


def _intent(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.intents[f["effect_id"]] = f


def _intent_abandoned(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.intents.pop(f["effect_id"], None)


def _moved_main(state: State, f: dict[str, Any]) -> None:
    state.intents.pop(f["effect_id"], None)
    state.main, state.main_tree = f["commit"], f["tree"]
    state.known_main.append(f["commit"])
    state.publish_retry_at = 0.0


def _change_landed(state: State, event: Event, f: dict[str, Any]) -> None:
    _moved_main(state, f)
    change = state.changes[f["change"]]
    change.status, change.commit = "landed", f["commit"]
    order = state.orders.get(event.work_order)
    verdict = next((v for v in change.verdicts.values() if v.report == f["report"]), None)
    if verdict is not None and not (order is not None and order.spec.gates):
        # A report on some of the gates let the change land, but does not say that main's tree passes all of them.
        state.verified[verdict.tree] = Verdict("green", verdict.report, verdict.tree, verdict.base, verdict.policy, [])
    kind = "person" if change.person else "change"
    state.landings.append(Landing(f["commit"], f["tree"], kind, change.id, event.work_order))
    if order is not None:
        order.landed += 1


def _commits_adopted(state: State, _event: Event, f: dict[str, Any]) -> None:
    _moved_main(state, f)
    for commit in f["commits"]:
        state.known_main.append(commit)
        state.unproven.append(commit)
    state.landings.append(Landing(f["commit"], f["tree"], "person"))
    state.published = f["commit"]
    state.publish_pending = ""


def _user_main_seen(state: State, event: Event, f: dict[str, Any]) -> None:
    state.user_main = f["commit"]
    state.publish_retry_at = event.at


def _user_main_settled(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.settled_user_main.append(f["commit"])


def _published(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.published, state.publish_pending = f["commit"], ""
    if state.user_main in state.known_main:  # else the person has committed since, and that is still to be adopted
        state.user_main = f["commit"]


def _publish_pending(state: State, event: Event, f: dict[str, Any]) -> None:
    state.publish_tries += 1
    if f["commit"] != state.main or state.published == state.main:
        return  # a late word about a main that has moved on, or came from the user's repository in the meantime
    state.publish_pending = f["reason"]
    state.publish_retry_at = event.at + PUBLISH_RETRY_S
    state.failures.pop(f"publish:{f['commit']}", None)


def _canary_started(state: State, _event: Event, f: dict[str, Any]) -> None:
    if f["purpose"] != "culprit":
        state.canaries.setdefault(f["about"], Canaried())


def _canary_finished(state: State, _event: Event, f: dict[str, Any]) -> None:
    run = CanaryRun(f["purpose"], f["verdict"], f["reason"], f.get("flow", ""))
    if f["purpose"] == "culprit":
        regression = _open_regression(state)
        regression.probes.setdefault(f["commit"], []).append(run)
        return
    about = state.canaries.setdefault(f["about"], Canaried())
    (about.controls if f["purpose"] == "control" else about.runs).append(run)


def _canary_judged(state: State, _event: Event, f: dict[str, Any]) -> None:
    judged = state.canaries.setdefault(f["commit"], Canaried())
    judged.verdict, judged.reason, judged.flaky = f["verdict"], f["reason"], bool(f.get("flaky"))
    judged.flow = f.get("flow", "")
    if f["verdict"] == "PASS":
        at = next((i for i, landing in enumerate(state.landings) if landing.commit == f["commit"]), None)
        if at is None:
            return
        good = state.landings[at]
        state.last_good, state.last_good_tree = good.commit, good.tree
        for landing in state.landings[: at + 1]:
            if change := state.changes.get(landing.change):
                change.status = "healthy"
        state.landings = state.landings[at:]


def _work_order_healthy(state: State, event: Event, _f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.feedback = []
    if change := state.changes.get(order.change):
        change.status = "healthy"


def _people_proved(state: State, _event: Event, f: dict[str, Any]) -> None:
    proved = set(f["commits"])
    state.unproven = [commit for commit in state.unproven if commit not in proved]


def _landing_frozen(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.frozen, state.frozen_kind = f["reason"], f["why"]


def _landing_thawed(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.frozen = state.frozen_kind = ""
    if judged := state.canaries.get(f.get("commit", "")):
        judged.waived = True


def _main_restored(state: State, event: Event, f: dict[str, Any]) -> None:
    at = next((i for i, landing in enumerate(state.landings) if landing.commit == f["to"]), -1)
    gone = state.landings[at + 1 :]
    _moved_main(state, f)
    state.restores_at.append(event.at)
    red = next((i for i, landing in enumerate(gone) if landing.commit == f["red"]), len(gone) - 1)
    judged = state.canaries[f["red"]]
    suspects = [landing for landing in gone[: red + 1] if landing.kind in ("change", "person")]
    state.regressions.append(Regression(f["red"], judged.flow, judged.reason, suspects))
    suspected = {landing.commit for landing in suspects}
    for landing in gone:
        change = state.changes.get(landing.change)
        if change is not None and change.status == "landed" and change.person:
            change.status = (
                "reverted"  # its commits are in main's history for good: only the person can bring them back
            )
        elif change is not None and change.status == "landed":
            change.status, change.queued_seq, change.held = "queued", event.seq, landing.commit in suspected
            change.verdicts.clear()
        if order := state.orders.get(landing.order):
            order.phase, order.since = next_phase(order.phase, "change_restored_away") or order.phase, event.at
    state.landings = [*state.landings[: at + 1], Landing(f["commit"], f["tree"], "restore")]
    previous = state.verified.get(f["tree"])
    state.verified[f["tree"]] = Verdict(
        "green", f["report"], f["tree"], f["tree"], previous.policy if previous else state.policy, []
    )
    state.frozen = state.frozen_kind = ""


def _open_regression(state: State) -> Regression:
    for regression in state.regressions:
        if not regression.done:
            return regression
    raise KeyError("an open regression")


def _culprit_found(state: State, event: Event, f: dict[str, Any]) -> None:
    regression = _open_regression(state)
    regression.culprit, regression.order, regression.done = f["commit"], event.work_order, True
    for landing in regression.suspects:
        if (change := state.changes.get(landing.change)) and landing.commit != f["commit"]:
            change.held = False


def _culprit_unresolved(state: State, _event: Event, _f: dict[str, Any]) -> None:
    regression = _open_regression(state)
    regression.done = True
    regression.bug = "none"
    for landing in regression.suspects:
        if change := state.changes.get(landing.change):
            change.held = False


def _bug_not_filed(state: State, _event: Event, f: dict[str, Any]) -> None:
    for regression in state.regressions:
        if regression.commit == f["commit"]:
            regression.bug = "none"


def _change_reverted(state: State, event: Event, f: dict[str, Any]) -> None:
    if change := state.changes.get(f["change"]):
        change.status, change.held = "reverted", False
    if order := state.orders.get(event.work_order):
        order.reverts += 1
        order.spent = 0
        order.feedback = list(f["evidence"])


def _work_order_added(state: State, event: Event, f: dict[str, Any]) -> None:
    spec = WorkOrder.model_validate(f["order"])
    if spec.id not in state.orders:
        state.orders[spec.id] = Order(spec, source="swarm", since=event.at)
    because = f.get("regression", "")
    for regression in state.regressions:
        if regression.commit == because:
            regression.bug = spec.id
            if order := state.orders.get(regression.order):
                order.waits_for.append(spec.id)


def _work_order_parked(state: State, event: Event, f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    order.why, order.do, order.approval = f["why"], f["do"], f.get("approval", "")
    order.run = ""
    if (change := state.changes.get(order.change)) and change.status in ("proposed", "verifying", "queued"):
        change.status = "dropped"


def _work_order_cancelled(state: State, event: Event, _f: dict[str, Any]) -> None:
    order = state.orders[event.work_order]
    if (change := state.changes.get(order.change)) and change.status in ("proposed", "verifying", "queued"):
        change.status = "dropped"


def _approval_asked(state: State, event: Event, f: dict[str, Any]) -> None:
    state.approvals[f["approval"]] = Approval(
        id=f["approval"], danger=f["danger"], title=f["title"], why=f.get("why", ""), operation=f["operation"],
        hash=f["hash"], asked_at=event.at, expires_at=float(f["expires_at"]), order=event.work_order,
        subject=f.get("subject", ""), tree=f.get("tree", ""),
        base=f.get("base", ""),
    )  # fmt: skip


def _approval_answered(state: State, _event: Event, f: dict[str, Any]) -> None:
    approval = state.approvals.get(f["approval"])
    if approval is None or approval.status != "pending":
        return
    approval.status, approval.by, approval.said = f["answer"], f.get("by", ""), f.get("why", "")
    order = state.orders.get(approval.order)
    if approval.status == "expired" and order is not None and order.approval == approval.id:
        order.why, order.do = (
            f"nobody answered in time: {approval.title}",
            f"to be asked again: swarm retry {order.spec.id}",
        )


def _effect_failed(state: State, event: Event, f: dict[str, Any]) -> None:
    known = state.failures.get(f["effect"])
    count = (known.count if known else 0) + 1
    state.failures[f["effect"]] = Failure(count, event.at + RETRY_BASE_S * 2 ** (count - 1), f["error"])


def _engine_paused(state: State, _event: Event, _f: dict[str, Any]) -> None:
    state.paused = True


def _engine_resumed(state: State, _event: Event, _f: dict[str, Any]) -> None:
    state.paused = False


def _engine_draining(state: State, _event: Event, _f: dict[str, Any]) -> None:
    state.draining = True


def _disk_low(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.low_disk = bool(f["low"])


Handler = Callable[[State, Event, dict[str, Any]], None]

_HANDLERS: dict[str, Handler] = {
    "engine_started": _engine_started,
    "engine_stopped": _engine_stopped,
    "repository_opened": _repository_opened,
    "roadmap_read": _roadmap_read,
    "roadmap_refused": _roadmap_refused,
    "settings_read": _settings_read,
    "settings_refused": _settings_refused,
    "work_order_ready": _work_order_ready,
    "run_started": _run_started,
    "run_finished": _run_finished,
    "budget_spent": _budget_spent,
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
    "canary_started": _canary_started,
    "canary_finished": _canary_finished,
    "canary_judged": _canary_judged,
    "work_order_healthy": _work_order_healthy,
    "people_proved": _people_proved,
    "landing_frozen": _landing_frozen,
    "landing_thawed": _landing_thawed,
    "main_restored": _main_restored,
    "culprit_found": _culprit_found,
    "culprit_unresolved": _culprit_unresolved,
    "bug_not_filed": _bug_not_filed,
    "change_reverted": _change_reverted,
    "work_order_added": _work_order_added,
    "work_order_parked": _work_order_parked,
    "work_order_cancelled": _work_order_cancelled,
    "approval_asked": _approval_asked,
    "approval_answered": _approval_answered,
    "effect_failed": _effect_failed,
    "engine_paused": _engine_paused,
    "engine_resumed": _engine_resumed,
    "engine_draining": _engine_draining,
    "disk_checked": _disk_low,
}

_FACTS = frozenset({"change_landed"})
# Kinds whose meaning for the order is a transition of the table.
_MOVES = frozenset(
    {
        "work_order_ready", "run_started", "run_interrupted", "change_proposed", "change_verifying", "change_queued",
        "change_landed", "change_rejected", "change_reverted", "work_order_healthy", "work_order_parked",
        "work_order_cancelled",
    }
)  # fmt: skip
