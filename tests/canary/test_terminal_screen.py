"""The terminal's screen: what a program prints, however hostile, and what it is answered."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.drivers.keys import click_bytes, key_bytes
from canary.drivers.xterm import Xterm

ESC = "\x1b"


def shown(text: str | bytes, columns: int = 20, rows: int = 4) -> tuple[list[str], str]:
    """(rows of the screen, what was answered)."""
    said = bytearray()
    terminal = Xterm(columns, rows, said.extend)
    terminal.feed(text if isinstance(text, bytes) else text.encode("utf-8"))
    return terminal.lines(), said.decode("ascii")


@pytest.mark.parametrize(
    ("printed", "row"),
    [
        ("plain", "plain"),
        ("\x1b[?6h\x1b[3d\x1b[1dorigin", "origin"),
        ("\x1b[1;31mred\x1b[0m and\x1b[4:3m curly", "red and curly"),
        ("ab\x1b[5b!", "abbbbbb!"),
        ("\x1b(0lqk\x1b(B lqk", "┌─┐ lqk"),
        ("\x1b)0a\x0eq\x0fq", "a─q"),
        ("漢字x", "漢字x"),
        ("漢字\x1b[1;2Hx", " x字"),
        ("e\u0301t\u0301e", "ét\u0301e"),
        ("a\u200db\ufe0fc", "abc"),
        ("\x1b]0;a title\x07x\x1b]2;another\x1b\\y", "xy"),
        ("\x1bP+q544e\x1b\\x", "x"),
        ("\x1b_Gi=1;AAAA\x1b\\x", "x"),
        ("\x1b[>1u\x1b[<u\x1b[=1;1ux", "x"),
        ("\x1b[!p\x1b[?2026hx\x1b[?2026l", "x"),
        ("\x1b]0;cut off\x1b[1mx", "x"),
        ("abc\x1b[2D\x1b[Pz", "az"),
        ("\tx\x1b[Zy", "        y"),
        ("one\x1b7\x1b[3;3Htwo\x1b8!", "one!"),
        ("one\x1b[s\x1b[3;3Htwo\x1b[u!", "one!"),
        ("x\x1b[?3hy", "xy"),
        (b"\xff\xfex", "\ufffd\ufffdx"),
    ],
)
def test_what_is_printed_is_what_an_xterm_shows(printed: str | bytes, row: str) -> None:
    assert shown(printed)[0][0] == row


def test_the_second_buffer_leaves_the_first_as_it_was() -> None:
    lines, _ = shown("before\x1b[?1049h\x1b[Hinside\x1b[3;1Hmore")
    assert lines == ["inside", "", "more", ""]
    lines, _ = shown("before\x1b[?1049h\x1b[Hinside\x1b[?1049l after")
    assert lines == ["before after", "", "", ""]


def test_it_scrolls_inside_its_margins() -> None:
    rows = "\r\n".join("abcd")
    assert shown(f"{rows}\x1b[2;3r\x1b[S")[0] == ["a", "c", "", "d"]
    assert shown(f"{rows}\x1b[2;3r\x1b[T")[0] == ["a", "", "b", "d"]
    assert shown(f"{rows}\x1b[2;3r\x1b[0;0r\x1b[4;1H\r\ne")[0] == ["b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("\x1b[c", "\x1b[?62;22c"),
        ("\x1b[>c", "\x1b[>41;390;0c"),
        ("\x1b[5n", "\x1b[0n"),
        ("ab\x1b[2;3H\x1b[6n", "\x1b[2;3R"),
        ("\x1b[>q", "\x1bP>|XTerm(390)\x1b\\"),
        ("\x1b[?u\x1b[c", "\x1b[?62;22c"),
        ("\x1b[?2004h\x1b[?2004$p\x1b[?1006$p\x1b[?9999$p", "\x1b[?2004;1$y\x1b[?1006;2$y\x1b[?9999;0$y"),
        ("\x1b[18t", "\x1b[8;4;20t"),
        ("\x1b]11;?\x1b\\", "\x1b]11;rgb:0000/0000/0000\x1b\\"),
        ("\x1bP+q544e\x1b\\", "\x1bP0+r\x1b\\"),
        ("nothing \x1b[1mis asked", ""),
    ],
)
def test_questions_are_answered_and_never_drawn(asked: str, answer: str) -> None:
    lines, said = shown(asked)
    assert said == answer
    assert "c" not in lines[0] or asked.startswith("nothing")


PIECES = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(["\r\n", "\x1b[2J", "\x1b[H", "\x1b[3;4H", "\x1b[?1049h", "\x1b[?1049l", "\x1b]0;t\x07"]),
        st.sampled_from(["\x1bPx\x1b\\", "\x1b[1;3r", "\x1b[5b", "\x1b(0", "\x1b(B", "漢", "\u0301", "\x1b[6n"]),
        st.builds("\x1b[{}{};{}{}".format, st.sampled_from(["", "?", ">", "<", "="]), st.integers(0, 10**6),
                  st.integers(0, 99), st.sampled_from("@ABCDEFGHIJKLMPSTXZ`abcdefghlmnpqrstu")),
    ),
    max_size=12,
)  # fmt: skip


@given(PIECES, st.lists(st.integers(0, 200), max_size=8), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_where_the_output_is_cut_into_chunks_does_not_matter(
    pieces: list[str], cuts: list[int], columns: int, rows: int
) -> None:
    printed = "".join(pieces).encode("utf-8")
    whole = shown(printed, columns, rows)
    said = bytearray()
    terminal = Xterm(columns, rows, said.extend)
    places = [0, *sorted(min(cut, len(printed)) for cut in cuts), len(printed)]
    for start, end in pairwise(places):
        terminal.feed(printed[start:end])
    assert (terminal.lines(), said.decode("ascii")) == whole
    assert len(whole[0]) == rows


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 10), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_no_bytes_break_it_nor_a_new_size(chunks: list[bytes], columns: int, rows: int) -> None:
    terminal = Xterm(10, 5, lambda said: None)
    for chunk in chunks:
        terminal.feed(chunk)
        terminal.resize(columns, rows)
        assert len(terminal.lines()) == rows


@pytest.mark.parametrize(
    "flood",
    ["e" + "\u0301" * 20_000, "\x1b7" * 20_000, "\x1b]0;" + "x" * 100_000 + "\x07", "\x1bP" + "q" * 100_000 + "\x1b\\"],
)
def test_a_flood_is_read_over_and_what_follows_is_shown(flood: str) -> None:
    terminal = Xterm(20, 4, lambda said: None)
    for start in range(0, len(flood), 1000):
        terminal.feed(flood[start : start + 1000].encode("utf-8"))
    terminal.feed(b"\x1b[3;1Hbehind")
    assert terminal.lines()[2] == "behind"
    assert sum(map(len, terminal.lines())) < 40
    assert len(terminal.screen.savepoints) <= 1


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("enter", "\r"), ("escape", ESC), ("tab", "\t"), ("shift+tab", "\x1b[Z"), ("backspace", "\x7f"), ("space", " "),
        ("up", "\x1b[A"), ("ctrl+right", "\x1b[1;5C"), ("shift+alt+home", "\x1b[1;4H"), ("pageup", "\x1b[5~"),
        ("ctrl+delete", "\x1b[3;5~"), ("f1", "\x1bOP"), ("shift+f1", "\x1b[1;2P"), ("f5", "\x1b[15~"),
        ("f12", "\x1b[24~"),
        ("ctrl+c", "\x03"), ("ctrl+C", "\x03"), ("alt+x", "\x1bx"), ("ctrl+alt+a", "\x1b\x01"), ("ctrl+space", "\0"),
        ("ctrl+[", ESC), ("a", "a"), ("A", "A"), ("é", "é"), ("+", "+"), ("ctrl++", None), ("alt++", "\x1b+"),
        ("hello", None), ("hyper+a", None), ("ctrl+é", None), ("", None), ("ctrl+", None),
    ],
)  # fmt: skip
def test_keys_are_sent_as_an_xterm_sends_them(key: str, sent: str | None) -> None:
    assert key_bytes(key, frozenset()) == (sent.encode("utf-8") if sent is not None else None)


def test_arrows_follow_the_mode_that_the_program_set() -> None:
    terminal = Xterm(20, 4, lambda said: None)
    assert key_bytes("up", terminal.modes) == b"\x1b[A"
    terminal.feed(b"\x1b[?1h")
    assert key_bytes("up", terminal.modes) == b"\x1bOA"
    assert key_bytes("ctrl+up", terminal.modes) == b"\x1b[1;5A"


def test_clicks_come_in_the_encoding_that_was_asked_for() -> None:
    assert click_bytes(3, 4, "left", {25}) is None
    assert click_bytes(3, 4, "right", {1000, 1006}) == b"\x1b[<2;4;5M\x1b[<2;4;5m"
    assert click_bytes(3, 4, "left", {1000}) == b"\x1b[M \x24\x25\x1b[M#\x24\x25"
