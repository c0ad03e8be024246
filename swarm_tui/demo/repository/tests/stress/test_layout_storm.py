import random
import unittest

from tinykit.document import Block
from tinykit.layout import lay_out, wrap


class LayoutStorm(unittest.TestCase):
    def test_no_line_is_wider_than_the_view(self) -> None:
        chance = random.Random(7)
        words = ["x" * chance.randint(1, 30) for _ in range(300)]
        for width in range(1, 60):
            self.assertLessEqual(max(map(len, wrap(" ".join(words), width))), width)

    def test_no_word_is_lost(self) -> None:
        chance = random.Random(11)
        for _ in range(60):
            text = " ".join("y" * chance.randint(1, 12) for _ in range(40))
            joined = "".join(wrap(text, chance.randint(1, 50)))
            self.assertEqual(joined.replace(" ", ""), text.replace(" ", ""))

    def test_a_long_page_is_laid_out_at_any_width(self) -> None:
        page = [Block("paragraph", "lorem ipsum dolor sit amet " * 8)] * 20
        for width in (1, 2, 40, 500):
            self.assertTrue(lay_out(page, width))
