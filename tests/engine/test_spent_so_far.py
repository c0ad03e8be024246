"""What is known of a run's usage before its end: it is charged when there is no end, and ends what goes beyond it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.effects.run_words import why_of
from engine.effects.spending import left_usage
from engine.effects.watching import over_budget, watched
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Budget
from engine.models.task import Task
from engine.ports import AgentResult, AgentRun
from roles.agents.acp.spent import Spent
from roles.agents.usage_file import UsageFile


def run_in(folder: Path, most: Budget) -> AgentRun:
    (folder / "side").mkdir()
    task = Task(role="implementer", work_order=WorkOrder(id="a", title="A"), attempt=1, prompt="")
    settings = AgentSettings(kind="command", run=["x"])
    return AgentRun("a.1", "x", settings, task, folder, folder / "side", folder, (), 60, 60, most=most)


def says(path: Path, **fields: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields), encoding="utf-8")


def test_what_an_adapter_has_read_counts_before_what_the_agent_wrote_and_all_its_starts_count(tmp_path: Path) -> None:
    says(tmp_path / "usage.json", tokens_in=70, tokens_out=30, source="claude result", scope="turn")
    says(tmp_path / "side" / "usage.json", tokens=9, cost=0.5)
    says(tmp_path / "returned-1" / "side" / "usage.json", tokens=20)
    used = left_usage(tmp_path)
    assert (used.tokens, used.cost) == (120, 0.5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tokens_in": -1}', '{"tokens_in": "many"}', '{"cost": 1e999}'])
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "usage.json").write_text(text, encoding="utf-8")
    assert not left_usage(tmp_path).known
    says(tmp_path / "usage.json", cost=1.0)
    assert left_usage(tmp_path).cost == 1.0


def test_a_sessions_usage_is_on_the_disk_before_its_end(tmp_path: Path) -> None:
    spent = Spent()

    async def session() -> None:
        following = asyncio.ensure_future(UsageFile(tmp_path).follow(spent.record))
        spent.update({"cost": {"amount": 0.25, "currency": "USD"}})
        async with asyncio.timeout(60):
            while left_usage(tmp_path).cost != 0.25:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        following.cancel()

    asyncio.run(session())
    spent.update({"cost": {"amount": 3.0, "currency": "EUR"}})
    UsageFile(tmp_path).write(spent.record())
    assert left_usage(tmp_path).cost is None


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (Budget(), ""),
        (Budget(cost=2.0, tokens=100), ""),
        (Budget(cost=1.5), "it used a cost of 2.00 of 1.50 that it may, and was stopped"),
        (Budget(tokens=99), "it used 100 tokens of 99 that it may, and was stopped"),
    ],
)
def test_who_has_used_more_than_he_may_is_told_what(tmp_path: Path, most: Budget, words: str) -> None:
    run = run_in(tmp_path, most)
    assert over_budget(run) == "", "nobody has said anything"
    says(tmp_path / "side" / "usage.json", tokens=100, cost=2.0)
    assert over_budget(run) == words


def test_a_run_beyond_its_budget_is_stopped_and_charged_what_it_told(tmp_path: Path) -> None:
    async def agent() -> AgentResult:
        says(tmp_path / "side" / "usage.json", cost=2.0)
        await asyncio.sleep(600)
        raise AssertionError

    result = asyncio.run(watched(agent(), run_in(tmp_path, Budget(cost=1.0)), 0, 0.0, every_s=0.01))
    assert (result.end, result.usage.cost) == ("failed", 2.0)
    assert why_of(result) == "the agent failed; it used a cost of 2.00 of 1.00 that it may, and was stopped"


def test_a_stuck_run_is_charged_what_it_told(tmp_path: Path) -> None:
    async def agent() -> AgentResult:
        says(tmp_path / "side" / "usage.json", tokens=70)
        await asyncio.sleep(600)
        raise AssertionError

    result = asyncio.run(watched(agent(), run_in(tmp_path, Budget()), 0, 0.01, every_s=0.02))
    assert (result.end, result.usage.tokens) == ("stuck", 70)
