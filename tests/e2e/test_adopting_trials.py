"""Trials that assume something outlive their engine like any other: the next one goes on with what runs."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from engine.process import tree
from tests.e2e.night import Night
from tests.e2e.test_kill import WAITING, gates_of, kill, let_go

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
]


def trials(night: Night, *, speculative: bool) -> list[tuple[str, ...]]:
    """What was tried, in order: the assumed changes, then those under test."""
    begun = [event.fields for event in night.events("trial_started")]
    return [(*f["assumed"], *f["test"]) for f in begun if bool(f["assumed"]) == speculative]


def who_runs(night: Night, epoch: int) -> set[tuple[int, str]]:
    """Process id and mark of all that runs for gates which that engine started."""
    return {(pid, tree.marker_of(psutil.Process(pid))) for pid in gates_of(night, epoch)}


def slot_of_both(night: Night) -> Path | None:
    """The slot's tree that has b on top of a, once its first test waits."""
    slots = (path.parent for path in night.folders.slots.glob("*/tree/begun-A"))
    return next((slot for slot in slots if (slot / "tests" / "test_b.py").exists()), None)


def two_that_wait(folder: Path) -> tuple[Night, tuple[str, ...]]:
    """A night whose engine was killed while b was gated on top of a, and a alone; and what was tried with b."""
    night = Night(folder)
    night.until_idle()
    night.order("a", {"tests/test_a.py": WAITING.format(name="A")}, kind="docs")
    engine = night.start()
    night.wait_for(lambda: any(night.folders.slots.glob("*/tree/begun-A")), "the gate of the first")
    night.order("b", {"tests/test_b.py": WAITING.format(name="B")}, kind="docs")
    night.wait_for(lambda: slot_of_both(night) is not None, "the gate of the second, on top of it")
    (tried,) = trials(night, speculative=True)
    kill(night, engine)
    return night, tried


def test_a_speculative_trial_that_outlives_its_engine_is_adopted_and_runs_once(tmp_path: Path) -> None:
    night, tried = two_that_wait(tmp_path)
    left = who_runs(night, 2)
    assert len({mark for _, mark in left}) == 2, "one of the two did not outlive its engine"
    engine = night.start()
    night.wait_for(lambda: trials(night, speculative=True) == [tried, tried], "the trial, asked for again")
    assert who_runs(night, 2) == left
    assert gates_of(night, 3) == []
    slot = slot_of_both(night)
    assert slot is not None
    assert (slot / "begun-A").read_text(encoding="utf-8") == "x\n"
    assert let_go(night, engine, "*") == 0, night.said()
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    reports = [event.fields["result"] for event in night.events("report_signed", report_kind="land")]
    assert reports == ["green", "green"]
    night.assert_sound()


def test_one_whose_assumption_cannot_come_true_any_more_is_ended(tmp_path: Path) -> None:
    """The control: a person moves main while there is no engine, so nobody wants either of them."""
    night, _ = two_that_wait(tmp_path)
    assert len({mark for _, mark in who_runs(night, 2)}) == 2
    night.person_commits({"tiny/meanwhile.py": "HERE = 1\n"}, "Meanwhile")
    engine = night.start()
    night.wait_for(lambda: bool(gates_of(night, 3)) and not gates_of(night, 2), "gates on the new main")
    assert let_go(night, engine, "*") == 0, night.said()
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    night.assert_sound()
