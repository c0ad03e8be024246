"""The canary's judgement and the culprit finder, against every kind of world."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.canary_policy import RUNS_A_HALVING, Found, Judged, Next, Nobody, Probe, confirm, culprit, may_restore
from engine.models.verdict import Verdict

VERDICTS: list[Verdict] = ["PASS", "FAIL", "INCONCLUSIVE", "ENVIRONMENT"]
MOST_RUNS = 3 * RUNS_A_HALVING + 14
"""For six suspects: the limit, and a hiccup of the machine on each commit."""
World = Callable[[str, int], tuple[Verdict, str]]
"""(commit, how many runs there were before) -> what the canary says."""


def judge(world: World, last_good: str | None = "good", limit: int = 6) -> tuple[Judged, list[Probe]]:
    probes: list[Probe] = []
    for n in range(limit + 1):
        step = confirm("head", last_good, probes)
        if isinstance(step, Judged):
            return step, probes
        verdict, reason = world(step.commit, n)
        probes.append(Probe(step.commit, step.purpose, verdict, reason, "smoke"))
    raise AssertionError(f"not judged after {limit} probes: {probes}")


def hunt(world: World, suspects: Sequence[str], *, unbuilt: bool = False) -> tuple[Found | Nobody, list[Probe]]:
    probes: list[Probe] = []
    for n in range(MOST_RUNS + 1):
        step = culprit(suspects, probes, "good", unbuilt=unbuilt)
        if not isinstance(step, Next):
            return step, probes
        verdict, reason = world(step.commit, n)
        probes.append(Probe(step.commit, step.purpose, verdict, reason))
    raise AssertionError(f"no answer after {len(probes)} probes")


def says(**verdicts: Verdict) -> World:
    return lambda commit, _n: (verdicts[commit], f"{commit} was {verdicts[commit]}")


def in_turn(*verdicts: Verdict) -> World:
    return lambda _commit, n: (verdicts[n], f"run {n}")


def purposes(probes: Sequence[Probe]) -> list[str]:
    return [p.purpose for p in probes]


class TestConfirm:
    def test_one_green_run_is_enough(self) -> None:
        judged, probes = judge(says(head="PASS"))
        assert (judged.verdict, judged.flaky, len(probes)) == ("PASS", False, 1)

    def test_red_three_times_with_a_green_control_is_a_failure(self) -> None:
        judged, probes = judge(says(head="FAIL", good="PASS"))
        assert judged.verdict == "FAIL"
        assert "head was FAIL" in judged.reason
        assert judged.flow == "smoke"
        assert purposes(probes) == ["first", "rerun", "control", "rerun"]

    @pytest.mark.parametrize("control", ["FAIL", "ENVIRONMENT"])
    def test_a_red_control_blames_the_machine(self, control: Verdict) -> None:
        judged, _ = judge(says(head="FAIL", good=control))
        assert judged.verdict == "ENVIRONMENT"

    def test_a_control_that_cannot_tell_reverts_nothing(self) -> None:
        judged, _ = judge(says(head="FAIL", good="INCONCLUSIVE"))
        assert judged.verdict == "INCONCLUSIVE"

    def test_one_red_of_three_is_flaky_and_passes(self) -> None:
        judged, _ = judge(in_turn("FAIL", "PASS", "PASS"))
        assert (judged.verdict, judged.flaky) == ("PASS", True)

    @pytest.mark.parametrize("runs", [("FAIL", "PASS", "FAIL"), ("FAIL", "FAIL", "PASS", "PASS")])
    def test_two_reds_of_three_are_inconclusive(self, runs: tuple[Verdict, ...]) -> None:
        judged, _ = judge(in_turn(*runs))
        assert judged.verdict == "INCONCLUSIVE"

    @pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "ENVIRONMENT"])
    def test_a_run_that_cannot_tell_is_repeated_once(self, verdict: Verdict) -> None:
        judged, probes = judge(says(head=verdict))
        assert (judged.verdict, purposes(probes)) == (verdict, ["first", "rerun"])

    def test_a_hiccup_before_three_reds_does_not_hide_them(self) -> None:
        judged, _ = judge(in_turn("ENVIRONMENT", "FAIL", "FAIL", "PASS", "FAIL"))
        assert judged.verdict == "FAIL"

    def test_without_last_good_two_reruns_decide(self) -> None:
        judged, probes = judge(says(head="FAIL"), last_good=None)
        assert (judged.verdict, purposes(probes)) == ("FAIL", ["first", "rerun", "rerun"])

    def test_a_build_failure_needs_a_control_to_count(self) -> None:
        def broken(commit: str, _n: int) -> tuple[Verdict, str]:
            return ("PASS", "") if commit == "good" else ("FAIL", "package: cargo exited with 101")

        assert judge(broken)[0].verdict == "FAIL"
        assert judge(broken, last_good=None)[0].verdict == "INCONCLUSIVE"

    def test_reds_in_different_flows_are_not_the_same_failure(self) -> None:
        probes = [Probe("head", "first", "FAIL", "x", "a"), Probe("head", "rerun", "FAIL", "y", "b")]
        probes += [Probe("good", "control", "PASS"), Probe("head", "rerun", "FAIL", "x", "a")]
        step = confirm("head", "good", probes)
        assert isinstance(step, Judged)
        assert step.verdict == "INCONCLUSIVE"

    @given(st.lists(st.sampled_from(VERDICTS), min_size=7, max_size=7), st.sampled_from(["good", None, "head"]))
    def test_it_ends_within_six_runs_and_only_fails_what_was_never_green(
        self, runs: list[Verdict], last_good: str | None
    ) -> None:
        judged, probes = judge(in_turn(*runs), last_good)
        own = [p.verdict for p in probes if p.commit == "head"]
        if judged.verdict == "FAIL":
            assert own.count("FAIL") == 3
            assert "PASS" not in own
            if last_good == "good":
                assert [p.verdict for p in probes if p.purpose == "control"][-1] == "PASS"
        if judged.verdict == "PASS":
            assert own.count("PASS") > own.count("FAIL")

    def test_a_flaky_flow_is_rarely_confirmed(self) -> None:
        dice = random.Random(7)

        def flaky(_commit: str, _n: int) -> tuple[Verdict, str]:
            return ("FAIL", "flake") if dice.random() < 0.05 else ("PASS", "")

        verdicts = [judge(flaky)[0].verdict for _ in range(5000)]
        assert verdicts.count("FAIL") <= 5  # 0.05 ** 3 of 5000 is 0.6
        assert verdicts.count("PASS") >= 4900


UNBUILT = "package: cargo exited with 101"
SUSPECTS = [f"c{n}" for n in range(6)]


def broken_from(at: int, verdict: Verdict = "FAIL", reason: str = "wrong colour") -> World:
    """Everything from suspect number `at` on is broken."""
    return lambda commit, _n: (verdict, reason) if commit != "good" and int(commit[1:]) >= at else ("PASS", "")


class TestCulprit:
    def test_one_suspect_is_found_at_once(self) -> None:
        found = culprit(["c0"], [])
        assert isinstance(found, Found)
        assert found.commit == "c0"
        assert found.probability > 0.99

    def test_nothing_landed_blames_nobody(self) -> None:
        assert isinstance(culprit([], []), Nobody)

    @given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
    def test_a_deterministic_culprit_is_always_named(self, case: tuple[int, int]) -> None:
        n, guilty = case
        found, probes = hunt(broken_from(guilty), SUSPECTS[:n])
        assert isinstance(found, Found)
        assert found.commits == (f"c{guilty}",)
        assert found.probability > 0.95
        assert len(probes) <= 10

    @given(st.integers(2, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
    def test_a_landing_that_broke_the_build_is_named(self, case: tuple[int, int]) -> None:
        n, guilty = case
        found, _ = hunt(broken_from(guilty, reason=UNBUILT), SUSPECTS[:n], unbuilt=n > 1)
        assert isinstance(found, Found)
        assert found.commits == (f"c{guilty}",)

    def test_a_suspect_that_cannot_be_built_widens_the_answer_to_a_range(self) -> None:
        def world(commit: str, _n: int) -> tuple[Verdict, str]:
            if commit == "c1":
                return "FAIL", "package: cargo exited with 101"
            return ("FAIL", "wrong colour") if commit == "c2" else ("PASS", "")

        found, _ = hunt(world, ["c0", "c1", "c2"])
        assert isinstance(found, Found)
        assert found.commits == ("c1", "c2")
        assert found.commit == ""

    def test_a_suspect_that_cannot_be_built_below_a_green_one_is_innocent(self) -> None:
        def world(commit: str, _n: int) -> tuple[Verdict, str]:
            if commit == "c0":
                return "FAIL", "package: cargo exited with 101"
            return ("FAIL", "wrong colour") if commit == "c2" else ("PASS", "")

        found, _ = hunt(world, ["c0", "c1", "c2"])
        assert isinstance(found, Found)
        assert found.commits == ("c2",)

    def test_a_red_that_does_not_come_again_blames_nobody(self) -> None:
        answer, _ = hunt(lambda _commit, n: ("FAIL", "flake") if n == 0 else ("PASS", ""), ["c0", "c1"])
        assert isinstance(answer, Nobody)

    @pytest.mark.parametrize("unbuilt", [False, True])
    def test_when_nothing_is_green_any_more_not_even_last_good_nobody_is_blamed(self, unbuilt: bool) -> None:
        reason = UNBUILT if unbuilt else "wrong colour"
        answer, _ = hunt(lambda _commit, _n: ("FAIL", reason), SUSPECTS, unbuilt=unbuilt)
        assert isinstance(answer, Nobody)
        assert "machine" in answer.reason

    def test_a_canary_that_cannot_build_anywhere_blames_nobody_whatever_was_red_before(self) -> None:
        answer, _ = hunt(lambda _commit, _n: ("FAIL", UNBUILT), SUSPECTS)
        assert isinstance(answer, Nobody)

    def test_another_flows_red_is_not_what_is_looked_for(self) -> None:
        """A flow that the search does not ask about is red everywhere."""
        probes: list[Probe] = []
        while isinstance(step := culprit(SUSPECTS, probes, "good", flow="paint"), Next):
            bad = step.commit != "good" and int(step.commit[1:]) >= 3
            flows = {"paint": "FAIL" if bad else "PASS", "noise": "FAIL"}
            probes.append(Probe(step.commit, "culprit", "FAIL", "x", "noise", flows))
        assert isinstance(step, Found)
        assert step.commits == ("c3",)

    def test_a_bad_moment_of_the_machine_does_not_widen_the_answer(self) -> None:
        seen: list[str] = []

        def world(commit: str, n: int) -> tuple[Verdict, str]:
            seen.append(commit)
            return ("ENVIRONMENT", "disk") if seen.count(commit) == 1 else broken_from(2)(commit, n)

        found, _ = hunt(world, SUSPECTS[:4])
        assert isinstance(found, Found)
        assert found.commits == ("c2",)

    @given(st.integers(2, 6), st.sampled_from(["INCONCLUSIVE", "ENVIRONMENT"]))
    def test_runs_that_cannot_tell_never_blame(self, n: int, verdict: Verdict) -> None:
        answer, _ = hunt(lambda _commit, _n: (verdict, "no golden"), SUSPECTS[:n])
        assert isinstance(answer, Nobody)

    @settings(max_examples=100)
    @given(st.integers(2, 6), st.data())
    def test_it_always_ends_and_accuses_only_above_a_green_and_up_to_a_confirmed_red(
        self, n: int, data: st.DataObject
    ) -> None:
        words = st.sampled_from([*VERDICTS, "BUILD"])

        def world(_commit: str, _n: int) -> tuple[Verdict, str]:
            word = data.draw(words)
            return ("FAIL", "package: no") if word == "BUILD" else (word, "x")  # type: ignore[return-value]

        answer, probes = hunt(world, SUSPECTS[:n])
        if isinstance(answer, Found):
            assert 0 < answer.probability <= 1
            newest = [
                p.verdict for p in probes if p.commit == answer.commits[-1] and not p.reason.startswith("package")
            ]
            assert "FAIL" in newest
            below = SUSPECTS.index(answer.commits[0]) - 1
            parent = "good" if below < 0 else SUSPECTS[below]
            assert "PASS" in [p.verdict for p in probes if p.commit == parent]

    def test_five_percent_flakes_accuse_the_wrong_landing_less_than_once_in_fifty_nights(self) -> None:
        dice = random.Random(11)
        wrong = right = 0
        for _ in range(400):
            guilty = dice.randrange(6)

            def world(commit: str, _n: int, guilty: int = guilty) -> tuple[Verdict, str]:
                bad = commit != "good" and int(commit[1:]) >= guilty
                return ("FAIL", "x") if bad != (dice.random() < 0.05) else ("PASS", "")

            answer, _ = hunt(world, SUSPECTS)
            if isinstance(answer, Found):
                right += f"c{guilty}" in answer.commits
                wrong += f"c{guilty}" not in answer.commits
        assert wrong / 400 < 0.02
        assert right / 400 > 0.95


class TestBrakes:
    def test_four_restores_in_a_day_are_the_last_without_a_person(self) -> None:
        assert may_restore([], 0.0)
        assert may_restore([1.0, 2.0, 3.0], 4.0)
        assert not may_restore([1.0, 2.0, 3.0, 4.0], 5.0)

    def test_old_restores_are_forgotten(self) -> None:
        assert may_restore([1.0, 2.0, 3.0, 4.0], 4.0 + 86_400)
