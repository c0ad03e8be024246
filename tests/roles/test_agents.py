"""Agents as real processes under the real executor, with and without a sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.executors.local import LocalExecutor
from engine.models.handoffs import MAX_BYTES
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, SandboxSettings
from engine.models.task import Operation, Task
from engine.ports import AgentResult, AgentRun
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox
from roles.agents import adapter_for

TEN_LINES = """
import json, os, pathlib
task = json.load(open(os.environ["SWARM_TASK"], encoding="utf-8"))
assert task["work_order"]["id"] == "hello" and task["attempt"] == 1
assert "SWARM_HANDOFF" in task["prompt"]
pathlib.Path("hello.txt").write_text("hello")
print("wrote hello.txt")
handoff = {"summary": "says hello", "risk": "none", "rollback": "delete it", "tokens": 12, "cost": 0.25}
with open(os.environ["SWARM_HANDOFF"], "w", encoding="utf-8") as file:
    json.dump(handoff, file)
"""


@dataclass
class Stage:
    """A workspace beside its side folder, and a repository with an agent's program or scripts in it."""

    folder: Path
    sandboxed: bool
    runs: int = 0

    def agent(self, kind: str) -> Any:
        sandbox = choose_sandbox(SandboxSettings(), self.folder) if self.sandboxed else NoSandbox()
        if self.sandboxed and sandbox.name == "none":
            pytest.skip("there is no sandbox on this machine")
        return adapter_for(kind, LocalExecutor(sandbox, "1"), Programs(os.environ["PATH"]), self.folder / "repo")

    def run(self, settings: AgentSettings, **changes: Any) -> AgentRun:
        self.runs += 1
        name = f"hello.{self.runs}"
        workspace = self.folder / "workspaces" / name
        workspace.mkdir(parents=True)
        task = Task(
            role="implementer", work_order=WorkOrder(id="hello", title="Hello"), attempt=1, prompt="SWARM_HANDOFF …"
        )
        folder = self.folder / "runs" / name
        base = AgentRun(
            run_id=name, agent="a", settings=settings, task=task, workspace=workspace, side=folder / "side",
            folder=folder, readable=(), wall_s=60, idle_s=60,
        )  # fmt: skip
        return replace(base, **changes)

    async def command(
        self, code: str, *arguments: str, env: dict[str, str] | None = None, **changes: Any
    ) -> AgentResult:
        """Run a Python program as a command agent."""
        argv = ["python", "-I", "-S", "-c", textwrap.dedent(code), *arguments]
        self.last = self.run(AgentSettings(kind="command", run=argv, env=env or {}), **changes)
        return await self.agent("command").perform(self.last)

    async def script(self, steps: str, **changes: Any) -> AgentResult:
        scripts = self.folder / "repo" / "scripts"
        scripts.mkdir(parents=True, exist_ok=True)
        if steps:
            text = f'schema = "script/1"\n[[attempt]]\nsteps = [{steps}]\n'
            (scripts / "hello.toml").write_text(text, encoding="utf-8")
        self.last = self.run(AgentSettings(kind="script", scripts="scripts"), **changes)
        return await self.agent("script").perform(self.last)

    def log(self) -> str:
        return (self.last.folder / "log").read_text(encoding="utf-8")


