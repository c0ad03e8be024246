"""What a status tells of the guardrails, folded from events."""

from __future__ import annotations

from typing import Any

from engine.fold import apply
from engine.models.event import Event
from engine.state import State
from engine.status import status_of


def state_after(*events: tuple[str, dict[str, Any]]) -> State:
    state = State()
    for seq, (kind, fields) in enumerate(events, start=1):
        apply(state, Event(seq=seq, at=1_000.0 + seq, kind=kind, work_order="", run="", fields=fields))
    return state


def test_denials_are_counted_by_rule_and_the_newest_are_kept() -> None:
    denials = [("guardrail_denied", {"rule": f"rule-{n % 2}", "reason": f"number {n}"}) for n in range(25)]
    status = status_of(state_after(*denials), 2_000.0, running=False)
    assert status.denied == {"rule-0": 13, "rule-1": 12}
    assert [one.reason for one in status.denials] == [f"number {n}" for n in range(5, 25)]
    assert (status.denials[-1].rule, status.denials[-1].at[:19]) == ("rule-0", "1970-01-01T00:17:05")


def test_the_sandbox_is_that_of_the_engine_that_started_last() -> None:
    def started(epoch: int, **sandbox: Any) -> tuple[str, dict[str, Any]]:
        return "engine_started", {"epoch": epoch, "version": "0", "pid": 1, **({"sandbox": sandbox} if sandbox else {})}

    first = started(1, backend="bubblewrap", reason="", guarantees={"net": True})
    assert status_of(state_after(first), 2_000.0, running=True).sandbox.guarantees == {"net": True}
    second = started(2, backend="none", reason="no bwrap", guarantees={"net": False})
    assert status_of(state_after(first, second), 2_000.0, running=True).sandbox.backend == "none"
    assert status_of(state_after(first, started(2)), 2_000.0, running=True).sandbox.backend == ""
