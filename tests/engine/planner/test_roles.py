"""Orders of the other roles, in virtual time: the same planner and fold as at night."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_night import Odds, SimulatedNight

from engine.actions import JoinTests, Record, StartRun
from engine.fold import apply
from engine.models.event import NewEvent
from engine.models.roadmap import Item, WorkOrder
from engine.models.settings import Coordinator, Limits, RoleName, Settings
from engine.planner import plan
from engine.planner.clusters import signature
from engine.planner.roles import role_of
from engine.proposals import checked
from engine.snapshot import dump_state, load_state
from engine.state import Order

CALM = Odds(**{each.name: 0.0 for each in fields(Odds)})
ALL: tuple[RoleName, ...] = (
    "coordinator", "architect", "implementer", "verifier", "builder", "triager", "scribe",
)  # fmt: skip
SIGNALS = ("change_rejected", "run_interrupted", "work_order_ready", "change_reverted")


class RolesNight(SimulatedNight):
    """Coordinators propose `proposes`, verifiers write tests; all others hand in changes."""

    items: tuple[Item, ...] = ()
    proposes: tuple[WorkOrder, ...] = ()
    joined: tuple[str, ...] = ()

    def emit(self, *news: NewEvent) -> None:
        told = [{"id": item.id, "title": item.title} for item in self.items]
        super().emit(
            *(replace(new, fields={**new.fields, "items": told}) if new.kind == "roadmap_read" else new for new in news)
        )

    def _StartRun(self, a: StartRun) -> None:  # noqa: N802 - named after the action
        order = self.state.orders[a.order]
        role = role_of(order.spec, self.settings.roles)
        ended: dict[str, Any] = {"counted": True, "reason": "", "kept": "k", "exit_code": 0, "duration_s": 1.0}
        finished = NewEvent("run_finished", {**ended, "result": "done"}, a.order, a.run)
        received = NewEvent("handoff_received", {"role": role, "digest": "d", "summary": ""}, a.order, a.run)
        done: dict[str, Any] = {"summary": ""}
        if role == "coordinator" and self.proposes:
            known = {name: each.spec for name, each in self.state.orders.items()}
            taken = checked(self.proposes, order.spec, known, self.items, self.settings)
            added = [
                NewEvent(
                    "work_order_added",
                    {"order": each.model_dump(mode="json"), "because": "b", "proposed": a.order},
                    each.id,
                )
                for each in taken
            ]
            self.emit(finished, received, *added, NewEvent("work_order_done", done, a.order, a.run))
        elif order.tests_for and not self.chance(self.odds.agent_fails, "tests", a.run):
            done |= {"head": f"tests:{a.run}", "base": self.state.main, "paths": ["tests/t.py"], "later": ["more"]}
            self.emit(finished, received, NewEvent("work_order_done", done, a.order, a.run))
        else:
            super()._StartRun(a)
            if self.events[-1].kind == "change_proposed" and role == "architect":
                self.emit(received)

    def _JoinTests(self, a: JoinTests) -> None:  # noqa: N802
        change, tests = self.state.changes[a.change], self.state.orders[a.tests]
        fields = {"change": a.change, "tests": a.tests, "joined": tests.done["head"], "head": change.head, "tree": "x"}
        self.emit(NewEvent("tests_joined", fields | {"paths": [*change.paths, "tests/t.py"]}, change.order))


def some(roles: tuple[RoleName, ...], *, accept: bool = False, attempts: int = 3) -> Settings:
    given = dict.fromkeys(("implementer", *roles), "a")
    return Settings.model_validate(
        {"roles": given, "coordinator": Coordinator(accept=accept), "limits": Limits(attempts=attempts)}
    )


def night(
    roles: tuple[RoleName, ...],
    orders: list[WorkOrder],
    *,
    items: tuple[str, ...] = (),
    proposes: tuple[WorkOrder, ...] = (),
    odds: Odds = CALM,
    seed: int = 1,
    accept: bool = False,
) -> RolesNight:
    RolesNight.items = tuple(Item(id=name, title=name) for name in items)
    RolesNight.proposes = proposes
    return RolesNight(seed, orders, some(roles, accept=accept), odds)


def phases(told: SimulatedNight) -> dict[str, str]:
    return {name: order.phase for name, order in told.state.orders.items()}


def of(told: SimulatedNight, kind: str) -> list[Any]:
    return [event for event in told.events if event.kind == kind]


ONE = WorkOrder(id="one", title="One", allow=["src/**"])
LOOSE = WorkOrder(id="loose", title="Loose", allow=["src/**"], tests_removed=["t"])


def test_nothing_is_added_for_roles_that_nobody_has() -> None:
    told = night((), [ONE], items=("speed",))
    told.run()
    assert phases(told) == {"one": "healthy"}
    assert of(told, "work_order_added") == []


def test_an_item_without_orders_is_planned_once_and_its_proposals_wait_for_a_person() -> None:
    told = night(("coordinator",), [], items=("speed",), proposes=(ONE,))
    told.odds = CALM
    told.run(40)
    assert phases(told) == {"plan-speed": "healthy", "one": "draft"}
    (asked,) = of(told, "approval_asked")
    assert (asked.fields["danger"], asked.work_order) == ("proposal", "one")
    assert "may change: src/**" in asked.fields["facts"]


@pytest.mark.parametrize(("answer", "phase"), [("approved", "healthy"), ("denied", "cancelled"), ("expired", "parked")])
def test_what_a_person_says_to_a_proposal_is_what_becomes_of_it(answer: str, phase: str) -> None:
    told = night(("coordinator",), [], items=("speed",), proposes=(ONE,))
    while not of(told, "approval_asked"):
        assert told.step()
    ident = of(told, "approval_asked")[0].fields["approval"]
    told.emit(NewEvent("approval_answered", {"approval": ident, "answer": answer, "by": "a person"}, "one"))
    told.run()
    assert told.violations == []
    assert phases(told) == {"plan-speed": "healthy", "one": phase}
    assert len(of(told, "approval_asked")) == 1


def test_settings_may_accept_proposals_but_never_one_that_loosens_something() -> None:
    told = night(("coordinator",), [], items=("speed",), proposes=(ONE, LOOSE), accept=True)
    told.run(60)
    assert phases(told) == {"plan-speed": "healthy", "one": "healthy", "loose": "draft"}
    (asked,) = of(told, "approval_asked")
    assert asked.work_order == "loose"


def test_with_an_architect_the_contract_lands_before_the_plan() -> None:
    told = night(("coordinator", "architect"), [], items=("speed",), proposes=(ONE,), accept=True)
    told.run()
    started = [event.work_order for event in of(told, "run_started")]
    assert started == ["contract-speed", "plan-speed", "one"]
    assert told.violations == []


def test_an_item_that_has_orders_is_left_alone() -> None:
    told = night(("coordinator", "architect"), [ONE.model_copy(update={"item": "speed"})], items=("speed",))
    told.run()
    assert phases(told) == {"one": "healthy"}


def test_tests_are_written_beside_the_implementation_and_join_it() -> None:
    told = night(("verifier",), [ONE])
    seen: set[frozenset[str]] = set()
    while told.step():
        seen.add(frozenset(n for n, o in told.state.orders.items() if o.phase == "running"))
    assert frozenset({"one", "tests-one"}) in seen
    assert told.violations == []
    joined = of(told, "tests_joined")[0]
    queued = of(told, "change_queued")[0]
    assert joined.seq < queued.seq
    assert joined.fields["change"] == queued.fields["change"] == "one/1"
    assert phases(told) == {"one": "healthy", "tests-one": "healthy", "stress-one": "healthy"}


def test_tests_that_cannot_be_written_hold_nobody_up() -> None:
    told = night(("verifier",), [ONE])
    while "tests-one" not in told.state.orders:
        assert told.step()
    told.emit(NewEvent("work_order_cancelled", {"by": "a person"}, "tests-one"))
    told.run()
    assert told.violations == []
    assert phases(told) == {"one": "healthy", "tests-one": "cancelled"}
    assert of(told, "tests_joined") == []


@pytest.mark.parametrize(
    ("source", "proposed_by", "wanted"), [("roadmap", "", True), ("swarm", "plan-x", True), ("swarm", "", False)]
)
def test_tests_are_written_beside_what_people_and_agents_want_and_not_beside_what_a_rule_asks_for(
    source: Any, proposed_by: str, wanted: bool
) -> None:
    told = night(("verifier",), [])
    told.run()
    fix = WorkOrder(id="fix", title="A fix", kind="fix")
    told.state.orders["fix"] = Order(fix, phase="ready", source=source, proposed_by=proposed_by)
    records = [each for each in plan(told.state, told.settings, told.now).actions if isinstance(each, Record)]
    assert [each.work_order for each in records if each.kind == "work_order_added"] == ["tests-fix"] * wanted


def test_the_scribe_is_asked_once_for_all_that_landed() -> None:
    orders = [WorkOrder(id=name, title=name) for name in ("a", "b", "c")]
    told = night(("scribe",), orders)
    told.run()
    docs = [name for name in phases(told) if name.startswith("docs-")]
    assert docs
    assert all(phases(told)[name] == "healthy" for name in docs)
    written = "\n".join(told.state.orders[name].spec.goal for name in docs)
    assert [written.count(f"{name}: {name}") for name in "abc"] == [1, 1, 1]


def test_the_scribe_is_asked_for_what_landed_before_the_engine_was_started_again() -> None:
    told = night(("scribe",), [WorkOrder(id="a", title="a")])
    told.run()
    assert phases(told) == {"a": "healthy", "docs-a": "healthy"}
    state, now = told.state, told.now
    late = state.orders["late"] = Order(WorkOrder(id="late", title="late"), phase="healthy", since=now + 1, change="x")
    assert late.since > state.orders["docs-a"].ready_at
    state.started_at = now + 2
    (added,) = [each for each in plan(state, told.settings, now + 3).actions if isinstance(each, Record)]
    assert (added.kind, added.work_order) == ("work_order_added", "docs-late")


def test_failures_with_the_same_words_are_put_together() -> None:
    orders = [WorkOrder(id=f"w{n}", title="t") for n in range(4)]
    told = night(("triager",), orders, odds=replace(CALM, red_alone=1.0))
    told.run()
    added = [event.work_order for event in of(told, "work_order_added")]
    assert len([name for name in added if name.startswith("triage-")]) >= 1
    first = told.state.orders[added[0]].spec
    assert first.role == "triager"
    assert all(f"w{n}: " in first.goal for n in range(3))


def test_numbers_and_commits_do_not_make_another_signature() -> None:
    assert signature("gate unit is red after 1.5 s on c0ffee00") == signature("gate unit is red after 12 s on beef1234")
    assert signature("gate unit is red") != signature("gate stress is red")


def test_a_slow_gate_is_looked_at_again_only_when_it_is_twice_as_slow() -> None:
    told = night(("builder",), [])
    added: list[int] = []
    for minutes in (1.0, 6.0, 7.0, 12.0, 13.0):
        told.state.learned.minutes["unit"] = minutes
        told.run()
        added.append(len(of(told, "work_order_added")))
    assert added == [0, 1, 1, 2, 2]


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sets(st.sampled_from(ALL)).map(lambda chosen: tuple(sorted(chosen))),
    st.booleans(),
)
def test_no_order_is_begun_again_without_a_new_signal(seed: int, roles: tuple[RoleName, ...], accept: bool) -> None:
    odds = Odds(asks=0.0, person_commits=0.0)
    orders = [WorkOrder(id=f"w{n}", title="t", touches=[f"src/{n % 2}/**"]) for n in range(4)]
    told = night(roles, orders, items=("speed",), proposes=(ONE, LOOSE), odds=odds, seed=seed, accept=accept)
    told.run()
    assert told.violations == []
    told_since: dict[str, bool] = {}
    for event in told.events:
        if event.kind == "run_started":
            assert told_since.get(event.work_order, True), f"{event.work_order} began again, and nothing was new"
            told_since[event.work_order] = False
        elif event.kind in SIGNALS and event.work_order:
            told_since[event.work_order] = True
    assert load_state(dump_state(told.state)) == told.state


def test_the_check_of_signals_can_fail() -> None:
    told = night((), [ONE])
    told.run()
    again = replace(of(told, "run_started")[0], seq=told.events[-1].seq + 1)
    assert apply(told.state, again) is not None, "the life of an order refuses what has no reason"
