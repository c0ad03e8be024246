"""Which trees the train tries next, on small worlds whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from engine.conflicts import ConflictRate
from engine.planner.speculation import Candidate, Capacity, Evidence, Names, Trial, Wanted, choose

CAPACITY = Capacity(slots=3)


def never(_one: str, _other: str) -> float:
    return 0.0


def candidates(*beliefs: float) -> dict[str, Candidate]:
    return {f"c{number}": Candidate(float(number), 10.0, belief) for number, belief in enumerate(beliefs)}


def trials(wanted: list[Wanted]) -> list[Trial]:
    return [one.trial for one in wanted]


def names(*wanted: str) -> Names:
    return frozenset(wanted)


# -- single decisions --------------------------------------------------------------------------------------------------


def test_nothing_is_wanted_of_an_empty_queue() -> None:
    assert choose({}, {}, Evidence(), CAPACITY, never) == []


def test_the_first_trial_assumes_nothing() -> None:
    first = choose(candidates(0.9, 0.5), {}, Evidence(), CAPACITY, never)[0]
    assert first.trial.certain
    assert first.probability == 1.0


def test_likely_changes_are_tried_together_and_doubtful_ones_alone() -> None:
    likely = choose(candidates(0.95, 0.95, 0.95), {}, Evidence(), CAPACITY, never)[0]
    doubtful = choose(candidates(0.4, 0.4, 0.4), {}, Evidence(), CAPACITY, never)[0]
    assert len(likely.trial.test) == 3
    assert len(doubtful.trial.test) == 1


def test_changes_that_are_red_together_are_not_grouped() -> None:
    wanted = choose(candidates(0.95, 0.95), {}, Evidence(), CAPACITY, lambda _one, _other: 0.9)
    assert all(len(trial.test) == 1 for trial in trials(wanted))


def test_what_comes_next_is_tried_on_top_of_what_will_probably_land() -> None:
    wanted = trials(choose(candidates(0.9, 0.5), {}, Evidence(), CAPACITY, never))
    assert wanted[1] == Trial(names("c1"), landed=names("c0"))


def test_unlikely_outcomes_are_not_tried() -> None:
    wanted = choose(candidates(0.5, 0.5, 0.5, 0.5), {}, Evidence(), CAPACITY, never)
    assert all(one.probability >= 0.4 for one in wanted)


def test_a_run_that_is_under_way_is_left_alone_when_a_better_group_appears() -> None:
    alone = Trial(names("c2"))
    wanted = choose(candidates(0.95, 0.95, 0.9), {alone: 0.5}, Evidence(), CAPACITY, never)
    assert wanted[0].trial == alone


def test_a_run_that_has_just_begun_makes_room_for_a_larger_group() -> None:
    wanted = choose(candidates(0.95, 0.95), {Trial(names("c0")): 0.01}, Evidence(), CAPACITY, never)
    assert wanted[0].trial == Trial(names("c0", "c1"))


def test_a_red_group_is_split_and_not_tried_again() -> None:
    group = Trial(names("c0", "c1", "c2"))
    wanted = trials(choose(candidates(0.9, 0.9, 0.3), {}, Evidence(red=[group]), CAPACITY, never))
    assert group not in wanted
    assert wanted[0].certain
    assert wanted[0].test < group.test
    assert "c2" not in wanted[0].test


def test_the_rest_of_a_red_group_is_known_to_be_red_without_a_run() -> None:
    """{a, b} is red; once a is in main, b is the same tree."""
    evidence = Evidence(red=[Trial(names("c0", "c1"))])
    wanted = trials(choose(candidates(0.9, 0.9), {}, evidence, CAPACITY, never))
    assert Trial(names("c1"), landed=names("c0")) not in wanted


def test_suspicion_stays_when_main_has_moved_on() -> None:
    free = choose(candidates(0.9, 0.9, 0.9), {}, Evidence(), CAPACITY, never)
    wary = choose(candidates(0.9, 0.9, 0.9), {}, Evidence(suspected=[names("c0", "c1")]), CAPACITY, never)
    assert free[0].trial.test == names("c0", "c1", "c2")
    assert not names("c0", "c1") <= wary[0].trial.test


def test_a_known_green_tree_is_not_tried_again() -> None:
    green = Trial(names("c1"), landed=names("c0"))
    wanted = trials(choose(candidates(0.9, 0.5), {Trial(names("c0")): 0.9}, Evidence(green=[green]), CAPACITY, never))
    assert green not in wanted
    assert Trial(names("c0")) in wanted


# -- whole worlds ------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A referee of its own: it knows who is bad and which pairs do not go together, and lands only what is proved."""

    bad: Names
    clashes: frozenset[Names]
    pending: list[str]
    landed: Names = frozenset()
    rejected: Names = frozenset()
    green: set[Trial] = field(default_factory=set[Trial])
    red: set[Trial] = field(default_factory=set[Trial])
    suspected: set[Names] = field(default_factory=set[Names])
    runs: int = 0

    def is_green(self, tree: Names) -> bool:
        whole = tree | self.landed
        return not whole & self.bad and not any(clash <= whole for clash in self.clashes)

    def settle(self) -> None:
        """Land and reject what is decided, until nothing is."""
        while decided := [trial for trial in (*self.green, *self.red) if trial.certain and self.decides(trial)]:
            trial = min(decided, key=lambda one: (one in self.red, sorted(one.test)))
            if trial in self.green:
                assert self.is_green(trial.test), "a tree that was never green"
                self.leave(trial.test, landed=True)
            else:
                self.leave(trial.test, landed=False)

    def decides(self, trial: Trial) -> bool:
        return trial in self.green or len(trial.test) == 1

    def leave(self, gone: Names, *, landed: bool) -> None:
        self.pending = [name for name in self.pending if name not in gone]
        self.landed |= gone if landed else frozenset()
        self.rejected |= frozenset() if landed else gone
        for known in (self.green, self.red):
            moved = {self.moved(trial, gone, landed=landed, green=known is self.green) for trial in known}
            known.clear()
            known.update(trial for trial in moved if trial is not None)
        self.suspected = {group - gone for group in self.suspected if group - gone and (landed or not group & gone)}

    def moved(self, trial: Trial, gone: Names, *, landed: bool, green: bool) -> Trial | None:
        """What a result says after main moved or a change left; None: nothing any more."""
        if not landed:
            return None if gone & trial.tree else Trial(trial.test, trial.landed, trial.rejected - gone)
        if gone & trial.rejected or not gone <= trial.tree or (green and gone & trial.test):
            return None
        rest = trial.test - gone
        return Trial(rest, trial.landed - gone, trial.rejected) if rest else None

    def play(self, beliefs: dict[str, float], rate: float) -> None:
        for _ in range(40 * (len(self.pending) + 1)):
            self.settle()
            if not self.pending:
                return
            queue = {name: Candidate(float(at), 10.0, beliefs[name]) for at, name in enumerate(self.pending)}
            evidence = Evidence(self.green, self.red, self.suspected, {n for t in self.green for n in t.tree})
            wanted = choose(queue, {}, evidence, CAPACITY, lambda _one, _other: rate)
            fresh = [one.trial for one in wanted if one.trial not in self.green | self.red]
            assert fresh, f"the train stands still with {self.pending}"
            for trial in fresh[: CAPACITY.slots]:
                assert trial.tree | trial.rejected <= set(self.pending)
                assert not trial.test & (trial.landed | trial.rejected)
                assert len(trial.test) <= CAPACITY.batch
                self.runs += 1
                if self.is_green(trial.tree):
                    self.green.add(trial)
                else:
                    self.red.add(trial)
                    self.suspected.add(trial.tree)
        raise AssertionError(f"no end with {self.pending}")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, dict[str, float], float]:
    everyone = [f"c{number}" for number in range(draw(st.integers(1, 9)))]
    bad = frozenset(name for name in everyone if draw(st.integers(0, 3)) == 0)
    pairs = [frozenset(pair) for pair in combinations(everyone, 2)]
    clashes = frozenset(draw(st.lists(st.sampled_from(pairs), max_size=3)) if pairs else [])
    beliefs = {name: draw(st.floats(0.05, 0.97)) for name in everyone}
    return World(bad, clashes, everyone), beliefs, draw(st.floats(0, 0.3))


