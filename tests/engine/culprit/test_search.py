"""The culprit finder on planted histories, where the truth is known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.culprit import (
    GOOD_END,
    Culprit,
    Nobody,
    Observation,
    Outcome,
    Probe,
    Range,
    Rates,
    Search,
    Step,
    Unresolved,
)

Truth = Callable[[int], Outcome]


def searched(search: Search, truth: Truth) -> tuple[Step, list[Observation]]:
    seen: list[Observation] = []
    while isinstance(step := search.next_step(seen), Probe):
        assert len(seen) < 500
        seen.append(Observation(step.index, truth(step.index)))
    return step, seen


def honest(culprit: int, broken: range | frozenset[int] = frozenset()) -> Truth:
    return lambda index: "skip" if index in broken else "bad" if index >= culprit else "good"


def flaky(culprit: int, false_red: float, seed: int, false_green: float = 0.0) -> Truth:
    chance = random.Random(seed)

    def truth(index: int) -> Outcome:
        lies = chance.random()
        return ("good" if lies < false_green else "bad") if index >= culprit else "bad" if lies < false_red else "good"

    return truth


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.data(), st.booleans())
def test_an_honest_command_gives_the_culprit_after_as_many_runs_as_halving(
    n: int, data: st.DataObject, known: bool
) -> None:
    culprit = data.draw(st.integers(0, n - 1))
    step, seen = searched(Search(n, rates=Rates.known() if known else Rates.learned()), honest(culprit))
    assert isinstance(step, Culprit)
    assert step.index == culprit
    assert step.probability >= 0.98
    assert len(seen) <= (n - 1).bit_length() + (2 if known else 7)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 120), st.data())
def test_nobody_is_accused_without_direct_evidence(n: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, n - 1))
    seed = data.draw(st.integers(0, 10_000))
    step, seen = searched(Search(n), flaky(culprit, 0.1, seed, 0.05))
    if isinstance(step, Culprit):
        assert Observation(step.index, "bad") in seen
        assert Observation(step.index - 1, "good") in seen
        assert Observation(n - 1, "bad") in seen
        assert Observation(GOOD_END, "good") in seen


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 80), st.data())
def test_commits_that_cannot_be_judged_are_passed_over_or_are_the_range(n: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, n - 1))
    broken = data.draw(st.frozensets(st.integers(0, n - 2), max_size=20))
    step, seen = searched(Search(n, rates=Rates.known()), honest(culprit, broken))
    below, above = culprit - 1, culprit
    while below in broken:
        below -= 1
    while above in broken:
        above += 1
    accused = step.indexes if isinstance(step, Range) else (step.index,) if isinstance(step, Culprit) else ()
    assert accused == tuple(range(below + 1, above + 1))
    assert isinstance(step, Culprit) == (len(accused) == 1)
    skips = [each.index for each in seen if each.outcome == "skip"]
    assert len(skips) == len(set(skips))


def test_a_long_streak_that_does_not_build_is_left_in_growing_steps_and_told_as_a_range() -> None:
    step, seen = searched(Search(400), honest(200, range(180, 240)))
    assert isinstance(step, Range)
    assert step.indexes == tuple(range(180, 241))
    assert len(seen) < 60


@pytest.mark.parametrize("culprit", [0, 100, 399])
def test_a_streak_elsewhere_costs_little(culprit: int) -> None:
    step, seen = searched(Search(400, rates=Rates.known()), honest(culprit, range(180, 240)))
    assert isinstance(step, Culprit)
    assert step.index == culprit
    assert len(seen) <= 16


def test_the_ends_come_first_and_the_bad_one_before_the_good_one() -> None:
    search = Search(100)
    assert search.next_step([]) == Probe(99, "end", search.bits([], 99))
    second = search.next_step([Observation(99, "bad")])
    assert isinstance(second, Probe)
    assert (second.index, second.why) == (GOOD_END, "end")
    assert isinstance(verified := Search(100, ends_verified=True).next_step([]), Probe)
    assert verified.why == "search"


def test_a_green_bad_end_means_nobody_and_is_asked_more_than_once() -> None:
    step, seen = searched(Search(64), lambda _: "good")
    assert isinstance(step, Nobody)
    assert step.reason == "never"
    assert step.probability >= 0.98
    assert sum(each.index == 63 for each in seen) > 1


def test_a_red_good_end_means_nobody() -> None:
    step, _ = searched(Search(64), lambda _: "bad")
    assert isinstance(step, Nobody)
    assert step.reason == "always"


def test_where_nothing_can_be_judged_nobody_is_accused() -> None:
    step, _ = searched(Search(40), lambda _: "skip")
    assert isinstance(step, Unresolved)
    assert step.reason == "untestable"


def test_an_end_that_cannot_be_judged_leaves_a_culprit_in_the_middle_findable() -> None:
    ends = frozenset({GOOD_END, 49})
    step, _ = searched(Search(50), honest(20, ends))
    assert step == Culprit(20, step.probability) if isinstance(step, Culprit) else False
    at_the_end, _ = searched(Search(50), honest(0, ends))
    assert isinstance(at_the_end, Unresolved)
    assert 0 in at_the_end.indexes


def test_a_coin_is_not_taken_for_a_culprit_for_ever() -> None:
    chance = random.Random(5)
    step, seen = searched(
        Search(20, rates=Rates.known(0.45, 0.45), limit=60), lambda _: "bad" if chance.random() < 0.5 else "good"
    )
    assert len(seen) <= 60
    assert not isinstance(step, Culprit) or step.probability >= 0.98


def test_flakes_are_seen_through_and_rates_are_learned() -> None:
    results = [(culprit := seed * 37 % 128, searched(Search(128), flaky(culprit, 0.1, seed))[0]) for seed in range(60)]
    right = sum(isinstance(step, Culprit) and step.index == culprit for culprit, step in results)
    assert right >= 57


def test_a_fault_that_shows_half_of_the_time_is_found_when_that_is_known() -> None:
    rates = Rates.known(false_green=0.5)
    results = [
        (culprit := seed * 11 % 32, searched(Search(32, rates=rates), flaky(culprit, 0.0, seed, 0.5))[0])
        for seed in range(40)
    ]
    assert sum(isinstance(step, Culprit) and step.index == culprit for culprit, step in results) >= 37


@pytest.mark.parametrize(
    ("reds", "runs", "rate"), [(0, 10**6, 0.0), (1, 10**6, 0.01), (190, 3_800, 0.05), (10**5, 10**6, 0.1)]
)
def test_a_long_history_of_a_flow_can_be_learned_from(reds: int, runs: int, rate: float) -> None:
    believed = dict(Rates.learned(reds, runs).false_red)
    assert max(believed, key=lambda each: believed[each]) == rate
    assert sum(believed.values()) == pytest.approx(1)
    step = Search(5, rates=Rates.learned(reds, runs)).next_step([])
    assert isinstance(step, Probe)


def test_a_history_of_flakes_makes_a_red_run_less_telling() -> None:
    seen = [Observation(15, "bad"), Observation(GOOD_END, "good"), Observation(7, "bad")]
    calm, nervous = Search(16, rates=Rates.learned(0, 200)), Search(16, rates=Rates.learned(40, 200))
    assert sum(nervous.suspicion(seen)[8:]) > 5 * sum(calm.suspicion(seen)[8:])


def test_a_prior_moves_the_first_runs_and_does_not_decide() -> None:
    prior = (1.0,) * 50 + (200.0,) + (1.0,) * 49
    step, seen = searched(Search(100, prior=prior, rates=Rates.known(), ends_verified=True), honest(50))
    assert isinstance(step, Culprit)
    assert step.index == 50
    assert len(seen) <= 3
    assert {Observation(50, "bad"), Observation(49, "good")} <= set(seen)
    wrong, _ = searched(Search(100, prior=prior, rates=Rates.known()), honest(12))
    assert isinstance(wrong, Culprit)
    assert wrong.index == 12


def test_the_first_commit_may_be_the_culprit_of_one() -> None:
    step, seen = searched(Search(1, rates=Rates.known()), honest(0))
    assert isinstance(step, Culprit)
    assert [each.index for each in seen] == [0, GOOD_END]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.randoms(use_true_random=False))
def test_merges_are_followed_by_what_they_contain(n: int, chance: random.Random) -> None:
    parents: list[tuple[int, ...]] = [(GOOD_END,)]
    for index in range(1, n - 1):
        parents.append(
            tuple(sorted({chance.randrange(max(-1, index - 6), index) for _ in range(chance.choice((1, 1, 2)))}))
        )
    leaves = set(range(n - 1)) - {parent for of in parents for parent in of}
    parents.append(tuple(sorted(leaves)) or (GOOD_END,))
    contains: list[set[int]] = []
    for index, of in enumerate(parents):
        contains.append({index}.union(*(contains[parent] for parent in of if parent >= 0)))
    culprit = chance.randrange(n)
    step, seen = searched(
        Search(n, parents=tuple(parents), rates=Rates.known()),
        lambda index: "bad" if index >= 0 and culprit in contains[index] else "good",
    )
    assert isinstance(step, Culprit)
    assert step.index == culprit
    for parent in parents[culprit]:
        assert Observation(parent, "good") in seen


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 60), st.integers(2, 4), st.data())
def test_runs_beside_each_other_come_to_the_same_culprit(n: int, jobs: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, n - 1))
    chance = data.draw(st.randoms(use_true_random=False))
    search, truth = Search(n), honest(culprit)
    seen: list[Observation] = []
    running: list[int] = []
    while isinstance(step := search.next_step(seen), Probe):
        if not running:
            running.append(step.index)
        while len(running) < jobs and (probe := search.beside(seen, running)) is not None:
            assert probe.index not in running
            running.append(probe.index)
        answered = running.pop(chance.randrange(len(running)))
        seen.append(Observation(answered, truth(answered)))
        assert len(seen) < 200
    assert isinstance(step, Culprit)
    assert step.index == culprit


def test_several_runs_at_a_time_take_fewer_rounds() -> None:
    search, truth = Search(512, rates=Rates.known(), ends_verified=True), honest(300)
    seen: list[Observation] = []
    rounds = 0
    while isinstance(step := search.next_step(seen), Probe):
        running = [step.index]
        while len(running) < 3 and (probe := search.beside(seen, running)) is not None:
            running.append(probe.index)
        seen += [Observation(index, truth(index)) for index in running]
        rounds += 1
    assert rounds <= 6  # alone it would be nine


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 9), st.sampled_from(["good", "bad", "skip"])), max_size=40))
def test_whatever_is_seen_there_is_an_answer_and_the_suspicion_is_a_share(rows: list[tuple[int, Outcome]]) -> None:
    search, seen = Search(10), [Observation(*row) for row in rows]
    step = search.next_step(seen)
    shares = search.suspicion(seen)
    assert len(shares) == 10
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    if isinstance(step, Probe):
        assert Observation(step.index, "skip") not in seen or any(
            each.index == step.index and each.outcome != "skip" for each in seen
        )
    assert search.next_step(list(seen)) == step


def test_more_or_less_evidence_for_all_at_once_does_not_matter() -> None:
    many = [Observation(9, "bad"), Observation(GOOD_END, "good"), Observation(4, "bad"), Observation(3, "good")] * 300
    step = Search(10, rates=Rates.known()).next_step(many)
    assert isinstance(step, Culprit)
    assert step.index == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Search(0),
        lambda: Search(2, prior=(1.0,)),
        lambda: Search(2, prior=(1.0, 0.0)),
        lambda: Search(2, parents=((GOOD_END,),)),
        lambda: Search(2, parents=((1,), (0,))).next_step([]),
        lambda: Search(2).next_step([Observation(2, "good")]),
        lambda: Rates.known(0.6, 0.5),
        lambda: Rates.known(-0.1),
        lambda: Rates.learned(3, 2),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()