@pytest.fixture(params=["none", "sandbox"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return Stage(tmp_path, request.param == "sandbox")


@pytest.fixture
def bare(tmp_path: Path) -> Stage:
    return Stage(tmp_path, sandboxed=False)


async def test_a_script_of_ten_lines_is_an_agent(stage: Stage) -> None:
    result = await stage.command(TEN_LINES)
    assert (result.end, result.exit_code) == ("done", 0), stage.log()
    assert json.loads(result.handoff or b"")["summary"] == "says hello"
    assert (result.tokens, result.cost) == (12, 0.25)
    assert (stage.last.workspace / "hello.txt").read_text(encoding="utf-8") == "hello"
    assert "wrote hello.txt" in stage.log()


async def test_the_scripted_agent_plays_the_script_of_its_order(stage: Stage) -> None:
    result = await stage.script(
        '{ edit = { path = "a.txt", content = "a" } }, { run = ["python", "-c", "print(6 * 7)"] }, '
        '{ spend = { tokens = 5, cost = 0.5 } }, { handin = { summary = "done" } }'
    )
    assert (result.end, result.tokens, result.cost) == ("done", 5, 0.5), stage.log()
    assert json.loads(result.handoff or b"")["summary"] == "done"
    assert (stage.last.workspace / "a.txt").read_text(encoding="utf-8") == "a"
    assert "42" in stage.log()


async def test_a_sandboxed_agent_sees_neither_other_runs_nor_the_home(tmp_path: Path) -> None:
    """With its positive control: without a sandbox the same program reads both."""
    (tmp_path / "secret").write_text("other agent's work", encoding="utf-8")
    code = """
        import pathlib, sys
        for name in sys.argv[1:]:
            try: print("READ", pathlib.Path(name).read_text())
            except OSError as error: print("DENIED", type(error).__name__)
    """
    seen: dict[bool, str] = {}
    for sandboxed in (False, True):
        stage = Stage(tmp_path / str(sandboxed), sandboxed)
        (tmp_path / str(sandboxed)).mkdir()
        assert (await stage.command(code, str(tmp_path / "secret"))).end == "done"
        seen[sandboxed] = stage.log()
    assert "READ other agent's work" in seen[False]
    assert "DENIED" in seen[True]
    assert "other agent's work" not in seen[True]


async def test_placeholders_are_filled_in_and_other_braces_stay(bare: Stage) -> None:
    code = "import sys; print(*sys.argv[1:], sep='\\n')"
    await bare.command(code, "{prompt_file}", "--in={workspace}", "{task_file}", '{"a": {b}}')
    side, workspace = bare.last.side, bare.last.workspace
    shown = [str(side / "prompt.md"), f"--in={workspace}", str(side / "task.json"), '{"a": {b}}']
    assert bare.log().splitlines() == shown
    assert (side / "prompt.md").read_text(encoding="utf-8") == "SWARM_HANDOFF …"


async def test_its_environment_is_made_for_it(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "not-for-agents")
    monkeypatch.setenv("MY_KEY", "s3cret-value-of-mine")
    code = """
        import os, sys
        print(os.environ.get("GITHUB_TOKEN"), os.environ["FLAG"], os.environ["HOME"], os.environ["TMPDIR"])
        print("the key is", os.environ["KEY"], "and stdin has", repr(sys.stdin.read()))
        open(os.environ["SWARM_HANDOFF"], "w").write('{"summary": "' + os.environ["KEY"] + '"}')
    """
    result = await bare.command(code, env={"FLAG": "1", "KEY": "$MY_KEY"})
    side = bare.last.side
    assert bare.log().splitlines() == [
        f"None 1 {side / 'home'} {side / 'tmp'}",
        "the key is [redacted:KEY] and stdin has ''",
    ]
    assert result.handoff == b'{"summary": "[redacted:KEY]"}'
    with pytest.raises(UserError, match="NOT_SET"):
        await bare.command("", env={"KEY": "$NOT_SET"})


async def test_an_agent_with_a_login_keeps_its_home(bare: Stage) -> None:
    settings = AgentSettings(kind="command", run=["python", "-c", "import os; print(os.environ['HOME'])"], home=[".x"])
    bare.last = bare.run(settings)
    assert (await bare.agent("command").perform(bare.last)).end == "done"
    assert bare.log().strip() == os.environ["HOME"]


async def test_an_exit_code_other_than_0_is_a_failed_attempt(bare: Stage) -> None:
    result = await bare.command("raise SystemExit(4)")
    assert (result.end, result.exit_code, result.handoff) == ("failed", 4, None)


async def test_no_handoff_is_none(bare: Stage) -> None:
    result = await bare.command("pass")
    assert (result.end, result.handoff, result.tokens, result.cost) == ("done", None, 0, 0.0)


async def test_a_silent_agent_is_stopped_and_so_is_a_slow_one(bare: Stage) -> None:
    idle = await bare.script('{ edit = { path = "half.txt", content = "half" } }, { hang = true }', idle_s=0.4)
    assert idle.end == "idle"
    assert (bare.last.workspace / "half.txt").is_file()
    assert (await bare.command("while True: print(1, flush=True)", wall_s=0.4)).end == "timeout"


async def test_a_cancelled_agent_is_gone_with_its_children(bare: Stage) -> None:
    code = """
        import os, pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path("pid").write_text(str(child.pid)); time.sleep(600)
    """
    running = asyncio.create_task(bare.command(code))
    deadline = time.monotonic() + 20
    pid = bare.folder / "workspaces" / "hello.1" / "pid"
    while not (pid.is_file() and pid.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    psutil = pytest.importorskip("psutil")
    assert not psutil.pid_exists(int(pid.read_text(encoding="utf-8")))


async def test_a_question_becomes_the_operation_it_waits_for(stage: Stage) -> None:
    result = await stage.script('{ ask = { argv = ["python", "x.py"], why = "must", danger = "large_deletion" } }')
    assert result.end == "asked", stage.log()
    assert result.asked == Operation(argv=["python", "x.py"], cwd=".", why="must", danger="large_deletion")


ASKS = "import os; open(os.environ['SWARM_ASK'], 'w').write({!r}); raise SystemExit(75)"


@pytest.mark.parametrize(
    "question",
    [
        "{",
        "[]",
        '{"argv": []}',
        '{"argv": ["rm"], "more": 1}',
        '{"argv": ["rm"], "cwd": "../.."}',
        '{"argv": ["rm"], "cwd": "/"}',
    ],
)
async def test_a_question_that_cannot_be_asked_is_a_failed_attempt(bare: Stage, question: str) -> None:
    result = await bare.command(ASKS.format(question))
    assert (result.end, result.asked, bool(result.note)) == ("failed", None, True)


async def test_exit_75_without_a_question_is_a_failed_attempt(bare: Stage) -> None:
    result = await bare.command("raise SystemExit(75)")
    assert (result.end, "no question" in result.note) == ("failed", True)


@pytest.mark.parametrize(
    "usage",
    ["{", "[]", '{"tokens": -1, "cost": NaN}', '{"tokens": true, "cost": "x"}', '{"tokens": 1e99, "cost": Infinity}'],
)
async def test_usage_that_makes_no_sense_is_nothing(bare: Stage, usage: str) -> None:
    result = await bare.command(f"import os; open(os.environ['SWARM_USAGE'], 'w').write({usage!r})")
    assert (result.end, result.tokens, result.cost) == ("done", 0, 0.0)


async def test_usage_counts_for_a_failed_attempt_too(bare: Stage) -> None:
    result = await bare.script("{ spend = { tokens = 5, cost = 0.5 } }, { fail = 9 }")
    assert (result.end, result.exit_code, result.tokens, result.cost) == ("failed", 9, 5, 0.5)


async def test_a_huge_handoff_is_cut_so_that_it_is_seen_to_be_too_large(bare: Stage) -> None:
    result = await bare.command("import os; open(os.environ['SWARM_HANDOFF'], 'w').write('x' * 9_000_000)")
    assert len(result.handoff or b"") == MAX_BYTES + 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files there")
@pytest.mark.parametrize("plant", ["os.symlink('/etc/hostname', path)", "os.mkfifo(path)", "os.mkdir(path)"])
async def test_a_handoff_that_is_no_plain_file_is_none(bare: Stage, plant: str) -> None:
    result = await bare.command(f"import os; path = os.environ['SWARM_HANDOFF']; {plant}")
    assert (result.end, result.handoff) == ("done", None)


async def test_a_missing_script_fails_the_attempt_with_a_sentence(bare: Stage) -> None:
    result = await bare.script("")
    assert result.end == "failed"
    assert "there is no script" in result.note
    assert "hello.toml" in result.note


async def test_a_missing_program_is_for_a_person_to_mend(bare: Stage) -> None:
    with pytest.raises(UserError, match="no-such-agent"):
        await bare.agent("command").perform(bare.run(AgentSettings(kind="command", run=["no-such-agent"])))


def test_an_unknown_kind_says_so(bare: Stage) -> None:
    with pytest.raises(UserError, match="no kind of agent"):
        bare.agent("oracle")
