"""Keys and clicks as an xterm sends them (ctlseqs, "PC-Style Function Keys" and "Mouse Tracking")."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

ESCAPE = "\x1b"
_SHIFT, _ALT, _CTRL = 1, 2, 4
_MODIFIERS = {"shift": _SHIFT, "alt": _ALT, "ctrl": _CTRL, "control": _CTRL}
_PLAIN = {
    "enter": "\r",
    "return": "\r",
    "escape": ESCAPE,
    "esc": ESCAPE,
    "tab": "\t",
    "backspace": "\x7f",
    "space": " ",
    "plus": "+",
}
_LETTERS = {"up": "A", "down": "B", "right": "C", "left": "D", "end": "F", "home": "H"}
_FIRST_FUNCTION = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_TILDES = {"insert": 2, "delete": 3, "pageup": 5, "pagedown": 6} | dict(
    zip((f"f{n}" for n in range(5, 13)), (15, 17, 18, 19, 20, 21, 23, 24), strict=True)
)
_BUTTONS = {"left": 0, "middle": 1, "right": 2}
CURSOR_KEYS, SGR_MOUSE = 1, 1006
MOUSE_MODES = frozenset({9, 1000, 1002, 1003})


def key_bytes(key: str, modes: AbstractSet[int]) -> bytes | None:
    """What the terminal sends for a key such as `enter`, `ctrl+c`, `alt+left` or `é`; None: there is no such key.

    modes: the private modes that the program has set; with DECCKM (1) the arrows are sent in another way.
    """
    *held, name = key.split("+") if key != "+" and not key.endswith("++") else [*key[:-1].split("+")[:-1], "+"]
    if any(each.lower() not in _MODIFIERS for each in held):
        return None
    modifier = 0
    for each in held:
        modifier |= _MODIFIERS[each.lower()]
    sequence = _named(name.lower(), modifier, modes) or _character(name, modifier)
    return sequence.encode("utf-8") if sequence is not None else None


def _named(name: str, modifier: int, modes: AbstractSet[int]) -> str | None:
    if name == "tab" and modifier == _SHIFT:
        return "\x1b[Z"
    if name in _PLAIN:
        if name == "space" and modifier & _CTRL:
            return _with_alt("\0", modifier)
        if name == "backspace" and modifier & _CTRL:
            return _with_alt("\b", modifier)
        return _with_alt(_PLAIN[name], modifier)
    letter = _LETTERS.get(name) or _FIRST_FUNCTION.get(name)
    if letter is not None:
        if modifier:
            return f"\x1b[1;{modifier + 1}{letter}"
        return f"\x1b{'O' if name in _FIRST_FUNCTION or CURSOR_KEYS in modes else '['}{letter}"
    if name in _TILDES:
        return f"\x1b[{_TILDES[name]}{f';{modifier + 1}' if modifier else ''}~"
    return None


def _character(name: str, modifier: int) -> str | None:
    if len(name) != 1 or not name.isprintable():
        return None
    if modifier & _CTRL:
        upper = name.upper()
        if not ("@" <= upper <= "_" or upper == "?"):
            return None
        return _with_alt("\x7f" if upper == "?" else chr(ord(upper) & 0x1F), modifier)
    return _with_alt(name.upper() if modifier & _SHIFT else name, modifier)


def _with_alt(sequence: str, modifier: int) -> str:
    return ESCAPE + sequence if modifier & _ALT else sequence


def click_bytes(x: int, y: int, button: str, modes: AbstractSet[int]) -> bytes | None:
    """Press and release at column `x` and row `y`, from 0. None: the program has not asked for the mouse."""
    if not modes & MOUSE_MODES:
        return None
    code = _BUTTONS[button]
    if SGR_MOUSE in modes:
        return f"\x1b[<{code};{x + 1};{y + 1}M\x1b[<{code};{x + 1};{y + 1}m".encode("ascii")
    place = bytes((33 + min(x, 222), 33 + min(y, 222)))
    pressed = b"\x1b[M" + bytes((32 + code,)) + place
    return pressed if 9 in modes else pressed + b"\x1b[M" + bytes((32 + 3,)) + place
