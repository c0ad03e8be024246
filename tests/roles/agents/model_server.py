"""A model server of our own on the loopback interface: what it answers is a script, whatever is asked.

| endpoint | as |
|---|---|
| `POST …/chat/completions` | OpenAI chat completions |
| `POST …/responses` | OpenAI responses |
| `POST …/messages` | Anthropic messages |
| `POST …:generateContent`, `…:streamGenerateContent` | Gemini |

Streamed (server-sent events) where the request wants that. A step is used up by a request that offers tools; one that
offers none (a title, a classifier) is answered `SIDE_ANSWER` and uses up nothing. For trying by hand, `python -m
tests.roles.agents.model_server` serves one answer for ever.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from tests.serving import serving

SIDE_ANSWER = "ok"
INPUT_TOKENS, OUTPUT_TOKENS = 100, 20
"""What every answer says that it took."""


@dataclass(frozen=True)
class Say:
    """A text, then calls of tools: (regular expression for the name among those that are offered, arguments)."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()


@dataclass(frozen=True)
class Fail:
    """An HTTP error with a provider's JSON, and Retry-After in seconds."""

    status: int = 429
    message: str = "Rate limit reached"
    retry_after: int | None = None


@dataclass(frozen=True)
class Cut:
    """The connection breaks in the middle of the answer's head (or of its stream, where it streams)."""


Step = Say | Fail | Cut


@dataclass
class Model:
    """The steps that are left; the last one is repeated. `requests`: (path, body) of all, for assertions."""

    steps: Sequence[Step]
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    missing: list[str] = field(default_factory=list[str])
    """Names that no offered tool has."""
    _used: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, path: str, body: dict[str, Any], tools: Sequence[str]) -> Step:
        with self._lock:
            self.requests.append((path, body))
            if not tools:
                return Say(SIDE_ANSWER)
            step = self.steps[min(self._used, len(self.steps) - 1)]
            self._used += 1
            return self._named(step, tools) if isinstance(step, Say) else step

    def _named(self, step: Say, tools: Sequence[str]) -> Say:
        calls: list[tuple[str, Mapping[str, Any]]] = []
        for pattern, arguments in step.calls:
            name = next((tool for tool in tools if re.search(pattern, tool)), None)
            if name is None:
                self.missing.append(f"{pattern} among {', '.join(tools)}")
                return Say(f"There is no tool {pattern}.")
            calls.append((name, arguments))
        return Say(step.text, calls)

    @property
    def used(self) -> int:
        """Steps that were given, repetitions included."""
        return self._used


@contextmanager
def model_server(steps: Sequence[Step]) -> Iterator[tuple[str, Model]]:
    """(`http://127.0.0.1:PORT`, what it does) while it is open."""
    model = Model(steps)
    handler = type("Handler", (_Handler,), {"model": model})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", model


Event = tuple[str, dict[str, Any]]
"""(name of the event or "", its data)"""
_idents = itertools.count(1)


def openai_chat(step: Say, stream: bool) -> dict[str, Any] | list[Event]:
    """One `chat.completion`, or its chunks."""
    head = {"id": f"chatcmpl-{next(_idents)}", "created": 1, "model": "scripted"}
    calls = [
        {"id": f"call_{next(_idents)}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for name, given in step.calls
    ]
    reason = "tool_calls" if calls else "stop"
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    if not stream:
        message = {"role": "assistant", "content": step.text or None, **({"tool_calls": calls} if calls else {})}
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        return {**head, "object": "chat.completion", "choices": choices, "usage": usage}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return "", {**head, "object": "chat.completion.chunk", "choices": choices}

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": word}) for word in re.findall(r"\S+\s*|\s+", step.text)]
    events += [chunk({"tool_calls": [{"index": index, **call}]}) for index, call in enumerate(calls)]
    usage_chunk = {**head, "object": "chat.completion.chunk", "choices": list[Any](), "usage": usage}
    return [*events, chunk({}, reason), ("", usage_chunk)]


def openai_responses(step: Say, stream: bool) -> dict[str, Any] | list[Event]:
    """One `response`, or the events that make it."""
    ident = f"resp_{next(_idents)}"
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    output: list[dict[str, Any]] = []
    if step.text:
        content = [{"type": "output_text", "text": step.text, "annotations": list[Any]()}]
        item = {"type": "message", "id": f"msg_{next(_idents)}", "role": "assistant", "status": "completed"}
        output.append({**item, "content": content})
    for name, given in step.calls:
        number = next(_idents)
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
        output.append({**item, "name": name, "arguments": json.dumps(given)})
    base = {"id": ident, "object": "response", "created_at": 1, "model": "scripted"}
    whole = {**base, "status": "completed", "output": output, "usage": usage}
    if not stream:
        return whole
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**base, "status": "in_progress", "output": list[Any]()}}
    ]
    for index, item in enumerate(output):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            part = {"type": "output_text", "text": "", "annotations": list[Any]()}
            begun = {**item, "status": "in_progress", "content": list[Any]()}
            events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
            events.append({"type": "response.content_part.added", **at, "content_index": 0, "part": part})
            events.append({"type": "response.output_text.delta", **at, "content_index": 0, "delta": step.text})
            events.append({"type": "response.output_text.done", **at, "content_index": 0, "text": step.text})
            done = {**part, "text": step.text}
            events.append({"type": "response.content_part.done", **at, "content_index": 0, "part": done})
        else:
            begun = {**item, "status": "in_progress", "arguments": ""}
            events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
            given = item["arguments"]
            events.append({"type": "response.function_call_arguments.delta", **at, "delta": given})
            events.append({"type": "response.function_call_arguments.done", **at, "arguments": given})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [(str(event["type"]), {**event, "sequence_number": number}) for number, event in enumerate(events)]


