"""The log of a gate, at what it says of one test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from swarm_tui.room.results import failing_line
from swarm_tui.widgets.log_view import LogView


class GateLog(LogView):
    """A `LogView` that goes to the output of a failing test. After a person's own search it stays there."""

    @dataclass
    class WantsFailure(Message):
        """The next (1) or previous (-1) failing test is asked for by a key that otherwise searches."""

        way: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.searched = False
        self.test = ""
        """The failing test whose output is shown."""

    def show_log(self, log: Path | None, *, empty: str) -> None:
        """Show this log; another one than before forgets what was searched."""
        if self.path != log or log is None:
            self.searched, self.test = False, ""
            self.show(log, empty=empty)

    def show_test(self, test: str) -> None:
        """Go to what the log says of a failing test; "" is none."""
        if self.searched or self.path is None or self.test == test:
            return
        self.test = test
        if test:
            self.run_worker(self._go_to(self.path, test), group="failing-line", exclusive=True)

    async def _go_to(self, log: Path, test: str) -> None:
        line = await asyncio.to_thread(failing_line, log, test)
        if self.test != test or self.path != log:
            return
        if line:
            self.start_find(line.strip())
        else:
            self.end_find()

    def search(self, text: str) -> None:
        """A person's own search; "" ends it."""
        self.searched = bool(text)
        if text:
            self.start_find(text)
        else:
            self.end_find()

    def follow_failures(self) -> None:
        """Show failing tests again, after a search."""
        if self.searched:
            self.searched, self.test = False, ""

    def action_find_next(self) -> None:
        if self.searched:
            super().action_find_next()
        else:
            self.post_message(self.WantsFailure(1))

    def action_find_previous(self) -> None:
        if self.searched:
            super().action_find_previous()
        else:
            self.post_message(self.WantsFailure(-1))
