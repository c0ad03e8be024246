import unittest

from tinykit.geometry import Rect, Size, cells_of


class RectTest(unittest.TestCase):
    def test_intersection_is_what_both_cover(self) -> None:
        self.assertEqual(Rect(0, 0, 10, 4).intersection(Rect(6, 2, 10, 10)), Rect(6, 2, 4, 2))

    def test_intersection_of_strangers_is_empty(self) -> None:
        self.assertEqual(Rect(0, 0, 2, 2).intersection(Rect(5, 5, 2, 2)).area, 0)

    def test_columns_cover_the_whole_width(self) -> None:
        cuts = Rect(3, 0, 11, 5).columns(3)
        self.assertEqual([(cut.x, cut.width) for cut in cuts], [(3, 4), (7, 4), (11, 3)])

    def test_rows_cover_the_whole_height(self) -> None:
        cuts = Rect(0, 2, 5, 7).rows(2)
        self.assertEqual([(cut.y, cut.height) for cut in cuts], [(2, 4), (6, 3)])

    def test_the_right_edge_is_outside(self) -> None:
        self.assertTrue(Rect(0, 0, 2, 2).contains(1, 1))
        self.assertFalse(Rect(0, 0, 2, 2).contains(2, 1))


class CellsTest(unittest.TestCase):
    def test_only_whole_cells_count(self) -> None:
        self.assertEqual(cells_of(489, 259), Size(48, 12))

    def test_there_is_always_one_cell(self) -> None:
        self.assertEqual(cells_of(1, 1), Size(1, 1))
