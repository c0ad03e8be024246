"""A real engine in a process of its own, as `swarm --no-ui` runs it, on tinykit or on a small repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.client import Client
from engine.errors import SwarmError, UserError
from engine.folders import StateFolder
from swarm_tui.demo.build import build_demo

PATIENCE_S = 120.0
PYTHON = sys.executable
SWARM = str(Path(PYTHON).with_name("swarm"))


@dataclass(frozen=True)
class Bench:
    """A repository and a state folder to measure on."""

    repo: Path
    state: Path

    @property
    def folders(self) -> StateFolder:
        return StateFolder(self.state)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--repo", str(self.repo), "--state", str(self.state))


def environment() -> dict[str, str]:
    """Gates of tinykit are Python programs: they run with this interpreter. Bytecode is kept, as after an installation:
    what starts would otherwise be compiled anew each time."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PATH": path}


def tinykit(folder: Path, roadmap: str = 'schema = "roadmap/1"\n') -> Bench:
    """tinykit with its real gates and canary flows, and this roadmap."""
    repo = build_demo(folder)
    (repo / "roadmap.toml").write_text(roadmap, encoding="utf-8", newline="\n")
    git(repo, "commit", "-q", "-a", "-m", "The roadmap of a benchmark")
    return Bench(repo, folder / "state")


def git(folder: Path, *arguments: str) -> str:
    """As a person would call it, with a fixed identity and nobody's configuration."""
    words = [
        "git",
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@localhost",
        "-c",
        "commit.gpgsign=false",
        *arguments,
    ]
    env = os.environ | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, encoding="utf-8").stdout.strip()


@contextmanager
def running(bench: Bench, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """An engine that has started; stopped at the end, at once."""
    words = [SWARM, *bench.options, "--no-ui", "--json", *more]
    process = subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def wait_until_settled(bench: Bench, process: subprocess.Popen[bytes], quiet_s: float = 1.0) -> None:
    """Until main is judged good and nothing new was journalled for `quiet_s`."""
    end = time.monotonic() + PATIENCE_S
    while (client := _client(bench)) is None:
        _still(process, end)
    try:
        last = time.monotonic()
        while not (client.state.last_good and time.monotonic() - last >= quiet_s):
            _still(process, end)
            if client.catch_up():
                last = time.monotonic()
    finally:
        client.close()


def _client(bench: Bench) -> Client | None:
    """None while the journal is not there yet, or has no tables."""
    try:
        return Client.attach(bench.folders)
    except UserError:
        return None


def run_until_idle(bench: Bench) -> None:
    """One engine from its start until nothing is left to do. Parked work is no failure here."""
    words = [SWARM, *bench.options, "--no-ui", "--json", "--until", "idle"]
    done = subprocess.run(words, env=environment(), capture_output=True, encoding="utf-8", timeout=600, check=False)
    if done.returncode not in (0, 4):
        raise SwarmError(f"the engine ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _still(process: subprocess.Popen[bytes], end: float) -> None:
    if process.poll() is not None or time.monotonic() > end:
        raise SwarmError(f"the engine did not come up (exit code {process.returncode})")
    time.sleep(0.05)
