"""The patch queue after a landing, where no remote takes what landed."""

from __future__ import annotations

import asyncio

from engine.effects.world import World
from engine.errors import SwarmError
from engine.git.hub import CommitInfo
from engine.git.patches import read_queue, write_queue


async def queue_patches(world: World) -> None:
    """Bring the queue up to main, unless a remote does that. Never raises: it can be made again from the hub.

    A queue begins at what the person had when the engine first landed something, and goes on over later nights until he
    has its commits: by publishing, or because he took them himself.
    """
    if world.settings().project.publish in ("remote", "both"):
        return
    try:
        await asyncio.to_thread(_queue, world)
    except (SwarmError, OSError) as error:
        world.log.warning("publish", f"the patch queue could not be written: {error}")


def _queue(world: World) -> None:
    state, hub, folder = world.state(), world.hub, world.folders.patches
    known = read_queue(folder)
    base = state.published
    if known is not None and hub.is_ancestor(known.base, state.main):
        taken = known.epoch != state.epoch and hub.is_ancestor(known.tip, state.published)
        base = base if taken else known.base
    if not base or base == state.main or not hub.is_ancestor(base, state.main):
        return
    told = {change.commit: change for change in state.changes.values() if change.commit}

    def line(info: CommitInfo) -> str:
        change = told.get(info.commit)
        return f"risk: {change.risk}; rollback: {change.rollback}" if change is not None and change.risk else ""

    epoch = known.epoch if known is not None and known.base == base else state.epoch
    write_queue(hub, folder, base, state.main, epoch, line)
