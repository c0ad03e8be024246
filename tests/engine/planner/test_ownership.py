"""Who may work when: ownership of files, contracts first, and what unblocks most."""

from __future__ import annotations

import random
from dataclasses import fields
from itertools import combinations

from hypothesis import example, given
from hypothesis import strategies as st
from simulated_night import Odds, SimulatedNight

from engine.actions import Action, StartRun
from engine.lifecycle import PHASES, Phase
from engine.models.roadmap import WorkOrder
from engine.models.settings import Limits, Settings
from engine.planner import plan
from engine.planner.unblocking import unblocks
from engine.scope import overlaps
from engine.state import Order, State

CALM = Odds(**{each.name: 0.0 for each in fields(Odds)})
ON_THE_WAY = ("running", "proposed", "verifying", "queued")
STANDING: list[Phase] = [phase for phase in PHASES if phase not in ("running", "reverted", "parked")]
GLOBS = ["src/**", "src/a.py", "src/?.py", "src/deep/**", "docs/*", "*.md", "tests/test_a.py", "**/a.py", ""]
KINDS = ["feature", "fix", "contract", "docs"]


class OwnedNight(SimulatedNight):
    """Watches every start: who is on the way then, and whether what it depends on is on main."""

    def begin(self, action: Action) -> None:
        if isinstance(action, StartRun):
            mine = self.state.orders[action.order]
            for other in self.state.orders.values():
                if other is not mine and other.phase in ON_THE_WAY and overlaps(mine.spec.touches, other.spec.touches):
                    self.violations.append(f"{action.order} starts while {other.spec.id} is {other.phase}")
            for name in mine.spec.depends_on:
                before = self.state.orders[name]
                if before.spec.kind == "contract" and before.phase not in ("landed", "healthy"):
                    self.violations.append(f"{action.order} starts and its contract {name} is {before.phase}")
                if not before.landed:
                    self.violations.append(f"{action.order} starts and {name} has never landed")
        super().begin(action)


def some_orders(seed: int, count: int) -> list[WorkOrder]:
    rng = random.Random(seed)
    made: list[WorkOrder] = []
    for n in range(count):
        before = [f"w{m}" for m in range(n) if rng.random() < 0.25]
        touches = [glob for glob in rng.sample(GLOBS, rng.randint(0, 2)) if glob]
        kind = rng.choice(KINDS)
        made.append(
            WorkOrder.model_validate(
                {"id": f"w{n}", "title": "t", "kind": kind, "depends_on": before, "touches": touches}
                | {"priority": rng.randint(1, 3)}
            )
        )
    return made


def settings(implementers: int = 4) -> Settings:
    return Settings(limits=Limits(implementers=implementers, gate_slots=2), roles={"implementer": "a"})


@given(st.integers(0, 100_000), st.integers(2, 8))
@example(7, 8)
def test_over_whole_nights_no_two_owners_of_a_file_are_on_the_way_and_contracts_land_first(
    seed: int, count: int
) -> None:
    night = OwnedNight(seed, some_orders(seed, count), settings(), Odds())
    night.run()
    assert night.violations == []


def test_the_watch_sees_who_starts_beside_an_owner() -> None:
    """The watch itself can fail: orders that the planner believes to be apart, and are not."""
    orders = [WorkOrder(id=name, title="t", touches=[f"{name}/**"]) for name in ("a", "b")]
    night = OwnedNight(1, orders, settings(), CALM)
    for order in night.state.orders.values():
        order.phase = "ready"
    starts = [a for a in plan(night.state, night.settings, night.now).actions if isinstance(a, StartRun)]
    assert len(starts) == 2
    for order in night.state.orders.values():
        order.spec = order.spec.model_copy(update={"touches": ["same.py"]})
    for start in starts:
        night.begin(start)
    assert night.violations == ["b starts while a is running"]


def test_orders_on_the_same_files_do_start_when_the_first_has_landed() -> None:
    orders = [WorkOrder(id=f"w{n}", title="t", touches=["src/**"]) for n in range(4)]
    night = OwnedNight(1, orders, settings(), CALM)
    night.run()
    assert night.violations == []
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}


