import random
import unittest

from tinykit.compositor import Compositor
from tinykit.geometry import Size
from tinykit.history import History
from tinykit.viewhost import ViewHost


class HostStorm(unittest.TestCase):
    def test_places_cover_the_window_at_any_size(self) -> None:
        chance = random.Random(3)
        host = ViewHost(Size(80, 24))
        for _ in range(11):
            host.open("tiny:home")
            for _ in range(10):
                host.resize(Size(chance.randint(1, 200), chance.randint(1, 60)))
                places = [place for _, place in host.places()]
                self.assertEqual(sum(place.area for place in places), host.size.width * host.size.height)

    def test_many_views_are_painted(self) -> None:
        host = ViewHost(Size(200, 60))
        for _ in range(24):
            host.open("tiny:gallery")
        self.assertEqual({len(row) for row in Compositor().compose(host).rows}, {200})

    def test_a_long_walk_through_the_history_comes_home(self) -> None:
        chance = random.Random(5)
        history = History("start")
        for step in range(2000):
            chance.choice((history.back, history.forward, lambda at=step: history.visit(f"page-{at}")))()
            self.assertIn(history.current, history.entries)
