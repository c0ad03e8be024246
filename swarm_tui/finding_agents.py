"""Which coding agents are installed here, and how each would be written into the settings.

Looks for programs on the PATH, for logins in the home folder by the names of their files (never into them), for keys in
the environment by their names, and for model servers on the loopback interface. Nothing is started, nothing is spent.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

PROMPT = "Read the file {prompt_file} and do what it says."
LOOPBACK = "127.0.0.1"
PROBE_S = 0.3
"""How long a model server on this machine may take to answer."""
ANSWER_MAX = 1_000_000
MODEL_CHARS = 200
Usage = Literal["", "run", "turn", "step"]


@dataclass(frozen=True)
class FoundAgent:
    """An agent as it would be written down.

    network: the hosts of its model. home: what it may see of the home folder. env: `$NAME` is taken from the user's
    environment. note: what a person should know before he switches it on. base_url, model: kind model.
    """

    name: str
    kind: Literal["acp", "command", "model"]
    run: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    note: str = ""
    base_url: str = ""
    model: str = ""


@dataclass(frozen=True)
class _Way:
    """One way to run an agent. usage: what the figures count that it tells; "" when that is not known. version: what it
    is started with to say its version, and no more; empty when it cannot."""

    kind: Literal["acp", "command"]
    run: tuple[str, ...]
    note: str
    usage: Usage = ""
    version: tuple[str, ...] = ("--version",)


@dataclass(frozen=True)
class _Known:
    """ways: the first whose program is installed is taken. login: its files in the home folder. keys: variables with a
    key, any one of which makes the login needless. env: what else it needs."""

    name: str
    ways: tuple[_Way, ...]
    network: tuple[str, ...] = ()
    login: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])


_ACP = "asks before it acts, and the approvals' rules answer"
_HELD = "asks nobody: its sandbox alone holds it"
_ANY_HOSTS = "name the hosts of its model under network"

# As their documentation had it in autumn 2026. claude-agent-acp and codex-acp are programs of their own;
# copilot's --acp was a public preview. opencode 1.18.33 and Gemini CLI 0.61.0 were tried, the others were not.
KNOWN = (
    _Known(
        "claude",
        (
            _Way("acp", ("claude-agent-acp",), _ACP),
            _Way(
                "command",
                (
                    *("claude", "-p", PROMPT, "--permission-mode", "acceptEdits"),
                    *("--output-format", "stream-json", "--verbose"),
                ),
                "edits files unasked; it cannot run commands unless --allowedTools names them",
                "run",
            ),
        ),
        ("api.anthropic.com",),
        (".claude", ".claude.json"),
        ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"),
        {"DISABLE_AUTOUPDATER": "1"},
    ),
    _Known(
        "codex",
        (
            _Way("acp", ("codex-acp",), _ACP),
            _Way("command", ("codex", "exec", "--json", "--full-auto", "--skip-git-repo-check", PROMPT), _HELD, "turn"),
        ),
        ("api.openai.com", "chatgpt.com"),
        (".codex",),
        ("OPENAI_API_KEY", "CODEX_API_KEY"),
    ),
    _Known(
        "gemini",
        (_Way("acp", ("gemini", "--acp"), _ACP, "turn"),),
        ("generativelanguage.googleapis.com",),
        (".gemini",),
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    _Known(
        "copilot",
        (_Way("acp", ("copilot", "--acp"), _ACP),),
        ("api.github.com", "*.githubcopilot.com"),
        (".copilot",),
        ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
    ),
    _Known(
        "opencode",
        (_Way("acp", ("opencode", "acp"), f"{_ACP}; {_ANY_HOSTS}", "step"),),
        (),
        (".config/opencode", ".local/share/opencode"),
    ),
    _Known(
        "qwen",
        (_Way("acp", ("qwen", "--acp"), _ACP),),
        ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        (".qwen",),
        ("DASHSCOPE_API_KEY", "OPENAI_API_KEY"),
    ),
    _Known("vibe", (_Way("acp", ("vibe-acp",), _ACP),), ("api.mistral.ai",), (".vibe",), ("MISTRAL_API_KEY",)),
    _Known("goose", (_Way("acp", ("goose", "acp"), f"{_ACP}; {_ANY_HOSTS}"),), (), (".config/goose",)),
    _Known(
        "aider",
        (
            _Way(
                "command",
                ("aider", "--yes-always", "--no-auto-commits", "--message-file", "{prompt_file}"),
                f"{_HELD}; {_ANY_HOSTS}",
            ),
        ),
        (),
        (".aider.conf.yml",),
    ),
    _Known(
        "mini-swe-agent",
        (
            # Its version is in a banner in front of a session: it has no option that only says it.
            _Way(
                "command",
                ("mini", "--yolo", "--exit-immediately", "--task", PROMPT),
                f"{_HELD}; {_ANY_HOSTS}",
                version=(),
            ),
        ),
        (),
        (".config/mini-swe-agent",),
    ),
    _Known(
        "pi",
        (_Way("command", ("pi", "--mode", "json", PROMPT), f"{_HELD}; {_ANY_HOSTS}", "turn"),),
        (),
        (".pi",),
    ),
)


@dataclass(frozen=True)
class _Server:
    """A model server that listens on the loopback interface; `program`: what starts it."""

    name: str
    port: int
    program: str


SERVERS = (_Server("ollama", 11434, "ollama"), _Server("lmstudio", 1234, "lms"))

Ask = Callable[[int], "list[str] | None"]
"""The models of the server on a port of this machine; None: nobody answers there."""


def find_agents(
    path: str | None = None,
    *,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ask: Ask | None = None,
) -> list[FoundAgent]:
    """What is installed, in the order of the table, model servers last.

    path: where programs are looked for; None: the PATH of this process, and servers are asked too. home, environment:
    the user's own unless given. ask: how a server is asked.
    """
    home, environment = home or Path.home(), os.environ if environment is None else environment
    found = [_written(known, way, home, environment) for known, way in _installed(path)]
    if path is None or ask is not None:
        found += _servers(ask or models_at)
    return found


def version_of(run: Sequence[str]) -> tuple[str, ...] | None:
    """The argv by which a known agent of `run` says its version without doing anything; None: not known of it."""
    way = _way_of(run)
    return (run[0], *way.version) if way is not None and way.version else None


def usage_of(run: Sequence[str], kind: str) -> Usage:
    """What the figures of a known agent of `run` count; "" when it is not known that it tells any."""
    way = _way_of(run, kind)
    return way.usage if way is not None else ""


def _way_of(run: Sequence[str], kind: str = "") -> _Way | None:
    name = Path(run[0]).name.removesuffix(".exe").removesuffix(".cmd") if run else ""
    ways = (way for known in KNOWN for way in known.ways if way.run[0] == name and kind in ("", way.kind))
    return next(ways, None)


def models_at(port: int) -> list[str] | None:
    """The ids that `GET /v1/models` of an OpenAI-compatible server lists; None: nobody answers, or something else."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_S)
    try:
        connection.request("GET", "/v1/models", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        said: Any = json.loads(answer.read(ANSWER_MAX)) if answer.status == http.client.OK else None
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    rows = cast("dict[str, Any]", said).get("data") if isinstance(said, dict) else None
    if not isinstance(rows, list):
        return None
    ids = [cast("dict[str, Any]", row).get("id") for row in cast("list[Any]", rows) if isinstance(row, dict)]
    return [each[:MODEL_CHARS] for each in ids if isinstance(each, str) and each and each.isprintable()]


def _installed(path: str | None) -> list[tuple[_Known, _Way]]:
    found: list[tuple[_Known, _Way]] = []
    for known in KNOWN:
        way = next((way for way in known.ways if shutil.which(way.run[0], path=path)), None)
        if way is not None:
            found.append((known, way))
    return found


def _written(known: _Known, way: _Way, home: Path, environment: Mapping[str, str]) -> FoundAgent:
    key = next((name for name in known.keys if environment.get(name)), "")
    login = () if key else _there(home, known.login)
    env = dict(known.env) | ({key: f"${key}"} if key else {})
    return FoundAgent(known.name, way.kind, way.run, known.network, login, env, way.note)


def _there(home: Path, names: Collection[str]) -> tuple[str, ...]:
    """Those of the files and folders that are there; all of them where none is, since a login will make them."""
    found = tuple(name for name in names if (home / name).exists())
    return found or tuple(names)


def _servers(ask: Ask) -> list[FoundAgent]:
    found: list[FoundAgent] = []
    for server in SERVERS:
        models = ask(server.port)
        if models is None:
            continue
        note = "its first model; name another one if it is too small for this" if models else "load a model first"
        address = f"http://{LOOPBACK}:{server.port}/v1"
        network = (f"localhost:{server.port}",)
        model = next(iter(models), "name-a-model")
        found.append(FoundAgent(server.name, "model", (), network, note=note, base_url=address, model=model))
    return found
