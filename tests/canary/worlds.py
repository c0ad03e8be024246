"""What the canary's tests run: small real programs, and the ground to run them on."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from canary.flows import run_flow
from canary.launch import Ground
from engine.artifacts import ArtifactStore
from engine.models.flow import Flow
from engine.ports import FlowOutcome, Sandbox
from engine.process.programs import Program, Programs
from engine.sandbox.none import NoSandbox

GOOD = """
    import json, sys
    def emit(kind, **fields):
        print(json.dumps({"kind": kind, **fields}), flush=True)
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        if told["kind"] == "resize":
            emit("frame", view_id=4711, w=told["w"], h=told["h"], ms=2.5)
        elif told["kind"] == "quit":
            emit("bye")
            sys.exit(told.get("code", 0))
"""
"""Answers each resize with a frame."""


def python(code: str) -> list[str]:
    return ["python", "-c", textwrap.dedent(code)]


def resize(w: int) -> list[dict[str, Any]]:
    """The two steps of one resize."""
    return [
        {"send": {"json": {"kind": "resize", "w": w, "h": 600}}},
        {"wait": {"until": {"event": "frame", "where": {"w": w}}, "within": "10s"}},
    ]


def flow(code: str = GOOD, **fields: Any) -> Flow:
    start = {"run": python(code), "ready": {"log": "ready"}, "within": "10s"} | fields.pop("start", {})
    quit_ = {"send": {"json": {"kind": "quit"}}, "within": "10s"}
    return Flow.model_validate({"name": "smoke", "start": start, "stop": quit_} | fields)


class OwnPython:
    """Finds the interpreter that runs the tests, and everything else on PATH."""

    def __init__(self, path: str = "") -> None:
        self._programs = Programs(path)

    def resolve(self, name: str) -> Program:
        if name == "python":
            roots = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent)
            return Program(name, Path(sys.executable), tuple(dict.fromkeys(roots)))
        return self._programs.resolve(name)


@dataclass
class World:
    """One ground below `root`, with goldens as they stand in the commit's tree."""

    root: Path
    goldens: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    sandbox: Sandbox = field(default_factory=NoSandbox)

    def __post_init__(self) -> None:
        self.store = ArtifactStore(self.root / "artifacts")
        self.ground = Ground(
            tree=self.root / "tree",
            cache=self.root / "cache",
            folder=self.root / "flow",
            marker=f"test/{self.root.name}/",
            sandbox=self.sandbox,
            programs=OwnPython(),
        )
        self.ground.tree.mkdir(parents=True, exist_ok=True)

    async def run(self, flow: Flow, read_golden: Callable[[str], bytes | None] | None = None) -> FlowOutcome:
        return await run_flow(flow, self.ground, self.store, read_golden or self.goldens.get)

    def artifact(self, outcome: FlowOutcome, name: str) -> str:
        return self.store.get(outcome.artifacts[name]).decode("utf-8")

    def trace(self, outcome: FlowOutcome) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.artifact(outcome, "trace").splitlines()]


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie, which only waits to be reaped, does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


async def until(holds: Callable[[], bool]) -> None:
    """Poll until it holds. Raises TimeoutError after 20 s."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # it happens in another process, which sets no event of ours
            await asyncio.sleep(0.01)
