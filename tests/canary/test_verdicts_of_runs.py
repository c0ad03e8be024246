"""Flows that are one command, runs in a row, hard budgets, and numbers from files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import canary.steps
from canary.drivers.process import ProcessSession
from engine.models.flow import Flow
from engine.process.tree import find_marked
from tests.canary.worlds import World, flow, python


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def whole(code: str, **fields: Any) -> Flow:
    return Flow.model_validate({"name": "whole", "run": python(code), "timeout": "20s"} | fields)


class TestOneCommand:
    @pytest.mark.parametrize(
        ("code", "verdict"),
        [
            ("print('hello')", "PASS"),
            ("raise SystemExit(125)", "INCONCLUSIVE"),
            ("raise SystemExit(1)", "FAIL"),
            ("import os; os.abort()", "FAIL"),
            ("import time; time.sleep(60)", "FAIL"),
        ],
    )
    async def test_its_end_is_the_word(self, world: World, code: str, verdict: str) -> None:
        outcome = await world.run(whole(code, timeout="300ms" if "sleep" in code else "20s"))
        assert outcome.verdict == verdict, outcome.reason
        assert find_marked(world.ground.marker) == []

    async def test_a_success_that_it_prints_is_no_evidence(self, world: World) -> None:
        outcome = await world.run(whole('print(\'{"verdict": "PASS"}\'); raise SystemExit(2)'))
        assert outcome.verdict == "FAIL"
        assert "it exited with 2" in outcome.reason

    async def test_its_events_can_be_sampled(self, world: World) -> None:
        code = """
            import json
            for ms in (3, 4):
                print(json.dumps({"kind": "row", "ms": ms}))
        """
        steps = [{"sample": {"name": "row_ms", "event": "row", "path": "ms"}}]
        outcome = await world.run(whole(code, steps=steps))
        assert outcome.verdict == "PASS", outcome.reason
        assert outcome.samples == {"row_ms": [3.0, 4.0]}

    async def test_it_runs_what_was_built_and_has_its_ports_and_environment(self, world: World) -> None:
        build = python("import pathlib; pathlib.Path('built.py').write_text('import os; print(os.environ[\"AT\"])')")
        fields = {"package": build, "artifact": "built.py", "isolate": {"ports": ["web"], "env": {"AT": "{port}"}}}
        outcome = await world.run(whole("", **fields).model_copy(update={"run": ["python", "{artifact}"]}))
        assert outcome.verdict == "PASS", outcome.reason
        assert int(world.artifact(outcome, "log").split()[-1]) > 1023


COUNTS = """
    import json, pathlib
    counter = pathlib.Path({path!r})
    seen = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(seen + 1))
    print("ready", flush=True)
    print(json.dumps({{"kind": "run", "n": seen}}), flush=True)
    raise SystemExit(seen >= {fails_from})
"""


async def test_no_step_takes_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(self: ProcessSession, text: str) -> None:
        await asyncio.sleep(3600)

    steps = [{"send": {"stdin": "x"}}, {"wait": {"until": {"log": "ready"}}}]
    monkeypatch.setattr(canary.steps, "STEP_S", 0.1)
    monkeypatch.setattr(ProcessSession, "send", stuck)
    outcome = await world.run(flow(FRAMES, steps=steps, stop={}))
    assert outcome.verdict == "FAIL"
    assert "step 1: expected it to be done within 0.1 s" in outcome.reason


class TestRepeat:
    def counting(self, world: World, fails_from: int) -> Flow:
        code = COUNTS.format(path=str(world.root / "count"), fails_from=fails_from)
        steps = [
            {"wait": {"until": {"event": "run"}, "within": "10s"}},
            {"sample": {"name": "n", "event": "run", "path": "n"}},
        ]
        return flow(code, steps=steps, stop={"within": "10s"}, judge={"repeat": 3})

    async def test_all_runs_have_to_be_green(self, world: World) -> None:
        outcome = await world.run(self.counting(world, 99))
        assert outcome.verdict == "PASS", outcome.reason
        assert outcome.samples == {"n": [0.0, 1.0, 2.0]}

    async def test_the_first_red_ends_it(self, world: World) -> None:
        outcome = await world.run(self.counting(world, 1))
        assert outcome.verdict == "FAIL"
        assert outcome.reason.startswith("run 2 of 3: ")
        assert outcome.samples == {"n": [0.0, 1.0]}


FRAMES = """
    import json
    print("ready", flush=True)
    for ms in (10, 30, 12):
        print(json.dumps({"kind": "frame", "ms": ms}), flush=True)
