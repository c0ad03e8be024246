"""What a plain xterm sends for a key."""

from __future__ import annotations

from typing import Final

_NAMED: Final = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "space": " ",
    "backspace": "\x7f",
    "insert": "\x1b[2~",
    "delete": "\x1b[3~",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    **{
        f"f{number}": f"\x1b[{code}~"
        for number, code in zip(range(5, 13), (15, 17, 18, 19, 20, 21, 23, 24), strict=True)
    },
}
_CURSOR: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_MODIFIERS: Final = {"shift": 2, "ctrl": 5, "ctrl+shift": 6}


def keystroke(key: str) -> str:
    """`key`: one character, a name of the table, an arrow, home or end with or without modifier, or ctrl+letter.

    Raises ValueError for anything else: a plain xterm has no bytes of its own for it.
    """
    if len(key) == 1:
        return key
    if key in _NAMED:
        return _NAMED[key]
    modifier, _, name = key.rpartition("+")
    if name in _CURSOR and not modifier:
        return f"\x1b[{_CURSOR[name]}"
    if name in _CURSOR and modifier in _MODIFIERS:
        return f"\x1b[1;{_MODIFIERS[modifier]}{_CURSOR[name]}"
    if modifier == "ctrl" and len(name) == 1 and "a" <= name <= "z":
        return chr(ord(name) & 0x1F)
    raise ValueError(f"a plain terminal has no key {key!r}")
