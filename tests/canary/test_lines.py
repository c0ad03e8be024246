"""Output becomes lines and events, however it is cut into chunks and whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.drivers.lines import LINE_CAP_BYTES, Lines, event_of


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and not b.endswith(b"\r"))), st.data())
def test_chunks_do_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter, got = Lines(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += cutter.feed(stream[:size])
        stream = stream[size:]
    assert got == lines
    assert list(cutter.rest()) == []


def test_a_line_without_end_comes_last_and_windows_ends_go() -> None:
    cutter = Lines()
    assert list(cutter.feed(b"one\r\ntwo")) == [b"one"]
    assert list(cutter.rest()) == [b"two"]


def test_an_endless_line_is_cut_and_is_no_event() -> None:
    cutter, got = Lines(), []
    got += cutter.feed(b'{"kind": "')
    for _ in range(10):
        got += cutter.feed(b"x" * LINE_CAP_BYTES)
    got += cutter.feed(b'"}\nnext\n')
    assert len(got) == 2
    assert len(got[0]) < LINE_CAP_BYTES + 100
    assert got[0].endswith(b"[line cut]")
    assert event_of(got[0]) is None
    assert got[1] == b"next"


def test_an_event_is_an_object_with_a_kind() -> None:
    assert event_of(b'{"kind": "frame", "w": 1}') == {"kind": "frame", "w": 1}


@pytest.mark.parametrize(
    "line",
    [b"ready", b"{", b'{"kind": 3}', b'{"status": "pass"}', b'["kind"]', b'{"kind": "a", "x": NaN}', b"\xff\xfe",
     b'{"kind": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}", b'{"kind": "a", "x": ' + b"[" * 99_999, b"{" * 99_999],
)  # fmt: skip
def test_everything_else_is_none(line: bytes) -> None:
    assert event_of(line) is None
