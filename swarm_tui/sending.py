"""Commands to an engine, running or not: refused at once when they could never be done."""

from __future__ import annotations

from typing import Any

from engine import read_only
from engine.client import Client
from engine.errors import JournalBroken, UserError
from engine.text.sanitise import sanitise_line

ANSWERS = ("approve", "deny")
GOLDENS = ("golden_accept", "golden_reject")


def send_or_refuse(client: Client, name: str, args: dict[str, Any]) -> str:
    """Send a command; the engine's answer as one clean sentence. Raises UserError when it is refused, JournalBroken in
    read-only mode."""
    if broken := read_only.reason(client.folders):
        raise JournalBroken(broken)
    if not client.engine_runs() and (wrong := _refused_offline(client, name, args)):
        raise UserError(wrong)
    answer = client.send(name, args)
    said = sanitise_line(str(answer["said"]))
    if not answer["ok"]:
        raise UserError(said)
    return said


def _refused_offline(client: Client, name: str, args: dict[str, Any]) -> str:
    """What can be said without an engine: a command that could never be done is not put into the inbox."""
    from engine.commands import find_approvable, find_asked, find_cancellable, find_golden, find_retryable

    if name in ("stop", "drain"):
        return "no engine runs this repository, so there is nothing to stop"
    try:
        if name in ANSWERS:
            find = find_approvable if name == "approve" else find_asked
            approval = find(client.state, args)
            waiting = [command for command in client.reader.open_commands() if command.name in ANSWERS]
            if any(command.args.get("id") == approval.id for command in waiting):
                return f"approval {approval.id} has its answer already; the next engine of this repository takes it"
        elif name in GOLDENS:
            golden, _ = find_golden(client.state, args)
            waiting = [command for command in client.reader.open_commands() if command.name in GOLDENS]
            if any(command.args.get("golden") == golden.id for command in waiting):
                return f"the golden {golden.id} is decided already; the next engine of this repository takes it"
        elif name == "retry":
            find_retryable(client.state, args["work_order"])
        elif name == "cancel":
            find_cancellable(client.state, args["work_order"])
    except UserError as error:
        return str(error)
    return ""
