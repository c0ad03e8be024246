import unittest

from tinykit.document import PAGES, Block, PageNotFound, load, parse, title_of


class ParseTest(unittest.TestCase):
    def test_lines_side_by_side_are_one_paragraph(self) -> None:
        self.assertEqual(parse("one\ntwo\n\nthree"), [Block("paragraph", "one two"), Block("paragraph", "three")])

    def test_a_link_has_a_target_and_a_text(self) -> None:
        self.assertEqual(parse("=> tiny:home The way home"), [Block("link", "The way home", "tiny:home")])

    def test_a_link_without_text_shows_its_target(self) -> None:
        self.assertEqual(parse("=> tiny:home"), [Block("link", "tiny:home", "tiny:home")])

    def test_a_heading_and_a_rule_stand_alone(self) -> None:
        self.assertEqual([block.kind for block in parse("# A\nb\n---\nc")], ["heading", "paragraph", "rule", "paragraph"])


class ShelfTest(unittest.TestCase):
    def test_every_page_has_a_title(self) -> None:
        for url in PAGES:
            self.assertNotEqual(title_of(load(url)), "untitled", url)

    def test_a_missing_page_is_said_so(self) -> None:
        with self.assertRaisesRegex(PageNotFound, "tiny:nowhere"):
            load("tiny:nowhere")
