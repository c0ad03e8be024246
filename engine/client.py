"""The client of an engine in this process or another: snapshot, events by seq, commands, lossy progress.

The journal is the only thing the two share, so a client sees the same whether the engine runs here, elsewhere or not
at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import read_only
from engine.errors import JournalBroken, Unanswered
from engine.fold import apply
from engine.folders import StateFolder
from engine.journal import JournalReader
from engine.lock import InstanceLock
from engine.models.event import Event
from engine.snapshot import fold
from engine.state import State

ANSWER_POLL_S = 0.05
MOST_TAIL_BYTES = 1_000_000


@dataclass
class Client:
    """A view of one state folder. `state` is what this client has seen so far; `catch_up` moves it on."""

    folders: StateFolder
    reader: JournalReader
    state: State = field(default_factory=State)

    @classmethod
    def attach(cls, folders: StateFolder) -> Client:
        """Read the newest snapshot and the events after it. Raises UserError if there is no journal, or a newer one."""
        reader = JournalReader(folders.journal)
        return cls(folders, reader, fold(reader.newest_snapshot(), lambda after: reader.events(after)))

    def catch_up(self, limit: int = 1_000) -> list[Event]:
        """The events since the last call, oldest first, already folded into `state`."""
        events = list(self.reader.events(self.state.seq, limit))
        for event in events:
            apply(self.state, event)
        return events

    def engine_runs(self) -> bool:
        return InstanceLock(self.folders.lock).holder() is not None

    def send(self, name: str, args: dict[str, Any] | None = None, *, wait_s: float = 5.0) -> dict[str, Any]:
        """Put a command into the inbox and wait for its answer. Without a running engine it waits there for
        the next one. Raises JournalBroken in read-only mode, with nothing written."""
        if broken := read_only.reason(self.folders):
            raise JournalBroken(broken)
        number = self.reader.send(name, args)
        if not self.engine_runs():
            return {"ok": True, "said": "noted; the next engine of this repository does it"}
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            answer = self.reader.command_answer(number)
            if answer is not None:
                return answer
            time.sleep(ANSWER_POLL_S)
        raise Unanswered("the engine has not answered yet; the command is in its inbox")

    def close(self) -> None:
        self.reader.close()


@dataclass
class Tail:
    """Reads what was appended to a file of JSON lines since the last look. Half lines wait; what is no JSON, or longer
    than any sensible line, is skipped."""

    path: Path
    offset: int = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                raw = file.read(MOST_TAIL_BYTES)
        except OSError:
            return
        end = raw.rfind(b"\n") + 1 or (len(raw) if len(raw) == MOST_TAIL_BYTES else 0)
        self.offset += end
        for line in raw[:end].splitlines():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found


def progress_files(folders: StateFolder) -> list[Path]:
    """The lossy progress files of runs that are there now."""
    return sorted(folders.runs.glob("*/progress.jsonl")) if folders.runs.is_dir() else []
