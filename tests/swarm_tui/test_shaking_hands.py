"""`swarm check` starts each agent in the sandbox, shakes hands, and says what it can; nobody's model is asked."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.egress.way_out import enforces_hosts
from engine.folders import StateFolder
from engine.models.settings import AgentSettings, SandboxSettings, Settings
from engine.process import tree
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox
from roles.agents.acp import session
from swarm_tui import shaking_hands
from swarm_tui.shaking_hands import Handshakes, shake_hands
from tests.roles.agents import fake_acp_agent
from tests.roles.agents.real_agents import REAL, RealAgent
from tests.roles.agents.real_agents import program as real_program
from tests.serving import serving

FAKE = str(Path(fake_acp_agent.__file__))
PYTHON = str(Path(getattr(sys, "_base_executable", "") or sys.executable).resolve())


def fake(scenario: str, **more: Any) -> AgentSettings:
    return AgentSettings(kind="acp", run=[PYTHON, "-I", "-S", FAKE, scenario], home=[FAKE], **more)


def program(folder: Path, name: str, text: str) -> str:
    """A program of ours with the name of a known agent."""
    path = folder / name
    path.write_text(f"#!{PYTHON} -IS\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def _no_long_wait_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SERVER_S", 0.5)


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


def shaken(folders: StateFolder, *, bare: bool = True, **agents: AgentSettings) -> Handshakes:
    settings = Settings(agents=agents, roles={"implementer": next(iter(agents))})
    sandbox = NoSandbox() if bare else choose_sandbox(SandboxSettings(), folders.root)
    if not bare and sandbox.name == "none":
        pytest.skip("there is no sandbox on this machine")
    return shake_hands(settings, folders, folders.root, sandbox)


def test_an_agent_of_the_protocol_says_what_it_can_and_gets_no_prompt(folders: StateFolder) -> None:
    made = shaken(folders, bare=False, honest=fake("honest", network=["api.example.com"]))
    (met,) = made.agents
    assert (met.answers, met.agent, met.asks, met.resume) == (True, "fake 1", True, False), met.why
    assert (met.mcp, met.usage, met.network, met.wants) == (None, "", ("api.example.com",), ())
    assert made.problems(Settings(roles={"implementer": "honest"})) == []
    if sys.platform == "linux":
        assert set(made.nests) == {"namespaces", "landlock"}
    assert not (folders.root / "handshakes").exists()
    assert tree.find_marked(folders.marker) == []


GREETS = """
import json, os, subprocess, sys
for line in sys.stdin:
    said = json.loads(line)
    method, result = said["method"], {}
    if method == "initialize":
        can = {"loadSession": True, "mcpCapabilities": {"http": True}}
        result = {"protocolVersion": 1, "agentCapabilities": can, "agentInfo": {"name": "greeter", "version": "2"}}
    elif method == "session/new":
        server = said["params"]["mcpServers"][0]
        child = subprocess.Popen([server["command"], *server["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\\n')
        child.stdin.flush()
        tools = json.loads(child.stdout.readline())["result"]["tools"]
        assert "submit_handoff" in [tool["name"] for tool in tools]
        result = {"sessionId": "s"}
    elif method == "session/prompt":
        open(os.environ["SWARM_PROMPTED"], "w").close()
    print(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": result}), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a program by its first line")
def test_one_that_starts_our_server_and_keeps_sessions_is_told_apart(
    folders: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompted = tmp_path / "prompted"
    monkeypatch.setattr(session, "SERVER_S", 60.0)  # it ends as soon as the server was started
    run = [program(tmp_path, "greeter", GREETS)]
    (met,) = shaken(folders, a=AgentSettings(kind="acp", run=run, env={"SWARM_PROMPTED": str(prompted)})).agents
    assert (met.answers, met.mcp, met.resume, met.asks) == (True, True, True, None), met.why
    assert not prompted.exists()


def test_one_that_cannot_be_used_is_an_error_where_a_role_is_its(folders: StateFolder) -> None:
    gone = AgentSettings(kind="acp", run=[PYTHON, "-c", "raise SystemExit(9)"])
    missing = AgentSettings(kind="acp", run=["no-such-agent"])
    made = shaken(folders, never=fake("never_asks"), gone=gone, missing=missing)
    why = {each.name: each.why for each in made.agents}
    assert {each.answers for each in made.agents} == {False}
    assert "offers no mode that asks" in why["never"]
    assert "exit code 9" in why["gone"]
    assert "no-such-agent" in why["missing"]
    problems = made.problems(Settings(roles={"implementer": "gone"}))
    assert {problem.where: problem.level for problem in problems} == {
        "agent never": "warning",
        "agent gone": "error",
        "agent missing": "warning",
    }


def test_one_that_says_nothing_is_not_waited_for_for_ever(
    folders: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaking_hands, "WALL_S", 1.0)
    (met,) = shaken(folders, a=AgentSettings(kind="acp", run=[PYTHON, "-c", "import time; time.sleep(600)"])).agents
    assert met.answers is False
    assert met.why
    assert tree.find_marked(folders.marker) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a program by its first line")
def test_a_known_command_says_its_version_and_another_is_not_started(folders: StateFolder, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    codex = program(
        tmp_path, "codex", "import sys; print('codex-cli 1.2.3' if sys.argv[1:] == ['--version'] else sys.argv)"
    )
    broken = program(tmp_path, "aider", "raise SystemExit('no module named x')")
    unknown = program(tmp_path, "mine", f"open({str(marks / 'started')!r}, 'w').close()")
    made = shaken(
        folders,
        codex=AgentSettings(kind="command", run=[codex, "exec", "--json", "{prompt_file}"]),
        broken=AgentSettings(kind="command", run=[broken, "{prompt_file}"]),
        mine=AgentSettings(kind="command", run=[unknown]),
    )
    codex_, broken_, mine = made.agents
    assert (codex_.answers, codex_.agent, codex_.usage, codex_.asks) == (True, "codex-cli 1.2.3", "turn", False)
    assert (broken_.answers, "exit code 1: no module named x" in broken_.why) == (False, True)
    assert (mine.answers, list(marks.iterdir())) == (None, [])
    assert "not started" in made.lines()[2]


REACHES = """
import os, urllib.error, urllib.request
try:
    urllib.request.urlopen("http://elsewhere.example.org/", timeout=20)
except (OSError, urllib.error.URLError):
    print("1.0")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a sandbox that tells hosts apart")
def test_hosts_that_it_wants_before_it_is_told_anything_are_named(folders: StateFolder, tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(), folders.root)
    if not enforces_hosts(sandbox):
        pytest.skip("this machine's sandbox does not tell hosts apart")
    codex = AgentSettings(kind="command", run=[program(tmp_path, "codex", REACHES)], home=[str(tmp_path / "codex")])
    (met,) = shaken(folders, bare=False, codex=codex).agents
    assert (met.answers, met.wants) == (True, ("elsewhere.example.org:80",)), met.why


@pytest.mark.real_agents
@pytest.mark.slow
@pytest.mark.parametrize("agent", REAL, ids=[agent.name for agent in REAL])
def test_agents_that_nobody_here_wrote_shake_hands(folders: StateFolder, agent: RealAgent) -> None:
    argv, folder = real_program(agent)
    # A server that nobody listens at: what would ask a model would fail.
    settings = AgentSettings(kind="acp", run=argv, home=[str(folder)], env=dict(agent.env("http://127.0.0.1:9")))
    (met,) = shaken(folders, bare=False, real=settings).agents
    assert (met.answers, met.asks, met.resume) == (True, True, True), met.why
    assert met.agent.lower().startswith(agent.name), met.agent
    assert tree.find_marked(folders.marker) == []


def test_scripts_and_models_are_looked_for(folders: StateFolder) -> None:
    (folders.root / "scripts").mkdir()
    made = shaken(
        folders,
        there=AgentSettings(kind="script", scripts="scripts"),
        not_there=AgentSettings(kind="script", scripts="other"),
        model=AgentSettings(kind="model", base_url="http://127.0.0.1:1/v1", model="m"),
    )
    assert [each.answers for each in made.agents] == [True, False, False]
    assert made.nests == {}
    rows = made.as_json()
    assert [row["name"] for row in json.loads(json.dumps(rows))] == ["there", "not_there", "model"]


def test_without_agents_nothing_is_started(folders: StateFolder) -> None:
    assert shake_hands(Settings(), folders, folders.root, NoSandbox()) == Handshakes()


def test_secrets_and_escapes_of_an_agent_are_not_printed(
    folders: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("a program by its first line")
    monkeypatch.setenv("AGENT_KEY", "very-secret-value-1234")
    text = "import os; print('\\x1b[31m' + os.environ['AGENT_KEY'])"
    run = [program(tmp_path, "pi", text), "x"]
    (met,) = shaken(folders, pi=AgentSettings(kind="command", run=run, env={"AGENT_KEY": "$AGENT_KEY"})).agents
    assert met.answers is True, met.why
    assert "very-secret" not in met.agent
    assert "\x1b" not in met.agent
    assert os.environ["AGENT_KEY"] == "very-secret-value-1234"


def listing(seen: list[tuple[str, str]], known: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("x-api-key", "")))
            body = json.dumps({"data": [{"id": "m"}]}).encode("ascii")
            self.send_response(200 if self.path == known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Nobody reads it."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.mark.parametrize(
    ("path", "key", "known", "model", "answers"),
    [
        ("/v1", "OPENAI_API_KEY", "/v1/models", "m", True),
        ("/v1", "OPENAI_API_KEY", "/v1/models", "other", False),
        ("/anthropic", "ANTHROPIC_API_KEY", "/anthropic/v1/models", "m", True),
        ("/anthropic", "ANTHROPIC_API_KEY", "/nowhere", "m", None),
    ],
)
def test_a_model_server_is_asked_as_in_a_run(
    folders: StateFolder, path: str, key: str, known: str, model: str, answers: bool | None
) -> None:
    seen: list[tuple[str, str]] = []
    with serving(listing(seen, known)) as server:
        url = f"http://127.0.0.1:{server.server_port}{path}"
        env = {"SOME_KEY": "another", key: "mine"}
        (met,) = shaken(folders, a=AgentSettings(kind="model", base_url=url, model=model, env=env)).agents
    assert met.answers is answers, met.why
    assert seen == [(f"{path.removesuffix('/v1')}/v1/models", "mine")]


def test_a_model_without_the_packages_for_it_does_not_answer(
    folders: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (met,) = shaken(folders, a=AgentSettings(kind="model", base_url="http://127.0.0.1:1/v1", model="m")).agents
    assert (met.answers, "swarm-tui[model]" in met.why) == (False, True)
