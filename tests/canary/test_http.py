"""Flows that speak HTTP to real servers: what was answered, when they are ready, what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.models.flow import Flow
from engine.process.tree import find_marked
from tests.canary.worlds import World, python

SERVER = """
    import json, os, socket, sys, time
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("listening", flush=True)
    while True:
        client, heard = server.accept()[0], b""
        while b"\\r\\n\\r\\n" not in heard and (more := client.recv(65536)):
            heard += more
        head, _, body = heard.partition(b"\\r\\n\\r\\n")
        if not head:
            continue
        method, path, *_ = head.decode().split()
        lines = (line.partition(": ") for line in head.decode().split("\\r\\n")[1:])
        headers = {name.lower(): value for name, _, value in lines}
        while len(body) < int(headers.get("content-length", 0)):
            body += client.recv(65536)
        if path == "/slow":
            time.sleep(60)
        status = 404 if path == "/missing" else 201 if method == "POST" else 200
        told = {"items": [1], "path": path}
        if method == "POST":
            told = {"heard": json.loads(body), "by": headers.get("x-name")}
        body = b"x" * 1_500_000 if path == "/large" else json.dumps(told).encode()
        top = f"HTTP/1.1 {status} X\\r\\nSet-Cookie: session=s3cret\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        try:
            client.sendall(top.encode() + body)
        except OSError:
            pass
        client.close()
        if path == "/quit":
            break
