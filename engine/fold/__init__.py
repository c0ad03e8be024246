"""From events to state. `apply` is pure, total, and the same after every restart."""

from __future__ import annotations

from typing import Any

from engine.fold import approvals, canary, flakes, goldens, mainline, orders, remote, spending, train
from engine.fold.handler import Handler
from engine.lifecycle import next_phase
from engine.models.event import Event
from engine.state import Failure, Landing, State

FOLD_VERSION = 6
"""Raised when an event comes to mean something else: older snapshots are then folded again."""
RETRY_BASE_S = 2.0


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
    state.sandbox = dict(f.get("sandbox", {}))
    state.draining = False
    state.publish_retry_at = 0.0
    remote.engine_started(state)
    state.cost_tonight = 0.0
    state.failures.clear()
    state.main_excused = 0
    # What a bad moment of the machine left undecided is asked again.
    state.verified = {tree: verdict for tree, verdict in state.verified.items() if verdict.result == "green"}
    canary.engine_started(state)


def _engine_stopped(state: State, _event: Event, _f: dict[str, Any]) -> None:
    state.running = False


def _repository_opened(state: State, _event: Event, f: dict[str, Any]) -> None:
    state.repository, state.branch = f["repository"], f["branch"]
    state.main, state.main_tree = f["commit"], f["tree"]
    state.published = state.user_main = f["commit"]
    state.known_main = [f["commit"]]
    state.landings = [Landing(f["commit"], f["tree"], "origin")]


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


_HANDLERS: dict[str, Handler] = {
    **orders.HANDLERS,
    **mainline.HANDLERS,
    **canary.HANDLERS,
    **goldens.HANDLERS,
    **train.HANDLERS,
    **remote.HANDLERS,
    **approvals.HANDLERS,
    **flakes.HANDLERS,
    "engine_started": _engine_started,
    "engine_stopped": _engine_stopped,
    "repository_opened": _repository_opened,
    "effect_failed": _effect_failed,
    "engine_paused": _engine_paused,
    "engine_resumed": _engine_resumed,
    "engine_draining": _engine_draining,
    "disk_checked": _disk_low,
}


def _both(first: Handler | None, then: Handler) -> Handler:
    def handler(state: State, event: Event, f: dict[str, Any]) -> None:
        if first is not None:
            first(state, event, f)
        then(state, event, f)

    return handler


_HANDLERS.update({kind: _both(_HANDLERS.get(kind), handler) for kind, handler in spending.HANDLERS.items()})

_FACTS = frozenset({"change_landed"})
# Kinds whose meaning for the order is a transition of the table.
_MOVES = frozenset(
    {
        "work_order_ready", "run_started", "run_interrupted", "change_proposed", "change_verifying", "change_queued",
        "change_landed", "change_rejected", "change_reverted", "work_order_healthy", "work_order_parked",
        "work_order_cancelled", "work_order_done", "change_reopened", "golden_proposed",
    }
)  # fmt: skip
