"""Work orders: what becomes ready, parked or healthy, and which of them run."""

from __future__ import annotations

from collections.abc import Mapping

from engine.actions import CheckAcceptance, StartRun
from engine.goldens import returning
from engine.planner.budgets import agent_or_wait, tell_used_up
from engine.planner.main import to_adopt
from engine.planner.questions import after_answer, ask_for_change, ask_for_hosts, ask_for_money, ask_for_tokens
from engine.planner.roles import role_of, waits_for_acceptance
from engine.planner.unblocking import unblocks
from engine.planner.wishes import Wishes
from engine.scope import overlaps
from engine.state import Held, Order

MAX_REVERTS = 2
REASON_CHARS = 300


def work_orders(wishes: Wishes) -> None:
    for order in wishes.state.orders.values():
        spec = order.spec
        if order.phase == "draft" and not spec.draft and not spec.owner and not waits_for_acceptance(wishes, order):
            if _depends_met(wishes, order):
                wishes.record("work_order_ready", spec.id)
        elif order.phase == "rejected":
            _after_rejection(wishes, order)
        elif order.phase == "reverted":
            _after_revert(wishes, order)
        elif order.phase == "parked" and order.approval:
            after_answer(wishes, order)
        elif order.phase == "landed":
            _after_landing(wishes, order)


def _after_rejection(wishes: Wishes, order: Order) -> None:
    """Another attempt, unless a person has to be asked, or its attempts are spent."""
    ask_for_hosts(wishes, order)
    ident = order.spec.id
    if ask_for_change(wishes, order):
        return
    if order.spent < wishes.settings.limits.attempts:
        ask_for_tokens(wishes, order)
    else:
        wishes.park(
            order,
            f"{order.spent} attempts are spent; the last one: {_last_reason(order)}",
            f"read swarm log {ident}, then: swarm retry {ident} (or swarm cancel {ident})",
        )


def _last_reason(order: Order) -> str:
    """For people: the short words of the rejection. What the agent is told is longer."""
    return order.why if len(order.why) <= REASON_CHARS else order.why[: REASON_CHARS - 1] + "…"


def _depends_met(wishes: Wishes, order: Order) -> bool:
    for other_id in [*order.spec.depends_on, *order.waits_for]:
        other = wishes.state.orders.get(other_id)
        if other is None or other.phase not in ("landed", "healthy"):
            return False
    return True


def _contracts_landed(wishes: Wishes, order: Order) -> bool:
    """Whether every contract that it depends on is on main now; one that was taken back holds it up again."""
    known = (wishes.state.orders.get(name) for name in order.spec.depends_on)
    return all(one is None or one.spec.kind != "contract" or one.phase in ("landed", "healthy") for one in known)


def _after_revert(wishes: Wishes, order: Order) -> None:
    if order.reverts >= MAX_REVERTS:
        wishes.park(
            order, f"it was reverted {order.reverts} times", f"read its evidence, then: swarm retry {order.spec.id}"
        )
        return
    filed = all(r.bug for r in wishes.state.regressions if r.order == order.spec.id)
    closed = ("landed", "healthy", "cancelled", "parked")
    bugs = [wishes.state.orders.get(bug) for bug in order.waits_for]
    if filed and all(bug is None or bug.phase in closed for bug in bugs):
        wishes.record("work_order_ready", order.spec.id)


def _after_landing(wishes: Wishes, order: Order) -> None:
    change = wishes.state.changes.get(order.change)
    if change is None:
        return
    if change.status == "healthy":
        wishes.record("work_order_healthy", order.spec.id, commit=wishes.state.last_good, uncanaried=False)
    elif not wishes.settings.judges and change.status == "landed":
        wishes.record("work_order_healthy", order.spec.id, commit=change.commit, uncanaried=True)


def runs(wishes: Wishes) -> None:
    limits = wishes.settings.limits
    running = [order for order in wishes.state.orders.values() if order.phase == "running"]
    for order in running:
        wishes.actions.append(StartRun(f"run:{order.run}", f"dispatch:{order.spec.id}", order.spec.id, order.run))
    if wishes.state.paused or wishes.state.draining or wishes.state.low_disk:
        return
    if (seen := to_adopt(wishes)) and not wishes.given_up(f"adopt:{seen}"):
        return  # work starts from what the person has just committed, not from the main before it
    owned = [
        order for order in wishes.state.orders.values() if order.phase in ("running", "proposed", "verifying", "queued")
    ]
    free = limits.implementers - len(running)
    starting: list[Held] = []
    coming = returning(wishes.state)
    waiting = [o for o in wishes.state.orders.values() if _dispatchable(wishes, o) and o.spec.id not in coming]
    tell_used_up(wishes, {role_of(order.spec, wishes.settings.roles) for order in waiting})
    if waiting and not ask_for_money(wishes):
        return
    if not waiting:
        return
    behind = unblocks(wishes.state.orders, [order.spec.id for order in waiting])
    # Where one run may try whether a provider's limit is over, it is not one of those that said so.
    claimed = {name for each in wishes.state.spending.providers.values() if each.strikes for name in each.open_claims}
    for order in sorted(waiting, key=lambda o: (o.spec.id in claimed, _dispatch_rank(o, behind))):
        if free <= 0:
            break
        if any(_collide(order, other) for other in owned):
            continue
        if not _accepted(wishes, order):
            owned.append(order)
            free -= 1
            continue
        held = agent_or_wait(wishes, order, role_of(order.spec, wishes.settings.roles), starting)
        if held is None:
            continue
        run = f"{order.spec.id}.{order.runs + 1}"
        effect = f"dispatch:{order.spec.id}"
        if wishes.attempt(effect, lambda _key, r=run, e=effect, h=held: StartRun(f"run:{r}", e, h.order, r, h.agent)):
            owned.append(order)
            free -= 1
        else:
            wishes.park_failed(order.spec.id, effect)


def _accepted(wishes: Wishes, order: Order) -> bool:
    """Whether main is known to be red on what the order names as its proof; else asks for a look."""
    state, goal = wishes.state, order.goal
    if not goal or order.accepted == goal:
        return True
    if order.spec.tests and state.base_verdict() is None:
        return False  # which tests pass on main is being found out
    effect = f"accept:{order.spec.id}:{goal}"
    tree, since = state.main_tree, f"{order.since:.6f}"  # asked again after each retry by a person
    if not wishes.attempt(effect, lambda key: CheckAcceptance(f"{key}@{since}", effect, order.spec.id, tree, goal)):
        wishes.park_failed(order.spec.id, effect)
    return False


def _dispatchable(wishes: Wishes, order: Order) -> bool:
    if wishes.state.frozen_kind == "gates" and order.spec.kind != "fix":
        return False  # nothing else lands while main's own gates are red, and attempts cost
    if order.phase == "ready":
        begun = order.attempts > 0 or order.resume is not None
        return _depends_met(wishes, order) or (begun and _contracts_landed(wishes, order))
    left = order.phase == "rejected" and order.spent < wishes.settings.limits.attempts
    return left and _contracts_landed(wishes, order)


def _dispatch_rank(order: Order, behind: Mapping[str, int]) -> tuple[int, int, float, str]:
    """Priority, then what most others wait for."""
    return (order.spec.priority, -behind[order.spec.id], order.ready_at, order.spec.id)


def _collide(a: Order, b: Order) -> bool:
    return a is not b and bool(a.spec.touches and b.spec.touches) and overlaps(a.spec.touches, b.spec.touches)
