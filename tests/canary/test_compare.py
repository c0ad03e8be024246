"""Two commits in turns: really run on a hub, and with told outcomes where chance has to be laid out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.awake import BEAT_S, GAP_S, Awake
from canary.compare import SPARE, Measured, Name, Turns, word
from canary.kept import KeptArtifacts
from canary.runner import LocalCanaryRunner
from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault
from engine.git.slots import Slots
from engine.models.flow import Flow
from engine.models.verdict import Verdict
from engine.ports import CompareRequest, Comparison, FlowOutcome
from engine.process.tree import find_marked
from engine.sandbox.none import NoSandbox
from tests.canary.test_runner import Station
from tests.canary.worlds import OwnPython, flow, until

SAMPLE = {"sample": {"name": "frame_ms", "event": "frame", "path": "ms", "unit": "ms"}}
DONE = {"wait": {"until": {"event": "frame"}, "within": "20s"}}
IN_TREE: dict[str, Any] = {"start": {"run": ["python", "-I", "-S", "app.py"]}, "stop": {}}


def app(body: str) -> str:
    """A program that gives one number: `ms`, as `body` sets it."""
    told = """print('{"kind": "frame", "ms": %s}' % ms)"""
    return f"import os, sys, time\nprint('ready')\n{body}\n{told}\n"


def sampled(**more: Any) -> Flow:
    return flow(**({"name": "drag", "steps": [DONE, SAMPLE]} | IN_TREE | more))


class Pair(Station):
    """A station with a second checkout. `good` is main before `new` landed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.beside = Slots(self.hub, root / "slots", 1, "before")
        self.runner = self.comparing = LocalCanaryRunner(
            self.slots,
            NoSandbox(),
            OwnPython(),
            self.store,
            self.runs,
            self.hub,
            epoch=f"test-{root.name}",
            beside=self.beside,
            now=lambda: 0.0,  # a machine so busy that it seems to sleep is not what is tested here
        )

    async def hold(self, good: str, new: str, *flows: Flow, key: str = "compare.1", **budgets: str) -> Comparison:
        return await self.comparing.compare(
            CompareRequest(key, new, self.hub.tree_of(new), good, self.hub.tree_of(good), flows, budgets)
        )

    def landed(self, body: str) -> str:
        return self.commit({"app.py": app(body)})

    def evidence(self, found: Comparison) -> dict[str, Any]:
        return self.store.get_json(found.artifacts["comparison"])


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


async def test_a_commit_like_last_good_passes_after_five_pairs_in_turns(pair: Pair, tmp_path: Path) -> None:
    log = tmp_path / "order"
    seen = f"open({str(log)!r}, 'a').write(os.path.basename(os.path.dirname(os.getcwd())) + ' ')"
    good, new = pair.landed(f"ms = 10; {seen}"), pair.landed(f"ms = 10.1; {seen}")
    found = await pair.hold(good, new, sampled(), flow(name="no-samples", **IN_TREE))
    assert found.verdict == "PASS", found.reason
    assert [(m.flow, m.sample, m.verdict, m.before, m.after, m.pairs) for m in found.metrics] == [
        ("drag", "frame_ms", "same", 10, 10.1, 5)
    ]
    warm, turns = log.read_text().split()[:2], log.read_text().split()[2:]
    assert warm == ["before-1", "canary-1"]
    a, b = warm
    assert turns == [a, b, b, a, a, b, b, a, a, b]
    said = pair.progress("compare.1")
    assert [(row["pair"], row["pairs"], row["flow"]) for row in said if row["said"] == "pair"] == [
        (number, 5, "drag") for number in range(1, 6)
    ]
    assert all(row["kind"] == "canary" for row in said)
    assert pair.evidence(found)["flows"][0]["first"] == {
        "old": {"frame_ms": [10.0] * 5},
        "new": {"frame_ms": [10.1] * 5},
    }
    assert not (pair.runs / "compare.1" / "scratch").exists()


