"""What a person sees of a search while it goes on: a table that changes in place, or a line a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from engine.culprit import Outcome
from swarm_tui.bisection.record import Ran

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

MOST_SHOWN = 8
_BAR = 24
_WORDS: dict[Outcome, str] = {"good": "good", "bad": "bad", "skip": "cannot tell"}
_STYLES: dict[Outcome, str] = {"good": "green", "bad": "red", "skip": "yellow"}


class Shown:
    """Where progress goes: to `stream`, as a live table if that is a terminal. `subject`: of a commit's id."""

    def __init__(self, stream: TextIO, subject: Callable[[str], str], *, live: bool) -> None:
        self._stream, self._subject = stream, subject
        self._live: Live | None = None
        self._runs = 0
        if live:
            from rich.console import Console
            from rich.live import Live

            self._now: RenderableType = ""
            self._live = Live(
                console=Console(file=stream), refresh_per_second=4, transient=True, get_renderable=lambda: self._now
            )
            self._live.start()

    def say(self, line: str) -> None:
        """A sentence that stays."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def ran(self, ran: Ran, left: float) -> None:
        """One run ended; `left`: how many suspects the belief amounts to now."""
        self._runs += 1
        ended = "its time was up" if ran.exit_code is None else f"exit {ran.exit_code}"
        self.say(
            f"run {ran.run}: {ran.commit[:12]} {_WORDS[ran.outcome]} ({ended}, {ran.duration_s:.1f} s); "
            f"as good as {left:.0f} suspect{'s' if round(left) != 1 else ''} left"
        )

    def belief(self, suspects: Sequence[tuple[str, float]], nobody: float, running: Sequence[str]) -> None:
        """The likeliest suspects (commit, posterior), the posterior of "nobody", and what runs now."""
        if self._live is not None:
            self._now = self._table(suspects, nobody, running)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, suspects: Sequence[tuple[str, float]], nobody: float, running: Sequence[str]) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        rows = [(commit[:12], share, self._subject(commit)) for commit, share in suspects[:MOST_SHOWN]]
        for name, share, subject in [*rows, ("nobody", nobody, "none of these commits did it")]:
            bar = "█" * round(_BAR * share)
            table.add_row(Text(name), Text(f"{share:6.1%}"), Text(f"{bar:<{_BAR}}"), Text(subject, overflow="ellipsis"))
        now = f"running: {', '.join(commit[:12] for commit in running)}" if running else "choosing"
        return Group(table, Text(f"{now} · {self._runs} runs · ctrl+c stops, the same command goes on", style="dim"))


def is_terminal(stream: TextIO) -> bool:
    """Whether a table that changes in place makes sense there."""
    import os

    return stream.isatty() and os.environ.get("TERM", "") != "dumb" and sys.stdin is not None
