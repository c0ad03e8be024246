"""Seats and lanes: never more at once than there are, nobody waits for ever, and no run waits for a second place."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.seats import Lanes, Seats

RUNS = st.lists(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=6), min_size=1, max_size=4
)


class Yard:
    """Several runs that share seats; an item is (weight, how many turns of the loop it takes)."""

    def __init__(self, count: int) -> None:
        self.seats = Seats(count)
        self.busy = self.most = self.places = self.most_places = 0
        self.done: list[tuple[int, int]] = []

    async def run(self, items: list[tuple[int, int]]) -> None:
        await Lanes(self.seats, self.place, lambda item: item[0], self.work).run(items)

    @asynccontextmanager
    async def place(self, number: int) -> AsyncGenerator[int]:
        self.places += 1
        self.most_places = max(self.most_places, self.places)
        try:
            yield number
        finally:
            self.places -= 1

    async def work(self, place: int, item: tuple[int, int]) -> None:
        taken = self.seats.capped(item[0])
        self.busy += taken
        self.most = max(self.most, self.busy)
        try:
            for _ in range(item[1]):
                await asyncio.sleep(0)
            self.done.append(item)
        finally:
            self.busy -= taken


@given(runs=RUNS, count=st.integers(1, 4))
def test_everything_is_done_and_never_more_at_once_than_there_are_seats(
    runs: list[list[tuple[int, int]]], count: int
) -> None:
    async def night() -> Yard:
        yard = Yard(count)
        async with asyncio.timeout(20):  # a deadlock ends here
            await asyncio.gather(*(yard.run(list(items)) for items in runs))
        return yard

    yard = asyncio.run(night())
    assert sorted(yard.done) == sorted(item for items in runs for item in items)
    assert yard.most <= count
    assert yard.most_places <= count
    assert (yard.busy, yard.places) == (0, 0)


@given(runs=RUNS, count=st.integers(1, 3), stop=st.integers(0, 12))
def test_cancelled_runs_give_their_seats_back(runs: list[list[tuple[int, int]]], count: int, stop: int) -> None:
    async def night() -> int:
        yard = Yard(count)
        first, *others = [asyncio.create_task(yard.run(list(items))) for items in runs]
        for _ in range(stop):
            await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(first, *others, return_exceptions=True)
            async with yard.seats.hold(count):
                return yard.busy

    assert asyncio.run(night()) == 0


async def test_a_helping_lane_makes_way_for_a_run_that_has_no_seat_yet() -> None:
    seats, began, turn = Seats(2), list[str](), asyncio.Semaphore(0)

    async def run(name: str, items: int) -> None:
        async def work(place: int, item: int) -> None:
            began.append(f"{name} in lane {place}")
            await turn.acquire()

        await Lanes(seats, Yard(1).place, lambda _: 1, work).run(list(range(items)))

    async def settle() -> list[str]:
        for _ in range(20):
            await asyncio.sleep(0)
        return began

    async with asyncio.timeout(20):
        runs = [asyncio.create_task(run("a", 6))]
        assert await settle() == ["a in lane 0", "a in lane 1"]
        runs.append(asyncio.create_task(run("b", 2)))
        assert len(await settle()) == 2
        turn.release()
        turn.release()
        assert (await settle())[2:] == ["a in lane 0", "b in lane 0"]
        for _ in range(6):
            turn.release()
        await asyncio.gather(*runs)


async def test_one_place_does_all_the_work_while_the_second_is_taken() -> None:
    yard = Yard(2)
    async with yard.seats.hold(1), asyncio.timeout(20):
        await yard.run([(1, 1)] * 5)
    assert len(yard.done) == 5


async def test_a_heavy_wish_is_not_overtaken_for_ever_by_light_ones() -> None:
    seats, order = Seats(2), list[str]()

    async def take(name: str, weight: int) -> None:
        async with seats.hold(weight):
            order.append(name)
            await asyncio.sleep(0)

    async with seats.hold(1):
        waiting = [asyncio.create_task(take("heavy", 2))]
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(take(f"light {n}", 1)) for n in range(5)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*waiting)
    assert order[0] == "heavy"


async def test_the_first_error_of_the_work_ends_the_rest() -> None:
    class Broken(Exception):
        pass

    ended: list[int] = []

    async def work(place: int, item: int) -> None:
        if item == 1:
            raise Broken
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(Broken):
        await Lanes(Seats(2), Yard(1).place, lambda _: 1, work).run([0, 1, 2])
    assert ended == [0]
