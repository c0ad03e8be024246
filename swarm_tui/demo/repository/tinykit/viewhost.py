"""The window: it holds the views and gives each its place."""

from __future__ import annotations

from tinykit.geometry import Rect, Size
from tinykit.view import View

MAX_COLUMNS = 3


class ViewHost:
    """Tiles its views in rows of up to three. The newest view has the focus."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.views: list[View] = []
        self._opened = 0

    @property
    def focused(self) -> View | None:
        """The view that was opened last, or None while the window is empty."""
        return self.views[-1] if self.views else None

    def open(self, url: str) -> View:
        """A new view on a page. Raises PageNotFound, and then there is no new view."""
        view = View(f"view-{self._opened + 1}", url)
        self._opened += 1
        self.views.append(view)
        return view

    def find(self, name: str) -> View | None:
        """The view of that name, or None."""
        return next((view for view in self.views if view.name == name), None)

    def resize(self, size: Size) -> None:
        """The window has a new size; the views' places follow."""
        self.size = size

    def places(self) -> list[tuple[View, Rect]]:
        """Each view with its rectangle. They cover the window without gap or overlap."""
        if not self.views:
            return []
        window = Rect(0, 0, self.size.width, self.size.height)
        bands = [self.views[at : at + MAX_COLUMNS] for at in range(0, len(self.views), MAX_COLUMNS)]
        placed: list[tuple[View, Rect]] = []
        for band, row in zip(bands, window.rows(len(bands)), strict=True):
            placed.extend(zip(band, row.columns(len(band)), strict=True))
        return placed
