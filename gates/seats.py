"""Seats: how much may run at once, and lanes: how the work of one run is spread over the seats that are free.

A seat stands for a slot. Whoever needs several takes them all at once and holds none while he waits, so nobody can wait
for somebody who waits for him.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Place = TypeVar("Place")


class Seats:
    """`count` seats, given out in the order of asking; a spare wish is granted only while nobody else waits."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._spare: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits who has no seat at all."""
        return bool(self._waiting)

    def capped(self, weight: int) -> int:
        """How many seats a weight takes here: at least one, at most all."""
        return max(1, min(weight, self.count))

    @asynccontextmanager
    async def hold(self, weight: int = 1, *, spare: bool = False) -> AsyncGenerator[None]:
        """So many seats (capped) for the time of the `async with`; waits until they are free all at once."""
        taken = self.capped(weight)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._spare if spare else self._waiting
        wish = (taken, granted)
        queue.append(wish)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._free += taken
            elif wish in queue:
                queue.remove(wish)
            self._grant()
            raise
        try:
            yield
        finally:
            self._free += taken
            self._grant()

    def _grant(self) -> None:
        for queue in (self._waiting, self._spare):
            while queue and queue[0][0] <= self._free:
                taken, granted = queue.popleft()
                if not granted.done():
                    self._free -= taken
                    granted.set_result(None)
            if queue:
                return


class Lanes(Generic[Item, Place]):
    """The items of one run on as many places as are free: the first lane waits for its seat, all others only help out.

    So a run never waits for a second place while its first can do the work. open_lane: lane number -> its place, leased
    while the lane works. weigh: how many seats an item takes.
    """

    def __init__(
        self,
        seats: Seats,
        open_lane: Callable[[int], AbstractAsyncContextManager[Place]],
        weigh: Callable[[Item], int],
        work: Callable[[Place, Item], Awaitable[None]],
    ) -> None:
        self._seats, self._open_lane, self._weigh, self._work = seats, open_lane, weigh, work
        self._shared: deque[Item] = deque()
        self._idle: set[asyncio.Task[None]] = set()

    async def run(self, items: list[Item], bound: Mapping[int, list[Item]] | None = None) -> None:
        """Do all of it. bound: items that only this lane may do. Raises the first exception of `work`, the rest of the
        work then being cancelled and awaited."""
        bound = bound or {}
        self._shared = deque(items)
        helpers = range(1, min(self._seats.count, len(items))) if items else range(0)
        try:
            async with asyncio.TaskGroup() as lanes:
                for number in sorted({0, *bound, *helpers} if items else set(bound)):
                    own = deque(bound.get(number, ()))
                    lanes.create_task(self._lane(number, own, spare=number > 0 and not own))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _lane(self, number: int, own: deque[Item], *, spare: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        while source := own or self._shared:
            held = self._seats.capped(self._weigh(source[0]))
            async with contextlib.AsyncExitStack() as stack:
                if not own:
                    self._idle.add(task)
                try:
                    await stack.enter_async_context(self._seats.hold(held, spare=spare))
                finally:
                    self._idle.discard(task)
                if not (own or self._shared):
                    return
                place = await stack.enter_async_context(self._open_lane(number))
                while (source := own or self._shared) and self._seats.capped(self._weigh(source[0])) == held:
                    item = source.popleft()
                    if not self._shared:
                        for idle in self._idle:
                            idle.cancel()
                    await self._work(place, item)
                    if spare and self._seats.wanted:
                        break
