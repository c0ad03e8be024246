"""A trial that assumes something has little of the machine, and its full share once that has come true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.process import tree
from engine.process.priority import LOW, group_niceness
from tests.e2e.night import Night
from tests.e2e.test_kill import WAITING, let_go

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(group_niceness(os.getpid()) is None, reason="this kernel does not group by session"),
]


def shares(night: Night, change: str) -> set[int | None]:
    """The niceness of the sessions of all that runs for the gates of this change."""
    name = change.replace("/", "-")
    found = tree.find_marked(f"{night.folders.marker}-")
    own = [
        process for process in found if "unit" in (said := tree.marker_of(process)) and name in said.replace("/", "-")
    ]
    return {group_niceness(process.pid) for process in own}


def test_a_speculative_trial_is_raised_when_its_assumption_has_landed(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.until_idle()
    night.order("a", {"tests/test_a.py": WAITING.format(name="A")}, kind="docs")
    engine = night.start()
    night.wait_for(lambda: bool(shares(night, "a")), "the gate of the first")
    # Long enough under way not to be begun anew with the second.
    night.order("b", {"tests/test_b.py": WAITING.format(name="B")}, kind="docs")

    def speculates() -> bool:
        return any(event.fields["assumed"] for event in night.events("trial_started"))

    night.wait_for(speculates, "a trial that assumes something")
    (trial,) = [event for event in night.events("trial_started") if event.fields["assumed"]]
    (first,), (second,) = trial.fields["assumed"], trial.fields["test"]
    night.wait_for(lambda: shares(night, second) == {LOW}, "the low priority")
    assert shares(night, first) == {0}

    def first_lands() -> bool:
        for begun in night.folders.slots.glob("*/tree/begun-A"):
            if not (begun.parent / "tests" / "test_b.py").exists():
                (begun.parent / "go").touch()
        return bool(night.events("change_landed", change=first))

    night.wait_for(first_lands, "the landing of the first")
    night.wait_for(lambda: shares(night, second) == {0}, "the full share")
    assert let_go(night, engine, "*") == 0, night.said()
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    night.assert_sound()
