import io
import json
import unittest

from tinykit.events import Session, serve


class SessionTest(unittest.TestCase):
    def test_a_new_view_is_told_before_its_frame(self) -> None:
        opened, frame = Session().handle({"kind": "open_view", "url": "tiny:about"})
        self.assertEqual(opened, {"kind": "view_opened", "view": "view-1", "url": "tiny:about"})
        self.assertEqual((frame["kind"], frame["w"], frame["h"]), ("frame", 400, 200))

    def test_a_frame_has_the_rows_of_its_window(self) -> None:
        (frame,) = Session().handle({"kind": "resize", "w": 120, "h": 60})
        self.assertEqual([len(row) for row in frame["rows"]], [12, 12, 12])

    def test_navigation_names_view_and_title(self) -> None:
        session = Session()
        session.handle({"kind": "open_view"})
        told, _ = session.handle({"kind": "navigate", "url": "tiny:gallery"})
        self.assertEqual((told["view"], told["title"]), ("view-1", "Gallery"))

    def test_what_cannot_be_done_is_an_error_without_a_frame(self) -> None:
        for command in ({"kind": "fly"}, {"kind": "back"}, {"kind": "resize", "w": 0, "h": 5}, {"kind": "scroll"}):
            self.assertEqual([event["kind"] for event in Session().handle(command)], ["error"], command)


class ServeTest(unittest.TestCase):
    def test_it_speaks_json_lines_until_quit(self) -> None:
        told = io.StringIO()
        serve(io.StringIO('{"kind": "open_view"}\nnonsense\n{"kind": "quit"}\n{"kind": "open_view"}\n'), told)
        events = [json.loads(line) for line in told.getvalue().splitlines()]
        self.assertEqual([event["kind"] for event in events], ["ready", "view_opened", "frame", "error"])
        self.assertEqual([event["seq"] for event in events], [0, 1, 2, 3])
