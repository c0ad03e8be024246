"""The screen of a plain xterm: pyte, and what pyte leaves out: the alternate screen, questions, OSC, bells."""

from __future__ import annotations

import codecs
import copy
import re
from collections.abc import Callable
from typing import Any

import pyte

# What pyte would draw as text or take for something else: OSC, DCS, APC and PM strings, and CSI sequences with < = > in
# front or $ before their end. An incomplete one at the end of what was read waits for the rest.
_SPECIAL = re.compile(
    r"\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[P_^][^\x1b]*\x1b\\"
    r"|\x1b\[\?(?P<asked>\d+)\$p"
    r"|\x1b\[[<=>][\d;:]*[$ ]?[a-zA-Z]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[<=>?\d;:$ !]*|[\]P_^][^\x07\x1b]*\x1b?)?\Z")
ALTERNATE_SCREEN = 1049


class Screen(pyte.Screen):
    """`answer` gets what the terminal says to the program's questions. Everything here is of the program's making."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        self._reply = answer
        self.private_modes: set[int] = set()
        """DEC modes that are on: 25 cursor, 1000… mouse, 1004 focus, 1049 alternate screen, 2004 bracketed paste …"""
        self.osc: list[str] = []
        """Every OSC sequence so far, as `number;rest`."""
        self.bells = 0
        self._main: tuple[Any, Any] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""
        super().__init__(columns, lines)
        self._stream = pyte.Stream(self)

    def show(self, raw: bytes) -> None:
        """Draw what a program wrote."""
        text = self._left + self._decoder.decode(raw)
        self._left = ""
        at = 0
        for found in _SPECIAL.finditer(text):
            self._stream.feed(text[at : found.start()])
            at = found.end()
            if found["osc"] is not None:
                self._heard(found["osc"])
            elif found["asked"] is not None:
                # DECRQM: 0 is "never heard of it", 1 set, 2 reset.
                mode = int(found["asked"])
                known = mode in (1, 7, 25, 1000, 1002, 1003, 1004, 1006, 1049, 2004)
                state = (1 if mode in self.private_modes else 2) if known else 0
                self._reply(f"\x1b[?{mode};{state}$y")
        rest = text[at:]
        if unfinished := _UNFINISHED.search(rest):
            rest, self._left = rest[: unfinished.start()], rest[unfinished.start() :]
        self._stream.feed(rest)

    def colours(self) -> set[str]:
        """The foreground and background colours that are on the screen, but for the terminal's own."""
        cells = [self.buffer[row][col] for row in range(self.lines) for col in range(self.columns)]
        return {colour for cell in cells for colour in (cell.fg, cell.bg)} - {"default"}

    # -- what pyte asks or leaves out ----------------------------------------------------------------------------

    def _heard(self, osc: str) -> None:
        self.osc.append(osc)
        number, _, rest = osc.partition(";")
        if number in ("0", "2"):
            self.set_title(rest)

    def bell(self, *args: Any) -> None:
        self.bells += 1

    def write_process_input(self, data: str) -> None:
        self._reply(data)

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        if kwargs.get("private"):
            self.private_modes |= set(modes)
            if ALTERNATE_SCREEN in modes and self._main is None:
                self._main = copy.deepcopy(self.buffer), copy.copy(self.cursor)
                self.erase_in_display(2)
        super().set_mode(*modes, **kwargs)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        if kwargs.get("private"):
            self.private_modes -= set(modes)
            if ALTERNATE_SCREEN in modes and self._main is not None:
                (self.buffer, self.cursor), self._main = self._main, None
                self.dirty.update(range(self.lines))
        super().reset_mode(*modes, **kwargs)
