"""A window on a log: what it shows is what the whole file would show, however large or strange the file is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from swarm_tui.room import log_window
from swarm_tui.room.log_window import LogWindow

GIGABYTE = 1024**3


def shown(window: LogWindow) -> list[str]:
    return [row.text for row in window.rows]


def opened(path: Path, height: int = 3, *, follow: bool = True) -> LogWindow:
    window = LogWindow(path, follow=follow)
    window.resize(height)
    window.refresh()
    return window


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


@contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.log"
        path.write_bytes(data)
        yield path


# -- against the whole file --------------------------------------------------------------------------------------------

SMALL = 8
"""Bytes of a block in these tests, so that small files have long lines."""


def ends_line(data: bytes, at: int) -> bool:
    return data[at] == 10 or (data[at] == 13 and at + 1 < len(data) and data[at + 1] != 10)


def naive_starts(data: bytes, block: int = SMALL) -> list[int]:
    """Every row start, one offset after the other, from the words of the rule and with the whole file at hand."""

    def begins(at: int) -> bool:
        if at == 0 or ends_line(data, at - 1):
            return True
        moved = at % block
        cut = at - moved
        return (
            moved <= 3
            and cut >= block
            and not any(ends_line(data, each) for each in range(cut - block, at))
            and all(0x80 <= each <= 0xBF for each in data[cut:at])
            and (moved == 3 or not 0x80 <= data[at] <= 0xBF)
            and data[at] not in (10, 13)
        )

    return [at for at in range(len(data)) if begins(at)]


def naive_rows(data: bytes) -> list[bytes]:
    starts = naive_starts(data)
    whole = [data[start:end] for start, end in pairwise([*starts, len(data)])]
    return [row.removesuffix(b"\n").removesuffix(b"\r") if row.endswith(b"\n") else row for row in whole]


NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\n", b"\0", b"\xff", b"\x80" * 9, "é".encode(), "日本".encode()]
        ),
        st.sampled_from(["🙂".encode(), b"\x1b[31m", "\u202e".encode(), b"\xe2\x80", b"\t", b"0123456789" * 3]),
        st.binary(max_size=12),
    ),
    max_size=40,
).map(b"".join)

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("scroll"), st.integers(-30, 30)),
        st.tuples(st.just("share"), st.floats(0, 1)),
        st.tuples(st.just("start"), st.just(0)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("reveal"), st.integers(0, 600)),
        st.tuples(st.just("resize"), st.integers(1, 12)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=NASTY, height=st.integers(1, 12), moves=MOVES, grown=NASTY)
@example(data=b"x" * 100, height=2, moves=[("scroll", -3), ("scroll", 1)], grown=b"")
@example(data="é".encode() * 40 + b"\r\n", height=3, moves=[("scroll", -2)], grown=b"\n")
@example(data=b"1234567\n" * 10, height=3, moves=[("scroll", -2), ("scroll", 1)], grown=b"")
@example(data=b"x" * 15 + b"\r", height=3, moves=[("start", 0)], grown=b"\n")
def test_a_window_shows_what_the_whole_file_would_show(
    data: bytes, height: int, moves: list[tuple[str, float]], grown: bytes
) -> None:
    with file_of(data) as path:
        window = LogWindow(path, block_bytes=SMALL, read_bytes=SMALL)
        window.resize(height)
        check_against(window, data)
        for kind, amount in [*moves, ("grow", 0), *moves]:
            starts = naive_starts(data)
            before = starts.index(window.top) if data else 0
            last = max(0, len(starts) - window.height)
            expected: int | None = None
            if kind == "grow":
                data += grown
                path.write_bytes(data)
                window.refresh()
            elif kind == "scroll":
                expected = max(0, min(before + int(amount), last)) if amount > 0 else max(0, before + int(amount))
                window.scroll(int(amount))
            elif kind == "share":
                window.to_share(amount)
                at = int(len(data) * amount)
                expected = last if amount == 1 else min(last, sum(start <= at for start in starts) - 1)
            elif kind == "start":
                window.to_start()
                expected = 0
            elif kind == "end":
                window.to_end()
                assert window.following
                expected = last
            elif kind == "reveal":
                window.reveal(int(amount))
                assert not data or window.top <= min(int(amount), len(data) - 1) < window.bottom
            else:
                window.resize(int(amount))
            check_against(window, data)
            if expected is not None and data:
                assert starts.index(window.top) == expected


def check_against(window: LogWindow, data: bytes) -> None:
    starts, rows = naive_starts(data), naive_rows(data)
    if not data:
        assert window.rows == ()
        return
    first = starts.index(window.top)
    expected = rows[first : first + window.height]
    assert [row.raw for row in window.rows] == expected
    assert len(expected) == min(window.height, len(rows)), "the window is as full as the file allows"
    assert not window.following or window.bottom == len(data)
    assert all(len(row.raw) <= 2 * SMALL + 5 for row in window.rows)
    assert [row.continued for row in window.rows] == [
        row.start > 0 and not ends_line(data, row.start - 1) for row in window.rows
    ]


# -- size --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ten_gigabytes(log: Path) -> Path:
    """Lines at the start, in the middle and at the end; between them a hole, which reads as NULs without a line."""
    with log.open("wb") as file:
        file.write(b"".join(b"first %d\n" % number for number in range(100)))
        file.seek(5 * GIGABYTE)
        file.write(b"\n" + b"".join(b"middle %d\n" % number for number in range(100)))
        file.seek(10 * GIGABYTE)
        file.write(b"\n" + b"".join(b"last %d\n" % number for number in range(100)))
    return log


class Counted:
    """Counts the bytes that are read, in place of the module's `os`; everything else is the real one."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def read(self, descriptor: int, count: int) -> bytes:
        data = os.read(descriptor, count)
        self.read_bytes += len(data)
        return data


