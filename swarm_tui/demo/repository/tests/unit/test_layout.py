import unittest

from tinykit.document import Block
from tinykit.layout import lay_out, wrap


class WrapTest(unittest.TestCase):
    def test_words_stay_whole_while_they_fit(self) -> None:
        self.assertEqual(wrap("a view host keeps views", 9), ["a view", "host", "keeps", "views"])

    def test_a_long_word_is_broken(self) -> None:
        self.assertEqual(wrap("compositor", 4), ["comp", "osit", "or"])

    def test_no_width_has_no_lines(self) -> None:
        self.assertEqual(wrap("anything", 0), [])


class LayOutTest(unittest.TestCase):
    def test_a_heading_is_underlined(self) -> None:
        self.assertEqual([line.text for line in lay_out([Block("heading", "Home")], 20)], ["HOME", "===="])

    def test_a_rule_is_as_wide_as_the_view(self) -> None:
        self.assertEqual(lay_out([Block("rule")], 7)[0].text, "-------")

    def test_blocks_are_a_line_apart(self) -> None:
        lines = lay_out([Block("paragraph", "a"), Block("link", "b", "tiny:home")], 20)
        self.assertEqual([line.text for line in lines], ["a", "", "> b"])
