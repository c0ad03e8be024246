"""What follows a landing, simulated: the planner that runs the night, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import simulated_night
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_night import FLOW, Odds, SimulatedNight

from engine.actions import Action, RunCanary
from engine.models.event import Event, NewEvent
from engine.models.flow import Flow
from engine.models.roadmap import WorkOrder
from engine.models.settings import Canary, Gate, Guards, Limits, Settings

CALM = Odds(**{each.name: 0.0 for each in fields(Odds)})
"""Nothing goes wrong, and people stay away."""
SAMPLED = {"name": "smoke", "start": {"run": ["x"]}, "steps": [{"sample": {"name": "ms", "event": "f", "path": "ms"}}]}


def flows(*flow: Flow) -> Settings:
    return Settings(limits=Limits(), roles={"implementer": "a"}, canary=Canary(flow=list(flow or [FLOW])))


def sampled(slower: str = "bug") -> Settings:
    return flows(Flow.model_validate({**SAMPLED, "judge": {"slower": slower}}))


def orders(count: int, **more: Any) -> list[WorkOrder]:
    return [WorkOrder(id=f"w{n}", title=f"order {n}", **more) for n in range(count)]


def of(night: SimulatedNight, *kinds: str) -> list[Event]:
    return [event for event in night.events if event.kind in kinds]


def ran(night: SimulatedNight, steps: int = 4_000) -> SimulatedNight:
    night.run(steps)
    assert night.violations == []
    return night


def bad_is(night: SimulatedNight, bad: Callable[[], str]) -> None:
    night.canary_is_red = lambda tree: bad() in tree  # type: ignore[method-assign]


def landed(night: SimulatedNight) -> list[str]:
    return [event.fields["change"] for event in of(night, "change_landed")]


def hold_until(night: SimulatedNight, count: int) -> None:
    """The canary does not answer before so many landings: they are judged together."""
    night.held = lambda action: isinstance(action, RunCanary) and len(of(night, "change_landed")) < count


def coalesced(seed: int, count: int, at: int, rules: Settings | None = None) -> tuple[SimulatedNight, str]:
    """A first landing that is good, then `count` that one canary judges; number `at` of them is bad."""
    night = SimulatedNight(seed, orders(count + 1), rules or flows(), CALM)
    bad_is(night, lambda: (landed(night) + ["-"] * (at + 1))[at])
    hold_until(night, count + 1)
    ran(night)
    return night, landed(night)[at]


# -- lies of the flow ------------------------------------------------------------------------------------------------


def wrong_reverts(seed: int, count: int) -> int:
    """Of so many landings, each of which is judged by itself."""
    chain = [
        order.model_copy(update={"depends_on": [f"w{n - 1}"]} if n else {}) for n, order in enumerate(orders(count))
    ]
    night = SimulatedNight(seed, chain, flows(), replace(CALM, flaky_canary=0.05))
    night.held = lambda action: (
        not isinstance(action, RunCanary) and any(isinstance(other, RunCanary) for other in night.pending.values())
    )
    night.tree_is_red = lambda tree: False  # type: ignore[method-assign]
    ran(night, 40_000)
    assert len(landed(night)) >= count
    assert len(of(night, "canary_judged")) > 0.8 * count
    assert night.state.last_good == night.state.main
    record = night.state.flows["smoke"]
    assert 0.01 < record.rate < 0.12
    assert record.reds == sum(
        event.fields["verdict"] == "FAIL" for event in of(night, "canary_finished") if _of_a_good_one(night, event)
    )
    return len(of(night, "change_reverted"))


def _of_a_good_one(night: SimulatedNight, event: Event) -> bool:
    judged = night.state.canaries[event.fields["about"]]
    return judged.verdict == "PASS" and event.fields["purpose"] in ("first", "rerun")


def test_a_flow_that_is_red_by_chance_takes_almost_nothing_back() -> None:
    assert wrong_reverts(1, 50) == 0


@pytest.mark.slow
def test_one_red_in_twenty_takes_back_at_most_one_of_200_landings_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_night, "PURITY_EVERY", 100)
    nights = [wrong_reverts(seed, 200) for seed in range(2)]
    assert sum(nights) <= 0.005 * 200 * len(nights)
    assert max(nights) <= 1


def test_a_canary_that_cannot_build_anywhere_blames_nobody() -> None:
    night = SimulatedNight(3, orders(6), flows(), CALM)
    night.canary_says = lambda a: (  # type: ignore[method-assign]
        ("FAIL", "package: make exited with 2") if len(landed(night)) > 2 else ("PASS", "")
    )
    ran(night)
    assert of(night, "main_restored", "change_reverted", "culprit_found") == []
    assert [event.fields["verdict"] for event in of(night, "canary_judged")][-1] == "ENVIRONMENT"


def test_a_machine_that_breaks_in_the_middle_of_the_search_blames_nobody() -> None:
    night = SimulatedNight(2, orders(6), flows(), CALM)
    bad_is(night, lambda: (landed(night) + ["-"] * 4)[3])
    hold_until(night, 6)
    says = night.canary_says
    night.canary_says = lambda a: (  # type: ignore[method-assign]
        ("FAIL", "no display") if a.purpose == "culprit" else says(a)
    )
    ran(night)
    assert of(night, "main_restored")
    assert "machine" in of(night, "culprit_unresolved")[0].fields["reason"]
    single = [event for event in of(night, "culprit_found") if len(_suspects(night, event)) > 1]
    assert single == []


def _suspects(night: SimulatedNight, found: Event) -> list[str]:
    regression = next(r for r in night.state.regressions if r.culprit == found.fields["commit"])
    return [landing.commit for landing in regression.suspects]


# -- coalesced landings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [1, 3, 5])
def test_one_of_five_coalesced_landings_is_bad_main_is_restored_first_and_the_right_one_blamed(
    seed: int, at: int
) -> None:
    night, bad = coalesced(seed, 5, at)
    kinds = [event.kind for event in night.events]
    assert kinds.index("main_restored") < kinds.index("culprit_found")
    assert [event.fields["change"] for event in of(night, "culprit_found", "change_reverted")] == [bad] * 2
    (bug,) = (order for order in night.state.orders.values() if order.spec.id.startswith("bug-"))
    assert bug.phase == "healthy"
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}
    innocent = {change for change in landed(night)[:6] if change != bad}
    assert innocent <= night.commits[night.state.main]
    assert bad not in night.commits[night.state.main]


def test_a_search_shares_the_canary_with_what_lands_meanwhile() -> None:
    night = SimulatedNight(4, orders(14), flows(), CALM)
    bad_is(night, lambda: (landed(night) + ["-"] * 4)[3])
    hold_until(night, 6)
    ran(night)
    restored, found = of(night, "main_restored")[0].seq, of(night, "culprit_found")[0].seq
    between = [event for event in of(night, "canary_finished") if restored < event.seq < found]
    assert {"culprit", "first"} <= {event.fields["purpose"] for event in between}


def test_suspects_that_cannot_be_told_apart_wait_for_the_bug_order_and_land_one_by_one() -> None:
    night = SimulatedNight(6, orders(6), flows(), CALM)

    def says(action: RunCanary) -> tuple[str, str]:
        tree, there = night.commits[action.commit], landed(night)
        if len(there) < 6:
            return "PASS", ""
        unbuilt, red = there[3], there[4]
        if red in tree:
            return "FAIL", "wrong colour"
        return ("FAIL", "package: no") if unbuilt in tree else ("PASS", "")

    night.canary_says = says  # type: ignore[method-assign]
    hold_until(night, 6)
    ran(night)
    pair = landed(night)[3:5]
    unresolved = of(night, "culprit_unresolved")[0]
    commits = {event.fields["commit"]: event.fields["change"] for event in of(night, "change_landed")}
    assert [commits[commit] for commit in unresolved.fields["range"]] == pair
    assert unresolved.fields["probability"] > 0.9
    bug = of(night, "work_order_added")[0]
    assert bug.fields["order"]["kind"] == "fix"
    mended = next(e.seq for e in of(night, "change_landed") if e.work_order == bug.work_order)
    again = [event for event in of(night, "change_landed") if event.fields["change"] in pair][2:]
    assert all(event.seq > mended for event in again)
    verdicts = [event.seq for event in of(night, "canary_judged")]
    assert len(again) < 2 or any(again[0].seq < seq < again[1].seq for seq in verdicts)
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}


# -- freeze and thaw -------------------------------------------------------------------------------------------------


def test_the_first_red_freezes_landing_and_agents_go_on() -> None:
    rules = flows().model_copy(update={"limits": Limits(implementers=1)})
    night = SimulatedNight(5, orders(20), rules, CALM)
    red: list[str] = []

    def says(action: RunCanary) -> tuple[str, str]:
        if not red and landed(night) and action.purpose == "first":
            red.append(action.commit)
            return "FAIL", "a hiccup"
        return "PASS", ""

    night.canary_says = says  # type: ignore[method-assign]
    night.held = lambda action: isinstance(action, RunCanary) and bool(night.state.frozen)
    ran(night)
    first = next(event.seq for event in of(night, "canary_finished") if event.fields["verdict"] == "FAIL")
    (frozen,), (thawed,) = of(night, "landing_frozen"), of(night, "landing_thawed")
    assert frozen.fields["why"] == "confirm"
    assert first < frozen.seq < thawed.seq
    assert len([e for e in of(night, "change_landed") if frozen.seq < e.seq < thawed.seq]) <= 1, "what was under way"
    assert [e for e in of(night, "run_started", "change_proposed") if frozen.seq < e.seq < thawed.seq]
    assert night.state.frozen_s == pytest.approx(thawed.at - frozen.at)
    assert night.state.freezes == 1


def asked(night: SimulatedNight) -> list[tuple[str, str]]:
    return [(a.status, a.why) for a in night.state.approvals.values() if a.danger == "restore"]


def answer(night: SimulatedNight, said: str) -> None:
    approval = next(a for a in night.state.approvals.values() if a.status == "pending")
    night.emit(NewEvent("approval_answered", {"approval": approval.id, "answer": said, "by": "a person"}))
    ran(night)


def red_night(order: WorkOrder, rules: Settings) -> SimulatedNight:
    """An order whose first change is red on main, after a good one of another."""
    night = SimulatedNight(1, [WorkOrder(id="good", title="g", priority=1), order], rules, CALM)
    bad_is(night, lambda: f"{order.id}/1")
    return ran(night)


def test_an_order_with_auto_revert_off_is_taken_back_only_by_a_person() -> None:
    kept = WorkOrder(id="kept", title="k", auto_revert=False, depends_on=["good"])
    night = red_night(kept, flows())
    assert asked(night) == [("pending", "kept says Auto-Revert: off")]
    assert night.state.frozen
    facts = next(iter(night.state.approvals.values())).facts
    assert any("if approved" in fact for fact in facts)
    assert any("kept" in fact for fact in facts)
    answer(night, "approved")
    assert of(night, "main_restored")
    assert red_night(WorkOrder(id="kept", title="k", depends_on=["good"]), flows()).state.approvals == {}


def test_what_changes_protected_files_is_taken_back_only_by_a_person() -> None:
    rules = flows().model_copy(update={"guards": Guards(protected=["p"])})
    night = red_night(WorkOrder(id="w", title="w", depends_on=["good"]), rules)
    assert asked(night) == [("pending", "it takes back a change of p, which is protected")]
    answer(night, "denied")
    assert not night.state.frozen
    assert "w/1" in night.commits[night.state.main]


def test_after_four_restores_in_a_day_a_person_is_asked() -> None:
    night = SimulatedNight(1, orders(9), flows(), CALM)
    night.canary_is_red = lambda tree: any(c.startswith("w") and c.endswith("/1") for c in tree - {"w0/1"})  # type: ignore[method-assign]
    ran(night)
    assert len(of(night, "main_restored")) == 4
    assert ("pending", "main was restored too often within a day") in asked(night)


def test_an_order_that_was_reverted_twice_is_parked() -> None:
    night = SimulatedNight(1, orders(2), flows(), CALM)
    night.canary_is_red = lambda tree: any(c.startswith("w1/") for c in tree)  # type: ignore[method-assign]
    ran(night)
    assert night.state.orders["w1"].phase == "parked"
    assert "reverted 2 times" in night.state.orders["w1"].why


def test_a_restore_is_never_taken_back() -> None:
    """Chance makes the canary of the restored main red three times: it is the tree that was good."""
    night = SimulatedNight(1, orders(2), flows(), CALM)
    bad_is(night, lambda: "w1/1")
    says = night.canary_says

    def unlucky(action: RunCanary) -> tuple[str, str]:
        restores = [event.fields["commit"] for event in of(night, "main_restored")]
        return ("FAIL", "chance") if action.commit in restores else says(action)

    night.canary_says = unlucky  # type: ignore[method-assign]
    ran(night)
    assert len(of(night, "main_restored")) == 1
    restore = of(night, "main_restored")[0].fields["commit"]
    verdicts = [e.fields["verdict"] for e in of(night, "canary_judged") if e.fields["commit"] == restore]
    assert verdicts in ([], ["ENVIRONMENT"])


# -- gates after landing, samples ------------------------------------------------------------------------------------


def test_gates_after_landing_alone_make_a_canary() -> None:
    gates = [Gate(name="unit", run=["x"]), Gate(name="night", run=["x"], when=["canary"])]
    rules = Settings(roles={"implementer": "a"}, gate=gates)
    assert of(ran(SimulatedNight(1, orders(2), rules, CALM)), "canary_judged")
    without = rules.model_copy(update={"gate": gates[:1]})
    assert of(ran(SimulatedNight(1, orders(2), without, CALM)), "canary_judged") == []


def test_what_is_slower_gets_a_bug_order_and_stays() -> None:
    night = ran(SimulatedNight(1, orders(3), sampled(), replace(CALM, slower=1.0)))
    assert of(night, "main_restored") == []
    assert night.state.last_good == night.state.main
    assert of(night, "work_order_added")
    assert all(regression.slower for regression in night.state.regressions)
    calm = ran(SimulatedNight(1, orders(3), sampled(), CALM))
    assert of(calm, "work_order_added") == []
    assert [event for event in of(calm, "canary_finished") if event.fields["purpose"] == "compare"]


def test_what_is_slower_is_taken_back_where_the_user_says_so_and_two_comparisons_agree() -> None:
    night = SimulatedNight(1, orders(3), sampled("revert"), CALM)
    says = night.canary_says

    def slow(action: RunCanary) -> tuple[str, str]:
        if action.purpose != "compare":
            return says(action)
        return ("FAIL", "frame_ms 10 to 13 ms") if "w1/1" in night.commits[action.commit] else ("PASS", "")

    night.canary_says = slow  # type: ignore[method-assign]
    ran(night)
    assert [event.work_order for event in of(night, "change_reverted")] == ["w1"]
    assert "twice" in next(e for e in of(night, "canary_judged") if e.fields["verdict"] == "FAIL").fields["reason"]


def test_one_comparison_alone_takes_nothing_back() -> None:
    night = SimulatedNight(1, orders(4), sampled("revert"), CALM)
    says, told = night.canary_says, set[str]()

    def once(action: RunCanary) -> tuple[str, str]:
        if action.purpose != "compare" or action.commit in told:
            return says(action)
        told.add(action.commit)
        return "FAIL", "frame_ms 10 to 13 ms"

    night.canary_says = once  # type: ignore[method-assign]
    ran(night)
    assert told
    assert of(night, "main_restored", "change_reverted") == []


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_any_night_with_a_lying_canary_settles_and_keeps_its_invariants(seed: int) -> None:
    odds = replace(
        CALM, red_canary=0.2, flaky_canary=0.1, slower=0.2, machine_fails=0.1, crash=0.02, person_commits=0.02,
        person_answers=0.3,
    )  # fmt: skip
    rules = sampled("revert" if seed % 2 else "bug")
    night = ran(SimulatedNight(seed, orders(5), rules, odds), 6_000)
    assert not night.state.frozen or any(a.status == "pending" for a in night.state.approvals.values())
    assert all(regression.done for regression in night.state.regressions)


def holds_canary(action: Action) -> bool:
    return isinstance(action, RunCanary)


def test_a_canary_that_began_is_not_cancelled_by_what_lands_after_it() -> None:
    """`violations` has every cancelled one."""
    night = SimulatedNight(8, orders(10), flows(), CALM)
    night.held = holds_canary
    ran(night)
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}
    judged = [event.fields["commit"] for event in of(night, "canary_judged")]
    assert len(judged) < len(landed(night)), "the newest was judged for all: there was a backlog"


def test_a_bug_order_that_is_red_itself_tries_again_and_gets_no_bug_order_of_its_own() -> None:
    night = SimulatedNight(2, orders(2), flows(), CALM)
    bad_is(night, lambda: landed(night)[1] if len(landed(night)) > 1 else "-")
    once = night.canary_is_red
    night.canary_is_red = lambda tree: (  # type: ignore[method-assign]
        once(tree) or any(name.startswith("bug-") and name.endswith("/1") for name in tree)
    )
    ran(night)
    bugs = [event.work_order for event in of(night, "work_order_added") if event.work_order.startswith("bug-")]
    reverted = [event.work_order for event in of(night, "change_reverted")]
    assert [name for name in bugs if name in reverted], (bugs, reverted)
    assert [name for name in bugs if name.startswith("bug-bug-")] == []
    assert of(night, "bug_not_filed")
