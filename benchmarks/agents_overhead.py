"""What a run costs beside the bare agent: the same program in the same folder, started and read by hand."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks import agents_talker
from benchmarks.engine_process import git
from benchmarks.figure import Beside, Figure, Scale
from engine.effects.watching import watched
from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, SandboxSettings
from engine.models.task import Task
from engine.ports import AgentRun
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from roles.agents import adapter_for

GOAL = 1.05
RATE = 200
"""Updates a second."""
REPEATS_MAX, STILL_S = 6, 1_800.0
"""Of the watch over a run that gets nowhere, which looks along."""
LENGTH_S = 5.0
TALKER = Path(agents_talker.__file__)
PYTHON = str(Path(sys.executable).resolve())
Kind = Literal["acp", "command"]
KINDS: dict[Kind, str] = {"acp": "an ACP agent", "command": "a command agent"}


def measure(scale: Scale) -> list[Figure]:
    length = LENGTH_S if scale.repeats > 1 else 0.1
    return asyncio.run(_measure(scale, length, max(1, scale.repeats // 3)))


async def _measure(scale: Scale, length: float, long_runs: int) -> list[Figure]:
    found: list[Figure] = []
    stage = Stage(scale.folder)
    try:
        for kind, what in KINDS.items():
            await stage.pairs(kind, 0.0, 1)  # libraries are read, a supervisor is warm
            bare, ours = await stage.pairs(kind, 0.0, 2 * scale.repeats)
            name = f"run of {what} that does nothing"
            found.append(Figure(name, "ms", ours, beside=[Beside("bare agent", bare)]))
            found.append(_longer(bare, ours))
            bare, ours = await stage.pairs(kind, length, long_runs)
            ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
            name = f"run of {length:g} s of {what}, {RATE} updates/s"
            found.append(Figure(f"{name}, beside the bare agent", "×", ratios, GOAL))
            found.append(_longer(bare, ours))
    finally:
        await stage.executor.close()
    return found


def _longer(bare: list[float], ours: list[float]) -> Figure:
    """By the median of the pairs: what a run costs that does not depend on how long it is."""
    over = statistics.median(mine - theirs for mine, theirs in zip(ours, bare, strict=True))
    return Figure("  of it, longer by", "ms", [max(0.0, over)])


@dataclass
class Stage:
    """A repository to work in, and an executor as an engine has it, with the best sandbox of this machine."""

    folder: Path
    runs: int = 0

    def __post_init__(self) -> None:
        self.repo = self.folder / "repo"
        self.repo.mkdir()
        git(self.repo, "init", "-q", "-b", "main", "--template=")
        (self.repo / "a.txt").write_text("one\n", encoding="utf-8")
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "-m", "A benchmark")
        self.executor = LocalExecutor(choose_sandbox(SandboxSettings(), self.folder), f"bench-{os.getpid()}")

    async def pairs(self, kind: Kind, seconds: float, count: int) -> tuple[list[float], list[float]]:
        """(bare, ours): milliseconds of runs in turn, each in a worktree that was made before."""
        bare: list[float] = []
        ours: list[float] = []
        for _ in range(count):
            self.runs += 1
            for name in ("bare", "ours"):
                git(self.repo, "worktree", "add", "-q", "--detach", str(self.workspace(name)))
            bare.append(await _ms(lambda: _BARE[kind](self.argv(kind, seconds), self.workspace("bare"))))
            ours.append(await _ms(lambda: self.perform(kind, seconds)))
        return bare, ours

    def argv(self, kind: Kind, seconds: float) -> list[str]:
        return [PYTHON, "-I", "-S", str(TALKER), "acp" if kind == "acp" else "lines", str(seconds), str(RATE)]

    def workspace(self, name: str) -> Path:
        """Of the run that is made now."""
        return self.folder / "work" / f"{name}-{self.runs}"

    async def perform(self, kind: Kind, seconds: float) -> None:
        folder = self.folder / "runs" / str(self.runs)
        order = WorkOrder(id="talk", title="Talk")
        run = AgentRun(
            run_id=f"talk.{self.runs}",
            agent="talker",
            settings=AgentSettings(kind=kind, run=self.argv(kind, seconds), stream="" if kind == "acp" else "claude"),
            task=Task(role="implementer", work_order=order, attempt=1, prompt="Talk."),
            workspace=self.workspace("ours"),
            side=folder / "side",
            folder=folder,
            readable=(TALKER,),
            wall_s=600,
            idle_s=600,
        )
        agent = adapter_for(kind, self.executor, Programs(os.environ["PATH"]), self.folder)
        result = await watched(agent.perform(run), run, REPEATS_MAX, STILL_S)
        if result.end != "done" or not result.handoff:
            raise RuntimeError(f"the agent of the benchmark ended as {result.end}: {result.note}")


async def _ms(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1000


async def _bare_command(argv: list[str], cwd: Path) -> None:
    """Into a file, as `agent > log` does."""
    with (cwd / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, stdout=log)
        await process.wait()


async def _bare_acp(argv: list[str], cwd: Path) -> None:
    """By the SDK's own connection, with a client that allows what is asked and drops what is told."""
    from acp.connection import Connection

    async def handle(method: str, _params: Any, _notification: bool) -> Any:
        if method == "session/request_permission":
            return {"outcome": {"outcome": "selected", "optionId": "yes"}}
        return None

    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    connection = Connection(handle, process.stdin, process.stdout)
    await connection.send_request("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    await connection.send_request("session/new", {"cwd": str(cwd), "mcpServers": []})
    await connection.send_request("session/prompt", {"sessionId": "s", "prompt": [{"type": "text", "text": "Talk."}]})
    process.stdin.close()
    await process.wait()
    with suppress(ConnectionError):
        await connection.close()


_BARE: dict[Kind, Callable[[list[str], Path], Awaitable[None]]] = {"acp": _bare_acp, "command": _bare_command}
