"""The window on a terminal: keys in, frames out. `q` leaves, `n` opens the next page, the arrows scroll."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from tinykit.compositor import Compositor
from tinykit.document import PAGES
from tinykit.geometry import Size
from tinykit.viewhost import ViewHost

CLEAR, HIDE, SHOW = "\x1b[2J\x1b[H", "\x1b[?25l", "\x1b[?25h"
ARROWS = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\xe0H": "up", "\xe0P": "down"}
"""As terminals send them, and as a Windows console does."""


class Screen:
    """One window as large as the terminal, above a line that says which keys there are."""

    def __init__(self, columns: int, rows: int, url: str) -> None:
        self.host = ViewHost(Size(columns, max(1, rows - 1)))
        self.compositor = Compositor()
        self.host.open(url)

    def press(self, key: str) -> bool:
        """Do what a key is for; False when it is time to leave."""
        view = self.host.focused
        if key == "n":
            pages = list(PAGES)
            self.host.open(pages[len(self.host.views) % len(pages)])
        elif key in ("up", "down") and view is not None:
            view.scroll_by(1 if key == "down" else -1)
        return key != "q"

    def text(self) -> str:
        """What the terminal shows now."""
        return "\r\n".join([*self.compositor.compose(self.host).rows, f"{len(self.host.views)} open, n next page, q quit"])


def keys_of(read: Callable[[], str]) -> Iterator[str]:
    """Keys by name, out of what `read` gives at a time, until it gives nothing."""
    while came := read():
        while came:
            arrow = next((each for each in ARROWS if came.startswith(each)), "")
            yield ARROWS.get(arrow, came[0])
            came = came[len(arrow) or 1 :]


def show(url: str) -> None:
    """Until somebody presses q. Raises PageNotFound."""
    columns, rows = os.get_terminal_size()
    screen = Screen(columns, rows, url)
    if sys.platform == "win32":
        import msvcrt

        _play(screen, lambda: (key := msvcrt.getwch()) + (msvcrt.getwch() if key == "\xe0" else ""))
        return
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    try:
        _play(screen, lambda: os.read(keyboard, 64).decode("utf-8", errors="replace"))
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _play(screen: Screen, read: Callable[[], str]) -> None:
    sys.stdout.write(HIDE)
    keys = keys_of(read)
    while True:
        sys.stdout.write(CLEAR + screen.text())
        sys.stdout.flush()
        if not screen.press(next(keys, "q")):
            break
    sys.stdout.write(CLEAR + SHOW)
    sys.stdout.flush()
