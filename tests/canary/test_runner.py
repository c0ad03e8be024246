"""The canary runner on a real hub: checkouts, goldens of the commit's own tree, the worst verdict, cancellation."""

from __future__ import annotations

import asyncio
import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from canary.golden import trace_to_golden
from canary.runner import LocalCanaryRunner
from engine.artifacts import ArtifactStore
from engine.git.hub import Hub
from engine.git.slots import Slots
from engine.models.flow import Flow
from engine.ports import CanaryRequest, CanaryRunner
from engine.process.tree import find_marked
from engine.sandbox.none import NoSandbox
from tests.canary.worlds import GOOD, OwnPython, flow, resize, until

IN_TREE: dict[str, Any] = {"start": {"run": ["python", "app.py"]}, "steps": resize(900)}
GOLDEN = "canary/golden/app.jsonl"


class Station:
    """A hub with one commit after the other, and a runner."""

    def __init__(self, root: Path) -> None:
        self.repo = root / "repo"
        self.repo.mkdir()
        self._git("init", "-q", "-b", "main")
        self._git("config", "user.name", "t")
        self._git("config", "user.email", "t@example.org")
        self._write({"app.py": GOOD})
        (root / "state").mkdir()
        self.hub = Hub.create_or_open(root / "state", self.repo, "main")
        self.store = ArtifactStore(root / "artifacts")
        self.slots = Slots(self.hub, root / "slots", 1, "canary")
        self.runs = root / "runs"
        self.runner: CanaryRunner = LocalCanaryRunner(
            self.slots, NoSandbox(), OwnPython(), self.store, self.runs, self.hub, epoch=f"test-{root.name}"
        )
        self.marker = f"test-{root.name}/"

    def _git(self, *words: str) -> str:
        return subprocess.run(("git", *words), cwd=self.repo, check=True, capture_output=True, text=True).stdout.strip()

    def _write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(textwrap.dedent(text), encoding="utf-8")
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "x")

    def commit(self, files: dict[str, str]) -> str:
        self._write(files)
        return self.hub.fetch_user(self.repo, "main")

    def request(self, commit: str, *flows: Flow, key: str = "canary.1") -> CanaryRequest:
        return CanaryRequest(key=key, commit=commit, tree=self.hub.tree_of(commit), flows=flows)

    def progress(self, key: str = "canary.1") -> list[dict[str, object]]:
        text = (self.runs / key / "progress.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


async def test_a_commit_is_judged_by_its_own_files_and_not_by_the_user_s(station: Station) -> None:
    good = station.hub.main().commit
    bad = station.commit({"app.py": GOOD.replace('w=told["w"]', "w=1")})
    frame = {"wait": {"until": {"event": "frame"}, "within": "10s"}}
    wrong = {"assert": {"no_event": "frame", "where": {"w": 1}}}
    asserted = flow(start=IN_TREE["start"], steps=[resize(900)[0], frame, wrong])
    assert (await station.runner.run(station.request(good, asserted))).verdict == "PASS"
    judged = await station.runner.run(station.request(bad, asserted, key="canary.2"))
    assert judged.verdict == "FAIL"
    assert judged.flows[0].reason == judged.reason


async def test_the_golden_is_read_from_the_tree_of_the_commit(station: Station) -> None:
    told = flow(**IN_TREE, judge={"golden": GOLDEN})
    before = await station.runner.run(station.request(station.hub.main().commit, told))
    assert before.verdict == "INCONCLUSIVE"
    golden = trace_to_golden([{"kind": "frame", "view_id": 1, "w": 900, "h": 600, "ms": 2.5}, {"kind": "bye"}])
    commit = station.commit({GOLDEN: golden.decode("utf-8")})
    after = await station.runner.run(station.request(commit, told, key="canary.2"))
    assert after.verdict == "PASS", after.reason


async def test_every_flow_runs_and_the_worst_verdict_counts(station: Station) -> None:
    missing = flow(name="missing", start={"run": ["no-such-program-anywhere"]})
    red = flow(name="red", steps=[{"assert": {"log": "never"}}])
    unsure = flow(name="unsure", steps=[{"sample": {"name": "s", "event": "none", "path": "x"}}])
    green = flow(name="green", **IN_TREE)
    outcome = await station.runner.run(station.request(station.hub.main().commit, unsure, missing, red, green))
    assert [told.verdict for told in outcome.flows] == ["INCONCLUSIVE", "ENVIRONMENT", "FAIL", "PASS"]
    assert outcome.verdict == "FAIL"
    without = await station.runner.run(station.request(station.hub.main().commit, unsure, missing, green, key="b"))
    assert without.verdict == "ENVIRONMENT"


async def test_each_flow_starts_from_the_commit_s_files(station: Station) -> None:
    vandal = flow(name="vandal", code="import os; os.remove('app.py'); print('ready')", stop={})
    after = flow(name="after", **IN_TREE)
    outcome = await station.runner.run(station.request(station.hub.main().commit, vandal, after))
    assert [told.verdict for told in outcome.flows] == ["PASS", "PASS"], outcome.reason


async def test_without_a_flow_nothing_is_said(station: Station) -> None:
    with pytest.raises(ValueError, match="without flows"):
        await station.runner.run(station.request(station.hub.main().commit))


async def test_progress_and_a_manifest_are_left(station: Station) -> None:
    outcome = await station.runner.run(station.request(station.hub.main().commit, flow(**IN_TREE)))
    said = station.progress()
    assert [row["said"] for row in said] == ["checkout", "started", "step", "step", "flow_judged", "judged"]
    assert said[-2]["verdict"] == "PASS"
    manifest = station.store.read_manifest(station.runs / "canary.1")
    assert manifest["smoke/trace"].digest == outcome.flows[0].artifacts["trace"]


async def test_cancelling_kills_the_program_and_gives_the_slot_back(station: Station) -> None:
    commit = station.hub.main().commit
    hang = flow(name="hang", steps=[{"wait": {"until": {"event": "never"}, "within": "1h"}}], timeout="1h")
    task = asyncio.create_task(station.runner.run(station.request(commit, hang)))
    await until(lambda: any(row["said"] == "step" for row in station.progress()) if station.runs.exists() else False)
    assert find_marked(station.marker) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert find_marked(station.marker) == []
    again = await station.runner.run(station.request(commit, flow(**IN_TREE), key="canary.2"))
    assert again.verdict == "PASS", again.reason
