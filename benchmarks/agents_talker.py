"""An agent that talks: `python -I -S agents_talker.py acp|lines SECONDS RATE`. The standard library alone.

`acp`: over the Agent Client Protocol: words, thoughts, tool calls and, once a second, a permission that it waits for.
`lines`: the same words and tool calls as lines of `claude -p --output-format stream-json`. RATE updates a second in
blocks, twenty a second; it sleeps between them whatever its reader took, so that what it has to wait for is seen in its
time. At the end it writes a file, and its handoff where SWARM_HANDOFF says so.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCKS = 20
"""A second."""
WORDS = "a few words of what it is thinking about, "
OPTIONS = [{"optionId": "yes", "name": "Once", "kind": "allow_once"}]


def main() -> None:
    kind, seconds, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    if kind == "acp":
        serve(int(seconds * BLOCKS), rate // BLOCKS)
    else:
        speak(int(seconds * BLOCKS), rate // BLOCKS)


def serve(blocks: int, size: int) -> None:
    results = {"initialize": {"protocolVersion": 1, "agentInfo": {"name": "talker", "version": "1"}}}
    for line in sys.stdin:
        message = json.loads(line)
        method, ident = message.get("method"), message.get("id")
        result: dict[str, Any] = results.get(method, {})
        if method == "session/new":
            os.chdir(message["params"]["cwd"])
            result = {"sessionId": "s"}
        elif method == "session/prompt":
            for block in range(blocks):
                send_all([_update(each) for each in updates(block, size)])
                time.sleep(1 / BLOCKS)
                if block % BLOCKS == 0:
                    permission(block)
            hand_in()
            result = {"stopReason": "end_turn"}
        if ident is not None:
            send_all([{"id": ident, "result": result}])


def updates(block: int, size: int) -> Iterator[dict[str, Any]]:
    """A block of `session/update`s: a tool call that begins and ends, a thought, words."""
    call = {"toolCallId": f"t{block}", "title": f"Read part {block}", "kind": "read", "rawInput": {"path": "a.txt"}}
    yield {"sessionUpdate": "tool_call", **call, "status": "pending"}
    yield {"sessionUpdate": "tool_call_update", "toolCallId": f"t{block}", "status": "completed"}
    yield {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": f"{WORDS}{block}\n"}}
    for number in range(size - 3):
        end = "\n" if number == 0 else ""
        yield {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": f"{WORDS}{end}"}}


def _update(update: dict[str, Any]) -> dict[str, Any]:
    return {"method": "session/update", "params": {"sessionId": "s", "update": update}}


def permission(block: int) -> None:
    """Asks to change a file of the workspace, and waits for the answer."""
    path = str(Path.cwd() / "talk.txt")
    call = {"toolCallId": f"p{block}", "title": "Write talk.txt", "kind": "edit", "rawInput": {"path": path}}
    params = {"sessionId": "s", "toolCall": call, "options": OPTIONS}
    send_all([{"id": f"ask{block}", "method": "session/request_permission", "params": params}])
    while json.loads(sys.stdin.readline()).get("id") != f"ask{block}":
        pass


def send_all(messages: list[dict[str, Any]]) -> None:
    """Each with a write of its own, as agents do."""
    for message in messages:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def speak(blocks: int, size: int) -> None:
    say(type="system", subtype="init", session_id="s")
    for block in range(blocks):
        call = {"type": "tool_use", "id": f"t{block}", "name": "Read", "input": {"file_path": f"part {block}"}}
        say(type="assistant", message={"id": f"m{block}", "content": [call]})
        for number in range(size - 1):
            text = {"type": "text", "text": f"{WORDS}{number}"}
            say(type="assistant", message={"id": f"m{block}.{number}", "content": [text]})
        time.sleep(1 / BLOCKS)
    hand_in()
    usage = {"input_tokens": 1_000, "output_tokens": 500}
    say(type="result", subtype="success", is_error=False, result="done", total_cost_usd=0.01, usage=usage)


def say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def hand_in() -> None:
    folder = Path("docs")
    folder.mkdir(exist_ok=True)
    (folder / f"{os.getpid()}.md").write_text("Said.\n", encoding="utf-8")
    if place := os.environ.get("SWARM_HANDOFF"):
        Path(place).write_text('{"summary": "It has talked."}', encoding="utf-8")


if __name__ == "__main__":
    main()
