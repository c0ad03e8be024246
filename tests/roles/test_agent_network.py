"""What a command agent reaches: the hosts of its settings and those that a person granted its order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engine.egress.way_out import Egress, enforces_hosts
from engine.executors.local import LocalExecutor
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, SandboxSettings
from engine.models.task import Task
from engine.ports import AgentResult, AgentRun
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from roles.agents import adapter_for
from tests.serving import serving

FETCH = """
import sys, urllib.request
for url in sys.argv[1:]:
    try: print(urllib.request.urlopen(url, timeout=20).read().decode())
    except OSError as error: print("no", error)
"""


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with serving(HTTPServer(("127.0.0.1", 0), Hello)) as server:
        yield server.server_port


async def perform(folder: Path, network: list[str], granted: tuple[str, ...], *urls: str) -> tuple[AgentResult, str]:
    sandbox = choose_sandbox(SandboxSettings(), folder)
    if not enforces_hosts(sandbox):
        pytest.skip("no sandbox of this machine can tell hosts apart")
    executor = LocalExecutor(sandbox, "1", egress=Egress(resolve=lambda name, port: ["127.0.0.1"], environ={}))
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    run_folder = folder / "runs" / str(len(granted))
    task = Task(role="implementer", work_order=WorkOrder(id="hello", title="Hello"), attempt=1, prompt="…")
    run = AgentRun(
        run_id="hello.1",
        agent="a",
        settings=AgentSettings(kind="command", run=["python", "-I", "-S", "-c", FETCH, *urls], network=network),
        task=task,
        workspace=workspace,
        side=run_folder / "side",
        folder=run_folder,
        readable=(),
        wall_s=60,
        idle_s=60,
        hosts=granted,
    )
    try:
        result = await adapter_for("command", executor, Programs(os.environ["PATH"]), folder).perform(run)
    finally:
        await executor.close()
    return result, (run_folder / "log").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="no sandbox there can tell hosts apart")
async def test_what_is_refused_can_be_granted_and_is_reached_then(tmp_path: Path, port: int) -> None:
    urls = (f"http://model.test:{port}/", f"http://registry.test:{port}/")
    network = [f"model.test:{port}", f"127.0.0.1:{port}"]
    result, said = await perform(tmp_path, network, (), *urls)
    assert (result.end, result.refused) == ("done", (f"registry.test:{port}",))
    assert said.splitlines()[0] == "hello"
    assert "no HTTP Error 403" in said
    result, said = await perform(tmp_path, network, result.refused, *urls)
    assert (result.end, result.refused) == ("done", ())
    assert said.splitlines() == ["hello", "hello"]
