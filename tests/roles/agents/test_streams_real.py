"""Command agents that nobody here wrote change a file of their workspace, with a model of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, SandboxSettings
from engine.models.task import Task
from engine.ports import AgentResult, AgentRun
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from roles.agents.command import CommandAgent
from tests.roles.agents.model_server import Fail, Model, Say, Step, model_server
from tests.roles.agents.real_agents import CODEX, MINI, OPENCODE, PI, RealAgent, program

pytestmark = [pytest.mark.real_agents, pytest.mark.slow]


@dataclass(frozen=True)
class Cli:
    """`argv`: of a model server's URL, after the program. `steps`: read, change, end, for the tools that it offers."""

    agent: RealAgent
    argv: Callable[[str], Sequence[str]]
    steps: Callable[[Path], Sequence[Step]]
    models: str = ""
    """Where in its home it looks for models of one's own."""
    retry_after: int | None = None
    said: Sequence[str] = ("I look.", "Done.")
    tools: bool = True
    """Whether it tells what it calls and which tokens that took."""


def _codex(url: str) -> list[str]:
    provider = f'{{name="Local",base_url="{url}/v1",wire_api="responses",request_max_retries=0,stream_max_retries=0}}'
    chosen = ["-c", 'model_provider="local"', "-c", f"model_providers.local={provider}", "-m", "scripted"]
    mine = "--dangerously-bypass-approvals-and-sandbox"  # it is in the run's own sandbox already
    return ["exec", "--json", "--skip-git-repo-check", mine, *chosen, "Do the task."]


def _pi(_: str) -> list[str]:
    return ["--mode", "json", "--provider", "local", "--model", "scripted", "--no-session", "Do the task."]


def _opencode(_: str) -> list[str]:
    return ["run", "--format", "json", "--print-logs", "--log-level", "ERROR", "Do the task."]


def _commands(read: str, name: str) -> Callable[[Path], Sequence[Step]]:
    """Everything with one tool that runs a command, which has `name`."""

    def steps(_: Path) -> Sequence[Step]:
        change = {name: "echo changed > a.txt", "description": "change it"}
        return [Say("I look.", [(read, {name: "cat a.txt", "description": "look"})]), Say("", [(read, change)]), DONE]

    return steps


def _mini(_: Path) -> Sequence[Step]:
    commands = ["cat a.txt", "echo changed > a.txt", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"]
    return [Say("Next.", [("^bash$", {"command": command})]) for command in commands]


DONE = Say("Done.")
CLIS = (
    Cli(
        CODEX,
        _codex,
        _commands("^exec_command$", "cmd"),
    ),
    Cli(
        PI,
        _pi,
        _commands("^bash$", "command"),
        ".pi/agent/models.json",
    ),
    Cli(
        replace(OPENCODE, command=("opencode",)),
        _opencode,
        _commands("^bash$", "command"),
        retry_after=600,  # it tells that it waits, and without this waits for another second first, and another two
    ),
    Cli(MINI, lambda _: ["-t", "Do the task."], _mini, said=("step 1", "step 2", "step 3"), tools=False),
)


@pytest.fixture(params=CLIS, ids=[cli.agent.name for cli in CLIS])
def cli(request: pytest.FixtureRequest) -> Cli:
    return request.param


async def work(
    cli: Cli, folder: Path, steps: Callable[[Path], Sequence[Step]], idle_s: float = 240
) -> tuple[AgentResult, AgentRun, Model]:
    sandbox = choose_sandbox(SandboxSettings(), folder)
    if sandbox.name == "none":
        pytest.skip("there is no sandbox on this machine")
    argv, readable = program(cli.agent)
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "a.txt").write_text("first\n", encoding="utf-8")
    with model_server(steps(workspace)) as (url, model):
        settings = AgentSettings(
            kind="command",
            run=[*argv, *cli.argv(url)],
            env=dict(cli.agent.env(url)),
            network=[url.removeprefix("http://")],
        )
        order = WorkOrder(id="hello", title="Hello")
        run = AgentRun(
            run_id="hello.1", agent="a", settings=settings,
            task=Task(role="implementer", work_order=order, attempt=1, prompt="Do it."),
            workspace=workspace, side=folder / "run" / "side", folder=folder / "run", readable=(readable,), wall_s=480,
            idle_s=idle_s,
        )  # fmt: skip
        if cli.models:
            target = run.side / "home" / cli.models
            target.parent.mkdir(parents=True)
            target.write_text(json.dumps(_pi_models(url)), encoding="utf-8")
        executor = LocalExecutor(sandbox, f"streams-{folder.name}")
        try:
            result = await CommandAgent(executor, Programs(os.environ["PATH"])).perform(run)
        finally:
            await executor.close()
    return result, run, model


def _pi_models(url: str) -> dict[str, Any]:
    model = {"id": "scripted", "cost": {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0}}
    options = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "none", "models": [model]}
    return {"providers": {"local": options}}


async def test_its_work_its_progress_and_its_figures_are_seen(cli: Cli, tmp_path: Path) -> None:
    result, run, model = await work(cli, tmp_path, cli.steps)
    log = (run.folder / "log").read_text(encoding="utf-8", errors="replace")
    assert not model.missing, log
    assert result.end == "done", f"{result.note}\n{log}"
    assert (run.workspace / "a.txt").read_text(encoding="utf-8") == "changed\n"
    told = (300, 60) if cli.tools else (None, None)
    assert (result.usage.tokens_in, result.usage.tokens_out) == told
    rows = [json.loads(line) for line in (run.folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows if row["kind"] == "message"] == list(cli.said)
    assert any(row["kind"] == "tool" and "echo changed > a.txt" in row["text"] for row in rows) is cli.tools


async def test_a_refusal_of_its_provider_is_a_limit_and_never_done(cli: Cli, tmp_path: Path) -> None:
    """Without Retry-After: pi 0.73.1 waits for that in silence, as long as it may be."""
    refusal = Fail(429, "Rate limit reached", cli.retry_after)
    result, run, _ = await work(cli, tmp_path, lambda _: [refusal], idle_s=45)
    log = (run.folder / "log").read_text(encoding="utf-8", errors="replace")
    assert result.end == "limit", f"{result}\n{log}"
