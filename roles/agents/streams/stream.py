"""What a reader of a program's output gives: rows for people who look on, what was used, and how it ended."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from engine.models.usage import Usage
from engine.text.sanitise import sanitise_line

TEXT_MAX = 300
TOOL_MAX = 80


@dataclass(frozen=True)
class Row:
    """One thing that an agent said or did; clean and short. `call`: the same for tool calls that are the same in
    full, and for no others."""

    kind: Literal["message", "tool", "file", "notice"]
    text: str
    tool: str = ""
    call: str = ""

    def fields(self) -> dict[str, str]:
        """What its line in `progress.jsonl` holds beside the time."""
        more = {"tool": self.tool, "call": self.call} if self.kind == "tool" else {}
        return {"kind": self.kind, "text": self.text, **more}


@dataclass(frozen=True)
class Ended:
    """reason: "" nothing was said of an end. limit: its provider lets it do no more, until `resets_at` (seconds since
    the epoch) where that is known. why: one clause, clean; "" for a success. sure: False where it is guessed from words
    that may be about anything, and counts only for a program that failed."""

    reason: Literal["", "success", "error", "limit"] = ""
    why: str = ""
    resets_at: float | None = None
    sure: bool = True


class Stream(Protocol):
    """Reads what a program prints, a line at a time. Whatever it is given, it never raises."""

    def feed(self, line: str) -> list[Row]:
        """What is worth showing of one line."""
        ...

    def usage(self) -> Usage:
        """What was used, as far as it was said until now."""
        ...

    def ended(self) -> Ended:
        """How it ended, as far as it was said until now."""
        ...


def row(kind: Literal["message", "file", "notice"], text: str) -> Row:
    """A row with what is needed to show the text safely."""
    return Row(kind, sanitise_line(text.strip(), line_cap=TEXT_MAX))


def tool_row(tool: str, given: Any) -> Row:
    """A row for a call of a tool with these arguments."""
    name = sanitise_line(tool.strip(), line_cap=TOOL_MAX)
    return Row("tool", sanitise_line(_described(given), line_cap=TEXT_MAX), name, _digest(tool, given))


_TELLING = ("command", "cmd", "file_path", "filePath", "path", "pattern", "query", "url", "description")
"""Names of the argument that tells a person what a call is about, the best first."""


def _described(given: Any) -> str:
    if isinstance(given, dict):
        for name in _TELLING:
            value: Any = given.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if isinstance(value, str) and value.strip():
                return value.strip()
    return given.strip() if isinstance(given, str) else _dumped(given)


def _digest(tool: str, given: Any) -> str:
    return hashlib.sha256(f"{tool}\n{_dumped(given)}".encode("utf-8", "replace")).hexdigest()[:16]


def _dumped(given: Any) -> str:
    if given is None or given == {}:
        return ""
    try:
        return json.dumps(given, sort_keys=True)
    except (RecursionError, ValueError, TypeError):
        return "…"
