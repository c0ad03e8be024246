"""Names of keys in a flow, as the browser's own keyboard calls them (UI Events, `KeyboardEvent.key`)."""

from __future__ import annotations

_MODIFIERS = {"ctrl": "Control", "control": "Control", "alt": "Alt", "shift": "Shift", "meta": "Meta"}
_NAMES = {
    "enter": "Enter",
    "return": "Enter",
    "escape": "Escape",
    "esc": "Escape",
    "tab": "Tab",
    "backspace": "Backspace",
    "delete": "Delete",
    "insert": "Insert",
    "space": "Space",
    "plus": "+",
    "up": "ArrowUp",
    "down": "ArrowDown",
    "left": "ArrowLeft",
    "right": "ArrowRight",
    "home": "Home",
    "end": "End",
    "pageup": "PageUp",
    "pagedown": "PageDown",
} | {f"f{number}": f"F{number}" for number in range(1, 13)}


def page_key(key: str) -> str | None:
    """`ctrl+c` is `Control+c`; None: there is no such key."""
    if len(key) == 1:
        return key
    *held, name = key.split("+")
    named = _NAMES.get(name.lower()) or (name if len(name) == 1 else None)
    modifiers = [_MODIFIERS.get(each.lower()) for each in held]
    if named is None or None in modifiers:
        return None
    return "+".join([*(each for each in modifiers if each is not None), named])
