"""A machine that cannot gate: each try is counted, waits longer than the last, and ends with a word to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import InfrastructureFault
from engine.ports import Emit, GateRequest, SignedReport
from gates.runner import LocalGateRunner
from tests.e2e.night import Night


@pytest.mark.slow
def test_a_trial_that_the_machine_cannot_run_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = LocalGateRunner.run

    async def broken(self: LocalGateRunner, request: GateRequest, emit: Emit) -> SignedReport:
        if request.kind == "land":
            raise InfrastructureFault("the slot is gone")
        return await run(self, request, emit)

    monkeypatch.setattr(LocalGateRunner, "run", broken)
    night = Night(tmp_path / "night")
    night.order("a", {"tiny/a.py": "A = 1\n"}, kind="docs")
    assert night.until_idle() == "idle"
    failed: list[dict[str, Any]] = [event.fields for event in night.events("effect_failed")]
    assert len(failed) >= 3
    assert all("the slot is gone" in fields["error"] for fields in failed)
    assert len(night.events("trial_started")) <= 2 * len(failed)
    assert night.phases() == {"a": "parked"}
    monkeypatch.undo()
    assert night.landed()[1:] == []
