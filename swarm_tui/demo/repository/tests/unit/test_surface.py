import unittest

from tinykit.geometry import Rect, Size
from tinykit.surface import Surface


class SurfaceTest(unittest.TestCase):
    def test_it_is_blank_at_first(self) -> None:
        self.assertEqual(Surface(Size(3, 2)).rows(), ["   ", "   "])

    def test_paint_outside_is_lost(self) -> None:
        surface = Surface(Size(3, 1))
        surface.text(-1, 0, "abcdef")
        surface.put(0, 5, "x")
        self.assertEqual(surface.rows(), ["bcd"])

    def test_fill_keeps_to_its_rectangle(self) -> None:
        surface = Surface(Size(4, 3))
        surface.fill(Rect(1, 1, 2, 9), "#")
        self.assertEqual(surface.rows(), ["    ", " ## ", " ## "])

    def test_a_border_needs_two_cells_each_way(self) -> None:
        surface = Surface(Size(4, 3))
        surface.border(Rect(0, 0, 1, 3))
        self.assertEqual(surface.rows(), ["    "] * 3)
        surface.border(surface.bounds)
        self.assertEqual(surface.rows(), ["+--+", "|  |", "+--+"])

    def test_the_digest_follows_the_paint(self) -> None:
        surface = Surface(Size(4, 3))
        before = surface.digest()
        surface.put(0, 0, "x")
        self.assertNotEqual(surface.digest(), before)
