"""What a run's folder holds beside its log, read for people. Agents may write there, so nothing in it is trusted."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

CAP_BYTES = 300_000
MOST_DEEP = 40

# A pipe that was put in place of a file must not hang the room; a link must not lead it away.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Said:
    """A file's text, not yet sanitised. `problem`: why there is none. `note`: what is left out."""

    text: str = ""
    problem: str = ""
    note: str = ""

    @property
    def table(self) -> dict[str, Any]:
        """The JSON object in it; empty when it is none, or one that is nested too deep to be written out."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) and not _is_deep(found) else {}


@dataclass(frozen=True)
class RunFiles:
    """All that is read of one run's folder. `handoff` is the one that was taken (by digest), or what lies there.
    `usage`: what it has used so far, by its adapter or its own word; the journal says it once it has ended."""

    prompt: Said = field(default_factory=Said)
    task: Said = field(default_factory=Said)
    spec: Said = field(default_factory=Said)
    usage: Said = field(default_factory=Said)
    result: Said = field(default_factory=Said)
    handoff: Said = field(default_factory=Said)
    ask: Said = field(default_factory=Said)


def read_run(folder: Path) -> RunFiles:
    """Read it. Blocks; never raises."""
    side = folder / "side"
    return RunFiles(
        prompt=read_said(side / "prompt.md"),
        task=read_said(side / "task.json"),
        spec=read_said(folder / "spec.json"),
        usage=_either(read_said(folder / "usage.json"), side / "usage.json"),
        result=read_said(folder / "result.json"),
        handoff=read_said(side / "handoff.json"),
        ask=read_said(side / "ask.json"),
    )


def _either(first: Said, other: Path) -> Said:
    return first if first.text else read_said(other)


def read_said(path: Path, cap_bytes: int = CAP_BYTES) -> Said:
    """The first `cap_bytes` of a regular file. Never raises."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        return Said(problem=f"there is no {path.name}")
    except OSError as error:
        return Said(problem=f"{path.name} cannot be read: {error.strerror}")
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        return Said(problem=f"{path.name} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            raw = file.read(cap_bytes)
        except OSError as error:
            return Said(problem=f"{path.name} cannot be read: {error.strerror}")
    return said_of(raw, state.st_size)


def said_of(raw: bytes, size_bytes: int | None = None) -> Said:
    """Bytes as text. `size_bytes`: how long the whole is."""
    missing = (size_bytes or len(raw)) - len(raw)
    return Said(raw.decode("utf-8", "replace"), note=f"{missing} more bytes are not shown" if missing > 0 else "")


def as_readable(text: str) -> str:
    """JSON with one entry a line; anything else as it is."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _is_deep(found) else json.dumps(found, indent=2, ensure_ascii=False)


def _is_deep(value: Any) -> bool:
    """Whether lists and tables lie in one another more than `MOST_DEEP` times."""
    level: list[Any] = [value]
    for _ in range(MOST_DEEP):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
