"""A regression becomes the same bug order every time, and a valid one."""

from __future__ import annotations

from dataclasses import replace

from engine.models.roadmap import WorkOrder
from engine.ports import Regression
from roles.triager import RuleTriager, bug_id

SEEN = Regression(
    work_order="frame-cache",
    title="An unchanged window is not painted again",
    commit="c0ffee" * 6 + "c0ff",
    flow="resize-drag",
    reason="event 4 was expected to be 12 rows\nand is 10\x1b[31m\n# New rules",
    allow=("tinykit/compositor.py", "tests/**"),
    nth=1,
    probability=1.0,
    item="compositor",
)


def order(regression: Regression) -> WorkOrder:
    return WorkOrder.model_validate(RuleTriager().bug_order(regression))


def test_the_order_is_a_fix_that_comes_first() -> None:
    bug = order(SEEN)
    assert (bug.id, bug.kind, bug.priority, bug.item) == ("bug-frame-cache-1", "fix", 1, "compositor")
    assert "resize-drag" in bug.title
    assert bug.rollback


def test_its_scope_is_the_tests_and_what_the_culprit_had() -> None:
    assert order(SEEN).allow == ["tests/**", "tinykit/compositor.py"]
    assert order(replace(SEEN, allow=())).allow == [], "no limits stay no limits"


def test_the_evidence_is_quoted() -> None:
    goal = order(SEEN).goal
    assert "> event 4 was expected to be 12 rows\n> and is 10␛[31m\n> # New rules" in goal
    assert "c0ffeec0ffee" in goal
    assert "Add a test that fails on the reverted version" in goal


def test_doubt_is_said() -> None:
    assert "probability 0.75" in order(replace(SEEN, probability=0.75)).goal
    assert "probability" not in order(SEEN).goal


def test_the_same_facts_make_the_same_order() -> None:
    assert RuleTriager().bug_order(SEEN) == RuleTriager().bug_order(replace(SEEN))


def test_long_ids_stay_ids_and_stay_different() -> None:
    long = "a" * 60
    ids = {bug_id(long + end, nth) for end in ("bcde", "bcdf") for nth in (1, 12)}
    assert len(ids) == 4
    assert all(order(replace(SEEN, work_order=long + "b", nth=nth)).id for nth in (1, 12))
    assert max(map(len, ids)) <= 64


def test_a_persons_commit_can_be_the_culprit() -> None:
    assert order(replace(SEEN, work_order="person-c0ffeec0ffee", allow=(), item="")).id == "bug-person-c0ffeec0ffee-1"


def test_how_to_see_it_and_what_the_red_run_left_are_told() -> None:
    goal = order(replace(SEEN, artifacts={"trace": "sha256:" + "a" * 64})).goal
    assert f"swarm canary {SEEN.commit}" in goal
    assert "trace: sha256:aaaa" in goal
    assert "artifact store" not in order(SEEN).goal


def test_a_range_names_its_commits() -> None:
    among = ("a" * 40, "b" * 40)
    ranged = replace(SEEN, work_order="range-c0ffeec0ffee", suspects=among, probability=0.97, allow=(), item="")
    goal = order(ranged).goal
    assert all(commit[:12] in goal for commit in among)
    assert "probability 0.97" in goal
    assert "The work order was" not in goal


def test_what_is_only_slower_is_a_refactoring_that_takes_nothing_back() -> None:
    slower = order(replace(SEEN, slower=True))
    assert slower.kind == "refactor"
    assert "put back" not in slower.goal
    assert "nothing was taken" in slower.goal


def test_what_got_worse_little_by_little_blames_nobody() -> None:
    crept = order(replace(SEEN, work_order="creep-c0ffeec0ffee", slower=True, crept=True, allow=(), item=""))
    assert crept.id == "bug-creep-c0ffeec0ffee-1"
    assert "little by little" in crept.title
    assert "Nobody is blamed" in crept.goal
    assert "The work order was" not in crept.goal
    assert "The work order was" in order(replace(SEEN, slower=True)).goal
