"""The MCP server of a session, as the process that an agent starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.models.handoffs import ChangeSummary, parse_handoff
from engine.models.task import Operation
from roles.agents import handoff_server

Talk = Callable[..., list[Any]]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    """Gives the server lines; what it answers."""
    (tmp_path / "schema.json").write_text(json.dumps(ChangeSummary.model_json_schema()), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("handoff.json", "ask.json", "progress.jsonl", "schema.json")]

    def talk(*messages: Any) -> list[Any]:
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages]
        done = subprocess.run(
            [sys.executable, "-I", "-S", handoff_server.__file__, *files],
            input=b"\n".join(lines) + b"\n",
            capture_output=True,
            timeout=60,
            env={},
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return [json.loads(line) for line in done.stdout.splitlines()]

    return talk


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def said(answer: Any) -> tuple[str, bool]:
    """(text, whether it is an error)"""
    return answer["result"]["content"][0]["text"], answer["result"]["isError"]


def test_the_handshake_agrees_on_a_version(talk: Talk) -> None:
    for wanted, agreed in (("2024-11-05", "2024-11-05"), ("1999-01-01", handoff_server.VERSIONS[0])):
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": wanted}}
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        (answer,) = talk(hello, initialized)
        assert answer["result"]["protocolVersion"] == agreed
        assert answer["result"]["capabilities"] == {"tools": {}}


def test_tools_are_listed_with_the_fields_of_the_roles_handoff(talk: Talk) -> None:
    (answer,) = talk({"jsonrpc": "2.0", "id": "a", "method": "tools/list"})
    tools = {tool["name"]: tool["inputSchema"] for tool in answer["result"]["tools"]}
    assert set(tools) == {"submit_handoff", "report_progress", "ask_human"}
    assert {"summary", "risk", "rollback", "asks", "abort"} <= set(tools["submit_handoff"]["properties"])
    assert answer["id"] == "a"


def test_a_handoff_is_one_that_the_engine_takes(talk: Talk, tmp_path: Path) -> None:
    (answer,) = talk(call("submit_handoff", summary="ünïcode \u2028", risk="none"))
    assert said(answer) == ("Your handoff is taken. End your turn now.", False)
    handoff = parse_handoff((tmp_path / "handoff.json").read_bytes(), "implementer")
    assert handoff == ChangeSummary(summary="ünïcode \u2028", risk="none")


def test_giving_up_needs_nothing_but_the_reason(talk: Talk, tmp_path: Path) -> None:
    talk(call("submit_handoff", abort="the test is wrong", summary=""))
    assert json.loads((tmp_path / "handoff.json").read_bytes()) == {"abort": "the test is wrong"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (call("submit_handoff", risk="x"), "summary is missing"),
        (call("submit_handoff", summary="x", colour="red"), "colour is not a field"),
        (call("ask_human", argv="rm -r x", why="y"), "argv has to be"),
        (call("report_progress"), "text is missing"),
        (call("rm"), "there is no tool rm"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    talk: Talk, tmp_path: Path, message: dict[str, Any], words: str
) -> None:
    text, wrong = said(talk(message)[0])
    assert wrong
    assert words in text
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]


def test_a_question_is_one_that_the_engine_takes(talk: Talk, tmp_path: Path) -> None:
    talk(call("ask_human", argv=["rm", "-r", "x"], why="old", danger="large_deletion"))
    asked = Operation.model_validate_json((tmp_path / "ask.json").read_bytes())
    assert asked == Operation(argv=["rm", "-r", "x"], why="old", danger="large_deletion")


def test_progress_is_kept_up_to_its_limit(talk: Talk, tmp_path: Path) -> None:
    talk(*(call("report_progress", text="x" * 10_000) for _ in range(400)))
    rows = (tmp_path / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    assert 100 < len(rows) < 400
    assert all(json.loads(row)["text"] == "x" * handoff_server.TEXT_MAX for row in rows)


def test_nonsense_is_answered_and_does_not_end_it(talk: Talk) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answers = talk(b"{", b"[" * 9_000, b"7", b"\xff\xfe", {"id": 1}, {"id": 1, "method": "odd"}, b"", ping)
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32700, -32600, -32700, -32601, None]