def test_ten_gigabytes_are_shown_from_any_place_with_a_few_blocks_read(
    ten_gigabytes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    monkeypatch.setattr(log_window, "os", counted)
    window = opened(ten_gigabytes)
    assert shown(window) == ["last 97", "last 98", "last 99"]
    window.to_start()
    assert shown(window) == ["first 0", "first 1", "first 2"]
    window.scroll(10)
    assert shown(window) == ["first 10", "first 11", "first 12"]
    window.reveal(5 * GIGABYTE + 1)
    window.scroll(1)
    assert shown(window) == ["middle 0", "middle 1", "middle 2"]
    window.to_share(0.25)
    assert shown(window) == ["␀" * log_window.BLOCK_BYTES] * 3
    assert window.share == pytest.approx(0.25, abs=1e-6)
    window.scroll(-30)
    assert shown(window) == ["␀" * log_window.BLOCK_BYTES] * 3
    window.to_end()
    assert shown(window)[-1] == "last 99"
    assert counted.read_bytes < 1_000_000


def test_a_line_without_an_end_is_broken_into_rows_that_lose_nothing(log: Path) -> None:
    log.write_bytes(b"begin\n" + b"0123456789" * 200_000)
    window = opened(log, 4, follow=False)
    text = ""
    assert shown(window)[0] == "begin"
    window.scroll(1)
    for _ in range(3000):
        row = window.rows[0]
        if window.bottom == window.size_bytes:
            text += "".join(shown(window))
            break
        assert len(row.text) <= 2 * log_window.BLOCK_BYTES
        text += row.text
        window.scroll(1)
    assert text == "0123456789" * 200_000


# -- what is drawn -----------------------------------------------------------------------------------------------------


def test_rows_can_be_drawn_as_they_are(log: Path) -> None:
    log.write_bytes(b"\x1b]52;c;eA==\x07\n\0nul\n\xff\xfe\n" + "\u202etxt\n".encode() + b"a\tb\n10%\r20%\r\n")
    assert shown(opened(log, 9)) == [
        "␛]52;c;eA==␇", "␀nul", "\ufffd\ufffd", "\\u202etxt", "a       b", "10%␍", "20%",
    ]  # fmt: skip


def test_a_byte_is_found_in_the_text_of_its_row(log: Path) -> None:
    raw = "\x1b[1mé\tfound".encode()
    log.write_bytes(b"line\n" + raw)
    row = opened(log).rows[1]
    column = row.column(5 + raw.index(b"found"))
    assert row.text[column : column + 5] == "found"


# -- a file that changes -----------------------------------------------------------------------------------------------


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_growth_is_followed_and_half_a_line_becomes_whole(log: Path) -> None:
    log.write_bytes(b"1\n2\n3\nhal")
    window = opened(log)
    assert shown(window) == ["2", "3", "hal"]
    assert not window.refresh()
    append(log, b"f\n4\n")
    assert window.refresh()
    assert shown(window) == ["3", "half", "4"]


def test_who_scrolled_up_stays_there_while_the_log_grows_and_follows_again_at_the_end(log: Path) -> None:
    log.write_bytes(b"1\n2\n3\n4\n5\n")
    window = opened(log)
    window.scroll(-1)
    assert not window.following
    append(log, b"6\n7\n")
    assert window.refresh()
    assert shown(window) == ["2", "3", "4"]
    assert 0 < window.share < 1
    window.scroll(1)
    assert not window.following
    window.scroll(9)
    assert window.following
    append(log, b"8\n")
    window.refresh()
    assert shown(window) == ["6", "7", "8"]


def test_a_short_log_has_nowhere_to_scroll_and_goes_on_following(log: Path) -> None:
    log.write_bytes(b"1\n")
    window = opened(log)
    window.scroll(-5)
    append(log, b"2\n3\n4\n")
    window.refresh()
    assert shown(window) == ["2", "3", "4"]


def test_a_file_that_is_not_there_yet_is_waited_for(log: Path) -> None:
    window = opened(log)
    assert (window.problem, window.rows) == ("not there yet", ())
    assert not window.refresh()
    log.write_bytes(b"here\n")
    assert window.refresh()
    assert (window.problem, shown(window)) == ("", ["here"])


def test_of_a_deleted_file_the_last_rows_stay_until_a_new_one_comes(log: Path) -> None:
    log.write_bytes(b"old 1\nold 2\n")
    window = opened(log)
    log.unlink()
    assert window.refresh()
    assert (window.problem, shown(window)) == ("gone", ["old 1", "old 2"])
    window.scroll(-1)
    window.to_start()
    assert shown(window) == ["old 1", "old 2"]
    log.write_bytes(b"new\n")
    window.refresh()
    assert (window.problem, shown(window)) == ("", ["new"])


@pytest.mark.parametrize("follow", [True, False])
def test_a_truncated_file_is_shown_anew(log: Path, follow: bool) -> None:
    log.write_bytes(b"old\n" * 1000)
    window = opened(log, follow=follow)
    window.scroll(500)
    log.write_bytes(b"a\nb\nc\nd\n")
    assert window.refresh()
    assert shown(window) == (["b", "c", "d"] if follow else ["a", "b", "c"])
    log.write_bytes(b"")
    assert window.refresh()
    assert window.rows == ()
    append(log, b"again\n")
    window.refresh()
    assert shown(window) == ["again"]


def test_a_file_cut_to_its_first_lines_is_shown_anew(log: Path) -> None:
    log.write_bytes(b"line\n" * 1000)
    window = opened(log, follow=False)
    window.scroll(500)
    os.truncate(log, 500)
    assert window.refresh()
    assert window.top == 0


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("first", [b"new 0\n", b"old\n" * 20])
def test_a_rotated_file_is_shown_anew_even_if_the_new_one_is_longer(log: Path, follow: bool, first: bytes) -> None:
    log.write_bytes(b"old\n" * 30)
    window = opened(log, 2, follow=follow)
    window.scroll(3)
    log.rename(log.with_suffix(".1"))
    log.write_bytes(first + b"new\n" * 1000)
    assert window.refresh()
    assert window.top == (log.stat().st_size - 8 if follow else 0)


def test_a_file_that_was_written_anew_in_its_place_is_shown_anew(log: Path) -> None:
    log.write_bytes(b"old\n" * 10)
    window = opened(log, 2)
    window.scroll(-3)
    with log.open("r+b") as file:
        file.write(b"new 0\n" + b"new\n" * 1000)
    assert window.refresh()
    assert shown(window) == ["new 0", "new"]


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    assert opened(tmp_path).problem == "not readable"
    assert opened(tmp_path / "no" / "folder").problem == "not there yet"


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in the file system")
def test_a_pipe_in_the_place_of_a_log_does_not_block(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    os.mkfifo(tmp_path / "pipe")
    assert opened(tmp_path / "pipe").problem == "not readable"


def test_a_window_without_height_shows_nothing_and_survives(log: Path) -> None:
    log.write_bytes(b"1\n2\n")
    window = LogWindow(log)
    window.refresh()
    window.scroll(-3)
    window.to_share(0.5)
    assert window.rows == ()
    window.resize(2)
    assert shown(window) == ["1", "2"]
