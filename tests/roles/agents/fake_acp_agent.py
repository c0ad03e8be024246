"""A scripted agent that speaks the Agent Client Protocol: `python -I -S fake_acp_agent.py SCENARIO [ARGUMENT ...]`.

The standard library alone, so that it starts fast and can break every rule. What it was answered goes to stderr, and so
into the run's log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPTIONS = [
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "yes", "name": "Once", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]
MODES = {
    "currentModeId": "yolo",
    "availableModes": [{"id": each, "name": each} for each in ("yolo", "plan", "default")],
}


class Peer:
    """The agent's end. Arguments are those of the command line after the scenario's name."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.cwd, self.server, self.prompts = "", {}, 0
        self.mode = ""
        self._ident = 1_000
        self._turn: Any = None

    def send(self, message: dict[str, Any]) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def update(self, **update: Any) -> None:
        self.send({"method": "session/update", "params": {"sessionId": "s1", "update": update}})

    def talk(self, text: str) -> None:
        self.update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The response, whole."""
        self._ident += 1
        self.send({"id": self._ident, "method": method, "params": {"sessionId": "s1", **params}})
        while True:
            message = self.read()
            if message.get("id") == self._ident and "method" not in message:
                return message
            self.say(f"meanwhile {message.get('method')}")

    def permission(self, **call: Any) -> str:
        """The id of the option that was chosen, or "cancelled"."""
        response = self.ask("session/request_permission", toolCall={"toolCallId": "t", **call}, options=OPTIONS)
        outcome = response["result"]["outcome"]
        chosen = outcome.get("optionId", outcome["outcome"])
        self.say(f"permission {chosen}")
        return chosen

    def read(self) -> dict[str, Any]:
        line = sys.stdin.buffer.readline()
        if not line:
            sys.exit(0)
        return json.loads(line)

    def hand_in(self, **fields: Any) -> str:
        """By the MCP server that the session offers; what it answers."""
        env = {entry["name"]: entry["value"] for entry in self.server["env"]}
        child = subprocess.Popen(
            [self.server["command"], *self.server["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        assert child.stdin
        assert child.stdout
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        call = {"name": fields.pop("tool", "submit_handoff"), "arguments": fields}
        said: list[Any] = []
        for ident, method, params in ((1, "initialize", hello), (2, "tools/list", {}), (3, "tools/call", call)):
            message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
            child.stdin.write(json.dumps(message).encode() + b"\n")
            child.stdin.flush()
            said.append(json.loads(child.stdout.readline())["result"])
        child.stdin.close()
        child.wait()
        text = said[-1]["content"][0]["text"]
        self.say(f"tools {[tool['name'] for tool in said[1]['tools']]}: {text}")
        return text

    def end(self, reason: str = "end_turn", **more: Any) -> None:
        self.send({"id": self._turn, "result": {"stopReason": reason, **more}})

    def fail(self, code: int, message: str, data: Any = None) -> None:
        self.send({"id": self._turn, "error": {"code": code, "message": message, "data": data}})

    def serve(self, scenario: Callable[[Peer], None]) -> None:
        while True:
            message = self.read()
            method, ident, params = message.get("method"), message.get("id"), message.get("params", {})
            if method == "initialize":
                result: dict[str, Any] = {"protocolVersion": 1, "agentInfo": {"name": "fake", "version": "1"}}
            elif method == "session/new":
                self.cwd, (self.server, *_) = params["cwd"], params["mcpServers"]
                os.chdir(self.cwd)
                result = {"sessionId": "s1", "modes": MODES}
                if scenario is never_asks:
                    result["modes"] = {"currentModeId": "yolo", "availableModes": [{"id": "yolo", "name": "x"}]}
            elif method == "session/set_mode":
                self.mode = params["modeId"]
                self.say(f"mode {self.mode}")
                result = {}
            elif method == "session/prompt":
                self._turn, self.prompts = ident, self.prompts + 1
                self.say(f"prompt {self.prompts}: {params['prompt'][0]['text'][:40]!r}")
                scenario(self)
                continue
            elif method == "session/cancel":
                self.say("cancelled")
                self.end("cancelled")
                continue
            else:
                self.send({"id": ident, "error": {"code": -32601, "message": "no such method"}})
                continue
            self.send({"id": ident, "result": result})


def honest(peer: Peer) -> None:
    """An edit with permission, whose input was told before; usage; a handoff."""
    path = str(Path(peer.cwd, "hello.txt"))
    peer.talk("I will write ")
    peer.talk("a file.\nNow.")
    peer.update(sessionUpdate="tool_call", toolCallId="t", title="Write hello.txt", kind="edit", status="pending",
                rawInput={"file_path": path})  # fmt: skip
    if peer.permission() == "yes":
        Path(path).write_text("hello", encoding="utf-8")
    peer.update(sessionUpdate="tool_call_update", toolCallId="t", status="completed")
    peer.update(sessionUpdate="usage_update", used=50, size=100, cost={"amount": 0.25, "currency": "USD"})
    peer.hand_in(summary="says hello", risk="none", rollback="delete it")
    peer.end(usage={"inputTokens": 100, "outputTokens": 20, "totalTokens": 120})


def asks(peer: Peer) -> None:
    """One permission for the call in the argument (JSON); then it hands in whatever was answered."""
    chosen = peer.permission(**json.loads(peer.arguments[0]))
    peer.hand_in(summary=chosen)
    peer.end()


def files(peer: Peer) -> None:
    """Each argument is a path to read and then to write."""
    for path in peer.arguments:
        read = peer.ask("fs/read_text_file", path=path)
        peer.say(f"read {path}: {read.get('result', read.get('error'))}")
        written = peer.ask("fs/write_text_file", path=path, content="changed")
        peer.say(f"write {path}: {written.get('result', written.get('error'))}")
    peer.say(f"terminal: {peer.ask('terminal/create', command='ls').get('error')}")
    peer.hand_in(summary="files")
    peer.end()


def crash(peer: Peer) -> None:
    peer.talk("something goes wr")
    print("Traceback: boom", file=sys.stderr, flush=True)
    os._exit(7)


def hang(peer: Peer) -> None:
    peer.talk("thinking")
    while True:
        time.sleep(3600)


def deaf(peer: Peer) -> None:
    """Hears nothing any more, but writes a file, so that a test can know when."""
    Path("deaf").write_text("", encoding="utf-8")
    hang(peer)


def waits(peer: Peer) -> None:
    """Ends its turn when it is cancelled."""
    Path("waits").write_text("", encoding="utf-8")


def flood(peer: Peer) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x" * 900}}
    line = json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": update}})
    block = (line + "\n").encode() * 500
    while True:
        peer.write(block)


def endless_line(peer: Peer) -> None:
    while True:
        peer.write(b"x" * 1_000_000)


def broken(peer: Peer) -> None:
    """What no message may be, and an honest end."""
    peer.write(b"warning: something\n{not json}\n[1, 2]\n\xff\xfe\n" + b"[" * 50_000 + b"\n")
    peer.write(b'{"jsonrpc":"2.0","id":[1],"result":{}}\n{"jsonrpc":"2.0","id":{},"method":"x"}\n')
    peer.write(b'{"jsonrpc":"2.0","id":0,"error":"text"}\n{"jsonrpc":"2.0","method":7}\n')
    peer.send({"method": "session/update", "params": {"update": "text"}})
    peer.send({"method": "session/update", "params": [1]})
    peer.update(sessionUpdate="from_the_future", data=1)
    peer.update(sessionUpdate="tool_call", toolCallId=7, title=["x"], locations="x", rawInput=[1], content={"a": 1})
    peer.say(f"unknown: {peer.ask('from/the_future').get('error')}")
    honest(peer)


def only_noise(peer: Peer) -> None:
    while True:
        peer.write(b"noise\n")


def invalid(peer: Peer) -> None:
    """As many invalid handoffs as the argument says, then a valid one."""
    if peer.prompts <= int(peer.arguments[0]):
        peer.hand_in(summary=["not", "a", "text"])
    else:
        peer.hand_in(summary="at last")
    peer.end()


def never_asks(peer: Peer) -> None:
    """Writes where the arguments say, with nobody's permission."""
    for path in peer.arguments:
        try:
            Path(path).write_text("mine", encoding="utf-8")
            peer.say(f"wrote {path}")
        except OSError as error:
            peer.say(f"no {path}: {error.strerror}")
    peer.hand_in(summary="did it")
    peer.end()


