"""What a plan is written into: wanted actions, when to look again, and the words every part of the planner uses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.actions import (
    Action,
    Record,
)
from engine.approvals.binding import engine_hash
from engine.models.settings import Settings
from engine.state import Order, State

MAX_EFFECT_FAILURES = 3


def approval_id(*parts: str) -> str:
    """A short, stable id for a question about exactly these parts."""
    return "ap-" + hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:10]


@dataclass
class Wishes:
    """A plan in the making. Looks at `state`, never writes it. `now` is UTC seconds."""

    state: State
    settings: Settings
    now: float
    actions: list[Action] = field(default_factory=list[Action])
    wake_at: float | None = None
    settled: bool = True

    def wake(self, at: float, *, waiting: bool = False) -> None:
        """Plan again at this time. waiting: until then there is something left to do, so the night is not over."""
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)
        if waiting:
            self.settled = False

    def record(self, kind: str, work_order: str = "", subject: str = "", /, **fields: Any) -> None:
        """A decision that only has to be written down. subject: what tells it from others of its kind."""
        effect = f"record:{kind}:{work_order}:{subject}"
        self.actions.append(Record(f"{effect}@{self.state.seq}", effect, kind, work_order, fields))

    def attempt(self, effect: str, make: Callable[[str], Action]) -> bool:
        """Ask for an effect, unless it failed too often or has to wait. False: it failed too often."""
        failure = self.state.failures.get(effect)
        if failure is None:
            self.actions.append(make(f"{effect}#0"))
            return True
        if failure.count >= MAX_EFFECT_FAILURES:
            return False
        if failure.next_at > self.now:
            self.wake(failure.next_at, waiting=True)
        else:
            self.actions.append(make(f"{effect}#{failure.count}"))
        return True

    def given_up(self, effect: str) -> bool:
        """Whether the machine failed too often at it."""
        failure = self.state.failures.get(effect)
        return failure is not None and failure.count >= MAX_EFFECT_FAILURES

    def park(self, order: Order, why: str, do: str, **fields: Any) -> None:
        """Put the order aside for a person: why, and what he can do."""
        self.record("work_order_parked", order.spec.id, why=why, do=do, **fields)

    def park_failed(self, order_id: str, effect: str) -> None:
        """The machine failed too often at something for this order."""
        order = self.state.orders.get(order_id)
        if order is not None and order.phase not in ("parked", "cancelled"):
            error = self.state.failures[effect].error
            self.park(
                order,
                f"the machine failed {MAX_EFFECT_FAILURES} times: {error}",
                f"mend it, then: swarm retry {order_id}",
            )

    def ask(
        self,
        ident: str,
        danger: str,
        title: str,
        why: str,
        order: str,
        operation: dict[str, Any],
        subject: str,
        *,
        facts: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        """Ask a person about one exact operation of the engine. facts, warnings: clean lines that he judges by."""
        expires = self.now + self.settings.approvals.expire
        self.record(
            "approval_asked",
            order,
            ident,
            approval=ident,
            danger=danger,
            title=title,
            why=why,
            operation=operation,
            hash=engine_hash(danger, operation),
            expires_at=expires,
            subject=subject,
            facts=list(facts),
            warnings=list(warnings),
        )
