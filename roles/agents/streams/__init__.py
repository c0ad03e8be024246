"""What headless agents print while they work: one file a format, and the table of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

from roles.agents.streams.aider import Aider
from roles.agents.streams.claude import Claude
from roles.agents.streams.codex import Codex
from roles.agents.streams.copilot import Copilot
from roles.agents.streams.gemini import Gemini
from roles.agents.streams.mini_swe_agent import MiniSweAgent
from roles.agents.streams.opencode import Opencode
from roles.agents.streams.pi import Pi
from roles.agents.streams.plain import Plain
from roles.agents.streams.stream import Ended, Row, Stream

__all__ = ["STREAMS", "Ended", "Row", "Stream", "guessed", "stream_for"]

STREAMS: Mapping[str, Callable[[Callable[[], float]], Stream]] = {
    "aider": Aider,
    "claude": Claude,
    "codex": Codex,
    "copilot": Copilot,
    "gemini": Gemini,
    "mini-swe-agent": MiniSweAgent,
    "opencode": Opencode,
    "pi": Pi,
    "plain": Plain,
}
"""Name (`[agents.NAME] stream`) -> what reads it. A new format is one file, one line here and one in the settings."""

_PROGRAMS = {name: name for name in STREAMS} | {
    "claude-code": "claude",
    "gemini-cli": "gemini",
    "opencode-ai": "opencode",
    "mini": "mini-swe-agent",
    "pi-coding-agent": "pi",
}
_STARTERS = frozenset({"npx", "bunx", "pnpx", "uvx", "pipx", "node", "bun"})
_LOOKED_AT = 4


def stream_for(name: str, run: Sequence[str], now: Callable[[], float] = time.time) -> Stream:
    """The reader for what `run` prints. name: of a format; "": guessed from the program."""
    return STREAMS[name or guessed(run)](now)


def guessed(run: Sequence[str]) -> str:
    """The format that a command's program prints, by its name alone; plain for a program that nobody knows."""
    if not run:
        return "plain"
    names = [_name(part) for part in run[:_LOOKED_AT]]
    looked_at = names if names[0] in _STARTERS else names[:1]
    return next((_PROGRAMS[name] for name in looked_at if name in _PROGRAMS), "plain")


def _name(part: str) -> str:
    """Of a path or a package: `@openai/codex@0.1` is codex, `C:\\bin\\claude.cmd` is claude."""
    last = re.split(r"[/\\]", part)[-1].lower().partition("@")[0]
    return re.sub(r"\.(?:exe|cmd|bat|ps1|c?js|mjs)$", "", last)
