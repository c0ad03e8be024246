"""Flows against real programs: good, crashing, hanging, lying, flooding, daemonising."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from canary.golden import trace_to_golden
from engine.errors import GitError
from engine.models.flow import Flow
from engine.process.tree import find_marked
from tests.canary.worlds import GOOD, World, flow, lives, python, resize, until


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestVerdicts:
    async def test_a_good_program_passes(self, world: World) -> None:
        sample = {"sample": {"name": "frame", "event": "frame", "path": "ms", "unit": "ms"}}
        outcome = await world.run(flow(steps=[*resize(900), *resize(901), sample, {"assert": {"no_log": "ERROR"}}]))
        assert outcome.verdict == "PASS", outcome.reason
        assert outcome.samples == {"frame": [2.5, 2.5]}
        assert [row["kind"] for row in world.trace(outcome)] == ["frame", "frame", "bye"]
        assert all(row["arrived"] > 0 for row in world.trace(outcome))
        assert "out ready" in world.artifact(outcome, "log")

    async def test_an_event_that_does_not_come_fails_and_says_what_came_instead(self, world: World) -> None:
        broken = GOOD.replace('w=told["w"]', 'w=told["w"] - 1')
        steps = resize(900)
        steps[1]["wait"]["within"] = "300ms"
        outcome = await world.run(flow(broken, steps=steps))
        assert outcome.verdict == "FAIL"
        assert 'expected event "frame" with {"w": 900}' in outcome.reason
        assert '"w": 899' in outcome.reason

    async def test_a_crash_ends_the_wait_at_once_and_is_named(self, world: World) -> None:
        crashing = GOOD.replace('emit("frame"', 'raise SystemExit(7); emit("frame"')
        steps = resize(900)
        steps[1]["wait"]["within"] = "1h"
        outcome = await world.run(flow(crashing, steps=steps))
        assert outcome.verdict == "FAIL"
        assert "it exited with 7" in outcome.reason

    async def test_a_crash_after_the_last_step_is_still_a_failure(self, world: World) -> None:
        stop = {"send": {"json": {"kind": "quit", "code": 3}}, "within": "10s"}
        outcome = await world.run(flow(steps=resize(900), stop=stop))
        assert outcome.verdict == "FAIL"
        assert "it exited with 3" in outcome.reason

    async def test_an_error_exit_that_a_step_expects_is_no_failure(self, world: World) -> None:
        steps = [{"send": {"json": {"kind": "quit", "code": 3}}}, {"wait": {"until": {"exit": 3}, "within": "10s"}}]
        outcome = await world.run(flow(steps=steps))
        assert outcome.verdict == "PASS", outcome.reason

    async def test_what_a_program_says_of_itself_is_no_evidence(self, world: World) -> None:
        liar = """
            import json, sys
            print("ready", flush=True)
            for line in sys.stdin:
                print(json.dumps({"kind": "result", "status": "pass"}), flush=True)
                sys.exit(1)
        """
        outcome = await world.run(flow(liar, steps=resize(900)))
        assert outcome.verdict == "FAIL"
        assert "it exited with 1" in outcome.reason

    async def test_a_flow_that_asks_nothing_is_inconclusive(self, world: World) -> None:
        outcome = await world.run(flow('print("status: pass")', start={"ready": None}, stop={}))
        assert outcome.verdict == "INCONCLUSIVE"

    async def test_a_program_that_is_not_ready_in_time_fails(self, world: World) -> None:
        outcome = await world.run(flow("import time; time.sleep(60)", start={"within": "100ms"}))
        assert outcome.verdict == "FAIL"
        assert "not ready" in outcome.reason

    async def test_readiness_may_be_an_event_and_a_line_may_be_one(self, world: World) -> None:
        up = """
            import sys
            print('{"kind": "up"}', flush=True)
            sys.stdin.read()
        """
        for ready in ({"event": "up"}, {"log": '"up"'}):
            outcome = await world.run(flow(up, start={"ready": ready}, stop={}))
            assert outcome.verdict == "PASS", outcome.reason

    async def test_a_missing_program_is_the_machines_fault(self, world: World) -> None:
        outcome = await world.run(flow(start={"run": ["no-such-program-anywhere"]}))
        assert outcome.verdict == "ENVIRONMENT"
        assert "no-such-program-anywhere" in outcome.reason

    async def test_a_program_that_the_commit_lacks_is_the_commits_fault(self, world: World) -> None:
        outcome = await world.run(flow(start={"run": ["./app"]}))
        assert outcome.verdict == "FAIL"

    async def test_the_reason_cannot_steer_a_terminal(self, world: World) -> None:
        evil = r"""
            import sys
            print("ready", flush=True)
            sys.stderr.write("\x1b[2J\x1b]0;owned\x07\u202e boom\n")
            sys.exit(1)
        """
        outcome = await world.run(flow(evil, start={"env": {"PYTHONUTF8": "1"}}, steps=resize(900)))
        assert outcome.verdict == "FAIL"
        assert "boom" in outcome.reason
        assert "\x1b" not in outcome.reason
        assert "\u202e" not in outcome.reason


class TestSteps:
    @pytest.mark.parametrize(
        ("told", "verdict"),
        [
            ({"event": "frame", "where": {"w": 900}}, "PASS"),
            ({"event": "frame", "where": {"w": 901}}, "FAIL"),
            ({"event": "blank"}, "FAIL"),
            ({"no_event": "frame", "where": {"w": 901}}, "PASS"),
            ({"no_event": "frame"}, "FAIL"),
            ({"log": "ready"}, "PASS"),
            ({"log": "steady"}, "FAIL"),
            ({"no_log": "ERROR"}, "PASS"),
            ({"no_log": "ready"}, "FAIL"),
            ({"exit": 0}, "FAIL"),
        ],
    )
    async def test_assert(self, world: World, told: dict[str, Any], verdict: str) -> None:
        outcome = await world.run(flow(steps=[*resize(900), {"assert": told}]))
        assert outcome.verdict == verdict, outcome.reason

    async def test_what_was_printed_on_stderr_before_an_event_is_seen_by_an_assert_after_it(self, world: World) -> None:
        noisy = GOOD.replace('emit("frame"', 'sys.stderr.write("x" * 9000 + "ERROR lost a frame\\n"); emit("frame"')
        outcome = await world.run(flow(noisy, steps=[*resize(900), {"assert": {"no_log": "ERROR"}}]))
        assert outcome.verdict == "FAIL"

    async def test_each_wait_uses_up_what_it_found(self, world: World) -> None:
        steps = [*resize(900), {"wait": {"until": {"event": "frame"}, "within": "200ms"}}]
        outcome = await world.run(flow(steps=steps))
        assert outcome.verdict == "FAIL"
        assert "none of that kind" in outcome.reason

    async def test_an_event_that_came_before_the_wait_is_found(self, world: World) -> None:
        steps = [step for w in (900, 901) for step in resize(w)]
        outcome = await world.run(flow(steps=[steps[0], steps[2], steps[1], steps[3]]))
        assert outcome.verdict == "PASS", outcome.reason

    async def test_text_for_stdin_and_lines_to_wait_for(self, world: World) -> None:
        echo = """
            import sys
            print("ready", flush=True)
            for line in sys.stdin:
                print("heard", line.strip(), flush=True)
        """
        steps = [{"send": {"stdin": "abc\n"}}, {"wait": {"until": {"log": "heard abc"}, "within": "10s"}}]
        outcome = await world.run(flow(echo, steps=steps, stop={}))
        assert outcome.verdict == "PASS", outcome.reason

    @pytest.mark.parametrize("sample", [{"event": "paint", "path": "ms"}, {"event": "frame", "path": "no.such"}])
    async def test_a_missing_sample_is_inconclusive(self, world: World, sample: dict[str, str]) -> None:
        outcome = await world.run(flow(steps=[*resize(900), {"sample": {"name": "s", **sample}}]))
        assert outcome.verdict == "INCONCLUSIVE"
        assert "sample s is missing" in outcome.reason
        assert outcome.samples == {}

    async def test_a_failure_after_a_missing_sample_counts_more(self, world: World) -> None:
        missing = {"sample": {"name": "s", "event": "paint", "path": "ms"}}
        outcome = await world.run(flow(steps=[*resize(900), missing, {"assert": {"no_event": "frame"}}]))
        assert outcome.verdict == "FAIL"

    @pytest.mark.parametrize(
        "step", [{"assert": {}}, {"wait": {"until": {}}}, {"send": {}}, {"assert": {"log": "a", "no_log": "b"}}, {}]
    )
    def test_a_step_that_asks_nothing_is_refused(self, step: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            flow(steps=[step])


class TestGolden:
    NAME = "canary/golden/smoke.jsonl"

    async def test_the_recorded_golden_passes_and_a_change_fails_with_the_difference(self, world: World) -> None:
        judged = {"judge": {"golden": self.NAME}, "steps": resize(900)}
        first = await world.run(flow(**judged))
        assert first.verdict == "INCONCLUSIVE"
        assert self.NAME in first.reason
        golden = world.artifact(first, "golden").encode("utf-8")
        world.goldens = {self.NAME: golden}
        same = await world.run(flow(GOOD.replace("4711", "4712"), **judged))
        assert same.verdict == "PASS", same.reason
        worse = await world.run(flow(GOOD.replace('h=told["h"]', "h=1"), **judged))
        assert worse.verdict == "FAIL"
        assert "h is 1 instead of 600" in worse.reason
        assert "-" in world.artifact(worse, "difference")

    async def test_a_golden_without_events_is_inconclusive(self, world: World) -> None:
        world.goldens = {self.NAME: b"\n"}
        outcome = await world.run(flow(judge={"golden": self.NAME}, steps=resize(900)))
        assert outcome.verdict == "INCONCLUSIVE"

    async def test_a_golden_that_git_cannot_give_is_the_machines_fault(self, world: World) -> None:
        def unreadable(_path: str) -> bytes | None:
            raise GitError(["cat-file"], 128, "broken object")

        outcome = await world.run(flow(judge={"golden": self.NAME}, steps=resize(900)), unreadable)
        assert outcome.verdict == "ENVIRONMENT"

    async def test_a_program_that_says_nothing_does_not_match_its_golden(self, world: World) -> None:
        world.goldens = {self.NAME: trace_to_golden([{"kind": "frame"}])}
        outcome = await world.run(flow("pass", start={"ready": None}, stop={}, judge={"golden": self.NAME}))
        assert outcome.verdict == "FAIL"


class TestPackage:
    async def test_the_program_under_test_is_what_the_package_built(self, world: World) -> None:
        (world.ground.tree / "app.src").write_text(GOOD, encoding="utf-8")
        build = """
            import pathlib, sys, textwrap
            text = textwrap.dedent(pathlib.Path("app.src").read_text())
            pathlib.Path(sys.argv[1], "app.py").write_text(text)
        """
        fields = {"package": [*python(build), "{cache}"], "artifact": "{cache}/app.py"}
        outcome = await world.run(flow(start={"run": ["python", "{artifact}"]}, steps=resize(900), **fields))
        assert outcome.verdict == "PASS", outcome.reason
        assert "emit" in world.artifact(outcome, "artifact")

    async def test_a_stale_artifact_is_not_run(self, world: World) -> None:
        world.ground.cache.mkdir(parents=True)
        (world.ground.cache / "app.py").write_text(GOOD, encoding="utf-8")
        fields = {"package": python("pass"), "artifact": "{cache}/app.py"}
        outcome = await world.run(flow(start={"run": ["python", "{artifact}"]}, steps=resize(900), **fields))
        assert outcome.verdict == "FAIL"
        assert outcome.reason.startswith("package: ")

    async def test_a_red_build_is_a_failure_that_says_so(self, world: World) -> None:
        outcome = await world.run(flow(package=python("import sys; print('no rule'); sys.exit(2)")))
        assert outcome.verdict == "FAIL"
        assert outcome.reason.startswith("package: ")
        assert "exited with 2" in outcome.reason
        assert "no rule" in world.artifact(outcome, "package-log")

    async def test_a_build_that_hangs_is_ended(self, world: World) -> None:
        outcome = await world.run(flow(package=python("import time; time.sleep(60)"), package_within="100ms"))
        assert outcome.verdict == "FAIL"
        assert outcome.reason.startswith("package: ")
        assert find_marked(world.ground.marker) == []

    async def test_a_missing_build_program_is_the_machines_fault(self, world: World) -> None:
        outcome = await world.run(flow(package=["no-such-compiler"]))
        assert outcome.verdict == "ENVIRONMENT"

    @pytest.mark.parametrize("artifact", ["../x", "/etc/passwd", "{cache}/../x", "c:\\x"])
    def test_an_artifact_elsewhere_is_refused(self, artifact: str) -> None:
        with pytest.raises(ValidationError):
            flow(package=["make"], artifact=artifact)


class TestIsolation:
    async def test_home_and_temporary_folder_are_fresh_and_private(self, world: World, monkeypatch: Any) -> None:
        monkeypatch.setenv("SECRET_TOKEN", "s3cret")
        tell = """
            import json, os, pathlib, tempfile
            home = pathlib.Path(os.environ["HOME"])
            found = {"home": str(home), "tmp": tempfile.gettempdir(), "used": (home / "used").exists()}
            print(json.dumps({"kind": "env", "names": sorted(os.environ), **found}))
            (home / "used").write_text("x")
        """
        told = flow(tell, start={"ready": {"event": "env"}, "env": {"MODE": "canary"}}, stop={})
        for _ in range(2):
            outcome = await world.run(told)
            assert outcome.verdict == "PASS", outcome.reason
            (env,) = world.trace(outcome)
            assert env["used"] is False
            assert Path(env["home"]) == world.ground.home
            assert Path(env["tmp"]) == world.ground.tmp
            assert "MODE" in env["names"]
            assert "SECRET_TOKEN" not in env["names"]
            assert not world.ground.home.exists()

    async def test_a_daemon_does_not_outlive_its_flow(self, world: World) -> None:
        daemon = """
            import json, subprocess, sys
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            print(json.dumps({"kind": "daemon", "pid": child.pid}), flush=True)
        """
        outcome = await world.run(flow(daemon, start={"ready": {"event": "daemon"}}, stop={}))
        assert outcome.verdict == "PASS", outcome.reason
        assert not lives(world.trace(outcome)[0]["pid"])

    async def test_a_program_that_ignores_the_stop_fails_and_is_killed(self, world: World) -> None:
        deaf = """
            import json, os, time
            print(json.dumps({"kind": "up", "pid": os.getpid()}), flush=True)
            time.sleep(600)
        """
        stop = {"send": {"json": {"kind": "quit"}}, "within": "100ms"}
        outcome = await world.run(flow(deaf, start={"ready": {"event": "up"}}, stop=stop))
        assert outcome.verdict == "FAIL"
        assert "exit within 0.1 s" in outcome.reason
        assert not lives(world.trace(outcome)[0]["pid"])

    async def test_a_program_without_a_stop_is_killed_without_blame(self, world: World) -> None:
        server = 'import time; print("ready", flush=True); time.sleep(600)'
        outcome = await world.run(flow(server, stop={"within": "50ms"}))
        assert outcome.verdict == "PASS", outcome.reason
        assert find_marked(world.ground.marker) == []

    async def test_the_whole_flow_has_a_limit(self, world: World) -> None:
        steps = [{"wait": {"until": {"event": "never"}, "within": "1h"}}]
        outcome = await world.run(flow(steps=steps, timeout="500ms"))
        assert outcome.verdict == "FAIL"
        assert "within 0.5 s" in outcome.reason
        assert find_marked(world.ground.marker) == []

    @pytest.mark.parametrize(
        "flood",
        [
            'while True: print("x" * 1000)',
            'while True: print(json.dumps({"kind": "tick"}))',
            'while True: sys.stdout.write("x" * 65536)',
            'while True: sys.stderr.write("\\n" * 1000)',
        ],
    )
    async def test_a_flood_is_cut_off_and_fails(self, world: World, flood: str) -> None:
        never = [{"wait": {"until": {"event": "never"}, "within": "1h"}}]
        outcome = await world.run(flow(f"import json, sys\n{flood}", start={"ready": None}, steps=never, timeout="50s"))
        assert outcome.verdict == "FAIL"
        assert "more than" in outcome.reason
        assert find_marked(world.ground.marker) == []

    async def test_cancelling_kills_all_before_it_returns(self, world: World) -> None:
        pids = world.root / "pids"
        busy = f"""
            import os, pathlib, subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            part = pathlib.Path({str(pids)!r} + ".part")
            part.write_text(f"{{os.getpid()}} {{child.pid}}")
            part.rename({str(pids)!r})
            time.sleep(600)
        """
        task = asyncio.create_task(world.run(flow(busy, start={"within": "60s"}, timeout="60s")))
        await until(pids.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(lives(int(pid)) for pid in pids.read_text(encoding="utf-8").split())
        assert not world.ground.home.exists()


def test_the_flow_of_the_handbook_is_valid() -> None:
    told = {
        "name": "resize-drag",
        "start": {"run": ["python", "-m", "tinykit", "--events"], "ready": {"log": "ready"}, "within": "10s"},
        "steps": [
            {"send": {"json": {"kind": "resize", "w": 900, "h": 600}}},
            {"wait": {"until": {"event": "frame"}, "within": "2s"}},
            {"assert": {"no_log": "ERROR"}},
        ],
        "judge": {"golden": "canary/golden/resize-drag.jsonl"},
    }
    assert json.loads(Flow.model_validate(told).model_dump_json(by_alias=True))["start"]["within"] == 10.0
