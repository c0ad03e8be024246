"""Work orders that agents propose: what can be taken on, and which of them always wait for a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.checks import check_roadmap
from engine.models.handoffs import DesignContract, HandoffError
from engine.models.roadmap import Item, Roadmap, WorkOrder
from engine.models.settings import Gate, Settings
from engine.planner.proposals import loosens, shown
from engine.proposals import boundaries, checked

ITEM = Item(id="speed", title="Speed")
BY = WorkOrder(id="plan-speed", item="speed", title="Plan", role="coordinator")
BROKEN = {"old": WorkOrder(id="old", title="Old", depends_on=["gone"]), "plan-speed": BY}
KNOWN = {"old": WorkOrder(id="old", title="Old", gates=["gone"]), "plan-speed": BY}
SETTINGS = Settings(gate=[Gate(name="unit", run=["x"])])


def order(ident: str, **fields: Any) -> WorkOrder:
    return WorkOrder.model_validate({"id": ident, "title": ident, "allow": ["src/**"], **fields})


def take(*orders: WorkOrder) -> list[WorkOrder]:
    return checked(orders, BY, KNOWN, [ITEM], SETTINGS)


def test_orders_are_of_the_item_and_wait_for_its_contracts() -> None:
    api, one, two = take(order("api", kind="contract"), order("one"), order("two", depends_on=["one", "old"]))
    assert {each.item for each in (api, one, two)} == {"speed"}
    assert api.depends_on == []
    assert one.depends_on == ["api"]
    assert two.depends_on == ["one", "old", "api"]


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ([order("old")], "there is a work order old already"),
        ([order("a"), order("a")], 'another work order "a"'),
        ([order("a", depends_on=["nowhere"])], "nowhere"),
        ([order("a", depends_on=["b"]), order("b", depends_on=["a"])], "cycle"),
        ([order("api", kind="contract", depends_on=["a"]), order("a")], "cycle"),
        ([order("a", gates=["none"])], "none"),
        ([order("a", allow=["/etc/**"])], "starts with /"),
        ([order("resize"), order("outside", allow=["/etc/**"])], "your order 2: .*starts with /"),
        ([order("tests-a")], "begins as those"),
        ([order("a", role="coordinator")], "the role coordinator"),
        ([order("a", draft=True)], "draft"),
        ([order("a.lock")], "branch name"),
    ],
)
def test_what_cannot_be_taken_on_is_said(orders: list[WorkOrder], said: str) -> None:
    with pytest.raises(HandoffError, match=said):
        take(*orders)


@pytest.mark.parametrize("ident", ["a", "old-2", "gone-by", "order"])
def test_what_is_wrong_with_others_is_not_held_against_a_proposal(ident: str) -> None:
    assert [each.id for each in checked([order(ident)], BY, BROKEN, [ITEM], SETTINGS)] == [ident]
    with pytest.raises(HandoffError, match="your order 1: a cycle: gone -> old -> gone"):
        checked([order("gone", depends_on=["old"])], BY, BROKEN, [ITEM], SETTINGS)
    assert checked([], BY, BROKEN, [ITEM], SETTINGS) == []


def test_what_loosens_something_waits_for_a_person() -> None:
    assert loosens(order("a")) == ""
    loose: list[dict[str, Any]] = [
        {"gates": ["unit"]}, {"tests_removed": ["t"]}, {"tests_changed": ["t"]}, {"allow": []}, {"auto_revert": False},
    ]  # fmt: skip
    assert all(loosens(order("a", **fields)) for fields in loose)


def test_a_person_is_shown_clean_lines() -> None:
    rows = shown(order("a", title="T\x1b[2J", goal="one\ntwo", tests_removed=["t"], repro=["sh", "-c", "x\u202ey"]))
    assert "tests to be removed: t" in rows
    assert not any(char in row for row in rows for char in "\x1b\n\u202e")


def test_a_contracts_names_are_globs_of_its_map() -> None:
    contract = DesignContract.model_validate(
        {
            "summary": "s",
            "module_map": {"ui": "src/ui/**", "store": "src/store/**"},
            "forbidden_imports": [{"from": "ui", "may_not": "store"}, {"from": "src/a/**", "may_not": "requests"}],
        }
    )
    assert boundaries(contract) == [
        {"from": "src/ui/**", "may_not": "src/store/**"},
        {"from": "src/a/**", "may_not": "requests"},
    ]


@pytest.mark.parametrize("pair", [("/ui", "store"), ("ui", "../x"), ("ui", "ui")])
def test_a_boundary_that_means_nothing_is_refused(pair: tuple[str, str]) -> None:
    fields = {"summary": "s", "forbidden_imports": [{"from": pair[0], "may_not": pair[1]}]}
    with pytest.raises(HandoffError, match="forbidden_imports"):
        boundaries(DesignContract.model_validate(fields))


NAMES = st.sampled_from(["a", "b", "c", "d", "old", "plan-speed", "nowhere"])


@given(
    st.lists(
        st.builds(
            lambda ident, after, kind: order(ident, depends_on=after, kind=kind),
            NAMES,
            st.lists(NAMES, max_size=3, unique=True),
            st.sampled_from(["feature", "contract", "fix"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_taken_on_leaves_a_sound_roadmap(orders: list[WorkOrder]) -> None:
    try:
        taken = take(*orders)
    except HandoffError:
        return
    whole = Roadmap(item=[ITEM], work_order=[WorkOrder(id=name, title=name) for name in KNOWN] + taken)
    assert [problem for problem in check_roadmap(whole, SETTINGS) if problem.level == "error"] == []
    contracts = {each.id for each in taken if each.kind == "contract"}
    assert all(contracts <= set(each.depends_on) for each in taken if each.kind != "contract")


def test_a_roadmap_that_names_a_role_nobody_has_is_told_so() -> None:
    roadmap = Roadmap(work_order=[order("a", role="scribe"), order("b")])
    (problem,) = (each for each in check_roadmap(roadmap, SETTINGS) if "role" in each.what and "scribe" in each.what)
    assert (problem.level, "a is for the role scribe" in problem.what) == ("warning", True)
    given_to = SETTINGS.model_copy(update={"roles": {"implementer": "x", "scribe": "x"}})
    assert [each for each in check_roadmap(roadmap, given_to) if "scribe" in each.what] == []
