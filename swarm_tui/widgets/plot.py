"""Plots over the time of a night: with the extra `plots` as curves, without it as columns of blocks."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from swarm_tui.widgets.rows import fitted

EXTRA = "pip install 'swarm-tui[plots]' draws curves here"
MARKERS = (("braille", "⡠"), ("•", "•"), ("x", "x"))
"""How each curve is drawn, and by what it is known in the legend: colour only repeats it."""
BLOCKS = " ▁▂▃▄▅▆▇█"
TONES = ("good", "bad", "attention", "busy", "plain")
CODES = (1, 2, 3)
"""Colours by which a curve is found again in what is drawn; the theme's replace them."""

SHORT, TALL, TALL_FROM = 10, 13, 45
"""Lines of a plot, and the height of a terminal from which there is room for more of them."""

Tell = Callable[[float], str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """`points` are (seconds, value) in order. `total`: a running total, drawn as steps; else each point stands alone.

    `told` is said in the legend beside the name.
    """

    name: str
    points: tuple[Point, ...]
    tone: str = "plain"
    total: bool = True
    told: str = ""


class Plot(Widget):
    """Up to three curves from the beginning of a night until now. The legend tells them apart without colour."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"plot--{tone}" for tone in TONES), "plot--title", "plot--quiet"}

    DEFAULT_CSS = """
    Plot {
        height: auto;
        padding: 0 1;
        & > .plot--title { text-style: bold; }
        & > .plot--quiet { color: $foreground-muted; }
        & > .plot--good { color: $text-success; }
        & > .plot--bad { color: $text-error; }
        & > .plot--attention { color: $text-warning; }
        & > .plot--busy { color: $text-primary; }
        &:ansi > .plot--quiet { text-style: dim; }
        &:ansi > .plot--good { color: ansi_green; }
        &:ansi > .plot--bad { color: ansi_red; }
        &:ansi > .plot--attention { color: ansi_yellow; }
        &:ansi > .plot--busy { color: ansi_cyan; }
    }
    """

    def __init__(self, title: str, tell: Tell, *, empty: str, id: str) -> None:
        super().__init__(id=id)
        self._title = title
        self._tell = tell
        self._empty = empty
        self._curves: tuple[Curve, ...] = ()
        self._since, self._until_s = 0.0, 0.0
        self._begun = False
        self.drawn = Text()
        """What is on screen."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return TALL if self.app.size.height >= TALL_FROM else SHORT

    def begin(self) -> None:
        """Draw from now on: what it takes is loaded (`load_curves`)."""
        self._begun = True
        self.refresh()

    def draw(self, curves: Sequence[Curve], since: float, until_s: float) -> None:
        """Show these curves. `since`: UTC seconds at which second 0 was; `until_s`: where the plot ends."""
        shown = tuple(curve for curve in curves if curve.points)
        if (shown, since, until_s) != (self._curves, self._since, self._until_s):
            self._curves, self._since, self._until_s = shown, since, until_s
            self.refresh()

    def render(self) -> Text:
        width, height = self.content_size
        text = Text(no_wrap=True, overflow="crop")
        text.append(fitted(self._title, min(width, cell_len(self._title))), self._style("title"))
        if not self._curves or self._until_s <= 0:
            text.append("\n" + fitted(self._empty, width), self._style("quiet"))
        elif not self._begun:
            text.append("\n…", self._style("quiet"))
        elif height < 5 or width < 24:
            text.append("\n" + fitted("too little room", width), self._style("quiet"))
        elif has_curves():
            self._draw_curves(text, width, height - 2)
        else:
            self._draw_columns(text, width, height - 1)
        self.drawn = text
        return text

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"plot--{name}")

    def _draw_curves(self, text: Text, width: int, height: int) -> None:
        for curve, (_, glyph) in zip(self._curves, MARKERS, strict=False):
            text.append("   ")
            text.append(f"{_mark(curve, glyph)} {curve.name} {curve.told}".rstrip(), self._style(curve.tone))
        text.truncate(width)
        text.append("\n")
        drawn = Text.from_ansi(_built(self._curves, self._since, self._until_s, self._tell, width, height))
        plain = Text(drawn.plain, no_wrap=True, overflow="crop", style=self._style("quiet"))
        for span in drawn.spans:
            code = span.style.color.number if isinstance(span.style, Style) and span.style.color else None
            if code in CODES:
                tone = self._style(self._curves[CODES.index(code)].tone) + Style(dim=False)
                plain.stylize(tone, span.start, span.end)
        text.append_text(plain)

    def _draw_columns(self, text: Text, width: int, height: int) -> None:
        """One below the other, each to a scale of its own."""
        each = max(2, (height - 1) // len(self._curves))
        for curve in self._curves:
            values = sampled(curve, self._until_s, width)
            most = max((value for value in values if value is not None), default=0.0)
            text.append("\n")
            label = f"{curve.name} {curve.told}".strip() + f", up to {self._tell(most)}"
            text.append(fitted(label, width), self._style("quiet"))
            for row in columns(values, each - 1):
                text.append("\n")
                text.append(row, self._style(curve.tone))
        text.append("\n" + fitted(EXTRA, width), self._style("quiet"))


def _mark(curve: Curve, glyph: str) -> str:
    return glyph if curve.total else "•"


@lru_cache(1)
def has_curves() -> bool:
    """Whether the extra that draws curves is installed."""
    return find_spec("textual_plotext") is not None


def load_curves() -> None:
    """Import what draws curves, which takes a quarter of a second: for a thread."""
    if has_curves():
        import textual_plotext  # noqa: F401


def _built(
    curves: Sequence[Curve], since: float, until_s: float, tell: Tell, width: int, height: int
) -> str:  # fmt: skip
    from textual_plotext import Plot as Drawing

    drawing: Any = Drawing()
    drawing.theme("clear")
    drawing.plotsize(width, height)
    drawing._set_size(width, height)
    most = max(value for curve in curves for _, value in curve.points) or 1.0
    for curve, (marker, _), code in zip(curves, MARKERS, CODES, strict=False):
        points = _thinned(_steps(curve.points, until_s) if curve.total else curve.points, 4 * width)
        draw = drawing.plot if curve.total else drawing.scatter
        draw([t for t, _ in points], [value for _, value in points], marker=marker if curve.total else "•", color=code)
    drawing.xlim(0, until_s)
    drawing.ylim(0, most)
    ticks = [most * part for part in (0, 0.5, 1)]
    drawing.yticks(ticks, [tell(tick) for tick in ticks])
    times = [until_s * at / max(1, width // 18) for at in range(max(1, width // 18) + 1)]
    drawing.xticks(times, [clock_text(since + t, until_s) for t in times])
    drawing.xaxes(True, False)
    drawing.yaxes(True, False)
    return drawing.build().rstrip("\n")


def _steps(points: Sequence[Point], until_s: float) -> list[Point]:
    """A running total as a line that begins and goes up where it grew, and goes on until the end."""
    line: list[Point] = []
    for t, value in points:
        if line or value:
            line += [(t, line[-1][1] if line else 0.0), (t, value)]
    return [*line, (until_s, line[-1][1])] if line else [(0.0, 0.0), (until_s, 0.0)]


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    stride = -(-len(points) // most)
    return points if stride <= 1 else [*points[::stride], points[-1]]


def clock_text(at: float, span_s: float) -> str:
    """A local time, as exact as a plot over `span_s` needs."""
    form = "%H:%M:%S" if span_s < 600 else "%H:%M" if span_s < 2 * 86_400 else "%d %b"
    return time.strftime(form, time.localtime(at))


def sampled(curve: Curve, until_s: float, width: int) -> list[float | None]:
    """A curve in `width` columns: a running total as it stood, single values as their mean, None for none."""
    found: list[float | None] = []
    times = [t for t, _ in curve.points]
    before = 0
    for column in range(1, width + 1):
        until = bisect_right(times, until_s * column / width) if column < width else len(times)
        values = [value for _, value in curve.points[before:until]]
        if curve.total:
            found.append(curve.points[until - 1][1] if until else 0.0)
        else:
            found.append(sum(values) / len(values) if values else None)
        before = until
    return found


def columns(values: Sequence[float | None], height: int) -> list[str]:
    """`values` as columns of blocks in `height` rows, from the top; the largest fills its column, None is a gap."""
    most = max((value for value in values if value is not None), default=0.0)
    steps = [0 if not value or most <= 0 else max(1, round(8 * height * value / most)) for value in values]
    return ["".join(BLOCKS[max(0, min(8, step - 8 * (height - 1 - row)))] for step in steps) for row in range(height)]


class Bars(Widget):
    """Named amounts as bars beside each other's lengths: always blocks, with the figure behind each."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--title", "bars--quiet", "bars--bar"}

    DEFAULT_CSS = """
    Bars {
        height: auto;
        padding: 0 1;
        & > .bars--title { text-style: bold; }
        & > .bars--quiet { color: $foreground-muted; }
        & > .bars--bar { color: $text-primary; }
        &:ansi > .bars--quiet { text-style: dim; }
        &:ansi > .bars--bar { color: ansi_cyan; }
    }
    """

    def __init__(self, title: str, *, empty: str, id: str) -> None:
        super().__init__(id=id)
        self._title = title
        self._empty = empty
        self.rows: list[tuple[str, float, str]] = []

    def show(self, rows: Sequence[tuple[str, float, str]]) -> None:
        """(clean name, amount, what to say behind the bar)."""
        if list(rows) != self.rows:
            changed = len(rows) != len(self.rows)
            self.rows = list(rows)
            self.refresh(layout=changed)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1 + max(1, len(self.rows))

    def render(self) -> Text:
        width = self.content_size.width
        text = Text(no_wrap=True, overflow="crop")
        text.append(fitted(self._title, width), self.get_component_rich_style("bars--title"))
        quiet = self.get_component_rich_style("bars--quiet")
        if not self.rows:
            text.append("\n" + fitted(self._empty, width), quiet)
            return text
        named = min(max(cell_len(name) for name, _, _ in self.rows), max(6, width // 4))
        said = max(cell_len(told) for _, _, told in self.rows)
        room = max(1, width - named - said - 2)
        most = max(amount for _, amount, _ in self.rows)
        for name, amount, told in self.rows:
            text.append("\n" + fitted(name, named) + " ")
            bar = "█" * round(room * amount / most) if most > 0 else ""
            text.append(bar, self.get_component_rich_style("bars--bar"))
            text.append(f" {told}"[: max(0, width - named - 1 - len(bar))], quiet)
        return text
