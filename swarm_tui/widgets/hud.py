"""The debug figures: is the room itself quick, and what does it wait for?"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from swarm_tui.room import words

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp

SAMPLE_S = 1.0
"""Between two looks at this process."""
LAG_FRAMES = 50
COST_FRAMES = 100
GAP = "   "
FIGURE_WIDTH = 20
"""Cells that a figure takes when they stand in columns."""

Figure = tuple[str, str]
"""(name, value)."""


@dataclass
class Meter:
    """What the room costs, frame by frame. `rss_bytes` and `cpu` (1 is one processor) are of this process."""

    lags_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=LAG_FRAMES))
    costs_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=COST_FRAMES))
    rss_bytes: int | None = None
    cpu: float | None = None
    _process: psutil.Process = field(default_factory=psutil.Process)
    _sampled_at: float = 0.0

    def take(self, lag_s: float, cost_s: float) -> None:
        """One frame: how late it was, and what it cost."""
        self.lags_s.append(lag_s)
        self.costs_s.append(cost_s)
        now = time.monotonic()
        if now - self._sampled_at >= SAMPLE_S:
            first, self._sampled_at = not self._sampled_at, now
            try:
                self.rss_bytes = self._process.memory_info().rss
                cpu = self._process.cpu_percent(None) / 100
            except psutil.Error:
                self.rss_bytes = self.cpu = None
            else:
                self.cpu = None if first else cpu  # the first answer has nothing to be measured against

    def p90_cost_s(self) -> float:
        ordered = sorted(self.costs_s)
        return ordered[int(0.9 * (len(ordered) - 1))] if ordered else 0.0


class Hud(Widget):
    """Figures in as many columns as there is room for. `look` draws them anew when they are different."""

    DEFAULT_CSS = """
    Hud {
        dock: top;
        height: auto;
        max-height: 9;
        padding: 0 1;
        background: $surface;
        border-bottom: solid $border-blurred;
    }
    """

    def __init__(self, meter: Meter) -> None:
        super().__init__(id="hud")
        self.meter = meter
        self._figures: list[Figure] = []

    @property
    def text(self) -> str:
        """What is shown, as plain text."""
        return GAP.join(f"{name} {value}" for name, value in self._figures)

    def look(self, app: RoomApp) -> None:
        figures = figures_of(app, self.meter)
        if figures != self._figures:
            self._figures = figures
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(laid_out(self._figures, width))

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, row in enumerate(laid_out(self._figures, self.content_size.width)):
            text.append("\n" if number else "")
            for name, value, width in row:
                text.append(f"{name} ", style="dim")
                text.append(value, style="bold")
                text.append(" " * (width - cell_len(name) - cell_len(value) - 1))
        return text


def laid_out(figures: Sequence[Figure], width: int) -> list[list[tuple[str, str, int]]]:
    """Rows of (name, value, cells): as many columns as fit, each as wide as its widest figure."""
    for count in range(max(1, width // FIGURE_WIDTH), 0, -1):
        rows = [figures[at : at + count] for at in range(0, len(figures), count)]
        widths = [
            max(cell_len(row[column][0]) + cell_len(row[column][1]) for row in rows if column < len(row)) + 1 + len(GAP)
            for column in range(min(count, len(figures)))
        ]
        if sum(widths) - len(GAP) <= width or count == 1:
            return [[(*figure, wide) for figure, wide in zip(row, widths, strict=False)] for row in rows]
    return []


def figures_of(app: RoomApp, meter: Meter) -> list[Figure]:
    """Everything that the debug figures say, by name."""
    size = shutil.get_terminal_size((app.size.width, app.size.height)) if not app.is_headless else app.size
    figures = [
        ("lag", f"{_ms(meter.lags_s[-1] if meter.lags_s else 0.0)} max {_ms(max(meter.lags_s, default=0.0))}"),
        ("frame", f"{_ms(meter.costs_s[-1] if meter.costs_s else 0.0)} p90 {_ms(meter.p90_cost_s())}"),
    ]
    if app.opened:
        room = app.room
        waiting = getattr(room.source, "waiting", None)
        engine_rss = room.pulse.engine_rss_bytes
        figures += [
            ("events", f"{room.events_per_s:.0f}/s"),
            ("feed waits", "?" if waiting is None else f"{waiting}"),
            ("seq", f"{room.state.seq}"),
            ("past", f"{room.source.past_read:.0%}"),
            ("engine", room.source.engine()),
            ("engine memory", "?" if engine_rss is None else words.size(engine_rss)),
        ]
    else:
        figures.append(("room", app.waits_for))
    figures += [
        ("own memory", "?" if meter.rss_bytes is None else words.size(meter.rss_bytes)),
        ("own cpu", "?" if meter.cpu is None else f"{meter.cpu:.0%}"),
        ("widgets", str(_drawn(app))),
        ("screen", type(app.screen).__name__.removesuffix("Screen").lower()),
        ("size", f"{size[0]}x{size[1]}"),
        ("colour", "none (NO_COLOR)" if app.no_color else str(app.console.color_system or "none")),
        ("theme", app.theme),
    ]
    return figures


def _drawn(app: RoomApp) -> int:
    """Widgets that are on screen, at least in part."""
    return len(app.screen._compositor.visible_widgets)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
