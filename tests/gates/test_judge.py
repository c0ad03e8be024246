"""Green means: exit code, results and the base's inventory agree."""

import pytest

from gates.judge import is_named, judge
from gates.results.adapter import Seen


def test_all_passed_is_green() -> None:
    said = judge(Seen({"a": "passed", "b": "skipped"}), counts=True, inventory=["a"])
    assert (said.result, said.reason, said.executed, said.passed, said.skipped) == ("green", "", 1, 1, 1)


def test_a_failed_test_is_red_and_named() -> None:
    said = judge(Seen({f"t{n}": "failed" for n in range(7)}), counts=True)
    assert said.result == "red"
    assert said.reason == "7 of 7 tests failed: t0, t1, t2, t3, t4 and 2 more."


def test_zero_tests_is_red_also_when_all_are_skipped() -> None:
    assert judge(Seen(), counts=True).reason == "zero tests were executed."
    assert judge(Seen({"a": "skipped"}), counts=True).result == "red"


def test_zero_tests_is_fine_where_there_are_none_to_count() -> None:
    assert judge(Seen(), counts=False).result == "green"


@pytest.mark.parametrize("now", [{}, {"a": "skipped"}])
def test_a_test_that_passed_on_base_and_did_not_run_is_lost(now) -> None:
    said = judge(Seen({"b": "passed", **now}), counts=True, inventory=["a", "b"])
    assert said.result == "red"
    assert said.lost == ("a",)
    assert "LOST" in said.reason


def test_a_failing_test_is_not_also_lost() -> None:
    assert judge(Seen({"a": "failed"}), counts=True, inventory=["a"]).lost == ()


def test_a_lost_test_that_the_order_names_is_no_reason() -> None:
    assert judge(Seen({"b": "passed"}), counts=True, inventory=["m.C.a", "b"], gone=["m.C"]).result == "green"


def test_a_gate_that_changed_the_tree_is_red_though_all_passed() -> None:
    said = judge(Seen({"a": "passed"}), counts=True, touched=True)
    assert said.result == "red"
    assert "changed the tree" in said.reason


def test_a_fault_is_an_error_and_blames_nobody() -> None:
    assert judge(Seen(fault="pytest is missing: install it."), counts=True).result == "error"


def test_a_reason_is_one_printable_line() -> None:
    reason = judge(Seen({"a\x1b[2J\nb": "failed"}), counts=True).reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("test", "name", "named"),
    [
        ("tests/test_a.py::C::test_x", "tests/test_a.py::C::test_x", True),
        ("tests/test_a.py::C::test_x", "tests/test_a.py", True),
        ("tests/test_a.py::C::test_x", "tests", True),
        ("tests.test_a.C.test_x", "tests/test_a.py::C", True),
        ("test_a.C.test_x", "tests/test_a.py::C", True),
        ("tests/test_a.py::test_x[a/b]", "tests/test_a.py::test_x", True),
        ("tests/test_ab.py::test_x", "tests/test_a.py", False),
        ("tests/test_a.py::test_xy", "tests/test_a.py::test_x", False),
        ("tests/test_a.py::test_x", "", False),
        ("tests/test_a.py::test_x", ".", False),
    ],
)
def test_orders_name_tests_by_id_or_prefix(test: str, name: str, named: bool) -> None:
    assert is_named(test, [name]) is named
