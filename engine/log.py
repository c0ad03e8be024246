"""The engine's own log: one JSON object a line, by category, rotated by size, sanitised, without secrets.

What happened to the work stands in the journal; this is for whoever wants to know how the engine went about it.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO, Final, Literal, get_args

from engine.errors import UserError
from engine.models.event import utc_text
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise

Category = Literal[
    "engine", "plan", "git", "run", "agent", "gate", "train", "canary", "approval", "publish", "ui"
]  # fmt: skip
Level = Literal["debug", "info", "warning", "error"]

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
"""From the most talkative to the quietest."""
DEFAULT_LEVEL: Final[Level] = "info"


def parse_levels(text: str) -> dict[Category, Level]:
    """The levels in `canary=debug,git=info`. Raises UserError for anything else."""
    levels: dict[Category, Level] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        category, _, level = (half.strip() for half in part.partition("="))
        if category not in CATEGORIES:
            raise UserError(
                f"{category!r} is not a log category: use one of {', '.join(CATEGORIES)}, as in canary=debug."
            )
        if level not in LEVELS:
            raise UserError(f"{part!r} names no log level: use one of {', '.join(LEVELS)}, as in {category}=debug.")
        levels[category] = level
    return levels


class EngineLog:
    """Writes log lines, from any thread. It never raises: a log that cannot be written must not stop a night.

    path: the newest file; older ones are path.1, path.2 …, `keep` files of at most `max_bytes` in all.
    levels: category -> least level that is written; a category that is not named writes from `info` on.
    """

    def __init__(
        self,
        path: Path,
        redactor: Redactor,
        levels: Mapping[Category, Level] | None = None,
        *,
        max_bytes: int = 5_000_000,
        keep: int = 5,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._redactor = redactor
        self._least = {category: LEVELS.index((levels or {}).get(category, DEFAULT_LEVEL)) for category in CATEGORIES}
        self._max_bytes = max_bytes
        self._keep = keep
        self._now = now
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self.lost = 0
        """Lines that could not be written."""

    def debug(self, category: Category, message: str, **ids: Any) -> None:
        """Something only a developer wants to know."""
        self._write("debug", category, message, ids)

    def info(self, category: Category, message: str, **ids: Any) -> None:
        """Something that went as it should."""
        self._write("info", category, message, ids)

    def warning(self, category: Category, message: str, **ids: Any) -> None:
        """Something that went wrong, and that the engine coped with."""
        self._write("warning", category, message, ids)

    def error(self, category: Category, message: str, **ids: Any) -> None:
        """Something that went wrong, and that someone should look at."""
        self._write("error", category, message, ids)

    def close(self) -> None:
        """Let go of the file; a later line opens it again."""
        with self._lock:
            self._let_go()

    def _write(self, level: Level, category: Category, message: str, ids: Mapping[str, Any]) -> None:
        try:
            if LEVELS.index(level) < self._least[category]:
                return
            line = self._line(level, category, message, ids)
            with self._lock:
                self._put(line)
        except Exception:  # see the class: whatever it is, the engine goes on
            self.lost += 1

    def _line(self, level: Level, category: Category, message: str, ids: Mapping[str, Any]) -> bytes:
        record: dict[str, Any] = {
            "at": utc_text(self._now()),
            "level": level,
            "category": category,
            "message": self._clean(message),
        }
        for name, value in ids.items():
            plain = value if isinstance(value, (int, NoneType)) or _finite(value) else self._clean(str(value))
            record.setdefault(name, plain)
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"

    def _clean(self, text: str) -> str:
        # Redacted first: sanitising rewrites characters, and a secret might no longer look like itself.
        return sanitise(self._redactor.redact(text))

    def _put(self, line: bytes) -> None:
        if self._file is not None and self._size_bytes + len(line) > self._max_bytes:
            self._rotate()
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._size_bytes = self._file.tell()
        self._file.write(line)
        self._file.flush()
        self._size_bytes += len(line)

    def _rotate(self) -> None:
        self._let_go()  # Windows renames no open file
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1)
            with suppress(FileNotFoundError):
                newer.replace(older)
        if self._keep <= 1:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _let_go(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()


def _finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)  # JSON has no NaN
