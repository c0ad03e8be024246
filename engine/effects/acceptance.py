"""Is there anything to do? What an order names as its proof has to be red on main before an agent is paid for it."""

from __future__ import annotations

from engine.actions import CheckAcceptance
from engine.effects.world import World
from engine.models.event import NewEvent
from engine.ports import AcceptanceRequest


async def check_acceptance(world: World, action: CheckAcceptance) -> None:
    """Run it on main; an order whose proof is green already, or could not be red, waits for a person."""
    state = world.state()
    base = state.verified.get(action.tree)
    spec = state.orders[action.order].spec
    request = AcceptanceRequest(
        key=f"accept.{spec.id}@{action.tree[:16]}.{action.goal[:8]}",
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
