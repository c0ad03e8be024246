"""Text from outside, made visible: nothing in it can steer a terminal, hide, or change the order in which it is read.

Everything that comes from agents, tests or repositories passes here before it reaches a terminal, a prompt or a dialog.
Nothing is dropped silently: what cannot be shown as it is becomes a visible symbol or an escape, and a capped line says
how much is missing. Markup (`[bold]`) is left alone: whoever draws the text must draw it without markup.
"""

from __future__ import annotations

import re
from typing import Final

LINE_CAP: Final = 2000
"""Characters of one line that are shown."""

# The categories Cc (but \n and \t), Cf, Cs, Zl, Zp, and all of Unicode's Default_Ignorable_Code_Point: whatever takes
# no room on the screen. Listed instead of computed, because a scan of Unicode at each start would cost 200 ms; a test
# compares the list with the interpreter's Unicode database. One emoji or text selector behind a character is common
# in honest output and may stay; a run of them carries hidden data.
_INVISIBLE: Final = (
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SELECTOR_RUN: Final = "(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]"
_UNSAFE: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}]|{_SELECTOR_RUN}")
_UNSAFE_IN_LINE: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}]|{_SELECTOR_RUN}")


def sanitise(text: str, *, line_cap: int = LINE_CAP) -> str:
    """`text` with every control and invisible character made visible, and each line capped at `line_cap` characters.

    Line feeds and tabs stay; CR LF is a line end; any other CR shows as ␍, so that nothing can be overwritten. C0
    controls show as their symbols (ESC: ␛), C1, bidi, zero-width and tag characters as \\x9b, \\u202e, \\U000e0041;
    lone surrogates become U+FFFD. Clean text is returned as it is.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if len(text) <= line_cap:
        return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_visible, text)
    if _UNSAFE.search(text):
        return "\n".join(_capped(line, line_cap, _UNSAFE) for line in text.split("\n"))
    return "\n".join(line if len(line) <= line_cap else _capped(line, line_cap, _UNSAFE) for line in text.split("\n"))


def sanitise_line(text: str, *, line_cap: int = LINE_CAP) -> str:
    """Like `sanitise`, for places with one line: line feeds show as ␤, tabs as ␉, and a CR always as ␍."""
    if len(text) <= line_cap and text.isascii() and text.isprintable():
        return text
    return _capped(text, line_cap, _UNSAFE_IN_LINE)


def sanitise_bytes(raw: bytes, *, line_cap: int = LINE_CAP) -> str:
    """`sanitise` of bytes that should be UTF-8; what is not becomes U+FFFD."""
    return sanitise(raw.decode("utf-8", errors="replace"), line_cap=line_cap)


def _capped(line: str, line_cap: int, unsafe: re.Pattern[str]) -> str:
    dropped = len(line) - line_cap
    if dropped <= 0:
        return unsafe.sub(_visible, line)
    return f"{unsafe.sub(_visible, line[:line_cap])}… [{dropped} more characters]"


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0A:
        return "␤"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
