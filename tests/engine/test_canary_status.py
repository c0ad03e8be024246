"""What `swarm status` tells of the canary, from the events of a night."""

from __future__ import annotations

from typing import Any

from engine.canary_status import canary_status
from engine.fold import apply
from engine.models.event import Event
from engine.state import State


class Told:
    """A state that is told one event a second, from second 100 on."""

    def __init__(self) -> None:
        self.state, self.at = State(), 100.0
        self("repository_opened", commit="c0", tree="t0", repository="r", branch="main")
        self("settings_read", policy="p", settings="s", bootstrap=False, flows=1)

    def __call__(self, kind: str, **fields: Any) -> None:
        self.at += 1
        assert apply(self.state, Event(self.state.seq + 1, self.at, kind, "", "", fields)) is None

    def run(self, verdict: str, purpose: str = "first", commit: str = "c0") -> None:
        row = {"flow": "smoke", "verdict": verdict, "reason": "r", "duration_s": 2.0, "artifacts": {"log": "sha256:1"}}
        about: dict[str, Any] = {"commit": commit, "about": "c0", "purpose": purpose}
        self("canary_started", **about)
        self("canary_finished", **about, verdict=verdict, reason="r", flow="smoke", flows=[row])

    def judged(self, verdict: str) -> None:
        self("canary_judged", commit="c0", verdict=verdict, reason="", flaky=False, flow="")


def test_a_flow_that_was_red_on_a_good_commit_has_lied() -> None:
    told = Told()
    told.run("FAIL")
    told.run("PASS", "rerun")
    told.run("PASS", "rerun")
    assert canary_status(told.state, told.at).flows[0].runs == 0, "nobody knows yet who was right"
    told.judged("PASS")
    (flow,) = canary_status(told.state, told.at).flows
    assert (flow.flow, flow.runs, flow.reds) == ("smoke", 3, 1)
    assert flow.flake_rate == round(2 / 23, 4)
    assert [run.verdict for run in flow.newest] == ["FAIL", "PASS", "PASS"]
    assert flow.newest[0].duration_s == 2.0


def test_red_runs_on_a_bad_commit_are_no_lies() -> None:
    told = Told()
    told.run("FAIL")
    told.judged("FAIL")
    (flow,) = canary_status(told.state, told.at).flows
    assert (flow.runs, flow.reds) == (0, 0)


def test_frozen_time_is_summed_over_freezes_and_goes_on_while_it_is_frozen() -> None:
    told = Told()
    told("landing_frozen", reason="red once", why="confirm")
    told("landing_frozen", reason="red", why="canary")
    told("landing_thawed", reason="a person")
    told("landing_frozen", reason="red once", why="confirm")
    status = canary_status(told.state, told.at + 10)
    assert (status.frozen, status.freezes, status.frozen_s) == (True, 2, 12.0)


def test_only_the_newest_runs_are_kept() -> None:
    told = Told()
    for _ in range(30):
        told.run("PASS")
    assert len(canary_status(told.state, told.at).flows[0].newest) == 20


def test_a_comparison_is_no_run_of_the_flow() -> None:
    told = Told()
    told.run("FAIL", "compare")
    assert canary_status(told.state, told.at).flows == []
