"""The verifier's tests join a change whatever landed between the two, or go back to who can mend them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.effects.handoffs import joined
from engine.models.event import NewEvent
from engine.state import Change
from tests.engine.effects.test_going_on import Yard


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))


def join(yard: Yard, head: str, base: str, tests: str, tests_base: str) -> NewEvent:
    change = Change("agent/a/1", "a", base, head, yard.hub.tree_of(head), ["part.txt"])
    done: dict[str, Any] = {"head": tests, "base": tests_base, "paths": ["tests.txt"]}
    return joined(yard.hub, change, "tests-a", done)


@pytest.mark.parametrize("newer", ["tests", "change", "neither"])
def test_the_joined_change_is_what_the_two_bring_and_nothing_that_landed_between(yard: Yard, newer: str) -> None:
    main = yard.commit(yard.first, other="landed\n")
    base, tests_base = {
        "tests": (yard.first, main), "change": (main, yard.first), "neither": (main, main)
    }[newer]  # fmt: skip
    told = join(yard, yard.commit(base, part="done\n"), base, yard.commit(tests_base, tests="red\n"), tests_base)
    assert told.kind == "tests_joined"
    before, after = yard.files(yard.hub.tree_of(told.fields["base"])), yard.files(told.fields["tree"])
    assert dict(after.items() - before.items()) == {"part.txt": "done\n", "tests.txt": "red\n"}
    assert (told.fields["base"], told.fields["paths"]) == (main, ["part.txt", "tests.txt"])


def test_tests_that_main_has_outrun_are_written_again_and_cost_the_implementer_nothing(yard: Yard) -> None:
    main = yard.commit(yard.first, tests="of somebody else\n")
    told = join(yard, yard.commit(main, part="done\n"), main, yard.commit(yard.first, tests="red\n"), yard.first)
    assert (told.kind, told.work_order) == ("work_order_ready", "tests-a")
    assert "main has changed" in told.fields["feedback"][0]
    assert "tests.txt" in told.fields["feedback"][0]


def test_a_change_that_main_has_outrun_is_told_so_and_not_of_the_tests(yard: Yard) -> None:
    main = yard.commit(yard.first, part="landed\n")
    told = join(yard, yard.commit(yard.first, part="done\n"), yard.first, yard.commit(main, tests="red\n"), main)
    assert (told.kind, told.work_order) == ("change_rejected", "a")
    assert "does not merge with main" in told.fields["reasons"][0]
    assert "verifier" not in told.fields["reasons"][0]


def test_a_change_with_other_words_for_the_tests_is_told_to_leave_them(yard: Yard) -> None:
    tests = yard.commit(yard.first, tests="red\n")
    told = join(yard, yard.commit(yard.first, part="done\n", tests="green\n"), yard.first, tests, yard.first)
    assert told.kind == "change_rejected"
    assert "leave them as they are" in told.fields["reasons"][0]
