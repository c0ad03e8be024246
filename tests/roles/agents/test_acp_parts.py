"""The parts of the ACP adapter by themselves: messages, modes, calls, figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.agents.acp import transport
from roles.agents.acp.calls import Calls, command_of, request_of
from roles.agents.acp.known import environment_for, has_own_files, usage_scope
from roles.agents.acp.modes import NEVER, asking_mode
from roles.agents.acp.spent import Spent
from roles.agents.acp.transport import ChannelTransport

WORK = Path("/work").absolute()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Pieces:
    """A channel with these pieces in it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self.written = b""

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def write(self, data: bytes) -> None:
        self.written += data


async def received(*pieces: bytes) -> tuple[list[dict[str, Any]], ChannelTransport]:
    found: list[dict[str, Any]] = []
    reading = ChannelTransport(Pieces(pieces))
    while (message := await reading.receive()) is not None:
        found.append(message)
        if "method" in message and "id" in message:
            await reading.send({"id": message["id"], "result": {}})
    return found, reading


class TestTransport:
    @settings(max_examples=40)
    @given(
        st.lists(st.dictionaries(st.just("params"), JSON, max_size=1), max_size=8),
        st.lists(st.integers(1, 60)),
        st.data(),
    )
    async def test_messages_are_whole_however_they_are_cut(
        self, bodies: list[dict[str, Any]], cuts: list[int], data: st.DataObject
    ) -> None:
        messages = [{"jsonrpc": "2.0", "method": "m", **body} for body in bodies]
        raw = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
        pieces, at = list[bytes](), 0
        for cut in cuts:
            pieces.append(raw[at : at + cut])
            at += cut
        assert (await received(*pieces, raw[at:]))[0] == messages

    @settings(max_examples=40)
    @given(st.binary(max_size=300))
    async def test_no_bytes_do_any_harm(self, raw: bytes) -> None:
        found, _ = await received(raw + b"\n", b'{"id": 1, "result": 2}\n')
        assert found[-1] == {"id": 1, "result": 2}

    @settings(max_examples=40)
    @given(JSON, JSON, JSON)
    async def test_what_comes_through_is_well_formed(self, ident: Any, method: Any, error: Any) -> None:
        said = json.dumps({"id": ident, "method": method, "error": error}).encode()
        for message in (await received(said + b"\n" + said.replace(b'"method"', b'"other"') + b"\n"))[0]:
            assert isinstance(message.get("id"), int | str | None)
            if "method" in message:
                assert isinstance(message["method"], str)
            else:
                assert "result" in message or isinstance(message["error"], dict)

    async def test_a_line_that_is_too_long_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "LINE_MAX", 100)
        found, reading = await received(b'{"method":"a"}\n', b"x" * 80, b"x" * 80, b"\n")
        assert [message["method"] for message in found] == ["a"]
        assert "more than 100 bytes" in reading.trouble

    async def test_no_more_requests_are_taken_than_are_answered(self) -> None:
        import asyncio

        line = b"".join(b'{"id":%d,"method":"ask"}\n' % number for number in range(transport.OPEN_MAX + 1))
        reading = ChannelTransport(Pieces([line]))
        for _ in range(transport.OPEN_MAX):
            assert await reading.receive() is not None
        next_one = asyncio.ensure_future(reading.receive())
        await asyncio.wait((next_one,), timeout=0.05)
        assert not next_one.done()
        await reading.send({"id": 0, "result": {}})
        assert await next_one is not None


class TestModes:
    @pytest.mark.parametrize(
        ("offered", "current", "chosen"),
        [
            (["default", "autoEdit", "yolo", "plan"], "yolo", "default"),  # Gemini CLI
            (["build", "plan"], "plan", "build"),  # opencode
            (["bypassPermissions", "dontAsk", "acceptEdits", "default", "plan"], "bypassPermissions", "default"),
            (["read-only", "auto", "full-access"], "full-access", "read-only"),  # Codex
            (["auto", "approve", "smart_approve", "chat"], "auto", "approve"),  # goose
            (
                ["https://x/session-modes#autopilot", "https://x/session-modes#agent"],
                "",
                "https://x/session-modes#agent",
            ),
            (["yolo", "mine"], "yolo", "mine"),
            (["yolo", "plan"], "yolo", None),
            (["auto-approve"], "auto-approve", None),
        ],
    )
    def test_one_that_asks_is_chosen(self, offered: list[str], current: str, chosen: str | None) -> None:
        assert asking_mode(offered, current) == chosen

    @settings(max_examples=40)
    @given(
        st.lists(st.sampled_from(["yolo", "Bypass-Permissions", "default", "x#YOLO", "auto", "plan", "odd"])), st.text()
    )
    def test_one_that_never_asks_is_never_chosen(self, offered: list[str], current: str) -> None:
        chosen = asking_mode(offered, current)
        assert chosen is None or (chosen in offered and not NEVER.search(chosen.lower().replace("-", "")))