@given(worlds())
def test_every_change_is_decided_and_only_green_trees_land(told: tuple[World, dict[str, float], float]) -> None:
    world, beliefs, rate = told
    everyone = frozenset(world.pending)
    world.play(beliefs, rate)
    assert world.landed | world.rejected == everyone
    assert not world.landed & world.bad
    for name in world.rejected - world.bad:
        assert any(name in clash for clash in world.clashes), f"{name} is good and was lost"


@given(worlds())
def test_the_same_question_always_has_the_same_answer(told: tuple[World, dict[str, float], float]) -> None:
    world, beliefs, _ = told
    queue = {name: Candidate(float(at), 10.0, beliefs[name]) for at, name in enumerate(world.pending)}
    backwards = dict(reversed(queue.items()))
    answers = [choose(each, {}, Evidence(), CAPACITY, never) for each in (queue, backwards)]
    assert answers[0] == answers[1]


def test_rejections_that_conflicts_explain_raise_the_rate_of_conflicts() -> None:
    rate = ConflictRate()
    before = rate.rate
    for _ in range(20):
        rate.decided(3.0, 0.95, landed=False)
    assert rate.rate > before
    for _ in range(400):
        rate.decided(3.0, 0.95, landed=True)
    assert rate.rate < before


def test_changes_that_stood_alone_teach_nothing_about_conflicts() -> None:
    rate = ConflictRate()
    rate.decided(0.0, 0.95, landed=False)
    assert rate == ConflictRate()
