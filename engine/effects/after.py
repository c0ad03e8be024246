"""What follows a landing: publishing, canary runs, and the bug work order of a regression."""

from __future__ import annotations

import asyncio

from engine.actions import FileBug, Publish, RunCanary
from engine.effects.moves import note_evidence
from engine.effects.patches import queue_patches
from engine.effects.world import World
from engine.git.door import UserGit
from engine.git.notes import publish_notes
from engine.git.publish import PUBLISHED_REF, Published, publish
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.ports import CanaryRequest
from engine.ports import Regression as RegressionReport


async def publish_main(world: World, action: Publish) -> None:
    """Bring hub's main to the user's repository: fast-forward only; otherwise pending, with the reason."""
    branch = world.state().branch
    await note_evidence(world)
    await queue_patches(world)
    outcome = await asyncio.to_thread(publish, world.hub, world.repo, branch)
    if isinstance(outcome, Published):
        await world.emit(NewEvent("published", {"commit": outcome.commit, "to": "local"}))
        if refused := await asyncio.to_thread(publish_notes, world.hub, UserGit(world.repo)):
            world.log.warning("publish", refused)
        return
    reason = outcome.reason
    state = world.state()
    refused = next(
        (c for c in state.changes.values() if c.person and c.status == "rejected" and c.head == state.user_main), None
    )
    if outcome.diverged and refused is not None:
        reason = (
            f"the commits on {branch} up to {refused.head[:12]} cannot join what landed ({refused.why}): "
            f"run `git merge {PUBLISHED_REF}` there and mend it, and the swarm takes it from there"
        )
    await world.emit(NewEvent("publish_pending", {"commit": action.commit, "reason": reason}))


async def run_canary(world: World, action: RunCanary) -> None:
    """One run of every flow on one commit, and its raw verdict."""
    flows = tuple(world.settings().canary.flow)
    tree = await asyncio.to_thread(world.hub.tree_of, action.commit)
    fields = {"commit": action.commit, "about": action.about, "purpose": action.purpose}
    await world.emit(NewEvent("canary_started", fields))
    key = f"{action.effect.replace(':', '.')}.{world.epoch()}.{action.key.rsplit('#', 1)[-1]}"
    outcome = await world.ports.canary.run(CanaryRequest(key=key, commit=action.commit, tree=tree, flows=flows))
    flows_said = [
        {
            "flow": flow.flow,
            "verdict": flow.verdict,
            "reason": flow.reason,
            "duration_s": round(flow.duration_s, 3),
            "samples": {name: list(values) for name, values in flow.samples.items()},
            "artifacts": dict(flow.artifacts),
        }
        for flow in outcome.flows
    ]
    bad = (
        next((flow.flow for flow in outcome.flows if flow.verdict == outcome.verdict), "")
        if outcome.verdict != "PASS"
        else ""
    )
    said = {"verdict": outcome.verdict, "reason": outcome.reason, "flow": bad, "flows": flows_said}
    await world.emit(NewEvent("canary_finished", fields | said))


async def file_bug(world: World, action: FileBug) -> None:
    """The triager's bug work order for a regression whose culprit is known."""
    state = world.state()
    regression = next(r for r in state.regressions if r.commit == action.commit)
    order = state.orders.get(regression.order)
    nth = 1 + sum(r.bug not in ("", "none") and r.order == regression.order for r in state.regressions)
    said = RegressionReport(
        work_order=regression.order or f"person-{regression.culprit[:12]}",
        title=order.spec.title if order else f"commit {regression.culprit[:12]}",
        commit=regression.culprit,
        flow=regression.flow,
        reason=regression.reason,
        allow=tuple(order.spec.allow) if order else (),
        item=order.spec.item if order else "",
        nth=nth,
        probability=1.0,
    )
    raw = world.ports.triager.bug_order(said)
    spec = WorkOrder.model_validate(raw)
    fields = {
        "order": spec.model_dump(mode="json", by_alias=True),
        "because": f"canary flow {regression.flow} was red",
        "regression": action.commit,
    }
    await world.emit(NewEvent("work_order_added", fields, work_order=spec.id))
