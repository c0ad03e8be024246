"""What differs between two pictures, in numbers: how many pixels, the largest piece, the worst place, mean colours.

Indices over a whole picture (SSIM, perceptual hashes) miss an element that is gone. What finds it is local: changed
pixels that hang together (connected components, 8 neighbours), or stand close to each other (windows), or the mean
colour of a place, for what is too pale for a single pixel to tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

CHANNEL = 24
"""A pixel has changed when one of its channels moved by more, of 255: smoothed edges move by less."""
HALF = 16
"""Windows are two of these wide and high, and begin every one of these, in pixels."""
MEAN = 4.0
"""By so much of 255 the mean of a channel over a window may move: noise of up to CHANNEL stays far below."""
MEAN_LEAST = 256
"""Pixels that count, for a window's mean to say something."""


@dataclass(frozen=True)
class Piece:
    """`pixels` in the box at `x`, `y`, which is `w` wide and `h` high."""

    pixels: int = 0
    x: int = 0
    y: int = 0
    w: int = 0
    h: int = 0

    def __str__(self) -> str:
        return f"{self.w}x{self.h} at {self.x}, {self.y}"


@dataclass(frozen=True)
class Measured:
    """`counted`: pixels that no mask hides; `changed`: those of them that differ; `blob`: the largest piece that hangs
    together; `tile`: the window with the most; `shift`: how far the mean colour moved at most, of 255, in `pale`."""

    counted: int
    changed: int
    blob: Piece
    tile: Piece
    shift: float
    pale: Piece
    where: Flags


def measure(golden: Pixels, seen: Pixels, mask: Sequence[tuple[int, int, int, int]] = ()) -> Measured:
    """Both are height x width x channels of the same shape. mask: rectangles x, y, w, h that do not count."""
    counts = np.ones(golden.shape[:2], dtype=np.bool_)
    for x, y, w, h in mask:
        counts[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = False
    far = np.maximum(golden, seen) - np.minimum(golden, seen)
    where = (far.max(axis=2) > CHANNEL) & counts
    in_window = _windows(where.astype(np.int64))
    shift, pale = _mean_shift(golden, seen, counts)
    return Measured(
        counted=int(counts.sum()),
        changed=int(where.sum()),
        blob=largest_blob(where),
        tile=_window(int(in_window.argmax()), in_window, where.shape),
        shift=shift,
        pale=pale,
        where=where,
    )


def largest_blob(where: Flags) -> Piece:
    """The largest piece whose pixels touch each other, at corners too.

    By runs: each row's runs are nodes, runs that touch in rows next to each other are edges, and the smallest node of
    each component becomes the root of all by hooking and pointer jumping (Shiloach and Vishkin, 1982).
    """
    height, width = where.shape
    padded = np.zeros((height, width + 1), dtype=np.int8)
    padded[:, :width] = where
    edges = np.diff(padded.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return Piece()
    # The runs above each run, in places of one long row: the empty column at its end keeps rows apart.
    first = np.searchsorted(ends, starts - (width + 1), side="left")
    behind = np.searchsorted(starts, ends - (width + 1), side="right")
    touching = np.maximum(behind - first, 0)
    below = np.repeat(np.arange(len(starts)), touching)
    offset = np.arange(len(below)) - np.repeat(np.cumsum(touching) - touching, touching)
    roots = _roots(len(starts), below, np.repeat(first, touching) + offset)
    sizes = np.bincount(roots, weights=ends - starts)
    biggest = int(sizes.argmax())
    mine = roots == biggest
    rows, left, right = starts[mine] // (width + 1), starts[mine] % (width + 1), ends[mine] % (width + 1)
    x, y = int(left.min()), int(rows.min())
    return Piece(int(sizes[biggest]), x, y, int(right.max()) - x, int(rows.max()) - y + 1)


def _roots(nodes: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    parents = np.arange(nodes)
    while True:
        a, b = parents[one], parents[other]
        apart = a != b
        if not apart.any():
            return parents
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(parents, np.maximum(a, b), np.minimum(a, b))
        while (parents != (above := parents[parents])).any():
            parents = above


def _windows(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each window. A picture that is smaller than one is one."""
    height, width = values.shape[:2]
    for axis, length in ((0, height), (1, width)):
        values = np.add.reduceat(values, np.arange(0, length, HALF), axis=axis)
        if values.shape[axis] > 1:
            lower = [slice(None)] * values.ndim
            upper = [slice(None)] * values.ndim
            lower[axis], upper[axis] = slice(None, -1), slice(1, None)
            values = values[tuple(lower)] + values[tuple(upper)]
    return values


def _window(place: int, sums: NDArray[np.int64], shape: tuple[int, ...]) -> Piece:
    row, column = divmod(place, sums.shape[1])
    x, y = column * HALF, row * HALF
    return Piece(int(sums[row, column]), x, y, min(2 * HALF, shape[1] - x), min(2 * HALF, shape[0] - y))


def _mean_shift(golden: Pixels, seen: Pixels, counts: Flags) -> tuple[float, Piece]:
    pixels = _windows(counts.astype(np.int64))
    moved = np.zeros(pixels.shape)
    for channel in range(golden.shape[2]):
        apart = (seen[:, :, channel].astype(np.int64) - golden[:, :, channel]) * counts
        moved = np.maximum(moved, np.abs(_windows(apart)) / np.maximum(pixels, 1))
    moved[pixels < MEAN_LEAST] = 0.0
    place = int(moved.argmax())
    return float(moved.ravel()[place]), _window(place, pixels, counts.shape)
