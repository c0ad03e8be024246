"""The adapter for `kind = "model"`: our own tool loop with any OpenAI-compatible server, or Anthropic's API.

The loop (`roles.agents.model_loop`) is a program in the agent's sandbox like any other: the same limits, the same way
out, the same harvest. It is told by `model.json` in the side folder, and leaves `model_end.json` there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import engine
from engine.errors import UserError
from engine.models.usage import count, told
from engine.ports import AgentResult, AgentRun, Executor
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line
from roles.agents import command
from roles.agents.streams.limits import plausible
from roles.agents.streams.plain import Plain
from roles.agents.streams.stream import Ended

LOOP = Path(__file__).with_name("model_loop.py")
ANTHROPIC = "https://api.anthropic.com"
OPENAI = "https://api.openai.com/v1"
KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
END_MAX_BYTES = 16_384
WHY_CHARS = 500


class Printed(Plain):
    """What the loop prints is mostly what commands printed: nothing is guessed from it, the loop says how it ended."""

    def ended(self) -> Ended:
        return Ended()


class ModelAgent:
    """Implements `engine.ports.Agent` for `kind = "model"`. `base_url` and `model` of the settings say who is asked; a
    key is in `env`, as `ANTHROPIC_API_KEY` or `OPENAI_API_KEY`."""

    def __init__(self, executor: Executor, redactor: Redactor = command.NOTHING_KNOWN) -> None:
        self._executor = executor
        self._redactor = redactor

    async def perform(self, run: AgentRun) -> AgentResult:
        """Let the model work at the task. Raises UserError without the packages for it, and for an address that is
        none."""
        await asyncio.to_thread(refuse_without_packages)
        api, base, host = address_of(run.settings.base_url, run.settings.model)
        network = list(dict.fromkeys([*run.settings.network, host]))
        run = replace(run, settings=run.settings.model_copy(update={"network": network}))
        root = Path(engine.__file__).parents[1]
        side = command.SideFolder(run.side)
        fields = {
            "root": str(root),
            "api": api,
            "base_url": base,
            "key": KEYS[api],
            "model": run.settings.model,
            "turns": run.most.turns,
            "tokens": run.most.tokens,
            "guarantees": dict(self._executor.guarantees),
            "without": run.without,
            "hosts": [*network, *run.hosts],
            "readable": [str(path) for path in (run.side, *run.readable)],
            "workspace": str(run.workspace),
            "prompt": str(side.prompt),
            "answered": [list(one.operation.argv) for one in run.task.granted],
        }
        config, end = run.side / "model.json", run.side / "model_end.json"
        await asyncio.to_thread(_write, config, fields)
        prefixes = dict.fromkeys(Path(each) for each in (sys.prefix, sys.base_prefix, sys.base_exec_prefix))
        own = (LOOP, root / "engine", *(prefix for prefix in prefixes if prefix != Path(prefix.anchor)))
        argv = (sys.executable, "-I", "-X", "utf8", str(LOOP), str(config))
        result = await command.perform(self._executor, run, command.Command(argv, own), self._redactor, Printed())
        return await asyncio.to_thread(self._told, result, end)

    def _told(self, result: AgentResult, path: Path) -> AgentResult:
        """The result with what the loop says of its end. Who wrote that is not known: it is read as an agent's word."""
        try:
            said: Any = json.loads(command.taken(path, END_MAX_BYTES) or b"{}")
        except (ValueError, RecursionError):
            said = {}
        fields = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        names = ("tokens_in", "tokens_out", "tokens_cached")
        usage = told(**{name: count(fields.get(name)) for name in names}, source="its API", scope="run")
        why = self._redactor.redact(sanitise_line(str(fields.get("why", ""))[:WHY_CHARS]))
        result = replace(result, usage=usage if usage.known else result.usage, turns=count(fields.get("turns")) or None)
        if result.end != "failed":
            return result
        if fields.get("end") == "limit":
            return replace(result, end="limit", resets_at=plausible(fields.get("resets_at"), time.time()), note=why)
        return replace(result, note=result.note or why)


def refuse_without_packages() -> None:
    """Raises UserError where what this kind of agent needs is not installed."""
    if importlib.util.find_spec("pydantic_ai") is None:
        raise UserError('an agent of kind "model" needs more packages: pip install "swarm-tui[model]"')


def address_of(base_url: str, model: str) -> tuple[str, str, str]:
    """(anthropic or openai, base address, `host:port` for the way out). Raises UserError."""
    api = "anthropic" if "anthropic.com" in base_url or (not base_url and model.startswith("claude")) else "openai"
    if base_url.rstrip("/").endswith("/anthropic"):  # as servers name it that speak both
        api = "anthropic"
    base = base_url or (ANTHROPIC if api == "anthropic" else OPENAI)
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise UserError(f"{base!r} is no address of a model server: write base_url as http://host:port/v1")
    return api, base, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write(path: Path, fields: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields), encoding="utf-8")
