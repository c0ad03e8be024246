"""`plan(state, settings, now)`: all that should be running now, and when to look again.

Pure: it reads no clock, disk or network. Level-triggered: called after every event, also after a crash, it comes to the
same answer. It only decides what runs; a change lands only on a green report of exactly main's tip with the change.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.actions import MOVERS, Action, Adopt, Land, Restore
from engine.models.settings import Settings
from engine.planner.budgets import providers
from engine.planner.canary import canary, regressions
from engine.planner.creeping import creeping
from engine.planner.flakes import quarantine
from engine.planner.goldens import goldens
from engine.planner.main import adopt, main_itself, people_proved, publish
from engine.planner.orders import runs, work_orders
from engine.planner.questions import MAX_QUESTIONS, approvals
from engine.planner.roles import role_orders
from engine.planner.train import checks, land_danger, train
from engine.planner.wishes import Wishes, approval_id
from engine.state import State

__all__ = ["MAX_QUESTIONS", "Plan", "approval_id", "land_danger", "plan"]

_PARTS = (
    approvals, providers, quarantine, role_orders, work_orders, runs, checks, train, main_itself, adopt, publish,
    canary, regressions, creeping, goldens, people_proved,
)  # fmt: skip
_RANK: list[type[Action]] = [Restore, Adopt, Land]


@dataclass(frozen=True)
class Plan:
    """`wake_at`: UTC seconds at which to plan again if nothing happens (None: never).

    `settled`: nothing is left to do, nor to wait for.
    """

    actions: tuple[Action, ...]
    wake_at: float | None
    settled: bool


def plan(state: State, settings: Settings, now: float) -> Plan:
    """The desired actions for this state. Raises nothing; the same arguments always give the same plan."""
    wishes = Wishes(state, settings, now)
    if state.main:
        for part in _PARTS:
            part(wishes)
    actions = _one_mover(wishes.actions)
    return Plan(actions, wishes.wake_at, wishes.settled and not actions)


def _one_mover(actions: list[Action]) -> tuple[Action, ...]:
    """Main is moved by one action at a time: restore before adopt before land."""
    movers = [action for action in actions if isinstance(action, MOVERS)]
    first = min(movers, key=lambda action: _RANK.index(type(action)), default=None)
    return tuple(action for action in actions if not isinstance(action, MOVERS) or action is first)
