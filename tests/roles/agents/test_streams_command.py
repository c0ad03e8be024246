"""A command agent as a real process: what it prints is read along, and how it ended is not its exit code alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, StreamName
from engine.models.task import Task
from engine.ports import AgentEnd, AgentResult, AgentRun, End, ProcessResult, ProcessSpec, Talk
from engine.process.programs import Programs
from engine.sandbox.none import NoSandbox
from engine.text.redact import Redactor
from roles.agents import progress_file
from roles.agents.command import CommandAgent
from roles.agents.streams import follow, stream_for
from roles.agents.streams.follow import Follower

SAMPLES = Path(__file__).with_name("samples")
PLAY = """
import os, pathlib, sys
for name in sys.argv[1].split(","):
    for line in pathlib.Path(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            sys.stdout.buffer.write(line.encode() + b"\\n")
sys.stdout.flush()
pathlib.Path("a.txt").write_text("changed")
"""
HAND_IN = """
open(os.environ["SWARM_HANDOFF"], "w").write('{"summary": "done", "tokens": 7}')
"""


@dataclass
class CommandStage:
    folder: Path
    runs: int = 0

    def run(self, stream: StreamName, code: str, *arguments: str, **changes: Any) -> AgentRun:
        self.runs += 1
        name = f"hello.{self.runs}"
        workspace = self.folder / "workspaces" / name
        workspace.mkdir(parents=True)
        folder = self.folder / "runs" / name
        settings = AgentSettings(
            kind="command", run=["python", "-I", "-S", "-c", code, *arguments], stream=stream,
            env=changes.pop("env", {}),
        )  # fmt: skip
        order = WorkOrder(id="hello", title="Hello")
        base = AgentRun(
            run_id=name, agent="a", settings=settings,
            task=Task(role="implementer", work_order=order, attempt=1, prompt="Do it."),
            workspace=workspace, side=folder / "side", folder=folder, readable=(), wall_s=120, idle_s=120,
        )  # fmt: skip
        self.last = replace(base, **changes)
        return self.last

    async def perform(self, run: AgentRun) -> AgentResult:
        executor = LocalExecutor(NoSandbox(), f"streams-{self.folder.name}")
        try:
            return await CommandAgent(executor, Programs(os.environ["PATH"]), Redactor({"K": "hidden-word"})).perform(
                run
            )
        finally:
            await executor.close()

    async def play(self, stream: StreamName, samples: str, more: str = "", **changes: Any) -> AgentResult:
        paths = ",".join(str(SAMPLES / name) for name in samples.split())
        return await self.perform(self.run(stream, PLAY + more, paths, **changes))

    def rows(self) -> list[dict[str, Any]]:
        path = self.last.folder / "progress.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def stage(tmp_path: Path) -> CommandStage:
    return CommandStage(tmp_path)


async def test_a_run_that_ended_well_has_its_figures_and_its_progress(stage: CommandStage) -> None:
    result = await stage.play("claude", "claude-ok.jsonl")
    assert (result.end, result.tokens, result.cost) == ("done", 480, 0.004)
    assert (result.usage.source, result.usage.scope) == ("claude result", "run")
    assert [row["text"] for row in stage.rows()][-3:] == ["I run it.", "echo what was run; exit 3", "Done."]
    assert all(row["at"] > 0 for row in stage.rows())
    assert json.loads((stage.last.folder / "usage.json").read_text(encoding="utf-8"))["tokens_in"] == 400


async def test_figures_that_nobody_gives_are_unknown_and_those_of_the_handoff_count_then(stage: CommandStage) -> None:
    result = await stage.play("copilot", "copilot-ok.jsonl")
    assert (result.end, result.tokens, result.usage.tokens, result.usage.known) == ("done", 0, None, False)
    result = await stage.play("copilot", "copilot-ok.jsonl", HAND_IN)
    assert (result.tokens, result.usage.source, result.usage.cost) == (7, "handoff", None)


@pytest.mark.parametrize("sample", ["pi-quota.jsonl", "claude-429.jsonl", "codex-plan-limit.jsonl", "aider-quota.txt"])
async def test_a_death_by_quota_is_never_done_whatever_the_exit_code(stage: CommandStage, sample: str) -> None:
    """With its positive control: what goes on after its limit is done."""
    name: Any = sample.split("-")[0]
    for code in ("0", "1"):
        result = await stage.play(name, sample, f"\nsys.exit({code})")
        assert result.end == "limit", result
        assert result.note
    good = f"{name}-ok.{sample.rpartition('.')[2]}"
    assert (await stage.play(name, f"{sample} {good}")).end == "done"


async def test_the_time_of_the_reset_is_handed_on(stage: CommandStage) -> None:
    line = {"type": "turn.failed", "error": {"message": "You've hit your usage limit. Try again in 2 hours."}}
    code = f"import sys, time; print({json.dumps(line)!r}); sys.exit(1)"
    result = await stage.perform(stage.run("codex", code))
    log = stage.last.folder / "log"
    assert result.end == "limit"
    assert result.resets_at is not None
    assert abs(result.resets_at - 7200 - log.stat().st_mtime) < 60


async def test_one_that_handed_in_before_the_limit_is_done(stage: CommandStage) -> None:
    assert (await stage.play("pi", "pi-quota.jsonl", HAND_IN)).end == "done"
    assert (await stage.play("pi", "pi-quota.jsonl", HAND_IN + "\nsys.exit(1)")).end == "limit"


@dataclass
class Played:
    """An executor whose process printed a recording and ended like this."""

    sample: str
    end: End

    @property
    def guarantees(self) -> Mapping[str, bool]:
        return {}

    async def run(self, spec: ProcessSpec) -> ProcessResult:
        spec.folder.mkdir(parents=True, exist_ok=True)
        log = spec.folder / "log"
        log.write_bytes((SAMPLES / self.sample).read_bytes())
        return ProcessResult(spec.run_id, self.end, None, 1.0, log, "a note")

    async def interact(self, spec: ProcessSpec, talk: Talk) -> ProcessResult:
        raise NotImplementedError

    async def sweep(self, marker: str, keep: Collection[Path] = ()) -> int:
        return 0

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("sample", "end", "expected"),
    [
        ("gemini-waits.jsonl", "idle_timeout", "limit"),
        ("gemini-waits.jsonl", "wall_timeout", "limit"),
        ("gemini-waits.jsonl", "quota", "quota"),
        ("gemini-waits.jsonl", "lost", "lost"),
        ("gemini-ok.jsonl", "idle_timeout", "idle"),
        ("gemini-ok.jsonl", "wall_timeout", "timeout"),
        ("opencode-waits.jsonl", "idle_timeout", "limit"),
    ],
)
async def test_one_that_waits_for_its_provider_is_not_idle_but_at_its_limit(
    stage: CommandStage, sample: str, end: End, expected: AgentEnd
) -> None:
    name: Any = sample.split("-")[0]
    run = stage.run(name, "")
    result = await CommandAgent(Played(sample, end), Programs(os.environ["PATH"])).perform(run)
    assert (result.end, "a note" in result.note) == (expected, True)


async def test_an_error_that_it_names_is_an_end_of_its_own(stage: CommandStage) -> None:
    result = await stage.play("opencode", "opencode-401.jsonl")
    assert (result.end, result.note) == ("failed", "Incorrect API key provided")


async def test_a_success_that_it_claims_is_not_believed(stage: CommandStage) -> None:
    assert (await stage.play("claude", "claude-ok.jsonl", "\nsys.exit(3)")).end == "failed"


async def test_a_text_is_at_its_limit_only_where_it_failed(stage: CommandStage) -> None:
    code = "import sys; print('Error: 429 Too Many Requests, retry after 60 seconds'); sys.exit(int(sys.argv[1]))"
    assert (await stage.perform(stage.run("", code, "0"))).end == "done"
    assert (await stage.perform(stage.run("", code, "1"))).end == "limit"
    other = await stage.perform(stage.run("", "import sys; print('AssertionError'); sys.exit(1)"))
    assert (other.end, other.note) == ("failed", "")


async def test_progress_is_there_while_it_runs(stage: CommandStage) -> None:
    line = {"type": "assistant", "message": {"content": [{"type": "text", "text": "I begin."}]}}
    code = f"""
import pathlib, time
print({json.dumps(line)!r}, flush=True)
while not pathlib.Path("seen").exists():
    time.sleep(0.02)
"""
    running = asyncio.create_task(stage.perform(stage.run("claude", code)))
    while not stage.rows():
        assert not running.done(), running.result()
        await asyncio.sleep(0.02)
    assert stage.rows()[0]["text"] == "I begin."
    (stage.last.workspace / "seen").touch()
    assert (await running).end == "done"


async def test_what_is_secret_or_steers_a_terminal_is_in_no_row(
    stage: CommandStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-value-of-mine")
    words = "hidden\\u002dword and s3cret\\u002dvalue-of-mine \\u001b[2J"
    line = '{"type": "text", "part": {"text": "' + words + '"}}'
    result = await stage.perform(stage.run("opencode", f"print({line!r})", env={"KEY": "$MY_KEY"}))
    assert result.end == "done"
    assert stage.rows()[0]["text"] == "[redacted:K] and [redacted:KEY] ␛[2J"


async def test_a_cancelled_run_ends_and_keeps_its_progress(stage: CommandStage) -> None:
    line = {"type": "assistant", "message": {"content": [{"type": "text", "text": "I begin."}]}}
    code = f"import time; print({json.dumps(line)!r}, flush=True); time.sleep(600)"
    running = asyncio.create_task(stage.perform(stage.run("claude", code)))
    while not stage.rows():
        assert not running.done(), running.result()
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert json.loads((stage.last.folder / "result.json").read_text(encoding="utf-8"))["end"] == "cancelled"
    assert [row["text"] for row in stage.rows()] == ["I begin."]


# ---- the follower --------------------------------------------------------------------------------------------------


def test_lines_are_whole_whenever_it_looks(tmp_path: Path) -> None:
    log, progress = tmp_path / "log", tmp_path / "progress.jsonl"
    data = b"".join(
        json.dumps({"type": "text", "part": {"text": f"é{number}"}}, ensure_ascii=False).encode() + b"\n"
        for number in range(9)
    ).removesuffix(b"\n")
    follower = Follower(log, progress, stream_for("opencode", []))
    assert not follower.look()
    with log.open("wb") as file:
        for start in range(0, len(data), 7):
            file.write(data[start : start + 7])
            file.flush()
            follower.look()
    follower.finish()
    rows = [json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == [f"é{number}" for number in range(9)]


def test_a_line_without_end_takes_no_memory_and_what_follows_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LINE_MAX", 10_000)
    monkeypatch.setattr(follow, "CHUNK", 1_000)
    log, progress = tmp_path / "log", tmp_path / "progress.jsonl"
    good = json.dumps({"type": "text", "part": {"text": "after it"}}).encode()
    log.write_bytes(b'{"type": "text", "part": {"text": "' + b"x" * 100_000 + b'"}}\n' + good + b"\n")
    follower = Follower(log, progress, stream_for("opencode", []))
    follower.finish()
    assert [json.loads(line)["text"] for line in progress.read_text(encoding="utf-8").splitlines()] == ["after it"]


def test_progress_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "MOST", 10_000)
    monkeypatch.setattr(follow, "CHUNK", 5_000)
    log, progress = tmp_path / "log", tmp_path / "progress.jsonl"
    log.write_bytes(json.dumps({"type": "text", "part": {"text": "y" * 100}}).encode() * 1 + b"\n")
    log.write_bytes(log.read_bytes() * 2_000)
    follower = Follower(log, progress, stream_for("opencode", []))
    follower.finish()
    assert 10_000 < progress.stat().st_size < 30_000
