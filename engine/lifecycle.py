"""The life of a work order as one table. An event that asks for another transition is refused and journalled."""

from __future__ import annotations

from typing import Literal

Phase = Literal[
    "draft", "ready", "running", "proposed", "verifying", "queued", "landed", "healthy",
    "rejected", "parked", "reverted", "cancelled",
]  # fmt: skip

PHASES: tuple[Phase, ...] = (
    "draft", "ready", "running", "proposed", "verifying", "queued", "landed", "healthy",
    "rejected", "parked", "reverted", "cancelled",
)  # fmt: skip

_OPEN: tuple[Phase, ...] = (
    "draft", "ready", "running", "proposed", "verifying", "queued", "rejected", "parked", "reverted",
)  # fmt: skip

# (event kind) -> {from: to}. What is not here is refused.
TRANSITIONS: dict[str, dict[Phase, Phase]] = {
    # From healthy: tests that main has outrun before they joined their change.
    "work_order_ready": dict.fromkeys(("draft", "rejected", "reverted", "parked", "healthy"), "ready"),
    "run_started": {"ready": "running", "rejected": "running"},
    "run_interrupted": {"running": "ready"},
    "change_proposed": {"running": "proposed"},
    "change_verifying": {"proposed": "verifying"},
    "change_queued": {"verifying": "queued"},
    "change_landed": {"queued": "landed", "cancelled": "landed", "parked": "landed"},
    "change_restored_away": {"landed": "queued"},
    "change_rejected": {"running": "rejected", "proposed": "rejected", "verifying": "rejected", "queued": "rejected"},
    "change_reopened": {"rejected": "proposed", "parked": "proposed"},
    "golden_proposed": {"reverted": "proposed", "ready": "proposed", "rejected": "proposed", "parked": "proposed"},
    "change_reverted": {"queued": "reverted", "landed": "reverted", "parked": "parked", "cancelled": "cancelled"},
    "work_order_healthy": {"landed": "healthy"},
    "work_order_done": {"running": "healthy"},
    "work_order_parked": dict.fromkeys(_OPEN, "parked"),
    "work_order_cancelled": dict.fromkeys(_OPEN, "cancelled"),
}


def next_phase(phase: Phase, kind: str) -> Phase | None:
    """The phase after an event of this kind, or None if the table does not allow it."""
    return TRANSITIONS.get(kind, {}).get(phase)
