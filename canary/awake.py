"""Notices that the machine slept, or that this process stood still: what was measured across it says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

BEAT_S = 1.0
GAP_S = 5.0
"""More than this between two looks at the wall clock, beyond a beat, is a gap."""


class Awake:
    """Counts the gaps of the wall clock, which goes on while a machine sleeps. `now`: seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._last = now()
        self._gaps = 0

    def gaps(self) -> int:
        """How many there were until now."""
        last, self._last = self._last, self._now()
        self._gaps += self._last - last > BEAT_S + GAP_S
        return self._gaps

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Look once a beat, for as long as the `async with` lasts."""
        self.gaps()
        beats = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beats.cancel()
            await asyncio.wait([beats])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.gaps()
