"""Runs the scripted agent as a real process under the real executor, as an attempt of an order."""

from __future__ import annotations

import os
import sys
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
from engine.sandbox.none import NoSandbox
from roles.agents import adapter_for

FAKE = Path(__file__).with_name("fake_acp_agent.py")


@dataclass
class AcpStage:
    """A workspace with its side folder. `last` is the run that was performed last."""

    folder: Path
    sandboxed: bool = False
    runs: int = 0

    def __post_init__(self) -> None:
        sandbox = choose_sandbox(SandboxSettings(), self.folder) if self.sandboxed else NoSandbox()
        if self.sandboxed and sandbox.name == "none":
            pytest.skip("there is no sandbox on this machine")
        self.executor = LocalExecutor(sandbox, f"acp-{self.folder.name}")

    def run(self, argv: list[str], order: WorkOrder | None = None, **changes: Any) -> AgentRun:
        self.runs += 1
        name = f"hello.{self.runs}"
        workspace = self.folder / "workspaces" / name
        workspace.mkdir(parents=True)
        (workspace / "a.txt").write_text("first\nsecond\nthird\n", encoding="utf-8")
        task = Task(
            role="implementer", work_order=order or WorkOrder(id="hello", title="Hello"), attempt=1, prompt="Do it."
        )
        folder = self.folder / "runs" / name
        base = AgentRun(
            run_id=name, agent="a", settings=AgentSettings(kind="acp", run=argv), task=task, workspace=workspace,
            side=folder / "side", folder=folder, readable=(FAKE,), wall_s=120, idle_s=120,
        )  # fmt: skip
        self.last = replace(base, **changes)
        return self.last

    def fake(self, scenario: str, *arguments: str, **changes: Any) -> AgentRun:
        return self.run([str(Path(sys.executable).resolve()), "-I", "-S", str(FAKE), scenario, *arguments], **changes)

    async def perform(self, run: AgentRun) -> AgentResult:
        agent = adapter_for("acp", self.executor, Programs(os.environ["PATH"]), self.folder)
        return await agent.perform(run)

    async def play(self, scenario: str, *arguments: str, **changes: Any) -> AgentResult:
        return await self.perform(self.fake(scenario, *arguments, **changes))

    def log(self) -> str:
        return (self.last.folder / "log").read_text(encoding="utf-8")
