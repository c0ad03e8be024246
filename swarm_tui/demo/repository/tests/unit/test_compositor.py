import unittest

from tinykit.compositor import Compositor
from tinykit.geometry import Size
from tinykit.viewhost import ViewHost


class CompositorTest(unittest.TestCase):
    def test_an_empty_window_is_dotted(self) -> None:
        self.assertEqual(Compositor().compose(ViewHost(Size(3, 2))).rows, ("...", "..."))

    def test_a_view_has_a_border_and_a_title(self) -> None:
        host = ViewHost(Size(20, 4))
        host.open("tiny:about")
        rows = Compositor().compose(host).rows
        self.assertEqual(rows[0], "+- About ----------+")
        self.assertEqual(rows[1], "|ABOUT             |")
        self.assertEqual(rows[3], "+------------------+")

    def test_two_views_stand_side_by_side(self) -> None:
        host = ViewHost(Size(24, 3))
        host.open("tiny:about")
        host.open("tiny:gallery")
        rows = Compositor().compose(host).rows
        self.assertEqual(rows[1], "|ABOUT     ||GALLERY   |")

    def test_a_new_page_is_a_new_frame(self) -> None:
        host = ViewHost(Size(24, 6))
        view = host.open("tiny:about")
        compositor = Compositor()
        before = compositor.compose(host)
        view.navigate("tiny:gallery")
        self.assertNotEqual(compositor.compose(host).digest, before.digest)

    def test_scrolling_is_a_new_frame(self) -> None:
        host = ViewHost(Size(24, 6))
        view = host.open("tiny:about")
        compositor = Compositor()
        before = compositor.compose(host)
        view.scroll_by(1)
        self.assertNotEqual(compositor.compose(host).digest, before.digest)

    def test_a_window_too_small_for_borders_is_painted_all_the_same(self) -> None:
        host = ViewHost(Size(1, 1))
        host.open("tiny:about")
        self.assertEqual(Compositor().compose(host).rows, (" ",))
