"""Which trials get how much of the machine: those that assume something have little, until it has come true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from engine.effects.world import World
from engine.git.names import safe_name
from engine.process.priority import set_priority
from engine.process.tree import find_marked, marker_of
from engine.state import State

LOOK_S = 2.0
"""A trial starts processes as long as it runs: so often they are looked at."""


@contextlib.asynccontextmanager
async def prioritised(world: World, trial: str, run: str, *, low: bool) -> AsyncGenerator[None]:
    """Within it the processes of a trial have the priority that is due. run: the key of its request.

    low: it begins as a speculative one. Else one look is enough: what an earlier engine began low is raised.
    """
    keeper = asyncio.create_task(_keep(world, trial, run, low))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(world: World, trial: str, run: str, low: bool) -> None:
    while True:
        await asyncio.to_thread(_give, world, run, low)
        if not low:
            return
        await asyncio.sleep(LOOK_S)
        low = is_speculative(world.state(), trial)


def is_speculative(state: State, trial: str) -> bool:
    """Whether what it finds may be for nothing: it assumes something, or another trial of main as it is came first."""
    known = state.trials.get(trial)
    if known is None or known.assumed:
        return True
    certain = (other for other in state.trials.values() if other.verdict is None and not other.assumed)
    return any(other.begun_at < known.begun_at for other in certain if other is not known)


def _give(world: World, run: str, low: bool) -> None:
    name = f"/{safe_name(run)}."
    ours = [process for process in find_marked(f"{world.folders.marker}-") if name in marker_of(process)]
    if set_priority(ours, low=low) and not low:
        world.log.debug("train", f"{run} has its full share of the machine now")
