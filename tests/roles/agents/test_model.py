"""Our own tool loop: what its tools do and refuse, and whole runs with a scripted model over real HTTP."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.settings import AgentSettings, Budget
from engine.ports import AgentResult
from roles.agents.model import ModelAgent, address_of
from roles.agents.model_loop import Desk
from tests.roles.agents.acp_stage import AcpStage
from tests.roles.agents.model_server import Fail, Model, Say, Step, model_server

HANDOFF = {"summary": "second is gone", "risk": "none", "rollback": "revert"}
EDIT = ("edit", {"path": "a.txt", "old": "second\n", "new": ""})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    workspace = tmp_path / "work"
    workspace.mkdir()
    (workspace / "a.txt").write_text("first\nsecond\n", encoding="utf-8")
    config = {
        "workspace": str(workspace), "guarantees": {"fs_write": True}, "without": "run", "hosts": [], "readable": [],
        "key": "MY_KEY",
    }  # fmt: skip
    return Desk(config, tmp_path / "handoff.json", tmp_path / "ask.json", tmp_path / "progress.jsonl")


def test_it_reads_searches_and_edits_in_the_workspace(desk: Desk) -> None:
    assert desk.read(".") == "a.txt"
    assert desk.search("sec", "*.txt") == "a.txt:2: second"
    assert desk.edit("a.txt", "second", "third") == "done"
    assert desk.edit("new/b.txt", "", "x") == "done"
    assert (desk.workspace / "a.txt").read_bytes() == b"first\nthird\n"
    assert desk.read("new/b.txt") == "x"
    rows = [json.loads(line) for line in desk.progress.read_text(encoding="utf-8").splitlines()]
    assert [row["tool"] for row in rows] == ["read", "search", "edit", "edit", "read"]


def test_a_text_that_is_not_there_once_is_not_replaced(desk: Desk) -> None:
    assert "0 times" in desk.edit("a.txt", "fourth", "x")
    assert "2 times" in desk.edit("a.txt", "s", "x")
    assert (desk.workspace / "a.txt").read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("path", ["../handoff.json", "/etc/hosts", ".git/config"])
def test_nothing_outside_of_the_workspace_is_edited(desk: Desk, path: str) -> None:
    assert desk.edit(path, "", "x").startswith("you may not")
    assert path == ".git/config" or desk.read(path).startswith("you may not")


async def test_a_command_runs_without_the_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    script = desk.workspace / "show.py"
    script.write_text("import os; print(os.environ.get('MY_KEY'), 'x' * 50_000)", encoding="utf-8")
    said = await desk.run([sys.executable, "show.py"])
    assert said.startswith("None ")
    assert said.endswith("exit code 0")
    assert len(said) < 21_000


def test_an_address_names_the_api_and_the_way_out() -> None:
    assert address_of("", "claude-x") == ("anthropic", "https://api.anthropic.com", "api.anthropic.com:443")
    assert address_of("http://127.0.0.1:11434/v1", "q")[0::2] == ("openai", "127.0.0.1:11434")
    with pytest.raises(UserError, match="no address"):
        address_of("somewhere", "m")


# -- whole runs: each starts the loop, which takes seconds to import what it needs ------------------------------------


async def play(
    stage: AcpStage, steps: Sequence[Step], api: str = "openai", most: Budget | None = None
) -> tuple[AgentResult, Model]:
    with model_server(steps) as (url, model):
        base = f"{url}/v1" if api == "openai" else f"{url}/anthropic"
        settings = AgentSettings(kind="model", base_url=base, model="scripted", env={"OPENAI_API_KEY": "k"})
        run = replace(stage.run(["unused"]), settings=settings, most=most or Budget())
        result = await ModelAgent(stage.executor).perform(run)
    return result, model


def text(stage: AcpStage) -> str:
    return (stage.last.workspace / "a.txt").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_a_model_edits_runs_and_hands_in_in_its_sandbox(tmp_path: Path, api: str) -> None:
    stage = AcpStage(tmp_path, sandboxed=True)
    steps = [
        Say("", [EDIT]),
        Say("", [("run", {"argv": ["ls"]})]),
        Say("", [("hand_in", {"handoff": HANDOFF})]),
        Say("ok"),
    ]
    result, model = await play(stage, steps, api)
    assert (result.end, model.missing) == ("done", []), stage.log()
    assert json.loads(result.handoff or b"") == HANDOFF
    assert text(stage) == "first\nthird\n"
    assert (result.turns, result.usage.tokens_in, result.usage.tokens_out) == (4, 400, 80)


@pytest.mark.slow
async def test_a_limit_of_the_provider_is_its_own_end(tmp_path: Path) -> None:
    result, _ = await play(AcpStage(tmp_path), [Say("", [EDIT]), Fail(429, "usage limit", 4_000)])
    assert result.end == "limit"
    assert "usage limit" in result.note
    assert result.resets_at is not None
    assert result.usage.tokens == 120


@pytest.mark.slow
async def test_a_fault_of_the_server_is_a_failure(tmp_path: Path) -> None:
    result, _ = await play(AcpStage(tmp_path), [Fail(400, "no such model")])
    assert (result.end, result.resets_at) == ("failed", None)
    assert "no such model" in result.note


@pytest.mark.slow
async def test_a_dangerous_command_is_asked_about_and_not_run(tmp_path: Path) -> None:
    stage = AcpStage(tmp_path)
    result, _ = await play(stage, [Say("", [("run", {"argv": ["rm", "-rf", "a.txt"]})]), Say("done")])
    assert result.end == "asked", stage.log()
    assert result.asked is not None
    assert (result.asked.argv, result.asked.danger) == (["rm", "-rf", "a.txt"], "large_deletion")
    assert text(stage) == "first\nsecond\nthird\n"


@pytest.mark.slow
async def test_it_keeps_to_its_turns(tmp_path: Path) -> None:
    calls: list[Any] = [Say("", [("read", {"path": "a.txt"})])]
    result, model = await play(AcpStage(tmp_path), calls, most=Budget(turns=3))
    assert (result.end, model.used) == ("failed", 3)
    assert "request_limit" in result.note or "limit" in result.note


@pytest.mark.parametrize(
    ("said", "believed"), [("NaN", False), ("1" + "0" * 400, False), ("true", False), (None, True)]
)
def test_a_reset_that_can_be_no_time_is_not_taken(tmp_path: Path, said: str | None, believed: bool) -> None:
    at = f"{time.time() + 600:.0f}"
    end = tmp_path / "model_end.json"
    end.write_text(f'{{"end": "limit", "why": "429", "resets_at": {said or at}}}', encoding="utf-8")
    told = ModelAgent(AcpStage(tmp_path).executor)._told  # pyright: ignore[reportPrivateUsage]
    result = told(AgentResult("failed", 76, 1.0), end)
    assert (result.end, result.note, result.resets_at) == ("limit", "429", float(at) if believed else None)
