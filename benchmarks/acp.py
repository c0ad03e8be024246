"""What the engine's loop feels of agents that talk: eight at once, with 200 updates a second each."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.figure import Beside, Figure, Scale
from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings
from engine.models.task import Task
from engine.ports import AgentResult, AgentRun
from engine.process.programs import Programs
from engine.sandbox.none import NoSandbox
from roles.agents import adapter_for

AGENTS = 8
RATE = 200
"""Updates a second of each."""
TICK_S = 0.01
GOAL_MS = 50.0
TALKER = """
import json, os, sys, time
def send(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
seconds, rate = float(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "session/prompt":
        for _ in range(int(seconds * 20)):
            for _ in range(rate // 20):
                update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "some words "}}
                send(method="session/update", params={"sessionId": "s", "update": update})
            time.sleep(0.05)
    results = {"initialize": {"protocolVersion": 1}, "session/new": {"sessionId": "s"}}
    if "id" in message: send(id=message["id"], result=results.get(method, {"stopReason": "end_turn"}))
"""


def measure(scale: Scale) -> list[Figure]:
    asyncio.run(_lags(scale.folder / "warm", 0.2, 1))  # the SDK is imported once
    quiet, _ = asyncio.run(_lags(scale.folder / "quiet", scale.idle_s, 0))
    lags, results = asyncio.run(_lags(scale.folder / "busy", scale.idle_s, AGENTS))
    if any(result.end != "done" for result in results):
        raise RuntimeError(f"an agent failed: {[result.note for result in results]}")
    name = f"lag of the loop, {AGENTS} agents with {RATE} updates/s each"
    return [
        Figure(
            f"{name}, 99th percentile", "ms", [_at(lags, 0.99)], GOAL_MS, beside=[Beside("none", [_at(quiet, 0.99)])]
        ),
        Figure(f"{name}, most", "ms", [lags[-1]], beside=[Beside("none", [quiet[-1]])]),
    ]


async def _lags(folder: Path, seconds: float, agents: int) -> tuple[list[float], list[AgentResult]]:
    """(how late the loop was each TICK_S, in ms, sorted; how the agents ended)"""
    executor = LocalExecutor(NoSandbox(), f"bench-{folder.name}")
    agent = adapter_for("acp", executor, Programs(os.environ["PATH"]), folder)
    working = asyncio.gather(*(agent.perform(_run(folder, seconds, number)) for number in range(agents)))
    until, lags = time.perf_counter() + seconds, list[float]()
    while time.perf_counter() < until or not working.done():
        started = time.perf_counter()
        await asyncio.sleep(TICK_S)
        lags.append((time.perf_counter() - started - TICK_S) * 1000)
    results = await working
    await executor.close()
    return sorted(lags), list(results)


def _run(folder: Path, seconds: float, number: int) -> AgentRun:
    own = folder / str(number)
    (own / "work").mkdir(parents=True)
    python = str(Path(sys.executable).resolve())
    argv = [python, "-I", "-S", "-c", TALKER, str(seconds), str(RATE)]
    task = Task(role="implementer", work_order=WorkOrder(id="talk", title="Talk"), attempt=1, prompt="Talk.")
    return AgentRun(
        run_id=f"talk.{number}",
        agent="talker",
        settings=AgentSettings(kind="acp", run=argv),
        task=task,
        workspace=own / "work",
        side=own / "run" / "side",
        folder=own / "run",
        readable=(),
        wall_s=600,
        idle_s=600,
    )


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]
