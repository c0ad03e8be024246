"""Runs that get nowhere are told from those that do, and stopped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.effects.watching import Watch, watched
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings
from engine.models.task import Task
from engine.ports import AgentResult, AgentRun


class Run:
    """A run that is told what it does. `now` in seconds."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        for name in ("work", "run/side"):
            (folder / name).mkdir(parents=True)
        task = Task(role="implementer", work_order=WorkOrder(id="one", title="t"), attempt=1)
        agent = AgentSettings(kind="command", run=["x"])
        self.run = AgentRun(
            run_id="one.1", agent="a", settings=agent, task=task, workspace=folder / "work",
            side=folder / "run" / "side", folder=folder / "run", readable=(), wall_s=9, idle_s=9,
        )  # fmt: skip
        (folder / "work" / "a.txt").write_text("x", encoding="utf-8")
        self.watch = Watch(self.run, 5, 600.0, lambda: self.now)

    def call(self, tool: str, call: str) -> str:
        row = {"at": self.now, "kind": "tool", "tool": tool, "text": call, "call": call}
        return self.add("progress.jsonl", json.dumps(row))

    def say(self, line: str) -> str:
        return self.add("log", line)

    def edit(self, text: str) -> None:
        (self.run.workspace / "a.txt").write_text(text, encoding="utf-8")

    def add(self, name: str, line: str) -> str:
        with (self.run.folder / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.now += 30.0
        return self.watch.look()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_same_tool_call_over_and_over_is_stuck(run: Run) -> None:
    said = [run.call("read", "a.txt") for _ in range(5)]
    assert said[:4] == [""] * 4
    assert said[4] == "it made the same tool call 5 times in a row and changed no file: read a.txt"


def test_two_calls_by_turns_are_stuck_too(run: Run) -> None:
    said = [run.call("run", name) for name in ["test", "look"] * 5]
    assert said[:9] == [""] * 9
    assert "same tool calls 5 times in a row" in said[9]


def test_the_same_call_between_edits_is_work(run: Run) -> None:
    for number in range(20):
        run.edit("x" * (number + 2))
        assert run.call("run", "test") == ""


def test_calls_that_differ_are_work(run: Run) -> None:
    assert [run.call("read", f"file {'x' * n}") for n in range(20)] == [""] * 20


def test_a_spinner_is_no_news(run: Run) -> None:
    said = [run.say(f"waiting {n} s") for n in range(25)]
    assert said[0] == ""
    assert said[-1].startswith("for 1") or "minutes it said nothing new and changed no file" in said[-1]


def test_new_words_and_changed_files_are_news(run: Run) -> None:
    assert [run.say("word" + "x" * n) for n in range(40)] == [""] * 40
    for number in range(40):
        run.edit("y" * (number + 2))
        assert run.say("waiting") == ""


async def test_a_stuck_run_is_stopped_with_its_reason(run: Run) -> None:
    ended: list[str] = []

    async def agent() -> AgentResult:
        try:
            while True:
                run.call("read", "a.txt")
                await asyncio.sleep(0.01)
        finally:
            ended.append("cleaned up")

    result = await watched(agent(), run.run, 5, 0.0, every_s=0.02)
    assert (result.end, ended) == ("stuck", ["cleaned up"])
    assert "same tool call" in result.note


async def test_a_run_that_ends_is_left_alone(run: Run) -> None:
    async def agent() -> AgentResult:
        await asyncio.sleep(0.05)
        return AgentResult("done", 0, 0.05)

    assert (await watched(agent(), run.run, 5, 600.0, every_s=0.01)).end == "done"


async def test_cancelling_waits_for_the_agents_end(run: Run) -> None:
    ended: list[str] = []

    async def agent() -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            ended.append("killed")

    task = asyncio.create_task(watched(agent(), run.run, 5, 600.0))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["killed"]
