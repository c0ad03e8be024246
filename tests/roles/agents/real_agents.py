"""Coding agents that nobody here wrote, installed from npm into a folder that is kept between runs of the tests.

`SWARM_TEST_AGENTS` names the folder; default: `swarm-test-agents` in the user's cache. Each is pointed at the model
server of these tests, so nothing is spent and nobody is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

INSTALL_S = 900
CACHE = Path(os.environ.get("SWARM_TEST_AGENTS") or Path.home() / ".cache" / "swarm-test-agents")
"""Looked up before the tests get an environment of their own."""


@dataclass(frozen=True)
class RealAgent:
    """`package`: name and version in npm; `command`: its program and arguments; `env`: its variables for a model
    server at this URL."""

    name: str
    package: str
    command: tuple[str, ...]
    env: Callable[[str], Mapping[str, str]]


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


REAL = (
    RealAgent("opencode", "opencode-ai@1.18.33", ("opencode", "acp"), _opencode),
    RealAgent("gemini", "@google/gemini-cli@0.61.0", ("gemini", "--acp", "--model", "gemini-2.5-flash"), _gemini),
)


def installed(agent: RealAgent) -> Path:
    """The folder with the agent's program, installed when it is not there yet. Skips the test where npm is missing."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = CACHE / agent.package.replace("/", "+")
    programs = folder / "node_modules" / ".bin"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Its own files for npm, so that it is nobody's project that is changed.
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        argv = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), agent.package]
        done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=INSTALL_S, check=False)
        if done.returncode != 0:
            pytest.skip(f"{agent.package} cannot be installed: {done.stderr.decode(errors='replace')[-300:]}")
        (folder / "complete").touch()
    return programs


def program(agent: RealAgent) -> tuple[list[str], Path]:
    """(argv, the folder that it has to read)"""
    programs = installed(agent)
    name = agent.command[0] + (".cmd" if sys.platform == "win32" else "")
    return [str(programs / name), *agent.command[1:]], programs.parent.parent
