"""Quarantine: which tests are put in, with an owner, an end and a work order; and when they count again."""

from __future__ import annotations

from engine.flakes import MOST_EXCUSED, mending_order
from engine.planner.wishes import Wishes
from engine.state import TrialRun

SWARM = "swarm"
"""Owner of a quarantine where the settings name nobody."""


def quarantine(wishes: Wishes) -> None:
    state, rules = wishes.state, wishes.settings.flakes
    for test, record in state.flakes.items():
        order = state.orders.get(record.order)
        if record.order and order is not None and order.phase in ("landed", "healthy"):
            wishes.record("quarantine_lifted", record.order, test, test=test, why="fixed")
        elif record.until and record.until <= wishes.now:
            wishes.record("quarantine_lifted", record.order, test, test=test, why="expired")
        elif record.until:
            wishes.wake(record.until)
        elif rules.quarantine and record.is_due(rules):
            spec = mending_order(test, record, rules, state.orders)
            why = f"a test flaked on main {record.flakes} times in about {record.runs} runs"
            wishes.record("work_order_added", spec.id, order=spec.model_dump(mode="json", by_alias=True), because=why)
            wishes.record(
                "test_quarantined",
                spec.id,
                test,
                test=test,
                gate=record.gate,
                owner=rules.owner or SWARM,
                until=wishes.now + rules.expire,
                flakes=record.flakes,
                runs=record.runs,
            )
            return  # the next one is asked about when this one has its order


def excused_for_good(wishes: Wishes, trial: TrialRun) -> bool:
    """Whether this red trial is not the change's fault, and was asked again often enough: its order is parked."""
    change = wishes.state.changes[trial.test[0]]
    order = wishes.state.orders.get(change.order)
    if trial.verdict is None or not trial.verdict.excused or order is None:
        return False
    said = "; ".join(trial.verdict.reasons)[:300]
    wishes.park(
        order,
        f"{MOST_EXCUSED + 1} times, tests failed that fail on main too: {said}",
        f"mend these tests on {wishes.state.branch}, then: swarm retry {order.spec.id}",
    )
    return True
