"""`swarm golden`: what canary runs propose to record as right, with the difference; a person accepts or rejects it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from engine.client import Client
from engine.errors import UserError
from engine.folders import StateFolder
from engine.golden_state import Golden, pending
from engine.goldens import find_pending
from engine.state import State
from engine.status import golden_status
from engine.text.sanitise import sanitise_line
from swarm_tui.place import find_folders
from swarm_tui.room.golden_facts import facts_of, kind_of
from swarm_tui.room.words import age
from swarm_tui.sending import send_or_refuse


def review(repo: Path | None, state: Path | None, *, as_json: bool) -> int:
    """Print what waits, oldest first, with all that a person judges by; 0."""
    folders = find_folders(repo, state)
    client = Client.attach(folders)
    try:
        waiting = pending(client.state.goldens.values())
    finally:
        client.close()
    if as_json:
        rows = [_row(folders, one) for one in waiting]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")  # ASCII: titles and traces hold anything
        return 0
    if not waiting:
        sys.stdout.write("no golden waits: what canary runs showed is what is recorded, or was decided\n")
        return 0
    sys.stdout.write("\n".join(line for one in waiting for line in _lines(folders, one, time.time())) + "\n")
    return 0


def accept(repo: Path | None, state: Path | None, name: str, *, every: bool, keyed: bool) -> int:
    """Take one, or all that wait, for right; 0. keyed: for this system and renderer alone. Raises UserError."""
    client = Client.attach(find_folders(repo, state))
    try:
        if every == bool(name):
            raise UserError("name the golden to accept, or say --all: `swarm golden review` lists them")
        chosen = pending(client.state.goldens.values()) if every else [_exactly(client.state, name)]
        if not chosen:
            raise UserError("no golden waits, so there is nothing to accept")
        for one in chosen:
            args = {"golden": one.id, "path": one.keyed if keyed else one.path}
            sys.stdout.write(send_or_refuse(client, "golden_accept", args) + "\n")
    finally:
        client.close()
    return 0


def _exactly(state: State, name: str) -> Golden:
    """A path or a flow names whatever waits there by now; only the id stands for the content that somebody looked at.
    Raises UserError."""
    one = find_pending(state, name)
    if one.id != name:
        said = sanitise_line(name)
        raise UserError(
            f"{said} could be something else by now: look at {one.id} in `swarm golden review` and name that"
        )
    return one


def reject(repo: Path | None, state: Path | None, name: str, why: str) -> int:
    """Say that the program is wrong, and not the golden; 0. Raises UserError."""
    client = Client.attach(find_folders(repo, state))
    try:
        one = find_pending(client.state, name)
        sys.stdout.write(send_or_refuse(client, "golden_reject", {"golden": one.id, "why": why}) + "\n")
    finally:
        client.close()
    return 0


def _row(folders: StateFolder, one: Golden) -> dict[str, Any]:
    facts = facts_of(folders, one)
    files = {what: str(path) for what, path in facts.files}
    rows = [f"{sign}{text}" for sign, text in facts.rows]
    return {**golden_status(one).model_dump(mode="json"), "keyed": one.keyed, "rows": rows, "files": files}


def _lines(folders: StateFolder, one: Golden, now: float) -> list[str]:
    facts = facts_of(folders, one)
    whose = f" by {sanitise_line(one.order)}" if one.order else ""
    lines = [
        f"{one.id}  {kind_of(one)}  {sanitise_line(one.path)}",
        f"  flow {sanitise_line(one.flow)} on {one.commit[:12]}{whose}, {age(now - one.seen_at)} ago",
    ]
    lines += [f"  {sanitise_line(one.said)}"] if one.said else []
    lines += [f"  it did not land: {sanitise_line(one.why)}"] if one.why else []
    lines += [f"  {facts.problem}"] if facts.problem else []
    lines += [f"  {sign}{text}" for sign, text in facts.rows]
    if not facts.rows:
        lines += [f"  {what:<11}{path}" for what, path in facts.files]
    return [*lines, f"  → swarm golden accept {one.id}, or swarm golden reject {one.id} --why …", ""]