def writes(peer: Peer) -> None:
    """The same as an agent that offers a mode which asks."""
    never_asks(peer)


def limit(peer: Peer) -> None:
    details = "429 Too Many Requests: rate limit reached, try again at 10:00"
    peer.fail(-32603, "Internal error", {"details": details})


def fault(peer: Peer) -> None:
    peer.fail(-32603, "Internal error", {"details": "no such model"})


def fails_with(peer: Peer) -> None:
    """An error of these words and data."""
    peer.fail(-32603, peer.arguments[0], json.loads(peer.arguments[1]))


def refusal(peer: Peer) -> None:
    peer.end("refusal")


def questions(peer: Peer) -> None:
    """Asks a person by the tool, and ends its turn."""
    peer.hand_in(tool="ask_human", argv=["rm", "-r", "old"], why="it is old", danger="large_deletion")
    peer.end()


def nags(peer: Peer) -> None:
    """Asks for ever for what it may not have."""
    while True:
        peer.permission(kind="edit", locations=[{"path": "/etc/passwd"}])


def repeats(peer: Peer) -> None:
    """Does the same for ever."""
    for _ in range(10_000):
        peer.update(sessionUpdate="tool_call", toolCallId="t", title="Read a.txt", kind="read", status="completed")
    peer.read()
    peer.end("cancelled")


def circles(peer: Peer) -> None:
    """So many calls, each told in parts; those of "same" read the same lines of a file, others read on."""
    count, which = int(peer.arguments[0]), peer.arguments[1]
    for number in range(count):
        ident, line = f"call-{number}", 1 if which == "same" else number
        peer.update(sessionUpdate="tool_call", toolCallId=ident, title="Read a.txt", kind="read", status="pending")
        peer.update(sessionUpdate="tool_call_update", toolCallId=ident, rawInput={"path": "a.txt", "line": line})
        peer.update(sessionUpdate="tool_call_update", toolCallId=ident, status="completed")
        time.sleep(0.02)
    peer.hand_in(summary="read it")
    peer.end()


def orphan(peer: Peer) -> None:
    """Leaves a process in a session of its own behind."""
    code = "import time; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], start_new_session=True)
    peer.say(f"left {child.pid}")
    honest(peer)


def busy(peer: Peer) -> None:
    """200 updates a second for as many seconds as the argument says."""
    for number in range(int(float(peer.arguments[0]) * 20)):
        for _ in range(10):
            peer.talk(f"word{number} ")
        time.sleep(0.05)
    peer.hand_in(summary="busy")
    peer.end()


def main() -> None:
    name, *arguments = sys.argv[1:]
    Peer(arguments).serve(globals()[name])


if __name__ == "__main__":
    main()
