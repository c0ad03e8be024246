"""Calling a person who does not look: the terminal's bell and title, and a note of the desktop.

Pure but for what it is given to write with. Text in the sequences is clean: no control characters, and nothing that a
terminal could take for more than text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.text.sanitise import sanitise_line

if TYPE_CHECKING:
    from textual.app import App

    from swarm_tui.room.needs import Need

BELL_EVERY_S = 5.0
NOTE_EVERY_S = 30.0
MAX_TEXT = 120
_PLAIN_TERMINALS = ("dumb", "linux")
"""TERM of terminals that would draw a sequence they do not know."""
_ESC, _ST = "\x1b", "\x1b\\"
KEEP_TITLE, GIVE_BACK_TITLE = f"{_ESC}[22;2t", f"{_ESC}[23;2t"


@dataclass
class Attention:
    """`write` puts a sequence out beside the screen, or is None where there is no terminal of ours. `clock` is
    monotonic, in seconds. The bell rings and the note comes for what is new since the first look, each not too often;
    what comes too early is told later, if it still waits."""

    name: str
    write: Callable[[str], None] | None
    clock: Callable[[], float]
    bell: bool = True
    notify: bool = True
    _known: frozenset[str] | None = None
    _unrung: frozenset[str] = frozenset()
    _untold: frozenset[str] = frozenset()
    _rung_at: float = field(default=float("-inf"))
    _told_at: float = field(default=float("-inf"))
    _title: str = ""

    def look(self, needs: Sequence[Need], *, focused: bool) -> None:
        """What needs a person now, and whether the terminal has the focus as far as it says."""
        if self.write is None:
            return
        keys = frozenset(need.key for need in needs)
        new = keys - self._known if self._known is not None else frozenset[str]()
        self._known = keys
        self._unrung = (self._unrung | new) & keys
        # Who looks at the terminal has the banner, and no note pops up behind his back later.
        self._untold = frozenset() if focused else (self._untold | new) & keys
        self._show_title(len(needs))
        self._ring()
        self._tell(needs)

    def close(self) -> None:
        """Give the terminal its own title back."""
        if self.write is not None and self._title:
            self._title = ""
            self.write(GIVE_BACK_TITLE)

    def _show_title(self, count: int) -> None:
        title = f"(!) {count} need{'s' * (count == 1)} you – {self.name}" if count else f"swarm – {self.name}"
        if title != self._title:
            assert self.write is not None
            self.write(("" if self._title else KEEP_TITLE) + title_sequence(title))
            self._title = title

    def _ring(self) -> None:
        now = self.clock()
        if self._unrung and now - self._rung_at >= BELL_EVERY_S:
            self._unrung, self._rung_at = frozenset(), now
            if self.bell and self.write is not None:
                self.write("\a")

    def _tell(self, needs: Iterable[Need]) -> None:
        now = self.clock()
        if self._untold and now - self._told_at >= NOTE_EVERY_S:
            titles = [need.title for need in needs if need.key in self._untold]
            self._untold, self._told_at = frozenset(), now
            if self.notify and self.write is not None:
                more = f" (+{len(titles) - 1} more)" if len(titles) > 1 else ""
                self.write(note_sequences(f"swarm {self.name}", f"{_harmless(titles[0])}{more}"))


def title_sequence(title: str) -> str:
    """OSC 2: the window's title."""
    return f"{_ESC}]2;{_harmless(title)}{_ST}"


def note_sequences(title: str, body: str) -> str:
    """OSC 777 and OSC 9: a note of the desktop, for terminals that know one of them; others ignore both."""
    title, body = _harmless(title), _harmless(body)
    # The body stands behind the title, as some terminals read OSC 9 with a leading number as something else.
    return f"{_ESC}]777;notify;{title};{body}{_ST}{_ESC}]9;{title}: {body}{_ST}"


def voice_of(app: App[Any]) -> Callable[[str], None] | None:
    """How to write to the terminal of an app beside what it draws; None when it has none of its own, or a plain one."""
    driver = app._driver
    if driver is None or driver.is_headless or driver.is_web or os.environ.get("TERM", "") in _PLAIN_TERMINALS:
        return None
    return driver.write


def _harmless(text: str) -> str:
    """One clean line without the separator of the sequences, not too long for a bubble or a tab."""
    clean = sanitise_line(text, line_cap=10_000).replace(";", ",")
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"
