"""Questions to people: which are asked, which nothing hangs on any more, and what follows from an answer."""

from __future__ import annotations

from engine.actions import Record
from engine.approvals.binding import guard_hash
from engine.approvals.dangers import danger_of, key_of
from engine.planner.wishes import Wishes, approval_id
from engine.state import Approval, Change, Order
from engine.text.sanitise import sanitise_line
from engine.text.suspicious import escaped, resembles, suspicious

MAX_QUESTIONS = 5
"""Different questions of one order since its last fresh start: beyond, it is not answered any more."""
MAX_DENIALS = 3
"""Answers no, after which the order waits for a person to start it afresh."""
REASON_CHARS = 300
MOST_FACTS = 100
_OVER = ("landed", "healthy", "cancelled")


def approvals(wishes: Wishes) -> None:
    """Questions expire: by the clock, or because nothing hangs on the answer any more."""
    for approval in wishes.state.approvals.values():
        if approval.status != "pending":
            continue
        if by := "events" if _is_moot(wishes, approval) else "clock" if approval.expires_at <= wishes.now else "":
            fields = {"approval": approval.id, "answer": "expired", "by": by}
            wishes.record("approval_answered", approval.order, approval.id, **fields)
        else:
            wishes.wake(approval.expires_at)


def _is_moot(wishes: Wishes, approval: Approval) -> bool:
    state = wishes.state
    if approval.danger == "land":
        change = state.changes.get(approval.subject)
        return change is None or change.status != "queued"
    if approval.danger == "restore" and not approval.order:
        return not state.frozen or approval.operation["from"] != state.main
    if approval.danger == "over_budget" and not approval.order:
        return approval.operation.get("epoch") != state.epoch
    if approval.danger == "proposal":
        proposed = state.orders.get(approval.order)
        return proposed is None or proposed.phase != "draft" or not proposed.proposed_by
    orders = [state.orders[ident] for ident in approval.askers if ident in state.orders]
    if approval.danger == "network" and not approval.tree:
        return all(order.phase in _OVER for order in orders)
    return not any(order.phase == "parked" and order.approval == approval.id for order in orders)


def after_answer(wishes: Wishes, order: Order) -> None:
    """What follows for an order that waits for an answer."""
    approval = wishes.state.approvals.get(order.approval)
    if approval is None or approval.status not in ("approved", "denied", "used"):
        return
    if approval.status == "denied" and order.denied >= MAX_DENIALS:
        reason = f"people said no to {order.denied} of its questions"
        wishes.record("guardrail_denied", order.spec.id, approval.id, rule="approval-denied", reason=reason)
        wishes.park(order, f"{reason}, so it does not ask on", f"mend the order, then: swarm retry {order.spec.id}")
    elif approval.tree and order.spec.id not in approval.used:
        _resume(wishes, order, approval)
    elif approval.danger == "over_budget":
        _go_on(wishes, order, approval)
    elif change := wishes.state.changes.get(approval.subject):
        _allow(wishes, order, approval, change)


def _resume(wishes: Wishes, order: Order, approval: Approval) -> None:
    resume = {
        "tree": approval.tree,
        "base": approval.base,
        "approval": approval.id,
        "answer": approval.status,
        "operation": approval.operation,
    }
    wishes.record("work_order_ready", order.spec.id, resume=resume)


def _go_on(wishes: Wishes, order: Order, approval: Approval) -> None:
    if approval.status == "approved":
        wishes.record("work_order_ready", order.spec.id)
    else:
        why = "a person lets it spend no more" + (f": {approval.said}" if approval.said else "")
        key = approval.operation.get("limit", "limits.tokens_per_work_order")
        do = f"raise {key}, then: swarm retry {order.spec.id}"
        wishes.park(order, why, do)


def _allow(wishes: Wishes, order: Order, approval: Approval, change: Change) -> None:
    """What guards denied was allowed, for this very change; or it was not."""
    if approval.status == "approved":
        waivers = {rule["hash"]: approval.id for rule in approval.operation["rules"]}
        fields = {"change": change.id, "approval": approval.id, "waivers": waivers}
        wishes.record("change_reopened", order.spec.id, change.id, **fields)
        return
    said = "a person does not allow what the guards denied" + (f": {approval.said}" if approval.said else "")
    if order.spent < wishes.settings.limits.attempts:
        wishes.record("work_order_ready", order.spec.id, feedback=[said])
    else:
        wishes.park(order, said, f"mend the order, then: swarm retry {order.spec.id} (or swarm cancel {order.spec.id})")


# -- what the engine asks by itself --------------------------------------------------------------------------------


