"""`swarm train`: each change on its way to main, what it waits for, what is assumed, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from engine.client import Client
from engine.models.status import TrainStatus
from engine.text.sanitise import sanitise_line
from engine.train_status import train_rows
from swarm_tui.place import find_folders
from swarm_tui.pull_requests import waiting_lines


def print_train(repo: Path | None, state: Path | None, *, as_json: bool) -> None:
    """The queue in its order. Raises UserError when there is no journal."""
    client = Client.attach(find_folders(repo, state))
    try:
        rows, waiting = train_rows(client.state), waiting_lines(client.state)
    finally:
        client.close()
    if as_json:
        sys.stdout.write(json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n")
        return
    lines = [line for row in rows for line in _lines(row)] or ["nothing is on its way to main"]
    lines += waiting
    sys.stdout.write("\n".join(lines) + "\n")


def _lines(row: TrainStatus) -> list[str]:
    name = sanitise_line(row.work_order or row.change)
    lines = [f"{row.place:>3}  {name}", f"     waits for {sanitise_line(row.waits_for)}"]
    if row.beside:
        lines.append(f"     tried together with {sanitise_line(', '.join(row.beside))}")
    lines.append(f"     {sanitise_line(row.why)}")
    return lines
