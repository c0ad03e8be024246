import unittest

from tinykit.history import History


class HistoryTest(unittest.TestCase):
    def test_it_goes_back_and_forward(self) -> None:
        history = History("a")
        history.visit("b")
        self.assertEqual((history.back(), history.forward()), ("a", "b"))

    def test_it_stops_at_both_ends(self) -> None:
        history = History("a")
        self.assertEqual((history.back(), history.forward()), ("a", "a"))

    def test_a_visit_forgets_what_lay_ahead(self) -> None:
        history = History("a")
        history.visit("b")
        history.back()
        history.visit("c")
        self.assertEqual(history.entries, ("a", "c"))
        self.assertFalse(history.can_go_forward)

    def test_the_same_address_twice_is_one_entry(self) -> None:
        history = History("a")
        history.visit("a")
        self.assertEqual(history.entries, ("a",))

    def test_the_newest_page_is_the_current_one(self) -> None:
        history = History("page-0")
        for number in range(1, 40):
            history.visit(f"page-{number}")
        self.assertEqual(history.current, "page-39")