"""


class TestBudgets:
    @pytest.mark.parametrize(
        ("budget", "verdict"),
        [
            ({"max": 12}, "PASS"),
            ({"max": 11.9}, "FAIL"),
            ({"min": 12}, "PASS"),
            ({"min": 12.1}, "FAIL"),
            ({"worse": 0.01}, "PASS"),
        ],
    )
    async def test_the_median_of_one_run_is_held_against_hard_bounds(
        self, world: World, budget: dict[str, float], verdict: str
    ) -> None:
        steps = [
            {"wait": {"until": {"event": "frame", "where": {"ms": 12}}, "within": "10s"}},
            {"sample": {"name": "frame_ms", "event": "frame", "path": "ms"}},
        ]
        judge = {"budgets": [{"sample": "frame_ms", **budget}]}
        outcome = await world.run(flow(FRAMES, steps=steps, stop={}, judge=judge))
        assert outcome.verdict == verdict, outcome.reason
        if verdict == "FAIL":
            assert "saw 12 over 3 values" in outcome.reason

    async def test_a_budget_without_its_sample_is_inconclusive(self, world: World) -> None:
        steps = [{"sample": {"name": "paint_ms", "event": "paint", "path": "ms"}}]
        judge = {"budgets": [{"sample": "paint_ms", "max": 5}]}
        outcome = await world.run(flow(FRAMES, steps=steps, stop={}, judge=judge))
        assert outcome.verdict == "INCONCLUSIVE"


class TestNumbersFromFiles:
    def told(self, code: str, name: str = "times.jsonl") -> Flow:
        steps = [
            {"wait": {"until": {"log": "written"}, "within": "10s"}},
            {"sample": {"name": "t", "from": name, "path": "data.ms"}},
        ]
        before = "import json, os, pathlib\nprint('ready', flush=True)\nhome = pathlib.Path.home()\n"
        return flow(f"{before}{code}\nprint('written', flush=True)", steps=steps, stop={})

    async def test_what_a_path_leads_to_in_each_line(self, world: World) -> None:
        code = 'home.joinpath(\'times.jsonl\').write_text(\'{"data": {"ms": 1}}\\n\\n{"data": {"ms": 2.5}}\\n\')'
        outcome = await world.run(self.told(code))
        assert outcome.verdict == "PASS", outcome.reason
        assert outcome.samples == {"t": [1.0, 2.5]}

    @pytest.mark.parametrize(
        ("code", "seen"),
        [
            ("pass", "saw"),
            ("home.joinpath('times.jsonl').write_text('')", "saw none"),
            ("home.joinpath('times.jsonl').write_text('{\"data\": {}}')", "is not a number"),
            ("home.joinpath('times.jsonl').write_text('{\"data\": {\"ms\": 1' + '0' * 999 + '}}')", "is not a number"),
            ("home.joinpath('times.jsonl').write_text('ms: 1')", "is not JSON"),
            ("home.joinpath('times.jsonl').symlink_to('/etc/passwd')", "in its home"),
            ("os.mkfifo(home / 'times.jsonl')", "is not a file"),
        ],
    )
    async def test_what_is_missing_or_odd_is_inconclusive(self, world: World, code: str, seen: str) -> None:
        outcome = await world.run(self.told(code))
        assert outcome.verdict == "INCONCLUSIVE"
        assert "sample t is missing" in outcome.reason
        assert seen in outcome.reason
