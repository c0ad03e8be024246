"""Pictures that are kept show nothing of the machine, ask the network for nothing, and stay small."""

from __future__ import annotations

import struct
import sys
import zlib
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from screenshots.picture import NotNeutral, neutral_svg, text_of
from screenshots.png import NotReadable, shrink

FOLDER = Path("/some/temporary/night-1a2b3c")


def exported(text: Text | str) -> str:
    console = Console(record=True, width=90, force_terminal=True, color_system="truecolor", file=StringIO())
    console.print(text, soft_wrap=True)
    return console.export_svg(title="")


def test_no_font_and_no_address_of_the_network_is_named() -> None:
    svg = neutral_svg(exported("hello"), FOLDER, [])
    assert "@font-face" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "hello" in text_of(svg)


def test_the_nights_folder_and_the_interpreter_have_other_names_of_the_same_length() -> None:
    python = str(Path(sys.executable).parent)
    said = text_of(neutral_svg(exported(f"{FOLDER}/log {python}/python"), FOLDER, [str(FOLDER), python]))
    assert said.startswith("/home/ada/tinynight")
    assert len(said) == len(f"{FOLDER}/log{python}/python")


def test_a_picture_that_shows_a_secret_is_refused_even_in_pieces() -> None:
    in_pieces = Text.assemble(("/hidden", "red"), ("/place", "green"))
    with pytest.raises(NotNeutral, match="/hidden/place"):
        neutral_svg(exported(in_pieces), FOLDER, ["/hidden/place"])


def test_backgrounds_side_by_side_become_one_and_cover_the_same() -> None:
    text = Text.assemble(("aa", "red on blue"), ("bb", "green on blue"), ("cc", "red on yellow"))
    svg = neutral_svg(exported(text), FOLDER, [])
    rows = [line for line in svg.splitlines() if "crispEdges" in line]
    assert [row.partition('width="')[2].partition('"')[0] for row in rows] == ["48.8", "24.4"]
    assert text_of(svg) == "aabbcc"


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_a_png_keeps_its_points_whatever_filter_it_was_written_with(tmp_path: Path, kind: int) -> None:
    rows = [[(10, 20, 30), (200, 100, 50)], [(10, 20, 30), (1, 2, 3)], [(9, 8, 7), (200, 100, 50)]]
    path = tmp_path / "a.png"
    path.write_bytes(png([b"".join(bytes(point) for point in row) for row in rows], kind))
    shrink(path)
    assert points(path.read_bytes()) == rows


def test_a_png_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png([b"\0\0\0"], 0, colour=0))
    with pytest.raises(NotReadable):
        shrink(path)


# -- a small writer and reader of the format -------------------------------------------------------------------------


def png(rows: list[bytes], kind: int, colour: int = 2) -> bytes:
    """RGB rows, each written with this filter of the format."""
    above, written = bytes(len(rows[0])), b""
    for row in rows:
        written += bytes([kind])
        for at, value in enumerate(row):
            left, up, corner = (row[at - 3], above[at], above[at - 3]) if at >= 3 else (0, above[at], 0)
            near = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
            guess = (0, left, up, (left + up) // 2, near)[kind]
            written += bytes([(value - guess) & 255])
        above = row
    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(written)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def points(raw: bytes) -> list[list[tuple[int, ...]]]:
    """The points of a PNG with a palette and without filters."""
    at, chunks = 8, dict[bytes, bytes]()
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        chunks[raw[at + 4 : at + 8]] = raw[at + 8 : at + 8 + length]
        at += 12 + length
    (width, height), palette = struct.unpack_from(">II", chunks[b"IHDR"]), chunks[b"PLTE"]
    data = zlib.decompress(chunks[b"IDAT"])
    lines = [data[row * (width + 1) + 1 : (row + 1) * (width + 1)] for row in range(height)]
    return [[tuple(palette[3 * place : 3 * place + 3]) for place in line] for line in lines]