@pytest.mark.slow
async def test_a_commit_that_is_slower_fails_after_fifteen_more(pair: Pair) -> None:
    work = "began = time.process_time(); sum(range({})); ms = 1000 * (time.process_time() - began)"
    good, new = pair.landed(work.format(10**5)), pair.landed(work.format(10**6))
    found = await pair.hold(good, new, sampled())
    assert found.verdict == "FAIL"
    assert (found.metrics[0].verdict, found.metrics[0].pairs) == ("worse", 15)
    assert "frame_ms is" in found.reason
    back = await pair.hold(new, good, sampled(), key="compare.2")
    assert (back.verdict, back.metrics[0].verdict) == ("PASS", "better"), back.reason


async def test_a_flow_that_fails_on_the_new_commit_is_told_and_its_log_kept(pair: Pair) -> None:
    good, new = pair.landed("ms = 10"), pair.landed("ms = 10; sys.exit('cannot draw')")
    found = await pair.hold(good, new, sampled())
    assert found.verdict == "FAIL"
    assert found.failed == ("drag",)
    assert "failed in 2 runs of the new commit" in found.reason
    assert "cannot draw" in found.reason
    assert b"cannot draw" in pair.store.get(found.artifacts["drag/new-failed-2/log"])
    manifest = pair.store.read_manifest(pair.runs / "compare.1")
    assert set(manifest) == set(found.artifacts)
    other = await pair.hold(new, good, sampled(), key="compare.2")
    assert (other.verdict, other.failed) == ("INCONCLUSIVE", ())
    assert "last good" in other.reason


BUILT: dict[str, Any] = {
    "package": ["python", "build.py"],
    "artifact": "out/app.py",
    "start": {"run": ["python", "-I", "-S", "{artifact}"]},
}


class Builds:
    """A flow whose artifact is built by a program that notes where."""

    def __init__(self, pair: Pair, log: Path) -> None:
        self._log = log
        where = f"open({str(log)!r}, 'a').write(os.path.basename(os.path.dirname(os.getcwd())) + ' ')"
        copy = "os.makedirs('out', exist_ok=True); shutil.copy('app.py', 'out/app.py')"
        pair.commit({"build.py": f"import os, shutil\n{copy}\n{where}\n"})
        self.good, self.new = pair.landed("ms = 10"), pair.landed("ms = 10.1")
        self.flow = sampled(**BUILT)

    def where(self) -> list[str]:
        """Since the last call."""
        told = self._log.read_text().split()
        self._log.write_text("")
        return told


async def test_last_good_runs_from_its_kept_artifact_and_is_not_built_again(pair: Pair, tmp_path: Path) -> None:
    builds = Builds(pair, tmp_path / "built")
    first = await pair.runner.run(pair.request(builds.good, builds.flow))
    assert (first.verdict, builds.where()) == ("PASS", ["canary-1"]), first.reason
    kept = await pair.hold(builds.good, builds.new, builds.flow)
    assert (kept.verdict, builds.where()) == ("PASS", ["canary-1"]), kept.reason
    assert (kept.metrics[0].before, kept.metrics[0].after) == (10, 10.1)
    assert pair.evidence(kept)["flows"][0]["kept_artifact"] is True


async def test_without_a_kept_artifact_last_good_is_built_once_before_anything_is_measured(
    pair: Pair, tmp_path: Path
) -> None:
    builds = Builds(pair, tmp_path / "built")
    found = await pair.hold(builds.good, builds.new, builds.flow)
    assert (found.verdict, builds.where()) == ("PASS", ["before-1", "canary-1"]), found.reason
    assert pair.evidence(found)["flows"][0]["kept_artifact"] is False