"""
"""Speaks just enough HTTP, and starts in a moment."""


def quick(code: str) -> list[str]:
    """As `python`, without what a venv adds."""
    return ["python", "-I", "-S", *python(code)[1:]]


def web(steps: list[dict[str, Any]], code: str = SERVER, **fields: Any) -> Flow:
    start = {"run": [*quick(code), "{port}"], "ready": {"http": "/health"}, "within": "20s"} | fields.pop("start", {})
    told = {"name": "web", "driver": "http", "isolate": {"ports": ["web"]}, "start": start, "steps": steps}
    return Flow.model_validate(told | {"stop": {"within": "50ms"}} | fields)


def get(path: str, **fields: Any) -> dict[str, Any]:
    return {"send": {"http": {"path": path, "within": "20s", **fields}}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_server_that_answers_as_it_should_passes_and_its_answers_are_kept(world: World) -> None:
    steps = [
        get("/items", headers={"authorization": "Bearer t0ken"}),
        {"assert": {"status": 200}},
        {"assert": {"fields": {"items": [1]}}},
        {"assert": {"body": "/items"}},
        {"assert": {"no_body": "error"}},
        get("/new", method="POST", json={"a": [1, "b"]}, headers={"x-name": "flow"}),
        {"assert": {"fields": {"heard": {"a": [1, "b"]}, "by": "flow"}}},
        {"sample": {"name": "answer_ms", "from": "http", "unit": "ms"}},
    ]
    outcome = await world.run(web(steps))
    assert outcome.verdict == "PASS", outcome.reason
    assert len(outcome.samples["answer_ms"]) == 2
    assert all(value > 0 for value in outcome.samples["answer_ms"])
    kept = world.artifact(outcome, "http")
    rows = [json.loads(line) for line in kept.splitlines()]
    assert [(row["request"]["path"], row["status"]) for row in rows] == [("/items", 200), ("/new", 201)]
    assert "t0ken" not in kept
    assert "s3cret" not in kept
    assert find_marked(world.ground.marker) == []


@pytest.mark.parametrize(
    ("path", "told", "seen"),
    [
        ("/items", {"status": 201}, "expected status 201, saw 200"),
        ("/missing", {"status": 200}, "saw 404"),
        ("/items", {"fields": {"items": [2]}}, 'expected fields {"items": [2]}'),
        ("/items", {"body": "nowhere"}, 'expected an answer with "nowhere"'),
        ("/items", {"no_body": "path"}, 'expected no answer with "path"'),
    ],
)
async def test_a_wrong_answer_fails(world: World, path: str, told: dict[str, Any], seen: str) -> None:
    outcome = await world.run(web([get(path), {"assert": told}]))
    assert outcome.verdict == "FAIL"
    assert seen in outcome.reason


async def test_what_was_not_read_to_its_end_proves_no_absence(world: World) -> None:
    outcome = await world.run(web([get("/large"), {"assert": {"no_body": "y"}}]))
    assert outcome.verdict == "INCONCLUSIVE"
    told = await world.run(web([get("/large"), {"assert": {"no_body": "x"}}]))
    assert told.verdict == "FAIL"


async def test_no_answer_in_time_fails_and_is_kept(world: World) -> None:
    outcome = await world.run(web([get("/slow", within="200ms")]))
    assert outcome.verdict == "FAIL"
    assert "no whole answer" in outcome.reason
    (row,) = [json.loads(line) for line in world.artifact(outcome, "http").splitlines()]
    assert row["status"] is None


async def test_a_server_that_crashes_fails_and_its_last_words_are_told(world: World) -> None:
    crash = SERVER.replace('if path == "/slow":', 'if path == "/die": os._exit(9)\n        if path == "/slow":')
    outcome = await world.run(web([get("/die")], crash))
    assert outcome.verdict == "FAIL"
    assert "a broken connection" in outcome.reason or "exited with 9" in outcome.reason


async def test_a_server_may_be_stopped_by_a_request(world: World) -> None:
    stop = {"send": {"http": {"method": "POST", "path": "/quit", "json": {}, "within": "20s"}}, "within": "20s"}
    outcome = await world.run(web([get("/items")], stop=stop))
    assert outcome.verdict == "PASS", outcome.reason


class TestReady:
    @pytest.mark.parametrize("ready", [{"tcp": "web"}, {"http": "/health"}, {"log": "listening"}])
    async def test_each_way_of_being_ready(self, world: World, ready: dict[str, str]) -> None:
        outcome = await world.run(web([get("/items"), {"assert": {"status": 200}}], start={"ready": ready}))
        assert outcome.verdict == "PASS", outcome.reason

    @pytest.mark.parametrize("ready", [{"tcp": "web"}, {"http": "/health"}])
    async def test_a_program_that_never_listens_is_not_ready(self, world: World, ready: dict[str, str]) -> None:
        code = "import time; time.sleep(60)"
        outcome = await world.run(web([], code, start={"ready": ready, "within": "300ms"}))
        assert outcome.verdict == "FAIL"
        assert "it was not ready" in outcome.reason

    async def test_an_answer_of_400_or_more_is_not_ready(self, world: World) -> None:
        outcome = await world.run(web([], start={"ready": {"http": "/missing"}, "within": "1s"}))
        assert outcome.verdict == "FAIL"

    async def test_a_program_that_ends_before_it_is_ready_fails_at_once(self, world: World) -> None:
        outcome = await world.run(web([], "import sys; sys.exit(3)", start={"within": "1h"}, timeout="1h"))
        assert outcome.verdict == "FAIL"
        assert "it exited with 3" in outcome.reason

    async def test_a_file_in_its_home(self, world: World) -> None:
        code = "import os, pathlib, time; pathlib.Path.home().joinpath('up').touch(); time.sleep(60)"
        for name, verdict in (("up", "PASS"), ("down", "FAIL")):
            start = {"run": python(code), "ready": {"file": name}, "within": "20s" if name == "up" else "300ms"}
            outcome = await world.run(web([], start=start))
            assert outcome.verdict == verdict, outcome.reason


class TestPorts:
    async def test_each_has_its_own_number_everywhere(self, world: World) -> None:
        tell = """
            import json, os, sys
            print(json.dumps({"kind": "ports", "argv": sys.argv[1:], "env": [os.environ["A"], os.environ["B"]]}))
        """
        start = {"run": [*python(tell), "{port}", "{port.web}", "--admin={port.admin}"], "ready": {"event": "ports"}}
        isolate = {"ports": ["web", "admin"], "env": {"A": "{port.admin}", "B": "isolate"}}
        outcome = await world.run(web([], start=start | {"env": {"B": "http://127.0.0.1:{port}/"}}, isolate=isolate))
        assert outcome.verdict == "PASS", outcome.reason
        (told,) = world.trace(outcome)
        first, web_port, admin = told["argv"]
        assert first == web_port
        assert first != admin.removeprefix("--admin=")
        assert told["env"] == [admin.removeprefix("--admin="), f"http://127.0.0.1:{first}/"]

    async def test_requests_go_to_the_port_that_they_name(self, world: World) -> None:
        two = """
            import selectors, socket, sys
            chosen = selectors.DefaultSelector()
            for name, port in zip((b"web", b"admin"), sys.argv[1:]):
                chosen.register(socket.create_server(("127.0.0.1", int(port))), selectors.EVENT_READ, name)
            while True:
                for key, _ in chosen.select():
                    client = key.fileobj.accept()[0]
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(key.data) + key.data)
                    client.close()
        """
        start = {"run": [*quick(two), "{port.web}", "{port.admin}"], "ready": {"tcp": "admin"}}
        steps = [
            get("/", port="admin"),
            {"assert": {"body": "admin"}},
            get("/"),
            {"assert": {"body": "web"}},
        ]
        outcome = await world.run(web(steps, start=start, isolate={"ports": ["web", "admin"]}))
        assert outcome.verdict == "PASS", outcome.reason
