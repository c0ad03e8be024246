"""Search in logs: what it finds is what a search in the whole file finds, and it can be left at any time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from swarm_tui.room.log_search import LogSearch, Needle

GIGABYTE = 1024**3


@settings(max_examples=200, deadline=None)
@given(
    data=st.text("aAkK\u212aéÉß\n", max_size=60),
    text=st.text("aAkK\u212aéÉß", min_size=1, max_size=3),
    start=st.integers(0, 80),
    backward=st.booleans(),
    block=st.integers(1, 9),
)
@example(data="kk", text="\u212a", start=1, backward=True, block=9)
def test_a_search_finds_the_match_that_a_search_in_the_whole_file_finds(
    data: str, text: str, start: int, backward: bool, block: int
) -> None:
    raw, needle = data.encode(), Needle(text)
    hits = list(needle.each(raw))
    before, behind = [hit for hit in hits if hit[0] < start], [hit for hit in hits if hit[0] >= start]
    order = before[::-1] + behind[::-1] if backward else behind + before
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.log"
        path.write_bytes(raw)
        search = LogSearch(path, needle, start, backward=backward)
        while not search.step(slice_bytes=1, block_bytes=block):
            pass
    assert search.hit == (order[0] if order else None)


@settings(max_examples=200, deadline=None)
@given(data=st.text("aAbB\u00e9\u00c9", max_size=30), text=st.text("aAbB\u00e9\u00c9", min_size=1, max_size=3))
def test_a_needle_is_found_in_any_case_wherever_it_is(data: str, text: str) -> None:
    low, wanted = data.lower(), text.lower()
    expected = [at for at in range(len(low)) if low.startswith(wanted, at)]
    assert [len(data.encode()[:at].decode()) for at, _ in Needle(text).each(data.encode())] == expected


def test_a_search_in_ten_gigabytes_can_be_left_after_a_slice(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with log.open("wb") as file:
        file.seek(5 * GIGABYTE)
        file.write(b"\n" + b"".join(b"middle %d\n" % number for number in range(100)))
        file.truncate(10 * GIGABYTE)
    search = LogSearch(log, Needle("MIDDLE 7"), 0)
    assert not search.step(slice_bytes=1_000_000)
    assert search.hit is None
    assert 1_000_000 <= search.searched_bytes < 2_000_000
    near = LogSearch(log, Needle("MIDDLE 7"), 5 * GIGABYTE - 1000)
    near.step()
    assert near.hit == (5 * GIGABYTE + 1 + 7 * 9, 5 * GIGABYTE + 1 + 7 * 9 + 8)


def test_a_search_goes_round_and_tells_when_there_is_nothing(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"Error one\nfine\nerror two\n")

    def found(text: str, start: int, *, backward: bool = False) -> tuple[int, int] | None:
        search = LogSearch(log, Needle(text), start, backward=backward)
        while not search.step():
            pass
        return search.hit

    assert found("ERROR", 0) == (0, 5)
    assert found("ERROR", 1) == (15, 20)
    assert found("ERROR", 16) == (0, 5)
    assert found("ERROR", 15, backward=True) == (0, 5)
    assert found("ERROR", 0, backward=True) == (15, 20)
    assert found("absent", 5) is None
    assert found("", 0) is None


def test_a_symbol_for_a_control_character_finds_it() -> None:
    assert list(Needle("␛[31").each(b"x\x1b[31my")) == [(1, 5)]


def test_what_cannot_be_read_has_no_hit(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        search = LogSearch(path, Needle("x"), 0)
        assert search.step()
        assert search.hit is None
