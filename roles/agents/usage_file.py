"""`usage.json` beside a run's log: what the run has used so far, for whoever finds the run without its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

EVERY_S = 0.5


class UsageFile:
    """The fields of `engine.models.usage.Usage`, and what an adapter adds to them. Never raises."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "usage.json"
        self._text = ""

    def write(self, record: Mapping[str, Any]) -> None:
        """All or nothing; nothing where it says the same already."""
        if (text := json.dumps(record)) == self._text:
            return
        new = self._path.with_name("usage.json.new")
        with contextlib.suppress(OSError):
            new.write_text(text, encoding="utf-8")
            new.replace(self._path)
            self._text = text

    async def follow(self, record: Callable[[], Mapping[str, Any]]) -> None:
        """Write it whenever it has changed, until this is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.write(record())
