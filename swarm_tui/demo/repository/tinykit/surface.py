"""A grid of characters to paint on. Painting outside it is allowed and does nothing."""

from __future__ import annotations

import hashlib

from tinykit.geometry import Rect, Size


class Surface:
    """`size` cells, blank at first."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._cells = [[" "] * size.width for _ in range(size.height)]

    @property
    def bounds(self) -> Rect:
        return Rect(0, 0, self.size.width, self.size.height)

    def put(self, x: int, y: int, mark: str) -> None:
        """One character in one cell."""
        if self.bounds.contains(x, y):
            self._cells[y][x] = mark

    def text(self, x: int, y: int, text: str) -> None:
        """A run of characters, from left to right."""
        for at, mark in enumerate(text):
            self.put(x + at, y, mark)

    def fill(self, rect: Rect, mark: str) -> None:
        """The same character in every cell of `rect`."""
        inside = rect.intersection(self.bounds)
        for y in range(inside.y, inside.bottom):
            for x in range(inside.x, inside.right):
                self._cells[y][x] = mark

    def border(self, rect: Rect) -> None:
        """A frame along the inner edge of `rect`; nothing if it is smaller than two by two."""
        if rect.width < 2 or rect.height < 2:
            return
        for y in (rect.y, rect.bottom - 1):
            self.text(rect.x, y, "+" + "-" * (rect.width - 2) + "+")
        for y in range(rect.y + 1, rect.bottom - 1):
            self.put(rect.x, y, "|")
            self.put(rect.right - 1, y, "|")

    def blit(self, other: Surface, x: int, y: int) -> None:
        """Copy another surface with its upper left corner at (x, y)."""
        for row, text in enumerate(other.rows()):
            self.text(x, y + row, text)

    def rows(self) -> list[str]:
        """The lines as text, each exactly as long as the surface is wide."""
        return ["".join(row) for row in self._cells]

    def digest(self) -> str:
        """A short fingerprint of all that is painted."""
        return hashlib.sha256("\n".join(self.rows()).encode("utf-8")).hexdigest()[:16]
