"""Reads a run's log while it is written, and keeps what is worth showing in its `progress.jsonl`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from engine.ports import ProcessResult
from engine.text.redact import Redactor
from roles.agents.progress_file import ProgressFile
from roles.agents.streams.stream import Row, Stream
from roles.agents.usage_file import UsageFile

EVERY_S = 0.25
"""Between two looks at the log."""
CHUNK = 1_000_000
LINE_MAX = 8_000_000
"""Bytes of a line that are read; the rest of a longer one is skipped."""


class Follower:
    """log, progress: files of the run; progress is made anew. redactors: what they hide is in no row. used: where what
    the stream has told of usage is kept."""

    def __init__(
        self,
        log: Path,
        progress: Path,
        stream: Stream,
        redactors: Sequence[Redactor] = (),
        now: Callable[[], float] = time.time,
        used: UsageFile | None = None,
    ) -> None:
        self._log = log
        self._stream = stream
        self._used = used
        self._offset = 0
        self._half = b""
        self._skipping = False
        self._progress = ProgressFile(progress, redactors, now)
        self._lock = threading.Lock()
        with contextlib.suppress(OSError):
            progress.unlink()

    def look(self) -> bool:
        """Read what came since; whether there may be more at once. A log that cannot be read has nothing new."""
        with self._lock:
            return self._look()

    def _look(self) -> bool:
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                data = file.read(CHUNK)
        except OSError:
            return False
        self._offset += len(data)
        *whole, self._half = (self._half + data).split(b"\n") if data else (self._half,)
        rows = [shown for line in whole for shown in self._feed(line)]
        if len(self._half) > LINE_MAX:
            self._half, self._skipping = b"", True
        self._progress.write(rows)
        return len(data) == CHUNK

    def finish(self) -> None:
        """Read the rest, with a last line that has no end."""
        with self._lock:
            while self._look():
                pass
            half, self._half = self._half, b""
            if half:
                self._progress.write(self._feed(half))
            if self._used is not None and (usage := self._stream.usage()).known:
                self._used.write(usage.model_dump())

    async def follow(self, running: Awaitable[ProcessResult]) -> ProcessResult:
        """What `running` gives, when it ends; its log is read along and to its end. Raises what it raises."""
        task = asyncio.ensure_future(running)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=EVERY_S)
                if self._used is not None and (usage := self._stream.usage()).known:
                    await asyncio.to_thread(self._used.write, usage.model_dump())
                while await asyncio.to_thread(self.look):
                    pass
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait((task,))
            raise
        finally:
            await asyncio.to_thread(self.finish)
        return task.result()

    def _feed(self, line: bytes) -> list[Row]:
        if self._skipping:
            self._skipping = False
            return []
        return self._stream.feed(line.decode("utf-8", "replace")) if line else []