class TestCalls:
    def test_a_later_part_replaces_what_it_names_and_leaves_the_rest(self) -> None:
        calls = Calls()
        calls.merge(
            {"toolCallId": "1", "kind": "execute", "title": "Run", "rawInput": {"command": "make", "cwd": "/x"}}
        )
        call = calls.merge({"toolCallId": "1", "title": "Run it", "kind": None, "rawInput": None})
        assert (call.kind, call.title, call.command, call.cwd) == ("execute", "Run it", "make", "/x")
        assert calls.merge({"toolCallId": "2"}).command == ""

    def test_a_path_that_was_named_once_stays_one_that_is_touched(self) -> None:
        calls = Calls()
        calls.merge({"toolCallId": "1", "kind": "edit", "locations": [{"path": "/etc/passwd"}]})
        call = calls.merge({"toolCallId": "1", "locations": [{"path": "a.txt"}]})
        assert set(request_of(call, WORK).paths) == {str(WORK / "a.txt"), str(Path(WORK, "/etc/passwd"))}

    @settings(max_examples=40)
    @given(st.dictionaries(st.sampled_from(["toolCallId", "kind", "title", "rawInput", "locations", "content"]), JSON))
    def test_nothing_that_is_said_does_any_harm(self, said: dict[str, Any]) -> None:
        call = Calls().merge(said)
        request_of(call, WORK)
        assert command_of(call)

    @pytest.mark.parametrize(
        ("command", "argv"),
        [
            ("rm -r 'a b'", ["rm", "-r", "a b"]),
            ("rm *.o", ["sh", "-c", "rm *.o"]),
            ("A=1 make", ["sh", "-c", "A=1 make"]),
            ("unclosed '", ["sh", "-c", "unclosed '"]),
            (["bash", "-lc", "make && x"], ["sh", "-c", "make && x"]),
            (["git", "status"], ["git", "status"]),
        ],
    )
    def test_what_a_person_is_asked_about_does_what_the_call_would(self, command: Any, argv: list[str]) -> None:
        assert command_of(Calls().merge({"kind": "execute", "rawInput": {"command": command}})) == argv

    @pytest.mark.parametrize("line", ["x $(rm y)", "x `rm y`", "x <<E\nrm y\nE", "a\nb", "open '"])
    def test_a_line_that_a_shell_reads_otherwise_is_shown_as_a_script(self, line: str) -> None:
        call = Calls().merge({"kind": "execute", "rawInput": {"command": line}})
        assert request_of(call, WORK).argv == ("sh", "-c", line)

    @pytest.mark.parametrize(
        ("given", "host"),
        [
            ({"url": "https://a.example:8443/x"}, "a.example:8443"),
            ({"prompt": "read https://b.example/x and tell"}, "b.example"),
            ({"url": "http://[bad"}, ""),
            ({}, ""),
        ],
    )
    def test_the_host_of_a_fetch_is_found(self, given: dict[str, str], host: str) -> None:
        assert request_of(Calls().merge({"kind": "fetch", "rawInput": given}), WORK).host == host


class TestSpent:
    def test_turns_are_summed_and_the_cost_is_the_latest(self) -> None:
        spent = Spent()
        for cost in (0.1, 0.3):
            spent.update({"cost": {"amount": cost, "currency": "USD"}})
            spent.turn({"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}})
        assert (spent.tokens, spent.input, spent.output, spent.cost) == (30, 20, 10, 0.3)
        assert (spent.usage().tokens, spent.usage().cost, spent.usage().scope) == (30, 0.3, "turn")

    def test_another_currency_is_no_cost(self) -> None:
        spent = Spent()
        spent.update({"cost": {"amount": 2.0, "currency": "EUR"}})
        assert (spent.cost, spent.usage().cost) == (2.0, None)

    def test_geminis_own_figures_are_taken(self) -> None:
        spent = Spent()
        spent.turn({"_meta": {"quota": {"token_count": {"input_tokens": 7, "output_tokens": 3}}}})
        assert (spent.tokens, spent.record()["source"]) == (10, "_meta.quota.token_count")

    @settings(max_examples=40)
    @given(JSON)
    def test_nonsense_is_unknown(self, said: Any) -> None:
        spent = Spent()
        spent.turn({"usage": said})
        spent.update({"cost": said})
        assert spent.tokens is None
        assert spent.cost is None
        assert not spent.usage().known
        spent.update({"cost": {"amount": float("nan")}})
        assert spent.cost is None


def test_known_agents_are_told_to_ask_whatever_their_file_is_called() -> None:
    for program in ("opencode", "/usr/bin/opencode", r"C:\x\opencode.CMD"):
        assert json.loads(environment_for(program)["OPENCODE_PERMISSION"])["bash"] == "ask"
    assert environment_for("mine") == {}
    assert (has_own_files("/x/gemini"), has_own_files("mine")) == (True, False)
    assert (usage_scope("OpenCode"), usage_scope("mine")) == ("step", "turn")


def test_opencode_is_told_to_go_on_after_a_denial_beside_what_its_user_told_it() -> None:
    name, more = "OPENCODE_CONFIG_CONTENT", {"experimental": {"batch_tool": True}, "model": "local/m"}
    assert json.loads(environment_for("opencode")[name]) == {"experimental": {"continue_loop_on_deny": True}}
    told = json.loads(environment_for("opencode", {name: json.dumps(more)})[name])
    assert told == {"experimental": {"batch_tool": True, "continue_loop_on_deny": True}, "model": "local/m"}
    for own in ('{"experimental": {"continue_loop_on_deny": false}}', "$MINE", '{"experimental": 1}', "[]"):
        given = environment_for("opencode", {name: own})[name]
        assert given == own
    assert environment_for("mine", {name: "{}"}) == {name: "{}"}
