import unittest

from tinykit.document import PageNotFound
from tinykit.geometry import Rect, Size
from tinykit.viewhost import ViewHost


def host_with(count: int, size: Size = Size(30, 10)) -> ViewHost:
    host = ViewHost(size)
    for _ in range(count):
        host.open("tiny:home")
    return host


class ViewHostTest(unittest.TestCase):
    def test_an_empty_window_has_no_places(self) -> None:
        self.assertEqual(host_with(0).places(), [])

    def test_one_view_has_it_all(self) -> None:
        self.assertEqual([place for _, place in host_with(1).places()], [Rect(0, 0, 30, 10)])

    def test_the_fourth_view_starts_a_row(self) -> None:
        places = [place for _, place in host_with(4).places()]
        self.assertEqual(places, [Rect(0, 0, 10, 5), Rect(10, 0, 10, 5), Rect(20, 0, 10, 5), Rect(0, 5, 30, 5)])

    def test_places_follow_the_window(self) -> None:
        host = host_with(2)
        host.resize(Size(21, 4))
        self.assertEqual([place.width for _, place in host.places()], [11, 10])

    def test_the_newest_view_has_the_focus(self) -> None:
        host = host_with(2)
        self.assertIs(host.focused, host.find("view-2"))

    def test_a_missing_page_opens_nothing(self) -> None:
        host = host_with(0)
        with self.assertRaises(PageNotFound):
            host.open("tiny:nowhere")
        self.assertEqual(host.views, [])
