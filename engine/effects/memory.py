"""How many more runs the machine has memory for."""

from __future__ import annotations

import asyncio

from engine.effects.world import Emit
from engine.memory import available
from engine.models.event import NewEvent
from engine.models.settings import Settings
from engine.providers import runs_with
from engine.state import State


async def look_at_memory(emit: Emit, state: State, settings: Settings, now: float) -> None:
    """Say so when that has changed. now: UTC seconds."""
    free = await asyncio.to_thread(available)
    room = runs_with(free, settings, state.spending, now)
    if room != state.spending.memory_room:
        await emit(NewEvent("memory_checked", {"room": room, "available_bytes": free}))
