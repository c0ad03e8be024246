import unittest

from tinykit.screen import Screen, keys_of


class ScreenTest(unittest.TestCase):
    def test_keys_have_names(self) -> None:
        came = iter(["n", "\x1b[B\x1b[A", "\x1bOBq", ""])
        self.assertEqual(list(keys_of(lambda: next(came))), ["n", "down", "up", "down", "q"])

    def test_it_fills_the_terminal(self) -> None:
        screen = Screen(40, 12, "tiny:home")
        lines = screen.text().split("\r\n")
        self.assertEqual((len(lines), len(lines[0])), (12, 40))
        self.assertTrue(screen.press("n"))
        self.assertIn("About", screen.text())

    def test_q_leaves(self) -> None:
        self.assertFalse(Screen(40, 12, "tiny:home").press("q"))
