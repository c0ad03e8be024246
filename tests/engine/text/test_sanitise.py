from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.sanitise import sanitise, sanitise_bytes, sanitise_line

BIDI_AND_INVISIBLE = "\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
ANY_TEXT = st.text(st.characters(exclude_categories=[]))
HOSTILE_TEXT = st.text(
    st.one_of(
        st.sampled_from("\x1b\r\n\t\x00\x07\x7f\x85\x9b\ud800\ufeff\U000e0041\ufe0f[;m" + BIDI_AND_INVISIBLE),
        st.characters(exclude_categories=[]),
    )
)


def harmless(text: str, allowed: str = "\n\t") -> bool:
    return all(char in allowed or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text)


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("\x1b]52;c;cm0gLXJm\x1b\\", "␛]52;c;cm0gLXJm␛\\"),
        ("\x9b31m", "\\x9b31m"),
        ("rm -rf /\rls", "rm -rf /␍ls"),
        ("line\r\nline\r\r\n", "line\nline␍\n"),
        ("a\x00b\x7fc\x08", "a␀b␡c␈"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0041\U000e0042", "\\U000e0041\\U000e0042"),
        ("line\u2028separator", "line\\u2028separator"),
        ("fill\u3164er", "fill\\u3164er"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("✔\ufe0f fine ⚠\ufe0f", "✔\ufe0f fine ⚠\ufe0f"),
        ("✔\ufe0f\ufe0e\ufe0f hides", "✔\ufe0f\\ufe0e\\ufe0f hides"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
        ("tab\tand\nline stay", "tab\tand\nline stay"),
        ("grüße, 日本語, עברית, 👍", "grüße, 日本語, עברית, 👍"),
        ("", ""),
    ],
)
def test_what_could_steer_or_hide_is_shown(outside: str, shown: str) -> None:
    assert sanitise(outside) == shown


def test_a_line_for_one_place_has_no_line_ends() -> None:
    assert sanitise_line("rm\r\n-rf\t/\x1b") == "rm␍␤-rf␉/␛"
    assert sanitise_line("plain") == "plain"


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert sanitise_bytes(b"ok \xff\x9b31m gr\xc3\xbcn\x1b") == "ok \ufffd\ufffd31m grün␛"


def test_long_lines_say_how_much_is_missing() -> None:
    assert sanitise("short\n" + "x" * 25, line_cap=10) == "short\nxxxxxxxxxx… [15 more characters]"
    assert sanitise("\x1b" * 12 + "\nend", line_cap=10) == "␛" * 10 + "… [2 more characters]\nend"
    assert sanitise_line("x" * 11, line_cap=10) == "xxxxxxxxxx… [1 more characters]"
    assert sanitise("x" * 10, line_cap=10) == "x" * 10
    assert sanitise("123456789\n" * 1000, line_cap=10) == "123456789\n" * 1000


def test_every_character_that_takes_no_room_is_escaped() -> None:
    slipped = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if chr(code) not in "\n\t" and not harmless(chr(code)) and sanitise(f"a{chr(code)}b") == f"a{chr(code)}b"
    ]
    assert slipped == []


def test_no_visible_character_of_a_language_is_escaped() -> None:
    # Letters, marks, numbers, punctuation and symbols stay, but for the few fillers and selectors that draw nothing.
    invisible = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
    invisible |= {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
    escaped = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if code not in invisible and unicodedata.category(chr(code))[0] in "LMNPS" and sanitise(chr(code)) != chr(code)
    ]
    assert escaped == []


@given(st.one_of(ANY_TEXT, HOSTILE_TEXT), st.integers(1, 30))
def test_nothing_harmful_is_left(text: str, line_cap: int) -> None:
    assert harmless(sanitise(text, line_cap=line_cap))
    assert harmless(sanitise_line(text, line_cap=line_cap), allowed="")
    assert harmless(sanitise_bytes(text.encode("utf-8", "surrogatepass"), line_cap=line_cap))
    sanitise(text).encode("utf-8")


@given(st.one_of(ANY_TEXT, HOSTILE_TEXT), st.integers(1, 30))
def test_what_is_clean_stays_clean(text: str, line_cap: int) -> None:
    once = sanitise(text)
    assert sanitise(once, line_cap=max(2000, len(once))) == once
    assert len(sanitise(text, line_cap=line_cap).split("\n")) == len(text.split("\n"))
