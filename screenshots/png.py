"""Makes PNG files of drawn text small: at most 256 colours, which is what such a picture needs to look the same."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_COLOURS = 256
FIRST_APART = 24
"""Colours whose distance squared is not more are one, at first; more when there are still too many."""
_CHANNELS = {2: 3, 6: 4}

Colour = tuple[int, int, int]


class NotReadable(Exception):
    """A PNG of a kind that this does not read."""


def shrink(path: Path) -> None:
    """Write the file anew with a palette. Raises NotReadable for anything but 8-bit RGB or RGBA, not interlaced."""
    width, height, channels, data = _read(path.read_bytes())
    rows = list(_unfiltered(data, width * channels, height, channels))
    pixels = [list(zip(*(row[at::channels] for at in range(3)), strict=True)) for row in rows]
    counted: Counter[Colour] = Counter()
    for row in pixels:
        counted.update(row)
    palette = _palette([colour for colour, _ in counted.most_common()])
    place = {colour: palette.index(_nearest(colour, palette)) for colour in counted}
    packed = b"".join(b"\0" + bytes(map(place.__getitem__, row)) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", bytes(sum(palette, ()))), (b"IDAT", zlib.compress(packed, 9)), (b"IEND", b""))
    path.write_bytes(SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks))


def _palette(colours: list[Colour]) -> list[Colour]:
    """Of the colours, most frequent first, those that differ enough from the ones before: a rare hue is kept, a shade
    that nobody tells from its neighbour is not."""
    apart = FIRST_APART
    while True:
        chosen: list[Colour] = []
        for colour in colours:
            if not chosen or _distance(colour, _nearest(colour, chosen)) > apart:
                chosen.append(colour)
            if len(chosen) > MOST_COLOURS:
                break
        else:
            return chosen
        apart *= 2


def _nearest(colour: Colour, palette: list[Colour]) -> Colour:
    return min(palette, key=lambda each: _distance(each, colour))


def _distance(one: Colour, other: Colour) -> int:
    """The square of how far two colours are apart."""
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _read(raw: bytes) -> tuple[int, int, int, bytes]:
    """Width, height, bytes a pixel, and the filtered rows."""
    at, data, head = len(SIGNATURE), b"", b""
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        kind, content = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            head = content
        elif kind == b"IDAT":
            data += content
    width, height, depth, kind_of_colour, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    if depth != 8 or kind_of_colour not in _CHANNELS or interlaced:
        raise NotReadable(f"a PNG with depth {depth} and colour type {kind_of_colour}")
    return width, height, _CHANNELS[kind_of_colour], zlib.decompress(data)


def _unfiltered(data: bytes, stride: int, height: int, step: int) -> Iterator[bytearray]:
    """The rows as they were before the filters of the format."""
    above = bytearray(stride)
    for number in range(height):
        start = number * (stride + 1)
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + stride])
        if kind == 2:
            row = bytearray((one + other) & 255 for one, other in zip(row, above, strict=True))
        elif kind:
            for at in range(stride):
                left = row[at - step] if at >= step else 0
                corner = above[at - step] if at >= step else 0
                guess = (left, 0, (left + above[at]) // 2, _paeth(left, above[at], corner))[kind - 1]
                row[at] = (row[at] + guess) & 255
        above = row
        yield row


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    by_left, by_above, by_corner = abs(guess - left), abs(guess - above), abs(guess - corner)
    if by_left <= by_above and by_left <= by_corner:
        return left
    return above if by_above <= by_corner else corner
