"""When a run counts as beyond its quota, with numbers and a clock of our own; real trees are in executors."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from engine.ports import Quota
from engine.process import quotas
from engine.process.quotas import Exceeded, Rate, Watch
from engine.process.relatives import Relative


class Story:
    """A run that is watched; the test tells what it does."""

    def __init__(self, **quota: int) -> None:
        self.now = 0.0
        self.relatives: list[Relative] = []
        self.looks = 0
        self.took_s = 0.0
        self.watch = Watch(asdict(Quota(**quota)), self._used, lambda: 0, [], lambda: self.now)

    def _used(self) -> list[Relative]:
        self.looks += 1
        self.now += self.took_s
        return self.relatives

    def after(self, seconds: float) -> Exceeded | None:
        self.now += seconds
        return self.watch.look()


def process(pid: int = 1 << 30, tasks: int = 1, resident: int = 0) -> Relative:
    return Relative(pid, 1, False, pid, tasks, resident)


def test_nothing_is_looked_at_before_its_time() -> None:
    story = Story(processes=1)
    story.relatives = [process(tasks=5)]
    assert story.after(quotas.TICK_S / 2) is None
    assert story.looks == 0
    assert story.after(quotas.TICK_S) == ("processes", "it had 5 processes and threads at once, of 1 that it may have")


@pytest.mark.parametrize(("tasks", "beyond"), [(10, False), (11, True)])
def test_a_quota_may_be_used_up_to_the_last_one(tasks: int, beyond: bool) -> None:
    story = Story(processes=10)
    story.relatives = [process(tasks=1), process(tasks=tasks - 1)]
    assert (story.after(1.0) is not None) == beyond


@pytest.mark.parametrize(("resident", "beyond"), [(1_000, False), (1_001, True)])
def test_memory_that_cannot_be_looked_into_counts_as_it_is(resident: int, beyond: bool) -> None:
    story = Story(memory=1_000)
    story.relatives = [process(resident=resident)]
    assert (story.after(1.0) is not None) == beyond


def test_no_quota_is_no_limit() -> None:
    story = Story()
    story.relatives = [process(tasks=10**6, resident=10**15)]
    assert story.after(1.0) is None
    assert story.looks == 0


def test_a_look_that_takes_long_is_put_off_but_not_near_a_quota() -> None:
    story = Story(processes=100)
    story.took_s = 0.1
    story.relatives = [process(tasks=10)]
    assert story.after(1.0) is None
    assert story.watch.rest() == pytest.approx(0.1 / quotas.BUSY_SHARE)
    story.relatives = [process(tasks=60)]
    assert story.after(10.0) is None
    assert story.watch.rest() == pytest.approx(quotas.TICK_S)


def test_a_file_that_was_cut_off_is_told_by_the_exit_code() -> None:
    assert Story(file_size=5).watch.said_by(153) == (
        "file_size",
        "it wrote a file beyond 5 B, the most that one file may have",
    )
    assert Story(file_size=5).watch.said_by(1) is None
    assert Story().watch.said_by(153) is None


def test_a_rate_is_over_ten_seconds_wherever_they_begin() -> None:
    total = 0
    rate = Rate(100, lambda: total)
    for now in range(40):
        total += 100
        assert rate.look(float(now)) is None
    total += 200
    assert rate.look(40.0) == ("log_rate", "it printed 1.1 kB in 10 s, of 100 B a second that it may print")


def test_a_burst_within_ten_seconds_worth_is_let() -> None:
    total = 1_000
    rate = Rate(100, lambda: total)
    assert rate.look(0.2) is None
    total = 1_001
    assert rate.look(0.4) is not None
