"""An MCP server on stdio for an agent's session: `python -I -S handoff_server.py HANDOFF ASK PROGRESS SCHEMA`.

It runs inside the agent's sandbox, with the standard library alone, and does no more than the agent could do by itself:
write its handoff, its question and its progress to the files of its side folder. What it writes is believed no more
than what the agent writes. SCHEMA is the JSON Schema of the role's handoff.

The protocol is that of https://modelcontextprotocol.io/specification: JSON-RPC 2.0, one message a line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Newest first. What is used of the protocol is the same in all of them."""
LINE_MAX = 4_000_000
TEXT_MAX = 4_000
PROGRESS_MAX = 1_000_000
"""Bytes of progress that are kept."""
_TEXT = {"type": "string"}
ASK_SCHEMA = {
    "type": "object",
    "properties": {
        "argv": {"type": "array", "items": _TEXT, "minItems": 1, "description": "The exact command, as a list."},
        "why": {**_TEXT, "description": "Why it is needed."},
        "danger": {**_TEXT, "description": "large_deletion, dependency, network, rewrite_history, protected_file, …"},
        "cwd": {**_TEXT, "description": "Folder relative to the workspace; default: the workspace."},
    },
    "required": ["argv", "why"],
}
PROGRESS_SCHEMA = {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}


class Refused(Exception):
    """A tool call that cannot be done; the message is for the agent."""


class Files:
    """The side folder's files, and the schema of the handoff."""

    def __init__(self, handoff: Path, ask: Path, progress: Path, schema: dict[str, Any]) -> None:
        self._handoff, self._ask, self._progress = handoff, ask, progress
        self.schema = schema

    def hand_in(self, arguments: dict[str, Any]) -> str:
        required = cast("list[str]", self.schema.get("required", []))
        missing = [name for name in required if name not in arguments]
        if missing and "abort" not in arguments:
            raise Refused(f"{', '.join(missing)} is missing: give it, or abort with the reason")
        unknown = [name for name in arguments if name not in self._properties()]
        if unknown:
            raise Refused(f"{', '.join(unknown)[:TEXT_MAX]} is not a field of this handoff")
        if "abort" in arguments:
            arguments = {"abort": arguments["abort"]}
        _write(self._handoff, json.dumps(arguments))
        return "Your handoff is taken. End your turn now."

    def report_progress(self, arguments: dict[str, Any]) -> str:
        text = str(arguments.get("text", ""))[:TEXT_MAX]
        if not text:
            raise Refused("text is missing")
        row = json.dumps({"at": round(time.time(), 3), "kind": "progress", "text": text}) + "\n"
        size = self._progress.stat().st_size if self._progress.exists() else 0
        if size + len(row) <= PROGRESS_MAX:
            with self._progress.open("a", encoding="utf-8") as file:
                file.write(row)
        return "Noted."

    def ask_human(self, arguments: dict[str, Any]) -> str:
        argv = arguments.get("argv")
        if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in cast("list[Any]", argv)):
            raise Refused("argv has to be the command as a list of texts")
        fields = {name: str(arguments[name]) for name in ("cwd", "why", "danger") if arguments.get(name)}
        _write(self._ask, json.dumps({"argv": argv, **fields}))
        return "Your question is taken. End your turn now: you are started again when somebody has answered."

    def tools(self) -> list[dict[str, Any]]:
        handoff = {"type": "object", "properties": self._properties()}
        if "$defs" in self.schema:
            handoff["$defs"] = self.schema["$defs"]
        said = (
            ("submit_handoff", "Hand in your work, or `abort` with the reason if it cannot be done.", handoff),
            ("report_progress", "Tell in one sentence what you do now.", PROGRESS_SCHEMA),
            ("ask_human", "Ask for a dangerous operation that you may not do yourself.", ASK_SCHEMA),
        )
        return [{"name": name, "description": text, "inputSchema": schema} for name, text, schema in said]

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """What the agent is told. Raises Refused."""
        acts = {
            "submit_handoff": self.hand_in,
            "report_progress": self.report_progress,
            "ask_human": self.ask_human,
        }
        if name not in acts:
            raise Refused(f"there is no tool {name[:TEXT_MAX]}: there are {', '.join(acts)}")
        try:
            return acts[name](arguments)
        except OSError as error:
            raise Refused(f"it could not be written: {error.strerror}") from error

    def _properties(self) -> dict[str, Any]:
        known = cast("dict[str, Any]", self.schema.get("properties", {}))
        return {**known, "abort": {**_TEXT, "description": "Alone: why it cannot be done as written."}}


def _write(path: Path, text: str) -> None:
    """All or nothing: who reads meanwhile reads the old one."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def answer(message: Any, files: Files) -> dict[str, Any] | None:
    """The response to one message; None for a notification, and for what asks for none."""
    if not isinstance(message, dict):
        return _error(None, -32600, "a message is one JSON object")
    fields = cast("dict[str, Any]", message)
    ident, method = fields.get("id"), fields.get("method")
    params = fields.get("params")
    params = cast("dict[str, Any]", params) if isinstance(params, dict) else {}
    if ident is None or not isinstance(method, str):
        return None
    if method == "initialize":
        wanted = params.get("protocolVersion")
        version = wanted if wanted in VERSIONS else VERSIONS[0]
        info = {"name": "swarm", "version": "1"}
        return _result(ident, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
    if method == "ping":
        return _result(ident, {})
    if method == "tools/list":
        return _result(ident, {"tools": files.tools()})
    if method == "tools/call":
        arguments = params.get("arguments")
        arguments = cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
        try:
            text, wrong = files.call(str(params.get("name", "")), arguments), False
        except Refused as error:
            text, wrong = str(error), True
        return _result(ident, {"content": [{"type": "text", "text": text}], "isError": wrong})
    return _error(ident, -32601, f"there is no method {method[:TEXT_MAX]}")


def _result(ident: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ident, "result": result}


def _error(ident: Any, code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ident, "error": {"code": code, "message": text}}


def serve(source: BinaryIO, sink: BinaryIO, files: Files) -> None:
    """Until the other side closes. A line that is no JSON gets an error, one that is too long ends it."""
    while line := source.readline(LINE_MAX + 1):
        if len(line) > LINE_MAX:
            return
        if not line.strip():
            continue
        try:
            said = answer(json.loads(line), files)
        except (ValueError, RecursionError):
            said = _error(None, -32700, "that is no JSON")
        if said is not None:
            sink.write(json.dumps(said).encode("ascii") + b"\n")
            sink.flush()


def main(arguments: list[str]) -> int:
    """0 when the other side has closed; 2 when it cannot begin."""
    if len(arguments) != 4:
        print("usage: handoff_server.py HANDOFF ASK PROGRESS SCHEMA", file=sys.stderr)
        return 2
    handoff, ask, progress, schema = (Path(os.path.abspath(each)) for each in arguments)  # noqa: PTH100
    try:
        fields = cast("dict[str, Any]", json.loads(schema.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        print(f"the schema cannot be read: {error}", file=sys.stderr)
        return 2
    serve(sys.stdin.buffer, sys.stdout.buffer, Files(handoff, ask, progress, fields))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
