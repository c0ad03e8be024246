"""What follows a landing: publishing, and the bug work order of a regression."""

from __future__ import annotations

import asyncio

from engine.actions import FileBug, Publish
from engine.effects.moves import note_evidence
from engine.effects.patches import queue_patches
from engine.effects.world import World
from engine.errors import SwarmError
from engine.git.door import UserGit
from engine.git.notes import publish_notes
from engine.git.publish import PUBLISHED_REF, Published, publish
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.ports import Regression as RegressionReport
from engine.state import Regression, State


async def publish_main(world: World, action: Publish) -> None:
    """Bring hub's main to the user's repository: fast-forward only; otherwise pending, with the reason. The notes with
    the evidence follow; a crash before they have is made good at the next start."""
    branch = world.state().branch
    # The patch queue begins at what the person has: it is brought up to main before he is said to have more.
    publishing = asyncio.to_thread(publish, world.hub, world.repo, branch)
    outcome, _ = await asyncio.gather(publishing, queue_patches(world), return_exceptions=True)
    if isinstance(outcome, BaseException):
        await note_evidence(world)
        raise outcome
    if isinstance(outcome, Published):
        await world.emit(NewEvent("published", {"commit": outcome.commit, "to": "local"}))
        await bring_notes(world)
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
    await note_evidence(world)


async def bring_notes(world: World) -> None:
    """Bring the evidence beside the newest commits, and to the user's repository if that is published to. Never raises
    for what is wrong there."""
    await note_evidence(world)
    if world.settings().project.publish not in ("local", "both"):
        return
    try:
        refused = await asyncio.to_thread(publish_notes, world.hub, UserGit(world.repo))
    except (SwarmError, OSError) as error:
        refused = f"the notes with the evidence could not be published: {error}"
    if refused:
        world.log.warning("publish", refused)


async def file_bug(world: World, action: FileBug) -> None:
    """The triager's bug work order for a regression: of a culprit, a range, or samples that got worse."""
    state = world.state()
    regression = next(r for r in state.regressions if r.commit == action.commit)
    order = state.orders.get(regression.order)
    nth = 1 + sum(r.bug not in ("", "none") and r.order == regression.order for r in state.regressions)
    culprit = regression.culprit or regression.commit
    crept = regression.slower and not regression.suspects
    named = f"person-{culprit[:12]}" if regression.culprit else f"{'creep' if crept else 'range'}-{culprit[:12]}"
    said = RegressionReport(
        work_order=regression.order or named,
        title=order.spec.title if order else f"commit {culprit[:12]}",
        commit=culprit,
        flow=regression.flow,
        reason=regression.reason,
        allow=tuple(order.spec.allow) if order else _allowed(state, regression),
        item=order.spec.item if order else "",
        nth=nth,
        probability=regression.probability,
        suspects=tuple(regression.range),
        artifacts=regression.artifacts,
        slower=regression.slower,
        crept=crept,
    )
    raw = world.ports.triager.bug_order(said)
    spec = WorkOrder.model_validate(raw)
    fields = {
        "order": spec.model_dump(mode="json", by_alias=True),
        "because": f"canary flow {regression.flow} was {'slower' if regression.slower else 'red'}",
        "regression": action.commit,
    }
    await world.emit(NewEvent("work_order_added", fields, work_order=spec.id))


def _allowed(state: State, regression: Regression) -> tuple[str, ...]:
    """What the suspects of a range were allowed together; nothing named where one of them had no limits."""
    commits = set(regression.range)
    orders = [state.orders.get(each.order) for each in regression.suspects if each.commit in commits]
    allows = [order.spec.allow if order is not None else [] for order in orders]
    return tuple(dict.fromkeys(path for allow in allows for path in allow)) if all(allows) else ()
