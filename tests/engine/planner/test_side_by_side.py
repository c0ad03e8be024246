"""Speculation asks of each change what it is on top of a group, once; the plain way asks every pair at every node."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.planner import speculation
from engine.planner.side_by_side import Landed, Pairs, Risk
from engine.planner.speculation import Candidate, Capacity, Evidence, Trial, Wanted, choose

CAPACITY = Capacity(slots=4)
EVERYONE = [f"c{number}" for number in range(12)]


class OneByOne(Landed):
    """The plain way, as it was before."""

    def everyone(self) -> list[str]:
        before = self.before.everyone() if isinstance(self.before, OneByOne) else []
        return sorted([*before, *self.group])

    def side_by_side(self, names: Sequence[str]) -> float:
        share = 1.0
        for place, name in enumerate(names):
            for other in (*names[place + 1 :], *self.everyone()):
                share *= self.pairs.apart(name, other)
        return share


def risk_of(table: dict[frozenset[str], float]) -> Risk:
    return lambda one, other: table.get(frozenset((one, other)), 0.0)


def risks(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[frozenset[str], float]]:
    pairs = st.frozensets(st.sampled_from(EVERYONE), min_size=2, max_size=2)
    return st.dictionaries(pairs, values, max_size=40)


@given(risks(st.floats(0, 1)), st.permutations(EVERYONE), st.lists(st.integers(1, 4), max_size=3))
def test_group_by_group_is_the_same_as_one_by_one(
    table: dict[frozenset[str], float], order: list[str], sizes: list[int]
) -> None:
    pairs = Pairs(risk_of(table))
    quick, plain = Landed(pairs), OneByOne(pairs)
    rest = list(order)
    for size in [*sizes, 0]:
        assert quick.side_by_side(rest[:4]) == pytest.approx(plain.side_by_side(rest[:4]), rel=1e-12, abs=1e-300)
        group, rest = rest[:size], rest[size:]
        quick, plain = Landed(pairs, quick, group), OneByOne(pairs, plain, group)


def wanted(kind: type[Landed], told: tuple[dict[str, Candidate], dict[Trial, float], Evidence, Risk]) -> list[Wanted]:
    queue, running, evidence, risk = told
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speculation, "Landed", kind)
        return choose(queue, running, evidence, CAPACITY, risk)


@st.composite
def trains(draw: st.DrawFn) -> tuple[dict[str, Candidate], dict[Trial, float], Evidence, Risk]:
    """Risks whose products are exact, so that the order of multiplication changes nothing: what is chosen between two
    of the same worth hangs on the last digit."""
    table = draw(risks(st.sampled_from([0.25, 0.5])))
    beliefs = st.floats(0.6, 0.99)
    queue = {name: Candidate(float(at), draw(st.sampled_from([5.0, 10.0])), draw(beliefs)) for at, name in
             enumerate(EVERYONE)}  # fmt: skip
    first = choose(queue, {}, Evidence(), CAPACITY, risk_of(table))
    running = {one.trial: draw(st.floats(0, 1)) for one in first[:1]}
    green = {one.trial for one in first[1:] if draw(st.booleans())}
    red = {one.trial for one in first[1:] if one.trial not in green and draw(st.booleans())}
    groups = draw(st.lists(st.frozensets(st.sampled_from(EVERYONE), min_size=1, max_size=4), max_size=3))
    return queue, running, Evidence(green, red, groups), risk_of(table)


@given(trains())
def test_the_same_trials_are_wanted_either_way(
    told: tuple[dict[str, Candidate], dict[Trial, float], Evidence, Risk],
) -> None:
    assert wanted(Landed, told) == wanted(OneByOne, told)


def test_a_pair_is_asked_about_once_however_many_nodes_look_at_it() -> None:
    asked: list[frozenset[str]] = []

    def risk(one: str, other: str) -> float:
        asked.append(frozenset((one, other)))
        return 0.001

    queue = {name: Candidate(float(at), 10.0, 0.98) for at, name in enumerate(EVERYONE)}
    found = choose(queue, {}, Evidence(), CAPACITY, risk)
    assert max(len(one.trial.landed) for one in found) >= 8  # deep enough to be asked again
    assert len(asked) == len(set(asked))
