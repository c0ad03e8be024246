import unittest

from tinykit.document import PageNotFound
from tinykit.geometry import Size
from tinykit.view import View


class ViewTest(unittest.TestCase):
    def test_it_shows_its_page(self) -> None:
        view = View("v", "tiny:about")
        self.assertEqual(view.title, "About")
        self.assertEqual(view.paint(Size(20, 2)).rows(), ["ABOUT".ljust(20), "=====".ljust(20)])

    def test_navigation_goes_to_the_top(self) -> None:
        view = View("v", "tiny:home")
        view.scroll_by(3)
        view.navigate("tiny:gallery")
        self.assertEqual((view.scroll, view.title), (0, "Gallery"))

    def test_back_shows_the_page_before(self) -> None:
        view = View("v", "tiny:home")
        view.navigate("tiny:gallery")
        view.back()
        self.assertEqual((view.url, view.title), ("tiny:home", "Tiny home"))

    def test_a_missing_page_changes_nothing(self) -> None:
        view = View("v", "tiny:home")
        with self.assertRaises(PageNotFound):
            view.navigate("tiny:nowhere")
        self.assertEqual((view.url, view.title), ("tiny:home", "Tiny home"))

    def test_scrolling_ends_at_the_top(self) -> None:
        view = View("v", "tiny:home")
        view.scroll_by(-5)
        self.assertEqual(view.scroll, 0)