def test_a_contract_that_was_taken_back_holds_up_what_depends_on_it() -> None:
    contract, user = WorkOrder(id="c", title="t", kind="contract"), WorkOrder(id="u", title="t", depends_on=["c"])
    for kind, starts in (("contract", []), ("feature", ["u"])):
        state = State(main="m", main_tree="t", epoch=1)
        state.orders["c"] = Order(contract.model_copy(update={"kind": kind}), phase="parked", landed=1)
        state.orders["u"] = Order(user, phase="ready", attempts=1)
        assert started(state, settings()) == starts


# ---- what is started first -----------------------------------------------------------------------------------------


def started(state: State, with_settings: Settings) -> list[str]:
    made = plan(state, with_settings, 1_000.0)
    return [action.order for action in made.actions if isinstance(action, StartRun)]


def waiting_behind(orders: dict[str, Order], name: str) -> set[str]:
    """The plain reading: who waits for it, who waits for those, and so on."""
    open_ = {n: o for n, o in orders.items() if o.phase not in ("landed", "healthy", "cancelled")}
    found: set[str] = set()
    while more := {n for n, o in open_.items() if n not in found and {name, *found} & set(o.spec.depends_on)}:
        found |= more
    return found - {name}


@st.composite
def states(draw: st.DrawFn) -> State:
    count = draw(st.integers(2, 9))
    state = State(main="m", main_tree="t", epoch=1)
    for n in range(count):
        before = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=3)) if n else []
        spec = WorkOrder(
            id=f"w{n}",
            title="t",
            depends_on=[f"w{m}" for m in before],
            touches=[draw(st.sampled_from(GLOBS[:4]))] if draw(st.booleans()) else [],
            priority=draw(st.integers(1, 3)),
        )
        phase = draw(st.sampled_from(STANDING))
        state.orders[f"w{n}"] = Order(spec, phase=phase, ready_at=float(draw(st.integers(0, 3))))
    return state


@given(states())
def test_what_unblocks_is_counted_over_any_number_of_steps(state: State) -> None:
    names = list(state.orders)
    assert unblocks(state.orders, names) == {name: len(waiting_behind(state.orders, name)) for name in names}


@given(states(), st.integers(1, 4))
def test_starts_follow_priority_then_what_unblocks_most_and_never_share_files(state: State, free: int) -> None:
    """Greedy by rank: whoever may start, is of better rank and collides with nobody ahead of it, starts."""
    begun = started(state, settings(free))
    orders = state.orders
    done = {name for name, order in orders.items() if order.phase in ("landed", "healthy")}
    may = [
        name
        for name, order in orders.items()
        if (order.phase == "ready" and done.issuperset(order.spec.depends_on)) or order.phase == "rejected"
    ]
    rank = {n: (orders[n].spec.priority, -len(waiting_behind(orders, n)), orders[n].ready_at, n) for n in may}
    taken = [name for name, order in orders.items() if order.phase in ON_THE_WAY]
    expected: list[str] = []
    for name in sorted(may, key=rank.__getitem__):
        mine = orders[name].spec.touches
        if len(expected) < free and not any(overlaps(mine, orders[other].spec.touches) for other in taken):
            expected.append(name)
            taken.append(name)
    assert sorted(begun) == sorted(expected)
    for a, b in combinations(begun, 2):
        assert not overlaps(orders[a].spec.touches, orders[b].spec.touches)


def test_a_long_chain_is_counted_without_recursion() -> None:
    state = State()
    for n in range(5_000):
        spec = WorkOrder(id=f"w{n}", title="t", depends_on=[f"w{n - 1}"] if n else [])
        state.orders[spec.id] = Order(spec)
    assert unblocks(state.orders, ["w0", "w4999"]) == {"w0": 4_999, "w4999": 0}


def test_a_circle_of_waiting_ends() -> None:
    state = State()
    for name, other in (("a", "b"), ("b", "a")):
        state.orders[name] = Order(WorkOrder(id=name, title="t", depends_on=[other]))
    assert set(unblocks(state.orders, ["a", "b"])) == {"a", "b"}
