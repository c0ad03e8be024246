"""A terminal as an xterm is one: what a program prints becomes a screen, and its questions are answered.

The sequences are read here and done by pyte's screen, because pyte's own reader takes several of them for text
(private parameters, device control strings) and has no second buffer. Colours are read over: pictures are text.
Numbers and answers follow xterm's ctlseqs.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable

import pyte
from pyte import charsets
from pyte import modes as pyte_modes
from pyte.screens import Char
from wcwidth import wcwidth

from canary.drivers.xterm_answers import Answers

HELD_CHARS = 4_096
"""Of a sequence that is not complete; longer ones are read over."""
COMBINING_MOST = 4
"""Marks on one character: each costs time by the length of those before it."""
REPEAT_MOST = 10_000
_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<mark>[<-?]?)(?P<numbers>[0-;]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b(?P<kind>[\]PX^_])(?P<body>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b(?P<inter>[ -/]+)(?P<code>[0-~])"
    r"|\x1b(?P<escape>[0-OQ-WYZ\\`-~])"
    r"|(?P<cancelled>\x1b[\]PX^_][^\x07\x1b]*(?=\x1b[^\\]))"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])"
)
_PARTIAL = re.compile(r"\x1b(?:\[[<-?]?[0-;]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)")
_STRING_END = re.compile(r"\x07|\x1b\\")
_MOVES = dict(pyte.Stream.csi)
_ALTERNATE = frozenset({47, 1047, 1049})
_SCREEN_MODES = frozenset({6, 7, 25})
"""Private modes that pyte's screen keeps itself: origin, wrap, cursor."""
_GRAPHICS = str.maketrans({chr(place): char for place, char in enumerate(charsets.VT100_MAP) if 95 <= place < 127})
_PLAIN = {chr(code): Char(chr(code)) for code in range(32, 127)}
_C0 = {"\b": "backspace", "\t": "tab", "\n": "linefeed", "\v": "linefeed", "\f": "linefeed", "\r": "carriage_return"}
_ESC = {"D": "index", "M": "reverse_index", "H": "set_tab_stop"}


class _Grid(pyte.Screen):
    def draw(self, data: str) -> None:
        """As pyte does it, a row at a time where every character is plain: ten times as fast."""
        if not data.isascii() or pyte_modes.IRM in self.mode:
            super().draw(data)
            return
        while data:
            if self.cursor.x >= self.columns:
                if pyte_modes.DECAWM in self.mode:
                    self.carriage_return()
                    self.linefeed()
                else:
                    self.cursor.x = self.columns - 1
            x = self.cursor.x
            piece, data = data[: self.columns - x], data[self.columns - x :]
            if data and pyte_modes.DECAWM not in self.mode:
                piece, data = piece[:-1] + data[-1], ""
            self.buffer[self.cursor.y].update(
                zip(range(x, x + len(piece)), map(_PLAIN.__getitem__, piece), strict=True)
            )
            self.cursor.x = x + len(piece)

    def cursor_to_line(self, line: int | None = None) -> None:
        """pyte takes for granted that origin mode comes with margins; without them the screen itself is the region."""
        if self.margins is None:
            self.cursor.y = (line or 1) - 1
            self.ensure_vbounds()
        else:
            super().cursor_to_line(line)


