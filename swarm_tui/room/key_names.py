"""Names of keys as Textual spells them: which are right, which a terminal can send, and how a person is shown them."""

from __future__ import annotations

import difflib
import string
from functools import cache
from typing import TYPE_CHECKING, Any

from textual.keys import KEY_ALIASES, Keys, _character_to_key, format_key

if TYPE_CHECKING:
    from textual.app import App

MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")
_MEANT = {
    "esc": "escape",
    "return": "enter",
    "ret": "enter",
    "del": "delete",
    "ins": "insert",
    "bs": "backspace",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "page_up": "pageup",
    "page_down": "pagedown",
    "spacebar": "space",
    "control": "ctrl",
}


@cache
def _bases() -> frozenset[str]:
    """Every name a key can have without modifiers."""
    special = {key.value for key in Keys if key.value.isidentifier()} - {"return"}  # sent as enter
    printable = {_character_to_key(chr(code)) for code in range(32, 127)}
    return frozenset(special | printable)


def spelled(key: str) -> str:
    """A key as Textual spells it: `?` is `question_mark`. A name that is not known stays as it is."""
    head, plus, last = key.rpartition("+") if len(key) > 1 and not key.endswith("+") else ("", "", key)
    return head + plus + (_character_to_key(last) if len(last) == 1 else last)


def wrong(key: str) -> str:
    """Why this is no key that can be pressed, with what to write instead; "" if it is one. `key`: one key, spelled."""
    *modifiers, base = key.split("+")
    if not base:
        return 'a key is missing; write the plus sign as "plus"'
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            return f'"{modifier}" is no modifier; use {" or ".join(MODIFIERS[:3])}'
    if base not in _bases() and not (len(base) == 1 and base.isprintable()):
        return f'"{base}" is no key; {_instead(base)}'
    if modifiers == ["shift"] and base in string.ascii_letters:
        return f'terminals send shift with a letter as "{base.upper()}"; write that'
    if "ctrl" in modifiers and base in string.ascii_uppercase:
        return f'write "{key[: -len(base)]}{base.lower()}"'
    for name, aliases in KEY_ALIASES.items():
        if key in aliases:
            return f'terminals send it as "{name}"; choose another'
    return ""


def only_some_terminals(key: str) -> bool:
    """Whether many terminals do not send this key, or send it as another one: never the only way to an action."""
    *modifiers, base = key.split("+")
    held = set(modifiers)
    if held & {"alt", "super", "hyper", "meta"}:
        return True
    return "ctrl" in held and ("shift" in held or base in ("enter", "tab", "backspace", "escape") or base.isdigit())


def shown(key: str) -> str:
    """A key as the footer shows it: `?`, `^p`, `esc`."""
    *modifiers, base = key.split("+")
    name = format_key(base)
    if "ctrl" in modifiers:
        modifiers.remove("ctrl")
        name = f"^{name}"
    return "+".join([*modifiers, name])


def key_now(app: App[Any], ident: str) -> str:
    """The key of a binding as it is configured now, as it is shown; its id where it has none on this screen."""
    keys = [key for key, active in app.screen.active_bindings.items() if active.binding.id == ident]
    if keys:
        return shown(keys[0])
    bindings = [each for _, each in app.screen._bindings if each.id == ident]  # pyright: ignore[reportPrivateUsage]
    chosen = app._keymap.get(ident, "")  # pyright: ignore[reportPrivateUsage]
    return shown((chosen or (bindings[0].key if bindings else ident)).partition(",")[0])


def _instead(base: str) -> str:
    if meant := _MEANT.get(base.casefold()):
        return f'write "{meant}"'
    if base.casefold() in _bases():
        return f'write "{base.casefold()}"'
    near = difflib.get_close_matches(base.casefold(), sorted(_bases()), n=1, cutoff=0.6)
    return f'write "{near[0]}"' if near else "write a character, or a name such as escape, enter, f5, ctrl+g"
