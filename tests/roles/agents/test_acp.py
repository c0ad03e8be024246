"""Agents that speak ACP, as real processes: honest ones, and all the ways in which one can fail."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.effects.watching import watched
from engine.errors import UserError
from engine.executors import channel
from engine.models.handoffs import HandoffError
from engine.models.settings import AgentSettings
from engine.ports import Quota
from engine.process import tree
from roles.agents.acp import session, transport
from roles.agents.streams.limits import is_limit
from roles.implementer import IMPLEMENTER
from tests.roles.agents.acp_stage import AcpStage

SDK_AGENT = Path(__file__).with_name("sdk_acp_agent.py")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AcpStage:
    monkeypatch.setattr(channel, "LEAVE_S", 0.2)
    monkeypatch.setattr(session, "CANCEL_S", 0.2)
    return AcpStage(tmp_path)


@pytest.fixture
def sandboxed(tmp_path: Path) -> AcpStage:
    return AcpStage(tmp_path, sandboxed=True)


async def until(there: Callable[[], bool]) -> None:
    while not there():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_an_honest_agent_edits_and_hands_in(sandboxed: AcpStage) -> None:
    result = await sandboxed.play("honest")
    log = sandboxed.log()
    assert (result.end, result.note) == ("done", ""), log
    assert json.loads(result.handoff or b"")["summary"] == "says hello"
    assert (result.tokens, result.cost) == (120, 0.25)
    assert (sandboxed.last.workspace / "hello.txt").read_text(encoding="utf-8") == "hello"
    # Of the three modes that it offers the one that asks; of the options the one that says yes once.
    assert "mode default" in log
    assert "permission yes" in log
    assert "I will write a file.\nNow.\n" in log


@pytest.mark.slow
async def test_an_agent_made_with_the_official_sdk_edits_and_hands_in(sandboxed: AcpStage) -> None:
    packages = next(Path(each) for each in sys.path if each.endswith("site-packages"))
    run = sandboxed.run(
        [sys.executable, str(SDK_AGENT), str(packages)], readable=(SDK_AGENT, packages, Path(sys.prefix))
    )
    result = await sandboxed.perform(run)
    assert (result.end, result.tokens) == ("done", 120), sandboxed.log()
    assert json.loads(result.handoff or b"")["summary"] == "by the SDK"
    assert (run.workspace / "sdk.txt").read_text(encoding="utf-8") == "written by the client"


async def test_usage_that_nobody_told_is_unknown_and_not_zero(bare: AcpStage) -> None:
    await bare.play("writes")
    record = json.loads((bare.last.folder / "usage.json").read_bytes())
    assert (record["tokens"], record["cost"], record["source"]) == (None, None, "")
    await bare.play("honest")
    record = json.loads((bare.last.folder / "usage.json").read_bytes())
    assert (record["tokens_in"], record["tokens_out"], record["cost"]) == (100, 20, 0.25)
    assert record["source"] == "usage_update.cost, PromptResponse.usage"


async def test_a_crash_is_a_failure_with_its_exit_code(bare: AcpStage) -> None:
    result = await bare.play("crash")
    assert (result.end, result.exit_code) == ("failed", 7)
    assert "it ended before it had answered (exit code 7)" in result.note
    assert "something goes wr\n" in bare.log()


async def test_one_that_hangs_is_idle(bare: AcpStage) -> None:
    result = await bare.play("hang", idle_s=1.5)
    assert result.end == "idle"


@pytest.mark.slow
async def test_one_that_never_ends_runs_into_its_wall_time(bare: AcpStage) -> None:
    result = await bare.play("hang", wall_s=2.0)
    assert result.end == "timeout"


async def test_a_flood_is_bounded_and_ends_by_quota(bare: AcpStage) -> None:
    result = await bare.play("flood", quota=Quota(log_rate=200_000))
    assert (result.end, result.quota) == ("quota", "log_rate")
    assert (bare.last.folder / "log").stat().st_size < 20_000_000


async def test_a_line_without_end_is_cut(bare: AcpStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LINE_MAX", 3_000_000)
    result = await bare.play("endless_line")
    assert result.end == "failed"
    assert "a message of more than 3000000 bytes" in result.note


async def test_what_is_no_message_is_passed_over(bare: AcpStage, caplog: pytest.LogCaptureFixture) -> None:
    result = await bare.play("broken")
    assert result.end == "done", bare.log()
    assert json.loads(result.handoff or b"")["summary"] == "says hello"
    assert not caplog.records  # the SDK writes to the root logger, and that onto a terminal


async def test_nothing_but_noise_is_a_failure(bare: AcpStage) -> None:
    result = await bare.play("only_noise")
    assert result.end == "failed"
    assert "lines that are no message of the protocol" in result.note


@pytest.mark.parametrize("times", [1, 2])
async def test_an_invalid_handoff_is_returned_with_the_errors(bare: AcpStage, times: int) -> None:
    result = await bare.play("invalid", str(times))
    assert (result.end, json.loads(result.handoff or b"")) == ("done", {"summary": "at last"})
    assert bare.log().count("the handoff is returned: summary: ") == times
    assert f"prompt {times + 1}: 'Your handoff is not valid" in bare.log()


async def test_an_invalid_handoff_is_returned_at_most_twice(bare: AcpStage) -> None:
    result = await bare.play("invalid", "9")
    assert "prompt 3" in bare.log()
    assert "prompt 4" not in bare.log()
    with pytest.raises(HandoffError, match="summary"):
        IMPLEMENTER.handoff(result.handoff, ["a.txt"])


async def test_who_watches_sees_that_it_makes_the_same_call_again_and_again(bare: AcpStage) -> None:
    run = bare.fake("circles", "2000", "same")
    result = await watched(bare.perform(run), run, repeats=5, still_s=0.0, every_s=0.05)
    assert (result.end, result.note) == (
        "stuck",
        "it made the same tool call 5 times in a row and changed no file: Read a.txt",
    )
    # The same calls about other lines are work.
    run = bare.fake("circles", "40", "other")
    result = await watched(bare.perform(run), run, repeats=5, still_s=0.0, every_s=0.05)
    assert result.end == "done"
    rows = [json.loads(line) for line in (run.folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["tool"] for row in rows] == ["Read a.txt"] * 40
    assert len({row["call"] for row in rows}) == 40


@pytest.mark.parametrize(
    ("message", "data", "end"),
    [
        ("Internal error", {"details": "You've hit your session limit · resets 6pm"}, "limit"),
        ("Internal error", {"message": "credit balance is too low"}, "limit"),
        ("status 529", None, "limit"),
        ("Internal error", {"details": "disk quota exceeded"}, "failed"),
        ("Internal error", {"details": "line 429 of a.txt"}, "failed"),
    ],
)
async def test_one_rule_says_what_is_a_providers_refusal(
    bare: AcpStage, message: str, data: dict[str, str] | None, end: str
) -> None:
    result = await bare.play("fails_with", message, json.dumps(data))
    assert (result.end, result.note.startswith(session.LIMIT)) == (end, end == "limit")
    assert is_limit(f"{message}: {next(iter((data or {'': ''}).values()))}") == (end == "limit")


async def test_a_rate_limit_is_told_as_the_providers(bare: AcpStage) -> None:
    result = await bare.play("limit")
    assert result.end == "limit"
    assert result.resets_at is not None
    assert time.localtime(result.resets_at)[3:5] == (10, 0)
    assert result.note.startswith(session.LIMIT)
    assert "try again at 10:00" in result.note


async def test_another_fault_is_none_of_the_providers_limit(bare: AcpStage) -> None:
    result = await bare.play("fault")
    assert (result.end, session.LIMIT in result.note) == ("failed", False)
    assert "no such model" in result.note


async def test_a_refusal_of_the_model_is_a_failure(bare: AcpStage) -> None:
    result = await bare.play("refusal")
    assert (result.end, result.note) == ("failed", "its model refused")


async def test_one_that_offers_only_a_mode_that_never_asks_is_not_prompted(bare: AcpStage) -> None:
    result = await bare.play("never_asks", "mine.txt")
    assert result.end == "failed"
    assert "it offers no mode that asks before it acts, only yolo" in result.note
    assert not (bare.last.workspace / "mine.txt").exists()
    # The same with a mode that asks works.
    assert (await bare.play("writes", "mine.txt")).end == "done"
    assert (bare.last.workspace / "mine.txt").exists()


async def test_one_that_asks_nobody_is_held_by_the_sandbox(tmp_path: Path) -> None:
    """With its positive control: without a sandbox it writes there."""
    for held in (True, False):
        folder = tmp_path / str(held)
        folder.mkdir()
        stage, target = AcpStage(folder, sandboxed=held), folder / "outside.txt"
        assert (await stage.play("writes", str(target), "inside.txt")).end == "done"
        assert (stage.last.workspace / "inside.txt").exists()
        assert target.exists() is not held, stage.log()


async def test_what_it_leaves_behind_is_killed(bare: AcpStage) -> None:
    result = await bare.play("orphan")
    assert result.end == "done"
    left = int(bare.log().split("left ")[1].split()[0])
    assert not tree.marked(left, f"acp-{bare.folder.name}/{bare.last.run_id}")


async def test_cancelling_tells_the_agent_and_kills_it(bare: AcpStage) -> None:
    run = bare.fake("waits")
    running = asyncio.ensure_future(bare.perform(run))
    await until((run.workspace / "waits").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "cancelled" in bare.log()
    assert tree.kill_marked(f"acp-{bare.folder.name}/hello") == 0


async def test_cancelling_kills_one_that_hears_nothing(bare: AcpStage) -> None:
    run = bare.fake("deaf")
    running = asyncio.ensure_future(bare.perform(run))
    await until((run.workspace / "deaf").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tree.kill_marked(f"acp-{bare.folder.name}/hello") == 0


async def test_one_that_does_the_same_for_ever_is_stopped(bare: AcpStage) -> None:
    result = await bare.play("repeats")
    assert result.end == "failed"
    assert "the same tool call" in result.note


async def test_secrets_are_in_neither_log_nor_handoff(bare: AcpStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "says hello")
    run = bare.fake("honest")
    run = replace(run, settings=AgentSettings(kind="acp", run=run.settings.run, env={"KEY": "$THE_KEY"}))
    result = await bare.perform(run)
    assert result.end == "done"
    assert b"says hello" not in (result.handoff or b"")
    assert b"risk" in (result.handoff or b"")


async def test_a_missing_program_is_for_a_person_to_mend(bare: AcpStage) -> None:
    with pytest.raises(UserError, match="no-such-agent"):
        await bare.perform(bare.run(["no-such-agent"]))


async def test_one_that_is_no_agent_fails_with_its_words_in_the_log(bare: AcpStage) -> None:
    run = bare.run([str(Path(sys.executable).resolve()), "-I", "-S", "-c", "raise SystemExit('not me')"])
    result = await bare.perform(run)
    assert (result.end, result.exit_code) == ("failed", 1)
    assert "not me" in bare.log()