class Xterm:
    """`modes`: private modes that the program has set. reply: takes what goes back to it."""

    def __init__(self, columns: int, rows: int, reply: Callable[[bytes], None]) -> None:
        self.modes: set[int] = {7, 25}
        self._main = self.screen = _Grid(columns, rows)
        self._answers = Answers(self, reply)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._skipping = False
        self._graphics = [False, False]
        self._shift = 0
        self._last = " "
        self._marks = 0

    # ---- what is seen

    def lines(self) -> list[str]:
        """All rows, without spaces at their ends."""
        return [self._row(y) for y in range(self.screen.lines)]

    def _row(self, y: int) -> str:
        line, cells, x = self.screen.buffer[y], list[str](), 0
        while x < self.screen.columns:
            data = line[x].data
            wide = bool(data) and wcwidth(data[0]) == 2
            whole = wide and x + 1 < self.screen.columns and not line[x + 1].data
            # Of a wide character that was half written over, nothing is left.
            cells.append(data if data and wide == whole else " ")
            x += 2 if whole else 1
        return "".join(cells).rstrip()

    @property
    def updating(self) -> bool:
        """The program is in the middle of a picture, and has said so (mode 2026)."""
        return 2026 in self.modes

    def resize(self, columns: int, rows: int) -> None:
        for screen in {id(each): each for each in (self._main, self.screen)}.values():
            screen.resize(rows, columns)

    # ---- what is printed

    def feed(self, data: bytes) -> None:
        text = self._held + self._decoder.decode(data)
        self._held, at = "", 0
        while at < len(text):
            if self._skipping:
                end = _STRING_END.search(text, at)
                if end is None:
                    self._held = text[-1] if text.endswith("\x1b") else ""
                    return
                self._skipping, at = False, end.end()
                continue
            token = _TOKEN.match(text, at)
            if token is not None:
                self._do(token)
                at = token.end()
            elif _PARTIAL.fullmatch(text, at) is None:
                at += 1  # an escape that begins nothing
            elif len(text) - at > HELD_CHARS:
                self._skipping = text[at + 1] != "["
                at += 2
            else:
                self._held = text[at:]
                return

    def _do(self, token: re.Match[str]) -> None:
        if token["text"] is not None:
            self._draw(token["text"])
        elif token["final"] is not None:
            self._csi(token["mark"], token["numbers"], token["between"], token["final"])
        elif token["kind"] is not None:
            self._answers.string(token["kind"], token["body"])
        elif token["code"] is not None:
            if token["inter"] in ("(", ")"):
                self._graphics[token["inter"] == ")"] = token["code"] == "0"
        elif token["escape"] is not None:
            self._escape(token["escape"])
        elif token["control"] is not None:
            self._control(token["control"])

    def _draw(self, text: str) -> None:
        if self._graphics[self._shift]:
            text = text.translate(_GRAPHICS)
        if not text.isascii():
            text = self._drawable(text)
        if text:
            self._last = text[-1]
            self.screen.draw(text)

    def _drawable(self, text: str) -> str:
        """Without what pyte stops drawing at, and without marks beyond a few on one character."""
        found: list[str] = []
        for char in text:
            if wcwidth(char) > 0:
                self._marks = 0
                found.append(char)
            elif unicodedata.combining(char) and self._marks < COMBINING_MOST:
                self._marks += 1
                found.append(char)
        return "".join(found)

    def _control(self, char: str) -> None:
        if char in "\x0e\x0f":
            self._shift = char == "\x0e"
        elif (name := _C0.get(char)) is not None:
            getattr(self.screen, name)()

    def _escape(self, code: str) -> None:
        screen = self.screen
        if code == "7":
            self._save()
        elif code == "8":
            self._restore()
        elif code == "E":
            screen.carriage_return()
            screen.linefeed()
        elif code == "c":
            self._switch(alternate=False)
            self.modes = {7, 25}
            self._graphics, self._shift = [False, False], 0
            self.screen.reset()
        elif (name := _ESC.get(code)) is not None:
            getattr(screen, name)()

    def _save(self) -> None:
        self.screen.savepoints.clear()
        self.screen.save_cursor()

    def _restore(self) -> None:
        kept = self.screen.savepoints[-1:]
        self.screen.restore_cursor()
        self.screen.savepoints[:] = kept

    def _csi(self, mark: str, numbers: str, between: str, final: str) -> None:
        values = [min(int(each[:5]), 9999) if each else 0 for each in numbers.split(":")[0].split(";")]
        if mark == "?" and not between and final in "hl":
            self._set(values, on=final == "h")
        elif self._answers.asked(mark, values, between, final) or mark or between:
            return
        elif final == "s":
            self._save()
        elif final == "u":
            self._restore()
        else:
            self._move(values, final)

    def _move(self, values: list[int], final: str) -> None:
        screen, count = self.screen, max(values[0], 1)
        if final == "b":
            self._draw(self._last * min(count, REPEAT_MOST))
        elif final in "ST":
            self._scroll(count, down=final == "T")
        elif final == "I":
            for _ in range(min(count, screen.columns)):
                screen.tab()
        elif final == "Z":
            for _ in range(min(count, screen.columns)):
                screen.cursor.x = max((stop for stop in screen.tabstops if stop < screen.cursor.x), default=0)
        elif final in "JK":
            if values[0] <= (3 if final == "J" else 2):
                getattr(screen, _MOVES[final])(values[0])
        elif final in "hl":
            act = screen.set_mode if final == "h" else screen.reset_mode
            act(*(mode for mode in values if mode in (pyte_modes.IRM, pyte_modes.LNM)))
        elif final == "r":
            screen.set_margins(*(each or None for each in values[:2]))
        elif final == "g":
            screen.clear_tab_stop(values[0])
        elif final in "Hf":
            screen.cursor_position(*values[:2])
        elif final not in "mnc" and final in _MOVES:
            getattr(screen, _MOVES[final])(values[0])

    def _scroll(self, count: int, *, down: bool) -> None:
        screen = self.screen
        top, bottom = screen.margins or (0, screen.lines - 1)
        x, y = screen.cursor.x, screen.cursor.y
        screen.cursor.y = top if down else bottom
        for _ in range(min(count, bottom - top + 1)):
            screen.reverse_index() if down else screen.index()
        screen.cursor.x, screen.cursor.y = x, y

    def _set(self, modes: list[int], *, on: bool) -> None:
        for mode in modes:
            (self.modes.add if on else self.modes.discard)(mode)
            if mode in _SCREEN_MODES:
                (self.screen.set_mode if on else self.screen.reset_mode)(mode, private=True)
            elif mode in _ALTERNATE:
                self._switch(alternate=on, cursor=mode == 1049)
            elif mode == 1048:
                self._save() if on else self._restore()

    def _switch(self, *, alternate: bool, cursor: bool = False) -> None:
        """To the second buffer, which is empty then, or back to the first as it was left."""
        if alternate and self.screen is self._main:
            if cursor:
                self._save()
            self.screen = _Grid(self._main.columns, self._main.lines)
            self.screen.cursor.x, self.screen.cursor.y = self._main.cursor.x, self._main.cursor.y
        elif not alternate and self.screen is not self._main:
            self.screen = self._main
            if cursor:
                self._restore()
