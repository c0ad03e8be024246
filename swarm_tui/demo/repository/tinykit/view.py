"""One view: a page, its history, and how far it is scrolled."""

from __future__ import annotations

from tinykit.document import load, title_of
from tinykit.geometry import Size
from tinykit.history import History
from tinykit.layout import Line, lay_out
from tinykit.surface import Surface


class View:
    """Shows one page at a time. `name` is unique within its host."""

    def __init__(self, name: str, url: str) -> None:
        self._blocks = load(url)
        self.name = name
        self.history = History(url)
        self.scroll = 0

    @property
    def url(self) -> str:
        return self.history.current

    @property
    def title(self) -> str:
        return title_of(self._blocks)

    def navigate(self, url: str) -> None:
        """Show another page from its top. Raises PageNotFound and stays where it is if there is none."""
        self._blocks = load(url)
        self.history.visit(url)
        self.scroll = 0

    def back(self) -> None:
        """Show the page before this one, if any."""
        self._show(self.history.back())

    def forward(self) -> None:
        """Show the page after this one, if any."""
        self._show(self.history.forward())

    def _show(self, url: str) -> None:
        self._blocks = load(url)
        self.scroll = 0

    def lines(self, width: int) -> list[Line]:
        """The whole page, laid out in `width` cells."""
        return lay_out(self._blocks, width)

    def scroll_by(self, lines: int) -> None:
        """Scroll down (or up, if negative), never above the top."""
        self.scroll = max(0, self.scroll + lines)

    def paint(self, size: Size) -> Surface:
        """What is to be seen of the page in so many cells."""
        surface = Surface(size)
        visible = self.lines(size.width)[self.scroll : self.scroll + size.height]
        for row, line in enumerate(visible):
            surface.text(0, row, line.text)
        return surface