def anthropic_messages(step: Say, stream: bool) -> dict[str, Any] | list[Event]:
    """One `message`, or the events that make it."""
    content: list[dict[str, Any]] = [{"type": "text", "text": step.text}] if step.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{next(_idents)}", "name": name, "input": dict(given)}
        for name, given in step.calls
    ]
    reason = "tool_use" if step.calls else "end_turn"
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    head = {"id": f"msg_{next(_idents)}", "type": "message", "role": "assistant", "model": "scripted"}
    if not stream:
        return {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    empty = {**head, "content": list[Any](), "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": empty}]
    for index, block in enumerate(content):
        if block["type"] == "text":
            begun, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            given = json.dumps(block["input"])
            begun, delta = {**block, "input": dict[str, Any]()}, {"type": "input_json_delta", "partial_json": given}
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    said = {"stop_reason": reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": said, "usage": {"output_tokens": OUTPUT_TOKENS}})
    events.append({"type": "message_stop"})
    return [(str(event["type"]), event) for event in events]


def gemini(step: Say, stream: bool) -> dict[str, Any] | list[Event]:
    """One `GenerateContentResponse`, or the same as a stream of one."""
    parts: list[dict[str, Any]] = [{"text": step.text}] if step.text else []
    parts += [{"functionCall": {"name": name, "args": dict(given)}} for name, given in step.calls]
    whole = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "modelVersion": "scripted",
    }
    return [("", whole)] if stream else whole


class _Handler(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = cast("dict[str, Any]", json.loads(raw or b"{}"))
        path = self.path.partition("?")[0]
        stream = bool(body.get("stream")) or path.endswith(":streamGenerateContent")
        if path.endswith(":countTokens"):
            self._json(200, {"totalTokens": INPUT_TOKENS})
            return
        makes = {
            "/chat/completions": openai_chat,
            "/responses": openai_responses,
            "/messages": anthropic_messages,
            ":generateContent": gemini,
            ":streamGenerateContent": gemini,
        }
        make = next((makes[end] for end in makes if path.endswith(end)), None)
        if make is None:
            self._json(404, {"error": {"message": f"there is no {path}"}})
            return
        step = self.model.next(path, body, tools_of(body))
        if isinstance(step, Fail):
            headers = {} if step.retry_after is None else {"Retry-After": str(step.retry_after)}
            kinds = {"type": "rate_limit_error", "status": "RESOURCE_EXHAUSTED"} if step.status == 429 else {}
            error = {"message": step.message, "code": step.status, **kinds}
            self._json(step.status, {"type": "error", "error": error}, headers)
            return
        answer = make(Say("a few words, and th") if isinstance(step, Cut) else step, stream)
        if isinstance(answer, list):
            self._events(answer, done=make is openai_chat, cut=isinstance(step, Cut))
        elif isinstance(step, Cut):
            self._reset()
        else:
            self._json(200, answer)

    def _events(self, events: list[Event], *, done: bool, cut: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, data in events[:2] if cut else events:
            self.wfile.write(f"{f'event: {name}{chr(10)}' if name else ''}data: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()
        if cut:
            self._reset()
        elif done:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _reset(self) -> None:
        """Not an end, but a broken connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _json(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def tools_of(body: Mapping[str, Any]) -> list[str]:
    """Names of the tools that a request offers, in any of the formats."""
    found: list[str] = []
    for tool in cast("list[dict[str, Any]]", body.get("tools") or []):
        for one in cast("list[dict[str, Any]]", tool.get("functionDeclarations") or [tool.get("function") or tool]):
            if isinstance(one.get("name"), str):
                found.append(one["name"])
    return found


if __name__ == "__main__":
    with model_server([Say("Hello from a script.")]) as (url, _model):
        print(url, flush=True)
        threading.Event().wait()
