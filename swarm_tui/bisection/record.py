"""The record of a search on disk: one line a run, hardened before the next one is chosen, so that the same command line
goes on after anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.culprit import Outcome
from engine.durable import sync_file, write_durably


class Ran(BaseModel):
    """One run: of which commit, how it ended (`exit_code`; None when its time was up), and after how many seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: int
    commit: str
    outcome: Outcome
    exit_code: int | None
    duration_s: float


def key_of(
    good: str, bad: str, argv: Sequence[str], *, first_parent: bool, folder: Path, timeout_s: float | None
) -> str:
    """The name of a search: the same ends, command, time for a run and repository give the same one."""
    asked = json.dumps([good, bad, list(argv), first_parent, str(folder), timeout_s])
    return hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Record:
    """The file of one search. Its last line is torn when a machine dies while it is written; that run is then lost."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, asked: dict[str, Any], *, fresh: bool) -> list[Ran]:
        """The runs of an earlier call that did not come to its end; a new file where there is none, or `fresh`."""
        head, runs, ended = self._read()
        if head is None or ended or fresh:
            write_durably(self._path, _line({"kind": "search", "schema": 1, **asked}))
            return []
        whole = [_line(head), *(_line({"kind": "run", **each.model_dump()}) for each in runs)]
        write_durably(self._path, b"".join(whole))
        return runs

    def add(self, ran: Ran) -> None:
        """Durable when it returns."""
        self._append({"kind": "run", **ran.model_dump()})

    def end(self, verdict: dict[str, Any]) -> None:
        """The search came to its end: the same call begins a new one."""
        self._append({"kind": "verdict", **verdict})

    def _append(self, fields: dict[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(_line(fields))
            file.flush()
            sync_file(file.fileno())

    def _read(self) -> tuple[dict[str, Any] | None, list[Ran], bool]:
        head: dict[str, Any] | None = None
        runs: list[Ran] = []
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return None, [], False
        for line in lines:
            try:
                fields = json.loads(line)
                kind = fields.get("kind")
                if kind == "search" and fields.get("schema") == 1:
                    head = cast("dict[str, Any]", fields)
                elif kind == "run":
                    runs.append(Ran.model_validate(fields))
                elif kind == "verdict":
                    return head, runs, True
            except (ValueError, AttributeError, ValidationError):
                break  # a torn line: nothing after it is believed
        return head, runs, False


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