def test_an_artifact_is_laid_only_where_it_belongs_and_only_if_it_is_sound(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    kept, told, tree = KeptArtifacts(tmp_path / "kept", store), sampled(**BUILT), tmp_path / "tree"
    tree.mkdir()
    digest = store.put(b"built")
    assert not kept.lay(told, "t1", tree, tree / "out" / "app.py")
    kept.keep(told, "t1", digest)
    assert kept.lay(told, "t1", tree, tree / "out" / "app.py")
    assert (tree / "out" / "app.py").read_bytes() == b"built"
    assert not kept.lay(told, "t2", tree, tree / "other")
    assert not kept.lay(sampled(**BUILT | {"package": ["make"]}), "t1", tree, tree / "other")
    assert not kept.lay(told, "t1", tree, tmp_path / "elsewhere" / "app.py")
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(b"other")
    assert not kept.lay(told, "t1", tree, tree / "other")


async def test_a_hard_budget_of_the_flow_and_one_of_a_work_order(pair: Pair) -> None:
    good, new = pair.landed("ms = 20"), pair.landed("ms = 20.2")
    bounded = sampled(judge={"budgets": [{"sample": "frame_ms", "max": 16.7}]})
    over = await pair.hold(good, new, bounded)
    assert over.verdict == "FAIL"
    assert "20.2 ms is more than the budget of 16.7 ms" in over.reason
    within = await pair.hold(good, new, sampled(), key="compare.2", frame_ms="+10%")
    assert within.verdict == "PASS", within.reason
    assert word([], {"frame_ms": "+10%"}).finding.verdict == "INCONCLUSIVE"


async def test_without_a_second_checkout_nothing_is_compared(pair: Pair, tmp_path: Path) -> None:
    commit = pair.hub.main().commit
    alone = LocalCanaryRunner(pair.slots, NoSandbox(), OwnPython(), pair.store, pair.runs, pair.hub)
    tree = pair.hub.tree_of(commit)
    with pytest.raises(InfrastructureFault, match="second checkout"):
        await alone.compare(CompareRequest("c", commit, tree, commit, tree, (sampled(),)))


async def test_cancelling_kills_the_program_and_gives_both_checkouts_back(pair: Pair) -> None:
    good = pair.landed("ms = 10")
    hang = sampled(steps=[{"wait": {"until": {"event": "never"}, "within": "1h"}}, SAMPLE], timeout="1h")
    pair.landed("time.sleep(3600); ms = 1")
    slow = pair.hub.main().commit
    task = asyncio.create_task(pair.hold(slow, slow, hang))
    await until(lambda: find_marked(pair.marker) != [])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert find_marked(pair.marker) == []
    async with asyncio.timeout(60):
        async with pair.slots.lease("a"), pair.beside.lease("b"):
            pass
    assert good != slow


# ---- what chance does, laid out

Told = Callable[[Name, bool, int], tuple[Verdict, float]]


async def measured(told: Told, asked: Flow | None = None, *, awake: Awake | None = None) -> tuple[Measured, list[Name]]:
    """`told` says what the nth run of a side gives."""
    order: list[Name] = []

    async def run(flow: Flow, name: Name, *, build: bool) -> FlowOutcome:
        order.append(name)
        verdict, value = told(name, build, order.count(name))
        return FlowOutcome(flow.name, verdict, f"run {len(order)}", 1.0, {"frame_ms": [value]})

    async def nothing_kept() -> bool:
        return False

    turns = Turns(asked or sampled(), {}, run, nothing_kept, awake or Awake(), lambda said, fields: None)
    return await turns.measure(), order


async def test_a_median_that_moved_by_chance_is_looked_at_again_with_fresh_numbers_only() -> None:
    found, order = await measured(lambda name, _build, nth: ("PASS", 12.0 if name == "new" and nth <= 6 else 10.0))
    said = word([found], {})
    assert len(order) == 2 * (1 + 5 + 15)
    assert (said.finding.verdict, said.metrics[0].verdict, said.metrics[0].pairs) == ("PASS", "same", 15)
    worse, _ = await measured(lambda name, _build, _nth: ("PASS", 12.0 if name == "new" else 10.0))
    assert word([worse], {}).finding.verdict == "FAIL"
    assert "20.0 % worse than last good (10 → 12 ms, 15 pairs" in word([worse], {}).finding.reason


async def test_one_failed_run_is_replaced_and_never_hidden() -> None:
    found, order = await measured(lambda name, _build, nth: ("FAIL" if (name, nth) == ("new", 4) else "PASS", 10.0))
    said = word([found], {})
    assert said.finding.verdict == "PASS"
    assert "one run of flow drag on the new commit failed: run" in said.finding.reason
    assert said.metrics[0].pairs == 5
    assert len(order) > 12


async def test_failures_on_both_sides_accuse_nobody() -> None:
    found, _ = await measured(
        lambda name, _build, nth: ("FAIL" if nth == 3 or (name, nth) == ("new", 5) else "PASS", 10.0)
    )
    assert found.finding is not None
    assert found.finding.verdict == "INCONCLUSIVE"


async def test_a_machine_that_fails_again_and_again_is_said_and_what_was_measured_breaks_only_hard_budgets() -> None:
    def broken(name: Name, _build: bool, nth: int) -> tuple[Verdict, float]:
        return ("ENVIRONMENT" if name == "new" and nth > 3 else "PASS"), 30.0 if name == "new" else 10.0

    found, order = await measured(broken)
    said = word([found], {})
    assert (said.finding.verdict, said.metrics[0].verdict, said.metrics[0].pairs) == ("ENVIRONMENT", "unknown", 2)
    assert len(order) <= 2 * (1 + 5 + SPARE)
    once_red, _ = await measured(lambda name, build, nth: ("FAIL", 1.0) if nth == 2 else broken(name, build, nth))
    assert "on last good failed: run" in word([once_red], {}).finding.reason
    hard = sampled(judge={"budgets": [{"sample": "frame_ms", "worse": 0.5}]})
    over = word([(await measured(broken, hard))[0]], {})
    assert (over.finding.verdict, over.metrics[0].verdict) == ("FAIL", "over-budget")


async def test_what_was_measured_across_a_sleep_does_not_count_not_even_as_a_failure() -> None:
    wall = 1000.0
    awake = Awake(lambda: wall)

    def sleeps(name: Name, _build: bool, nth: int) -> tuple[Verdict, float]:
        nonlocal wall
        wall += 3600 if (name, nth) in (("new", 3), ("old", 5)) else 0.1
        return ("FAIL", 99.0) if (name, nth) == ("new", 3) else ("PASS", 99.0 if (name, nth) == ("old", 5) else 10.0)

    found, _ = await measured(sleeps, awake=awake)
    assert found.lost == ["the machine was suspended, or stood still"] * 2
    assert found.reds["new"] == []
    assert found.first == {"old": {"frame_ms": [10.0] * 5}, "new": {"frame_ms": [10.0] * 5}}


async def test_a_sleep_is_seen_by_the_beat_as_well_and_a_slow_beat_is_none() -> None:
    wall = 0.0
    awake = Awake(lambda: wall)
    async with awake.watching():
        wall += BEAT_S + GAP_S - 0.1
        assert awake.gaps() == 0
        wall += BEAT_S + GAP_S + 0.1
        assert awake.gaps() == 1
    assert len(asyncio.all_tasks()) == 1


def with_samples(old: dict[str, list[float]], new: dict[str, list[float]]) -> Measured:
    second = {"sample": {"name": "load_ms", "event": "load", "path": "ms"}}
    return Measured(sampled(steps=[DONE, SAMPLE, second]), {"old": old, "new": new})


def test_a_sample_that_is_new_spoils_nothing_and_one_that_is_gone_is_inconclusive() -> None:
    ten = [10.0] * 5
    both = {"frame_ms": ten, "load_ms": ten}
    assert word([with_samples({"frame_ms": ten}, both)], {}).finding.verdict == "PASS"
    gone = word([with_samples(both, {"frame_ms": ten})], {})
    assert gone.finding.verdict == "INCONCLUSIVE"
    assert "load_ms cannot be judged: the new commit gave no such sample" in gone.finding.reason
    assert word([with_samples({}, both)], {}).finding.verdict == "INCONCLUSIVE"
    assert word([], {}).finding.verdict == "INCONCLUSIVE"


def test_a_budget_that_cannot_be_judged_is_said() -> None:
    fine = with_samples({"frame_ms": [1.0] * 5, "load_ms": [1.0] * 5}, {"frame_ms": [1.0] * 5, "load_ms": [1.0] * 5})
    assert word([fine], {"frame_ms": "+5%"}).finding.verdict == "PASS"
    unread = word([fine], {"frame_ms": "quick"})
    assert (unread.finding.verdict, unread.finding.reason) == (
        "INCONCLUSIVE",
        'the budget frame_ms = "quick" cannot be read: write it as "+10%"',
    )
    assert "names no sample" in word([fine], {"paint_ms": "+5%"}).finding.reason


def test_the_evidence_is_json() -> None:
    assert json.loads(json.dumps(with_samples({}, {}).told()))["flow"] == "drag"
