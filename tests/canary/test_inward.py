"""The way into a sandbox: a flow speaks to a server that has no network, and the server still reaches nobody."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.drivers import inward
from canary.drivers.doors import open_doors
from canary.launch import Ground
from engine.models.flow import Flow
from engine.models.settings import SandboxSettings
from engine.ports import FlowOutcome, Sandbox
from engine.process.tree import find_marked
from engine.sandbox.choose import choose_sandbox
from tests.canary.test_http import get, quick, web
from tests.canary.worlds import World, flow
from tests.engine.egress.servers import raw_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a sandbox that is tested here")

REACHING = """
    import json, socket, sys
    def reaches(host, port):
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError:
            return False
        return True
    port, outside = map(int, sys.argv[1:])
    server = socket.create_server(("127.0.0.1", port))
    while True:
        client = server.accept()[0]
        client.recv(65536)
        body = json.dumps({"outside": reaches("127.0.0.1", outside), "port": port}).encode()
        client.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        client.close()
"""
"""Answers each request with what it can reach."""


@pytest.fixture
def outside() -> Iterator[int]:
    """The port of a server of this machine, to be reached by nobody inside."""
    with raw_server(lambda client: None) as port:
        yield port


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sandbox]:
    """Those that work here, probed once."""
    if sys.platform != "linux":
        pytest.skip("needs a sandbox that is tested here")
    state = tmp_path_factory.mktemp("sandboxes")
    return {kind: choose_sandbox(SandboxSettings(), state, among=[kind]) for kind in ("bubblewrap", "landlock")}


def world_in(kind: str, sandboxes: dict[str, Sandbox], folder: Path) -> World:
    if sandboxes[kind].name != kind:
        pytest.skip(f"{kind} does not work here")
    return World(folder, sandbox=sandboxes[kind])


def reaching(outside: int, within: str = "20s") -> Flow:
    run = [*quick(REACHING), "{port}", str(outside)]
    return web([get("/")], start={"run": run, "ready": {"tcp": "web"}, "within": within})


def told_by(world: World, outcome: FlowOutcome) -> dict[str, Any]:
    (row,) = [json.loads(line) for line in world.artifact(outcome, "http").splitlines()]
    return json.loads(row["body"])


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
async def test_a_flow_reaches_the_server_inside_and_the_server_nobody_outside(
    kind: str, sandboxes: dict[str, Sandbox], tmp_path: Path, outside: int
) -> None:
    world = world_in(kind, sandboxes, tmp_path)
    outcome = await world.run(reaching(outside))
    assert outcome.verdict == "PASS", outcome.reason
    assert told_by(world, outcome)["outside"] is False
    assert find_marked(world.ground.marker) == []
    bare = World(tmp_path / "bare")
    free = await bare.run(reaching(outside))
    assert free.verdict == "PASS", free.reason
    assert told_by(bare, free)["outside"] is True


LISTENING = """
    import json, socket, sys
    def listens(port):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True
    own = int(sys.argv[1])
    print(json.dumps({"kind": "told", "own": listens(own), "another": listens(own - 1)}), flush=True)
"""


@pytest.mark.parametrize(("ports", "held"), [(["web"], True), ([], False)])
async def test_under_landlock_a_program_listens_on_its_own_ports_alone(
    ports: list[str], held: bool, sandboxes: dict[str, Sandbox], tmp_path: Path
) -> None:
    world = world_in("landlock", sandboxes, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    start = {"run": [*quick(LISTENING), "{port}" if ports else str(number)], "ready": {"event": "told"}}
    outcome = await world.run(flow(start=start, stop={}, isolate={"ports": ports}))
    assert outcome.verdict == "PASS", outcome.reason
    (told,) = world.trace(outcome)
    assert (told["own"], told["another"]) == (held, False)


class _NoRelay(Ground):
    @property
    def doors(self) -> Path | None:
        return None


async def test_without_the_relay_nobody_gets_in(sandboxes: dict[str, Sandbox], tmp_path: Path) -> None:
    world = world_in("bubblewrap", sandboxes, tmp_path)
    world.ground = _NoRelay(**vars(world.ground))
    outcome = await world.run(reaching(1, within="1s"))
    assert outcome.verdict == "FAIL"
    assert "it was not ready" in outcome.reason


async def test_large_answers_come_through_whole(sandboxes: dict[str, Sandbox], tmp_path: Path) -> None:
    world = world_in("bubblewrap", sandboxes, tmp_path)
    large = """
        import socket, sys
        server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
        while True:
            client = server.accept()[0]
            heard = b""
            while b"END" not in heard and (more := client.recv(65536)):
                heard += more
            client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 900000\\r\\n\\r\\n" + b"%09d\\n" % len(heard) * 90000)
    """
    steps = [get("/", method="POST", text="x" * 500_000 + "END"), {"assert": {"status": 200}}]
    start = {"run": [*quick(large), "{port}"], "ready": {"tcp": "web"}}
    outcome = await world.run(web(steps, start=start))
    assert outcome.verdict == "PASS", outcome.reason
    row = json.loads(world.artifact(outcome, "http"))
    assert row["bytes"] == 900_000
    assert int(row["body"][:9]) > 500_000


async def test_a_link_that_the_program_lays_in_the_way_is_not_followed(tmp_path: Path) -> None:
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    folder, elsewhere = tmp_path / "doors", tmp_path / "elsewhere"
    async with open_doors(["web"], folder) as doors:
        door = folder / str(doors.ports["web"])

        async def somebody(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(inward.SOMEBODY)

        server = await asyncio.start_unix_server(somebody, elsewhere)
        door.symlink_to(elsewhere)
        assert not await doors.takes("web")
        door.unlink()
        elsewhere.rename(door)
        assert await doors.takes("web")
        server.close()


def test_the_command_keeps_its_exit_code_and_its_environment(tmp_path: Path) -> None:
    def run(*command: str) -> subprocess.CompletedProcess[str]:
        script = (sys.executable, "-I", "-S", inward.__file__, str(tmp_path), "--")
        env = {"A": "1", "LC_ALL": "C"}
        return subprocess.run((*script, *command), env=env, capture_output=True, text=True, check=False)

    said = run("/usr/bin/env")
    assert sorted(said.stdout.splitlines()) == ["A=1", "LC_ALL=C"]
    assert run("/bin/sh", "-c", "exit 7").returncode == 7
    assert run("/no/such/program").returncode == 127
    assert run(str(tmp_path)).returncode == 126
