"""Flaky tests, regression tests and limitations in the metrics."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from recorded_story import START, Story

from engine.fold import apply
from engine.models.proof import Proof
from engine.proof_tally import MOST_VERDICTS, Proofs
from engine.state import State
from gates.proof.joined import joined

UNIT, TEST, OTHER = "unit", "tests/test_a.py::test_it", "tests/test_a.py::test_other"


def listed(s: Story, t: float, *orders: dict[str, Any], limitations: list[str] | None = None) -> None:
    told = {"count": len(orders), "orders": list(orders), "gone": [], "items": [], "limitations": limitations}
    s.add(t, "roadmap_read", **told)


def order(ident: str, kind: str = "feature", *resolves: str) -> dict[str, Any]:
    return {"id": ident, "title": ident, "kind": kind, "resolves": list(resolves)}


def report(s: Story, t: float, result: str, kind: str = "land", tree: str = "merged", **more: Any) -> None:
    said: dict[str, Any] = {"report_kind": kind, "result": result, "report": f"sha256:{len(s.events)}", "tree": tree}
    said |= {"base": "t0", "base_commit": "c0", "policy": "p", "change": "", "reasons": [], "ran": [UNIT]}
    s.add(t, "report_signed", **{**said, **more})


def landed_and_healthy(s: Story, t: float, name: str, **proved: int) -> None:
    """`proved`: what the green report said before it landed."""
    s.propose(t, name, f"{name}/1")
    report(s, t, "green", change=f"{name}/1", proved=proved)
    s.land(t + 1, name, f"{name}/1", f"c{name}")
    s.healthy(t + 2, name, f"c{name}")


def test_tests_of_healthy_fixes_are_regression_tests_and_those_of_features_are_not() -> None:
    s = Story()
    listed(s, 0, order("mend", "fix"), order("grow"), limitations=[])
    landed_and_healthy(s, 10, "grow", grow=5)
    assert s.figures().regression_tests_added == 0
    landed_and_healthy(s, 20, "mend", mend=2)
    assert s.figures().regression_tests_added == 2


def test_a_fix_counts_when_it_is_healthy_and_with_its_newest_green_report() -> None:
    s = Story()
    listed(s, 0, order("mend", "fix"))
    s.propose(1, "mend", "mend/1")
    report(s, 2, "green", change="mend/1", proved={"mend": 1})
    report(s, 3, "green", change="mend/1", proved={"mend": 3})
    report(s, 4, "red", change="mend/1", proved={"mend": 9})
    s.land(5, "mend", "mend/1", "c1")
    assert s.figures().regression_tests_added is None
    s.healthy(6, "mend", "c1")
    s.healthy(7, "mend", "c1")
    assert s.figures().regression_tests_added == 3


def test_each_of_a_group_has_its_own_tests() -> None:
    strong = Proof(fail_to_pass=["a", "b", "c"], weak=["b"])
    both = joined({"one": strong, "two": Proof(fail_to_pass=["c"])})
    assert both.tests_by_order("two") == {"one": 2, "two": 1}
    assert strong.tests_by_order("one") == {"one": 2}
    assert strong.tests_by_order("") == {}


def test_a_report_of_an_older_version_leaves_the_tests_unknown() -> None:
    s = Story()
    listed(s, 0, order("mend", "fix", "GAP-1"))
    s.propose(1, "mend", "mend/1")
    s.report(2, "mend/1", "green")
    s.land(3, "mend", "mend/1", "c1")
    s.healthy(4, "mend", "c1")
    m = s.figures()
    assert (m.regression_tests_added, m.limitations_resolved_with_a_test, m.limitations_listed) == (None, None, None)


def test_a_limitation_is_resolved_only_with_a_test() -> None:
    s = Story()
    orders = [order("a", "feature", "GAP-1"), order("b", "fix", "GAP-2"), order("c", "feature", "GAP-2")]
    listed(s, 0, *orders, limitations=["GAP-1", "GAP-2", "GAP-3"])
    first = s.figures()
    assert (first.limitations_resolved_with_a_test, first.limitations_listed) == (0, 3)
    landed_and_healthy(s, 10, "a", a=1)
    landed_and_healthy(s, 20, "b", b=0)
    m = s.figures()
    assert (m.limitations_resolved_with_a_test, m.limitations_resolved_without_a_test) == (1, 1)
    assert m.regression_tests_added == 1  # what resolves a limitation mends something
    landed_and_healthy(s, 30, "c", c=2)
    listed(s, 40, limitations=["GAP-3"])  # those that are resolved may be taken off the roadmap
    m = s.figures()
    assert (m.limitations_resolved_with_a_test, m.limitations_resolved_without_a_test) == (2, 0)
    assert m.limitations_listed == 1


def test_a_retry_counts_when_its_tree_becomes_main_and_only_then() -> None:
    s = Story()
    s.propose(1, "one", "one/1")
    report(s, 2, "green", change="one/1", retried={UNIT: [TEST]}, report="sha256:a")
    report(s, 2, "green", change="two/1", retried={UNIT: [OTHER]}, report="sha256:b")
    assert s.figures().tests == []
    moved = {"report": "sha256:a", "parent": "p", "effect_id": "e"}
    s.add(3, "change_landed", "one", change="one/1", commit="c1", tree="of the first of a group", **moved)
    assert s.figures().tests == []
    s.add(4, "change_landed", "one", change="one/1", commit="c2", tree="merged", **moved)
    (flaky,) = s.figures().tests
    assert (flaky.test, flaky.gate, flaky.flakes, flaky.runs, flaky.rate) == (TEST, UNIT, 1, 1, 1.0)


def test_quarantine_is_told_until_it_ends() -> None:
    s = Story()
    report(s, 1, "red", flaked={UNIT: [TEST]}, change="one/1")
    report(s, 2, "green", "gates", "t0")
    until = START + 100
    s.add(3, "test_quarantined", "flaky-1", test=TEST, gate=UNIT, owner="", until=until, flakes=1, runs=2)
    (kept,) = s.figures(50).tests
    assert (kept.quarantined, kept.flakes, kept.runs) == (True, 1, 2)
    assert not s.figures(101).tests[0].quarantined
    s.add(110, "quarantine_lifted", "flaky-1", test=TEST, why="fixed")
    assert s.figures(120).tests == []


def test_green_reports_that_never_land_are_forgotten() -> None:
    s = Story()
    for nth in range(MOST_VERDICTS + 1):
        report(s, nth, "green", change="one/1", retried={UNIT: [TEST]}, report=f"sha256:r{nth}")
    moved = {"tree": "merged", "parent": "p", "effect_id": "e", "change": "one/1", "commit": "c"}
    s.add(900, "change_landed", "one", report="sha256:r0", **moved)
    assert s.figures().tests == []
    s.add(901, "change_landed", "one", report=f"sha256:r{MOST_VERDICTS}", **moved)
    assert len(s.figures().tests) == 1


TESTS = st.lists(st.sampled_from([TEST, OTHER]), max_size=2, unique=True).map(lambda found: {UNIT: found})
REPORTS = st.fixed_dictionaries(
    {"result": st.sampled_from(["green", "red"]), "tree": st.sampled_from(["t0", "t1"])},
    optional={"flaked": TESTS, "retried": TESTS, "failing": TESTS, "ran": st.just([])},
)


@given(st.lists(REPORTS, max_size=30))
def test_people_are_told_the_records_that_the_engine_decides_by(reports: list[dict[str, Any]]) -> None:
    s = Story()
    for nth, said in enumerate(reports):
        report(s, nth, said.pop("result"), "gates", base=said["tree"], **said)
    state, proofs = State(), Proofs()
    for event in s.events:
        apply(state, event)
        proofs.apply(event)
    told = {each.test: (each.flakes, each.runs) for each in proofs.flaky(0.0)}
    assert told == {test: (record.flakes, record.runs) for test, record in state.flakes.items()}
