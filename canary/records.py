"""What is kept of a flow: artifacts by name, with secrets hidden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary.drivers.driver import Session
from engine.artifacts import ArtifactStore
from engine.text.redact import Redactor


@dataclass
class Records:
    """`artifacts`: name -> digest; a later one of the same name takes its place."""

    store: ArtifactStore
    redactor: Redactor
    artifacts: dict[str, str] = field(default_factory=dict[str, str])

    async def text(self, name: str, text: str) -> str:
        """Its digest."""
        content = self.redactor.redact_bytes(text.encode("utf-8", "backslashreplace"))
        return await self.raw(name, content)

    async def raw(self, name: str, content: bytes) -> str:
        """As it is: pictures."""
        digest = self.artifacts[name] = await asyncio.to_thread(self.store.put, content)
        return digest

    async def file(self, name: str, path: Path) -> None:
        self.artifacts[name] = await asyncio.to_thread(self.store.put_file, path)

    async def rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """JSON lines."""
        await self.text(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    async def log(self, name: str, session: Session) -> None:
        lines = (f"{line.arrived_s:9.3f} {line.stream} {line.text}\n" for line in session.log)
        await self.text(name, "".join(lines))
