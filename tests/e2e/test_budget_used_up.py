"""A night whose budget is used up ends, says why nothing more starts and what to do, and the next one goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm_tui.headless import summary_text
from swarm_tui.inspecting import print_status
from swarm_tui.phrases import phrase
from tests.e2e.night import SETTINGS, Night

SAID = "the night has used up its 1 run, so nothing starts: raise budgets.night.runs in swarm.toml, or start again"


def status(night: Night, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    print_status(night.repo, night.state, as_json=as_json)
    return capsys.readouterr().out


@pytest.mark.slow
def test_it_is_told_everywhere_why_nothing_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = Night(tmp_path, settings=SETTINGS + "\n[budgets.night]\nruns = 1\n")
    for ident in ("a", "b"):
        night.order(ident, {f"tiny/{ident}.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    assert sorted(night.phases().values()) == ["healthy", "ready"]
    (told,) = night.events("budget_used_up")
    assert told.fields["said"] == [SAID]
    said = phrase(told)
    assert said is not None
    assert (said.text, said.tone) == (SAID, "attention")
    text = status(night, capsys)
    assert f"problem    {SAID}\n" in text
    assert "cost       tonight unknown of 40.00; in all unknown\n" in text
    shown = json.loads(status(night, capsys, as_json=True))
    assert shown["budgets"]["used_up"] == [SAID]
    assert (shown["cost"], shown["runs_ended"], shown["runs_without_cost"]) == (0.0, 1, 1)
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    assert SAID not in status(night, capsys)
    night.assert_sound()


def test_the_summary_of_a_run_says_what_needs_a_person() -> None:
    from engine.models.status import Status

    base = {"main": "m", "health": "green", "last_good": "m", "work_orders": {}, "landed": 0, "reverted": 0,
            "rejected": 0, "parked": 0, "cost": 0.0, "tokens": 0, "duration_s": 1.0}  # fmt: skip
    assert "needs you" not in summary_text(Status.model_validate(base)).plain
    assert f"needs you: {SAID}" in summary_text(Status.model_validate({**base, "problems": [SAID]})).plain
