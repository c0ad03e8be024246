"""The probe of limits: it says yes where they hold, and no where they do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.executors import limits
from engine.executors.limits import GREEDY, Greedy, probe_limits
from engine.process import tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the job object holds them")


def test_limits_hold_here_and_the_probe_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert probe_limits()
    assert list(tmp_path.iterdir()) == []
    assert tree.find_marked("probe-") == []


async def test_it_can_be_asked_where_a_loop_runs() -> None:
    assert probe_limits()


@pytest.mark.parametrize("name", GREEDY)
def test_a_limit_that_does_not_hold_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has lost it: the limit is asked for, and far too high, so the program runs to its end."""
    greedy = GREEDY[name]
    monkeypatch.setattr(limits, "STAYS_S", 1.0)
    monkeypatch.setitem(GREEDY, name, Greedy(greedy.code, greedy.enough, greedy.enough))
    assert not probe_limits()


def test_programs_that_end_by_themselves_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = GREEDY["memory"]
    monkeypatch.setitem(GREEDY, "memory", Greedy("sys.exit(1)", memory.less, memory.enough))
    assert not probe_limits()
