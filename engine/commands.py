"""Commands from clients: what people may tell the engine. Each is answered once, with a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.approvals.asked import typed_word
from engine.errors import UserError
from engine.golden_state import Golden
from engine.goldens import find_pending
from engine.journal import Command
from engine.models.event import NewEvent
from engine.state import Approval, Order, State
from engine.text.sanitise import sanitise_line

Emit = Callable[..., Awaitable[Any]]


async def execute(command: Command, state: State, emit: Emit, stop: Callable[[], None]) -> dict[str, Any]:
    """Carry it out. Returns `{"ok": bool, "said": sentence}`; a command that cannot be done is an answer, not an
    error."""
    try:
        said = await _COMMANDS[command.name](state, command.args, emit) if command.name in _COMMANDS else None
        if command.name == "stop":
            stop()
            said = "stopping now"
        if said is None:
            return {"ok": False, "said": f"the engine knows no command {command.name!r}"}
    except (UserError, KeyError, TypeError) as error:
        return {"ok": False, "said": str(error)}
    return {"ok": True, "said": said}


def find_approval(state: State, ident: str) -> Approval:
    """A pending approval by its id. Raises UserError that says what there is."""
    approval = state.approvals.get(ident)
    if approval is None:
        pending = [a.id for a in state.approvals.values() if a.status == "pending"]
        raise UserError(f"there is no approval {ident}; pending: {', '.join(pending) or 'none'}")
    if approval.status == "expired":
        raise UserError(f"approval {ident} has expired; `swarm retry {approval.order}` has it asked again")
    if approval.status != "pending":
        raise UserError(f"approval {ident} was answered already, by {approval.by}")
    return approval


def find_asked(state: State, args: dict[str, Any]) -> Approval:
    """The pending approval that an answer is to: its `id` and, if the answer names one, the `hash` of what was shown.
    Raises UserError."""
    approval = find_approval(state, args["id"])
    if args.get("hash", approval.hash) != approval.hash:
        raise UserError(f"approval {approval.id} is about something else by now: look at it again")
    return approval


def find_approvable(state: State, args: dict[str, Any]) -> Approval:
    """As `find_asked`, for a yes: a word that was typed (`typed`) has to be the right one. Raises UserError."""
    approval = find_asked(state, args)
    wanted = typed_word(approval, state)
    if wanted and args.get("typed", wanted) != wanted:
        typed = sanitise_line(str(args["typed"]), line_cap=40)
        raise UserError(
            f"approving {approval.id} wants {wanted} typed, not {typed!r}: nothing was answered, so type it again"
        )
    return approval


def find_order(state: State, ident: str) -> Order:
    """A work order by its id. Raises UserError that says how to see them."""
    order = state.orders.get(ident)
    if order is None:
        raise UserError(f"there is no work order {ident}; `swarm roadmap show` lists them")
    return order


def find_retryable(state: State, ident: str) -> Order:
    """A work order that may have fresh attempts. Raises UserError."""
    order = find_order(state, ident)
    if order.phase not in ("parked", "rejected", "reverted"):
        raise UserError(f"{order.spec.id} is {order.phase}; only parked, rejected or reverted orders can be retried")
    return order


def find_cancellable(state: State, ident: str) -> Order:
    """A work order that is still on the road. Raises UserError."""
    order = find_order(state, ident)
    if order.phase in ("landed", "healthy", "cancelled"):
        raise UserError(f"{order.spec.id} is {order.phase} and cannot be cancelled")
    return order


async def _approve(state: State, args: dict[str, Any], emit: Emit) -> str:
    approval = find_approvable(state, args)
    fields = {"approval": approval.id, "answer": "approved", "by": args.get("by", "a person"), "hash": approval.hash}
    await emit(NewEvent("approval_answered", fields, work_order=approval.order))
    return f"approved: {approval.title}"


async def _deny(state: State, args: dict[str, Any], emit: Emit) -> str:
    approval = find_asked(state, args)
    fields = {"approval": approval.id, "answer": "denied", "by": args.get("by", "a person"), "why": args.get("why", "")}
    await emit(NewEvent("approval_answered", fields, work_order=approval.order))
    return f"denied: {approval.title}"


async def _pause(state: State, _args: dict[str, Any], emit: Emit) -> str:
    if state.paused:
        return "it was paused already"
    await emit(NewEvent("engine_paused"))
    return "paused: no new runs start; what runs goes on, and what is green still lands"


async def _resume(state: State, _args: dict[str, Any], emit: Emit) -> str:
    if not state.paused and not any(provider.asks for provider in state.spending.providers.values()):
        return "it was not paused"
    await emit(NewEvent("engine_resumed"))
    return "resumed"


async def _drain(_state: State, _args: dict[str, Any], emit: Emit) -> str:
    await emit(NewEvent("engine_draining"))
    return "finishing what runs, taking no new work"


async def _retry(state: State, args: dict[str, Any], emit: Emit) -> str:
    order = find_retryable(state, args["work_order"])
    await emit(
        NewEvent("work_order_ready", {"fresh": True, "by": args.get("by", "a person")}, work_order=order.spec.id)
    )
    return f"{order.spec.id} is ready again, with fresh attempts"


async def _cancel(state: State, args: dict[str, Any], emit: Emit) -> str:
    order = find_cancellable(state, args["work_order"])
    await emit(NewEvent("work_order_cancelled", {"by": args.get("by", "a person")}, work_order=order.spec.id))
    return f"{order.spec.id} is cancelled; what its agents wrote is kept under refs/swarm/keep/"


def find_golden(state: State, args: dict[str, Any]) -> tuple[Golden, str]:
    """The golden that a decision is about (`golden`: its name), and where it would stand: `path`, if the decision names
    one, has to be one of its two. Raises UserError."""
    one = find_pending(state, str(args["golden"]))
    path = str(args.get("path") or one.path)
    if path not in (one.path, one.keyed):
        raise UserError(f"the golden {one.id} can stand at {one.path} or {one.keyed}, and nowhere else")
    return one, path


async def _golden_accept(state: State, args: dict[str, Any], emit: Emit) -> str:
    one, path = find_golden(state, args)
    fields = {"golden": one.id, "path": path, "digest": one.digest, "by": args.get("by", "a person")}
    await emit(NewEvent("golden_accepted", fields))
    return f"accepted: {path} as flow {one.flow} showed it; it lands like any change"


async def _golden_reject(state: State, args: dict[str, Any], emit: Emit) -> str:
    one, _ = find_golden(state, args)
    said = {"by": args.get("by", "a person"), "why": args.get("why", "")}
    await emit(NewEvent("golden_rejected", {"golden": one.id, "path": one.path, "digest": one.digest, **said}))
    return f"rejected: {one.path} stays as it is, and what flow {one.flow} showed is wrong"


_COMMANDS: dict[str, Callable[[State, dict[str, Any], Emit], Awaitable[str]]] = {
    "approve": _approve,
    "deny": _deny,
    "pause": _pause,
    "resume": _resume,
    "drain": _drain,
    "retry": _retry,
    "cancel": _cancel,
    "golden_accept": _golden_accept,
    "golden_reject": _golden_reject,
}
