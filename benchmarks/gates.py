"""What running gates costs: over the bare subprocess, beside other runners of commands, and beside a warm cargo.

Twenty gates run a script of the tree that does nothing. Nothing is asserted; a peer that is not there is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine_process import SWARM, environment, git
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.peers import installed, peers
from benchmarks.whole_process import in_turn_ms, once_ms
from engine.models.settings import Gate, SandboxSettings
from engine.ports import GateRequest, Sandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox

COUNT = 20
NOOP = "tools/noop"
RUST = Path(__file__).resolve().parents[1] / "tests" / "gates" / "rust_fixture"
OVERHEAD_MS, NOTHING_MS, WARM = 5.0, 300.0, 1.2


def measure(scale: Scale) -> list[Figure]:
    if sys.platform == "win32":
        return []
    return [*_overhead(scale), *_whole(scale), *_rust(scale)]


def _repository(folder: Path, files: dict[str, str]) -> Path:
    """A repository with these files, committed; `tools/noop` does nothing."""
    repo = folder / "repo"
    for name, text in {NOOP: "#!/bin/sh\nexit 0\n", **files}.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    (repo / NOOP).chmod(0o755)
    git(repo, "init", "-q", "-b", "main", "--template=")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "A benchmark")
    return repo


def _noops() -> tuple[Gate, ...]:
    return tuple(Gate(name=f"noop{number}", run=[f"./{NOOP}"]) for number in range(1, COUNT + 1))


# ---- a runner in this process


@dataclass
class _Runner:
    """A gate runner as an engine has it, with one slot."""

    repo: Path
    state: Path
    sandbox: Sandbox

    def __post_init__(self) -> None:
        from engine.artifacts import ArtifactStore
        from engine.executors.local import LocalExecutor
        from engine.git.hub import Hub
        from engine.git.slots import Slots
        from engine.process.environment import allowed_environment
        from engine.process.programs import Programs
        from gates.caches import Caches
        from gates.runner import LocalGateRunner
        from gates.sign import open_keys
        from swarm_tui.compose import SystemClock

        self.hub = Hub.create_or_open(self.state, self.repo, "main")
        self.gates = LocalGateRunner(
            hub=self.hub,
            slots=Slots(self.hub, self.state / "slots", 1),
            executor=LocalExecutor(self.sandbox, f"bench-{os.getpid()}"),
            sandbox=self.sandbox,
            store=ArtifactStore(self.state / "artifacts"),
            runs=self.state / "runs",
            cache=self.state / "cache",
            signer=open_keys(self.state / "keys"),
            programs=Programs(allowed_environment({}).values.get("PATH", "")),
            clock=SystemClock(),
            caches=Caches(self.sandbox),
        )
        self._runs = 0

    async def run(self, gates: tuple[Gate, ...], commit: str = "HEAD") -> float:
        """Milliseconds of one run of gates that are not green already, with its signed report."""
        tip = await asyncio.to_thread(self.hub.fetch_objects, self.repo, commit)
        tree = await asyncio.to_thread(self.hub.tree_of, tip)
        self._runs += 1
        request = GateRequest(f"bench.{self._runs}", tree, tree, tip, tip, gates, "sha256:bench", kind="gates")

        async def emit(kind: str, fields: dict[str, Any]) -> None: ...

        started = time.perf_counter()
        signed = await self.gates.run(request, emit)
        took_ms = (time.perf_counter() - started) * 1000
        if signed.report.result != "green":
            raise RuntimeError(f"the gates of the benchmark are {signed.report.result}: {signed.report.reasons}")
        await self.gates.landed(tree)
        shutil.rmtree(self.state / "cache", ignore_errors=True)  # so that the next run is one
        return took_ms


def _sandboxes(folder: Path) -> list[tuple[str, Sandbox]]:
    found: list[tuple[str, Sandbox]] = [("no sandbox", NoSandbox("not asked for"))]
    best = choose_sandbox(SandboxSettings(), folder)
    return found if best.name == "none" else [*found, (best.name, best)]


def _overhead(scale: Scale) -> list[Figure]:
    """Twenty no-ops one after the other, over twenty bare subprocesses in the same loop."""
    found: list[Figure] = []
    for name, sandbox in _sandboxes(scale.folder):
        folder = scale.folder / f"overhead-{name.replace(' ', '-')}"
        repo = _repository(folder, {})
        over, bare = asyncio.run(_against_bare(_Runner(repo, folder / "state", sandbox), repo, scale.repeats))
        goal = OVERHEAD_MS if name == "no sandbox" else None
        found.append(
            Figure(f"a gate over its subprocess, {name}", "ms", over, goal, beside=[Beside("bare subprocess", bare)])
        )
    return found


async def _against_bare(runner: _Runner, repo: Path, repeats: int) -> tuple[list[float], list[float]]:
    over: list[float] = []
    bare: list[float] = []
    for turn in range(repeats + 1):
        started = time.perf_counter()
        for _ in range(COUNT):
            process = await asyncio.create_subprocess_exec(str(repo / NOOP), cwd=repo)
            await process.wait()
        alone_ms = (time.perf_counter() - started) * 1000
        whole_ms = await runner.run(_noops())
        if turn:  # the first round fills caches
            bare.append(alone_ms / COUNT)
            over.append((whole_ms - alone_ms) / COUNT)
    return over, bare


# ---- whole processes


def _whole(scale: Scale) -> list[Figure]:
    gates = "".join(f'[[gate]]\nname = "{gate.name}"\nrun = {json.dumps(gate.run)}\n' for gate in _noops())
    others = [
        (peer, program)
        for peer in peers(COUNT, f"./{NOOP}")
        if (program := installed(peer, install=scale.idle_s > 1)) is not None
    ]
    files = {name: text for peer, _ in others for name, text in peer.files.items()}
    repo = _repository(
        scale.folder / "whole",
        {
            "swarm.toml": gates,
            "roadmap.toml": 'schema = "roadmap/1"\n',
            ".gitignore": ".tox\n.nox\n__pycache__\n",
            **files,
        },
    )
    state, env = scale.folder / "whole" / "state", environment()
    ours = [SWARM, "gates", "--state", str(state)]

    def forget() -> None:
        shutil.rmtree(state / "gate-cache", ignore_errors=True)

    fresh = _each_ms(ours, scale.repeats, repo, env, forget)
    bare = [NOOP] * COUNT
    loop = [sys.executable, "-c", f"import subprocess\nfor each in {bare!r}: subprocess.run([each], check=True)"]
    again, alone, *theirs = in_turn_ms(
        [ours, loop, *([program, *peer.words[1:]] for peer, program in others)], scale.repeats, repo, env
    )
    beside = [Beside("a bare loop in Python", alone)]
    beside += [Beside(peer.name, values) for (peer, _), values in zip(others, theirs, strict=True)]
    return [
        Figure(f"swarm gates, {COUNT} no-ops, whole process", "ms", fresh, beside=beside),
        Figure("swarm gates, nothing to do, whole process", "ms", again, NOTHING_MS, beside=beside),
    ]


def _each_ms(words: list[str], repeats: int, cwd: Path, env: dict[str, str], before: Callable[[], None]) -> list[float]:
    """Milliseconds of each run, one not counted; `before` each, not counted either."""
    found: list[float] = []
    for _ in range(repeats + 1):
        before()
        found.append(once_ms(words, cwd, env))
    return found[1:]


# ---- cargo


def _rust(scale: Scale) -> list[Figure]:
    """One edited crate, gated in a warm slot and tested in a warm checkout: the same edits, in turn."""
    cargo = shutil.which("cargo")
    if cargo is None or not RUST.is_dir():
        return []
    if subprocess.run([cargo, "--version"], capture_output=True, check=False).returncode:
        return []  # rustup's stand-in, with no toolchain behind it
    repo = _repository(scale.folder / "rust", {})
    shutil.copytree(RUST, repo, dirs_exist_ok=True)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Rust")
    sandbox = choose_sandbox(SandboxSettings(), scale.folder)
    runner = _Runner(repo, scale.folder / "rust" / "state", sandbox)
    gate = Gate(name="test", kind="unit", run=["cargo", "test", "--workspace"], results="cargo-test")
    gated, alone = asyncio.run(_warm(runner, gate, repo, cargo, max(2, scale.repeats // 2)))
    ratios = [ours / theirs for ours, theirs in zip(gated, alone, strict=True)]
    return [
        Figure("cargo test as a gate, warm slot", "ms", gated, beside=[Beside("cargo test, warm checkout", alone)]),
        Figure("cargo test as a gate over cargo test", "×", ratios, WARM),
    ]


async def _warm(runner: _Runner, gate: Gate, repo: Path, cargo: str, repeats: int) -> tuple[list[float], list[float]]:
    gated: list[float] = []
    alone: list[float] = []
    edited = repo / "geometry" / "src" / "lib.rs"
    text = edited.read_text(encoding="utf-8")
    for turn in range(repeats + 1):
        edited.write_text(f"{text}\n// edit {turn}\n", encoding="utf-8")
        git(repo, "commit", "-q", "-a", "-m", f"Edit {turn}")
        started = time.perf_counter()
        subprocess.run([cargo, "test", "--workspace", "--offline", "-q"], cwd=repo, check=True, capture_output=True)
        took_ms = (time.perf_counter() - started) * 1000
        gate_ms = await runner.run((gate,))
        if turn:  # the first round builds everything
            alone.append(took_ms)
            gated.append(gate_ms)
    return gated, alone