def ask_for_change(wishes: Wishes, order: Order) -> bool:
    """Ask whether guards may let a rejected change pass, when its agent wants that or its attempts are spent. Whether
    the order waits for an answer now."""
    change = wishes.state.changes.get(order.change)
    if change is None or change.status != "rejected" or not change.denials or order.why != change.why:
        return False
    asks = [key_of(str(denial.get("ask", ""))) for denial in change.denials]
    wanted = {key_of(ask) for ask in change.asks}
    spent = order.spent >= wishes.settings.limits.attempts
    if not all(asks) or not (spent or set(asks) <= wanted) or order.asked >= MAX_QUESTIONS:
        return False
    rules = [
        {"rule": d["rule"], "ask": ask, "hash": guard_hash(d["rule"], d["reason"], d["paths"])}
        for d, ask in zip(change.denials, asks, strict=True)
    ]
    ident = approval_id("guards", change.id, change.tree, *(rule["hash"] for rule in rules))
    if ident in wishes.state.approvals:
        return False
    worst = next((ask for ask in asks if danger_of(ask).highest), asks[0])
    facts = [line for d in change.denials for line in [f"{d['rule']}: {d['reason']}", *d.get("facts", [])]]
    operation = {"argv": ["allow", change.id], "tree": change.tree, "rules": rules}
    title = f"{order.spec.id} wants to land what guards denied: {danger_of(worst).word}"
    wishes.ask(
        ident, worst, title, "; ".join(str(d["reason"]) for d in change.denials)[:2_000], order.spec.id, operation,
        change.id, facts=facts[:MOST_FACTS], warnings=_odd_names(wishes, facts),
    )  # fmt: skip
    wishes.park(
        order,
        f"guards denied its change, and a person may allow it: {change.why[:REASON_CHARS]}",
        f"swarm approve {ident}, or swarm deny {ident}",
        approval=ident,
    )
    return True


def _odd_names(wishes: Wishes, facts: list[str]) -> list[str]:
    known = [entry.partition("@")[0] for entry in wishes.settings.guards.dependencies.allow]
    found: list[str] = []
    for fact in facts:
        found += suspicious(fact)
        for name in dict.fromkeys(fact.replace(":", " ").replace("(", " ").split()):
            if other := resembles(name, known):
                found.append(f"{sanitise_line(name)[:80]} could be taken for {sanitise_line(other)}, which is allowed")
    return list(dict.fromkeys(found))[:20]


def ask_for_hosts(wishes: Wishes, order: Order) -> None:
    """One question a host that runs of the order were not let reach, once an attempt has come to nothing. The order
    goes on meanwhile. The same host wanted by several orders is one question."""
    asked = order.asked
    for host in order.refused:
        about = [a for a in wishes.state.approvals.values() if a.operation.get("host") == host]
        if host in order.hosts or any(order.spec.id in a.askers for a in about) or asked >= MAX_QUESTIONS:
            continue
        asked += 1
        pending = next((a for a in about if a.status == "pending"), None)
        if pending is not None:
            wishes.record("approval_joined", order.spec.id, pending.id, approval=pending.id)
        elif not _is_asked(wishes, host):
            _ask_for_host(wishes, order, host)


def _is_asked(wishes: Wishes, host: str) -> bool:
    """By another order, in this very plan: the next one joins it."""
    records = [action for action in wishes.actions if isinstance(action, Record)]
    return any(record.fields.get("subject") == f"host:{host}" for record in records)


def _ask_for_host(wishes: Wishes, order: Order, host: str) -> None:
    shown = sanitise_line(host, line_cap=300)
    allowed = [entry.partition(":")[0] for agent in wishes.settings.agents.values() for entry in agent.network]
    warnings = suspicious(host)
    if other := resembles(host.partition(":")[0], allowed):
        warnings.append(f"it could be taken for {sanitise_line(other)}, which is allowed")
    wishes.ask(
        approval_id("network", host, order.spec.id),
        "network",
        f"{order.spec.id} wants to reach {shown}",
        "its agent tried to, and was not let; a yes is for the coming attempts of whoever asks",
        order.spec.id,
        {"argv": ["network", host], "host": host},
        f"host:{host}",
        facts=[f"host: {escaped(shown)}"],
        warnings=warnings,
    )


def ask_for_money(wishes: Wishes) -> bool:
    """Whether the night's budget allows another run; where it is used up, a person is asked for as much again."""
    state, limit = wishes.state, wishes.settings.limits.cost_per_night
    if limit <= 0 or state.cost_tonight < limit:
        return True
    tonight, granted = state.more_tonight(), limit + state.granted_tonight()
    if state.cost_tonight < granted:
        return True
    if all(a.status == "approved" for a in tonight):
        ident = approval_id("over_budget", str(state.epoch), str(len(tonight)))
        title = f"go on with {limit:.2f} more tonight"
        why = f"tonight's {granted:.2f} are spent ({state.cost_tonight:.2f} so far), and there is work left"
        operation = {"argv": ["spend", f"{limit:.2f}"], "epoch": state.epoch, "more": limit}
        wishes.ask(ident, "over_budget", title, why, "", operation, f"night:{state.epoch}")
    return False


def ask_for_tokens(wishes: Wishes, order: Order) -> None:
    """Ask for as many tokens again when the order's are used up; it waits for the answer."""
    state, limit = wishes.state, wishes.settings.limits.tokens_per_work_order
    if limit <= 0 or order.tokens < limit:
        return
    asked = [a for a in state.approvals.values() if a.danger == "over_budget" and a.order == order.spec.id]
    asked = [a for a in asked if "limit" not in a.operation]  # of another budget
    granted = limit + sum(int(a.operation["more"]) for a in asked if a.status == "approved")
    if order.tokens < granted:
        return
    ident = approval_id("over_budget", order.spec.id, str(len(asked)))
    title = f"{order.spec.id} goes on with {limit} more tokens"
    why = f"its budget of {granted} tokens is spent ({order.tokens} so far); the last attempt: {order.why}"
    operation = {"argv": ["spend", str(limit)], "more": limit}
    wishes.ask(ident, "over_budget", title, why[:2_000], order.spec.id, operation, order.spec.id)
    do = f"swarm approve {ident}, or swarm deny {ident}"
    wishes.park(order, f"its budget of {granted} tokens is spent", do, approval=ident)
