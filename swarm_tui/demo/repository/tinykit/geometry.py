"""Sizes and rectangles, in character cells. The origin is the upper left corner; nothing is ever negative."""

from __future__ import annotations

from dataclasses import dataclass

CELL_WIDTH_PX = 10
CELL_HEIGHT_PX = 20


@dataclass(frozen=True)
class Size:
    """Width and height in cells."""

    width: int
    height: int


def cells_of(width_px: int, height_px: int) -> Size:
    """The whole cells that fit into a window of so many pixels, at least one each way."""
    return Size(max(1, width_px // CELL_WIDTH_PX), max(1, height_px // CELL_HEIGHT_PX))


@dataclass(frozen=True)
class Rect:
    """A rectangle of cells."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    @property
    def area(self) -> int:
        return self.width * self.height

    def contains(self, x: int, y: int) -> bool:
        return self.x <= x < self.right and self.y <= y < self.bottom

    def intersection(self, other: Rect) -> Rect:
        """What both cover; empty (area 0) where they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rect(x, y, max(0, right - x), max(0, bottom - y))

    def columns(self, count: int) -> list[Rect]:
        """Cut into `count` columns from left to right; the first ones get the cells that are left over."""
        width, spare = divmod(self.width, count)
        cuts: list[Rect] = []
        x = self.x
        for number in range(count):
            own = width + (1 if number < spare else 0)
            cuts.append(Rect(x, self.y, own, self.height))
            x += own
        return cuts

    def rows(self, count: int) -> list[Rect]:
        """Cut into `count` rows from top to bottom; the first ones get the cells that are left over."""
        turned = Rect(self.y, self.x, self.height, self.width).columns(count)
        return [Rect(cut.y, cut.x, cut.height, cut.width) for cut in turned]
