"""What in a name is made to be misread: hidden signs, letters of several scripts in one word, look-alikes of Latin.

`sanitise` makes a text safe to draw; this says that it should not be believed. Words are cheap here: whoever is warned
reads twice. The look-alikes are those of Unicode's confusables (UTS 39) that print like a lower-case or capital letter
of Latin in common fonts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from engine.text.sanitise import sanitise, sanitise_line

_LATIN = {
    # Cyrillic
    "а": "a", "с": "c", "ԁ": "d", "е": "e", "һ": "h", "і": "i", "ј": "j", "ӏ": "l", "о": "o", "р": "p", "ԛ": "q",
    "ѕ": "s", "ѵ": "v", "ԝ": "w", "х": "x", "у": "y", "А": "A", "В": "B", "С": "C", "Е": "E", "Н": "H", "І": "I",
    "Ј": "J", "К": "K", "М": "M", "О": "O", "Р": "P", "Ѕ": "S", "Т": "T", "Х": "X", "У": "Y", "Ү": "Y", "Ԝ": "W",
    # Greek
    "α": "a", "ο": "o", "ν": "v", "ρ": "p", "ι": "i", "υ": "u", "ϲ": "c", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z",
    "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X",
    # Armenian
    "օ": "o", "ս": "u", "հ": "h", "ո": "n", "ց": "g", "զ": "q",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_PUNYCODE = re.compile(r"(?:^|[./@])(xn--[a-z0-9-]+)", re.IGNORECASE)
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA"})
_SHOWN = 40


def suspicious(text: str) -> list[str]:
    """Why a command's argument, host, package or branch should be read twice; one clause each, [] when nothing is odd.

    Clean ASCII on one line never is. The clauses are safe to show.
    """
    if text.isascii() and text.isprintable() and "xn--" not in text.lower():
        return []
    found: list[str] = []
    if "\n" in text or "\r" in text:
        found.append("it has line breaks in it")
    if sanitise(text.replace("\r", ""), line_cap=len(text) + 1) != text.replace("\r", ""):
        found.append("it has hidden or direction-changing characters in it")
    for word in dict.fromkeys(_WORD.findall(text)):
        if clause := _odd(word):
            found.append(clause)
    found += [f"{sanitise_line(name)[:_SHOWN]} is a name in another script" for name in _PUNYCODE.findall(text)]
    return found


def escaped(text: str) -> str:
    """A suspicious text with all but plain ASCII as escapes, so that no letter passes for another; else as it is."""
    if not suspicious(text):
        return text
    return "".join(char if " " <= char <= "~" else _escape(char) for char in text)


def resembles(name: str, known: Iterable[str]) -> str:
    """The first of `known` that `name` is not, but could be taken for: one letter off, or made of look-alikes."""
    plain = skeleton(name)
    for other in known:
        if other != name and len(other) > 2 and (plain == skeleton(other) or _one_off(plain, skeleton(other))):
            return other
    return ""


def skeleton(text: str) -> str:
    """What a text looks like, in Latin and without regard to case, hyphens and underscores."""
    shown = "".join(_LATIN.get(char, char) for char in unicodedata.normalize("NFKC", text))
    return shown.casefold().replace("_", "-")


def _odd(word: str) -> str:
    if word.isascii():
        return ""
    shown = "".join(char if char.isascii() else _escape(char) for char in word[:_SHOWN])
    looks = "".join(_LATIN.get(char, char) for char in unicodedata.normalize("NFKC", word))
    if looks.isascii():
        return f"{shown} only looks like {looks[:_SHOWN]}"
    scripts = {_script(char) for char in word}
    if len(scripts) > 1 and not scripts <= _EAST_ASIAN:
        return f"{shown} mixes the letters of {' and '.join(sorted(script.title() for script in scripts))}"
    return ""


def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split(" ")[0]


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _one_off(a: str, b: str) -> bool:
    """Whether one letter less, more, other, or two neighbours swapped, makes one of the other."""
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < 4:
        return False
    at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[at:], b[at:]
    swapped = rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:]
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:] or swapped
