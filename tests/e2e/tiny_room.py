"""A small Textual app for the tests of the terminal and of the hang-up: it echoes keys, and can draw without end."""

from __future__ import annotations

import sys

from textual import events
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Static

from swarm_tui.room.hangup import ends_with_its_terminal


class TinyRoom(App[None]):
    """`busy`: a whole screen anew, 30 times a second."""

    CSS = "Static { width: 1fr; height: auto; } #noise { height: 1fr; color: #ff8000; }"

    def __init__(self, busy: bool) -> None:
        super().__init__()
        self._busy = busy
        self._frames = 0

    def compose(self) -> ComposeResult:
        yield Static("ready", id="said")
        yield Static("", id="size")
        yield Static("", id="noise")

    def on_mount(self) -> None:
        self.title = "tiny room"
        if self._busy:
            self.set_interval(1 / 30, self._draw)

    def _draw(self) -> None:
        self._frames += 1
        rows = [
            f"{self._frames} {row} ".ljust(self.size.width, "·×"[self._frames % 2]) for row in range(self.size.height)
        ]
        self.query_one("#noise", Static).update(Content("\n".join(rows)))

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#size", Static).update(Content(f"size {event.size.width}x{event.size.height}"))

    def on_key(self, event: events.Key) -> None:
        if event.key == "q":
            self.exit(return_code=7)
        self.query_one("#said", Static).update(Content(f"key {event.key}"))

    def on_paste(self, event: events.Paste) -> None:
        self.query_one("#said", Static).update(Content(f"paste {event.text!r}"))

    def on_click(self, event: events.Click) -> None:
        self.query_one("#said", Static).update(Content(f"click {event.screen_x},{event.screen_y}"))


def main() -> None:
    app = TinyRoom("busy" in sys.argv[1:])
    if "bare" in sys.argv[1:]:
        app.run()
    else:
        with ends_with_its_terminal(app):
            app.run()
    print("the room is left")
    sys.exit(app.return_code)


if __name__ == "__main__":
    main()
