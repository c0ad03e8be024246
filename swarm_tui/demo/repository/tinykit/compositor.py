"""One frame out of all views: borders, titles, and what each view shows."""

from __future__ import annotations

from dataclasses import dataclass

from tinykit.geometry import Rect, Size
from tinykit.surface import Surface
from tinykit.view import View
from tinykit.viewhost import ViewHost

BORDER = 1


@dataclass(frozen=True)
class Frame:
    """A painted window. `digest` is the fingerprint of its rows."""

    size: Size
    rows: tuple[str, ...]
    digest: str


class Compositor:
    """Paints frames of one window. `painted` counts how often it really painted."""

    def __init__(self) -> None:
        self.painted = 0

    def compose(self, host: ViewHost) -> Frame:
        """The window as it is now."""
        return self._paint(host)

    def _paint(self, host: ViewHost) -> Frame:
        self.painted += 1
        window = Surface(host.size)
        if not host.views:
            window.fill(window.bounds, ".")
        for view, place in host.places():
            self._paint_view(window, view, place)
        return Frame(host.size, tuple(window.rows()), window.digest())

    def _paint_view(self, window: Surface, view: View, place: Rect) -> None:
        window.border(place)
        inner = Size(max(0, place.width - 2 * BORDER), max(0, place.height - 2 * BORDER))
        window.text(place.x + 2, place.y, f" {view.title} "[: max(0, place.width - 4)])
        window.blit(view.paint(inner), place.x + BORDER, place.y + BORDER)
