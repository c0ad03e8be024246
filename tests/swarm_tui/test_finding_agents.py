"""Which coding agents `swarm init` finds, and what it writes for each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import get_args

import pytest

from engine.loading import read_settings
from engine.models.settings import RoleName
from swarm_tui.finding_agents import KNOWN, find_agents, models_at, usage_of, version_of
from swarm_tui.starting import initial_files
from tests.serving import serving

NAMES = [known.name for known in KNOWN]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(folder: Path, *names: str) -> str:
    """The PATH on which these are."""
    for name in names:
        for program in (folder / name, folder / f"{name}.exe"):
            program.write_text("", encoding="utf-8")
            program.chmod(0o755)
    return str(folder)


def found(path: str, home: Path, **environment: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {each.name: (each.kind, each.run) for each in find_agents(path, home=home, environment=environment)}


def test_nothing_is_found_where_nothing_is(programs: Path) -> None:
    assert find_agents(str(programs), environment={}) == []


def test_every_known_agent_is_found_by_each_of_its_programs(programs: Path, tmp_path: Path) -> None:
    for known in KNOWN:
        for way in known.ways:
            alone = programs / f"{known.name}-{way.run[0]}"
            alone.mkdir()
            assert found(install(alone, way.run[0]), tmp_path)[known.name] == (way.kind, way.run)


def test_the_protocol_is_preferred_to_a_plain_command(programs: Path, tmp_path: Path) -> None:
    path = install(programs, "claude")
    assert found(path, tmp_path)["claude"][0] == "command"
    install(programs, "claude-agent-acp")
    assert found(path, tmp_path)["claude"] == ("acp", ("claude-agent-acp",))


def test_a_key_of_the_environment_makes_the_home_folder_needless(programs: Path, tmp_path: Path) -> None:
    path = install(programs, "claude-agent-acp")
    (login,) = find_agents(path, home=tmp_path, environment={})
    assert (login.home, "ANTHROPIC_API_KEY" in login.env) == ((".claude", ".claude.json"), False)
    (key,) = find_agents(path, home=tmp_path, environment={"ANTHROPIC_API_KEY": "sk-secret-value"})
    assert (key.home, key.env["ANTHROPIC_API_KEY"]) == ((), "$ANTHROPIC_API_KEY")
    assert "sk-secret-value" not in repr(key)


def test_of_a_login_only_what_is_there_is_shown(programs: Path, tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (agent,) = find_agents(install(programs, "claude"), home=tmp_path, environment={})
    assert agent.home == (".claude",)


def test_all_of_them_can_be_switched_on(programs: Path, tmp_path: Path) -> None:
    path = install(programs, *(way.run[0] for known in KNOWN for way in known.ways))
    agents = find_agents(path, home=tmp_path, environment={"GEMINI_API_KEY": "x"}, ask=lambda port: [f"model-{port}"])
    text = initial_files(tmp_path, path=path, agents=agents)["swarm.toml"]
    assert read_settings(text).sound().agents == {}
    on = read_settings(re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)).sound()
    assert list(on.agents) == [*NAMES, "ollama", "lmstudio"]
    assert on.roles == dict.fromkeys(get_args(RoleName), NAMES[0])
    for each in agents:
        written = on.agents[each.name]
        assert (written.kind, tuple(written.run), tuple(written.home)) == (each.kind, each.run, each.home)
        assert (tuple(written.network), written.env) == (each.network, dict(each.env))
    assert on.agents["ollama"].base_url == "http://127.0.0.1:11434/v1"
    assert on.agents["ollama"].model == "model-11434"
    assert on.agents["ollama"].network == ["localhost:11434"]
    keys = [line for line in text.splitlines() if re.match(r"#\w+ = ", line)]
    assert [line for line in keys if "  # " not in line] == []


class Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = self.server.said  # type: ignore[attr-defined]
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with serving(HTTPServer(("127.0.0.1", 0), Models)) as found:
        yield found


@pytest.mark.parametrize(
    ("said", "models"),
    [
        (json.dumps({"object": "list", "data": [{"id": "qwen3-coder"}, {"id": "b"}]}), ["qwen3-coder", "b"]),
        (json.dumps({"data": []}), []),
        (json.dumps({"data": [{"id": "a\x1b[31m"}, {"id": 7}, "x", {}]}), []),
        (json.dumps({"data": None}), None),
        (json.dumps([1]), None),
        ("<html>", None),
        ("[" * 100_000, None),
    ],
)
def test_a_model_server_on_this_machine_is_asked_for_its_models(
    server: HTTPServer, said: str, models: list[str] | None
) -> None:
    server.said = said.encode()  # type: ignore[attr-defined]
    assert models_at(server.server_port) == models


def test_where_nobody_listens_there_is_no_server(server: HTTPServer) -> None:
    server.server_close()
    assert models_at(server.server_port) is None


def test_only_what_says_its_version_and_no_more_is_started_for_it() -> None:
    assert version_of(["/opt/bin/codex", "exec", "x"]) == ("/opt/bin/codex", "--version")
    assert version_of(["mini", "--task", "x"]) is None
    assert version_of(["python3", "tools/agent.py"]) is None
    assert version_of([]) is None
    assert (usage_of(["claude", "-p"], "command"), usage_of(["gemini", "-p"], "command")) == ("run", "")
