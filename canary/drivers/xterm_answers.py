"""What a terminal answers when a program asks it: who it is, where the cursor stands, which modes are set.

A program that gets no answer waits for one before it draws. Kitty's keyboard query stays without one, as in an xterm:
programs ask for the device attributes behind it and take their answer as a no.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary.drivers.xterm import Xterm

CELL_W, CELL_H = 8, 16
"""Pixels of a character, for those who ask."""
_KNOWN_MODES = frozenset({1, 6, 7, 9, 25, 47, 1000, 1002, 1003, 1004, 1006, 1047, 1048, 1049, 2004, 2026})
_COLOURS = {"10": "rgb:ffff/ffff/ffff", "11": "rgb:0000/0000/0000", "12": "rgb:ffff/ffff/ffff"}


class Answers:
    def __init__(self, terminal: Xterm, reply: Callable[[bytes], None]) -> None:
        self._terminal = terminal
        self._reply = reply

    def asked(self, mark: str, values: Sequence[int], between: str, final: str) -> bool:
        """Answer a control sequence; whether it was a question."""
        if final == "c" and not between:
            self._say({"": "\x1b[?62;22c", ">": "\x1b[>41;390;0c", "=": "\x1bP!|00000000\x1b\\"}.get(mark, ""))
        elif final == "n" and mark in ("", "?") and not between:
            self._status(mark, values[0])
        elif final == "q" and mark == ">":
            self._say("\x1bP>|XTerm(390)\x1b\\")
        elif final == "p" and between == "$":
            self._mode(mark, values[0])
        elif final == "t" and not mark and not between:
            self._window(values[0])
        elif final == "p" and between == "!":
            self._terminal.modes -= {1, 6, 2004}
        else:
            return False
        return True

    def string(self, kind: str, body: str) -> None:
        """Answer an operating system command or a device control string."""
        if kind == "]":
            number, _, what = body.partition(";")
            if what == "?" and number in _COLOURS:
                self._say(f"\x1b]{number};{_COLOURS[number]}\x1b\\")
        elif kind == "P" and body.startswith("+q"):
            self._say("\x1bP0+r\x1b\\")
        elif kind == "P" and body.startswith("$q"):
            self._say("\x1bP0$r\x1b\\")

    def _status(self, mark: str, what: int) -> None:
        if what == 5 and not mark:
            self._say("\x1b[0n")
        elif what == 6:
            cursor, columns = self._terminal.screen.cursor, self._terminal.screen.columns
            self._say(f"\x1b[{mark}{cursor.y + 1};{min(cursor.x, columns - 1) + 1}R")

    def _mode(self, mark: str, mode: int) -> None:
        """DECRQM: 1 is set, 2 is not, 0 is unknown."""
        known = mark == "?" and mode in _KNOWN_MODES
        self._say(f"\x1b[{mark}{mode};{(1 if mode in self._terminal.modes else 2) if known else 0}$y")

    def _window(self, what: int) -> None:
        screen = self._terminal.screen
        if what == 14:
            self._say(f"\x1b[4;{screen.lines * CELL_H};{screen.columns * CELL_W}t")
        elif what == 16:
            self._say(f"\x1b[6;{CELL_H};{CELL_W}t")
        elif what == 18:
            self._say(f"\x1b[8;{screen.lines};{screen.columns}t")

    def _say(self, text: str) -> None:
        if text:
            self._reply(text.encode("ascii"))
