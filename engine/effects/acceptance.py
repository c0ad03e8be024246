"""Is there anything to do? What an order names as its proof has to be red on main before an agent is paid for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.actions import Action, CheckAcceptance
from engine.effects.world import World
from engine.git.names import safe_name
from engine.models.event import NewEvent
from engine.ports import AcceptanceRequest


def folders(world: World, actions: Iterable[Action]) -> list[Path]:
    """The run folders of the acceptances that these actions ask for."""
    orders = world.state().orders
    keys = [_key(action, orders[action.order].spec.id) for action in actions if isinstance(action, CheckAcceptance)]
    return [world.folders.runs / safe_name(key) for key in keys]


def _key(action: CheckAcceptance, order: str) -> str:
    return f"accept.{order}@{action.tree[:16]}.{action.goal[:8]}"


async def check_acceptance(world: World, action: CheckAcceptance) -> None:
    """Run it on main; an order whose proof is green already, or could not be red, waits for a person."""
    state = world.state()
    base = state.verified.get(action.tree)
    spec = state.orders[action.order].spec
    request = AcceptanceRequest(
        key=_key(action, spec.id),
        order=spec,
        tree=action.tree,
        base_report=base.report if base else "",
    )
    found = await world.ports.gates.accept(request)
    fields = {
        "tree": action.tree,
        "goal": action.goal,
        "ok": found.ok,
        "reason": found.reason,
        "commands": [command.model_dump() for command in found.commands],
        "tests": dict(found.tests),
    }
    drafts = [NewEvent("acceptance_checked", fields, work_order=spec.id)]
    if not found.ok:
        parked = {
            "why": f"its proof is none: {found.reason}",
            "do": f"mend it in roadmap.toml, then: swarm retry {spec.id}",
        }
        drafts.append(NewEvent("work_order_parked", parked, work_order=spec.id))
    await world.emit(*drafts)
