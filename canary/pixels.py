"""An image of what a program shows, held against its golden. An extra: it needs numpy and Pillow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from canary.drivers.driver import Picture
from canary.verdicts import Finding
from engine.models.flow import Shot

if TYPE_CHECKING:
    from canary.pixel_math import Measured, Pixels

PIXELS_MOST = 40_000_000
TILE_BLOBS = 3
"""So many blobs of the largest allowed size may stand close together, in one window."""


def hold_pixels(shot: Shot, golden: bytes, seen: bytes) -> tuple[Finding | None, Picture | None]:
    """Two PNG images. (what is wrong, a picture that shows where); (None, None): they are near enough. Blocks."""
    try:
        import numpy  # noqa: F401  # that it is there
        import PIL.Image  # noqa: F401
    except ImportError:
        return _untold("it needs numpy and Pillow, which are not installed: pip install 'swarm-tui[pixels]'")
    from canary.pixel_math import measure

    try:
        old, new = _decoded(golden), _decoded(seen)
    except ValueError as error:
        return _untold(str(error))
    if old.shape != new.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (new, old)]
        return Finding("FAIL", f"it is {sizes[0]} pixels large instead of {sizes[1]}"), None
    measured = measure(old, new, shot.mask)
    wrong = what_is_wrong(shot, measured)
    if not wrong:
        return None, None
    return Finding("FAIL", wrong), Picture("png", _drawn(new, measured))


def what_is_wrong(shot: Shot, measured: Measured) -> str:
    """One sentence, the limit that tells the most first; "": near enough."""
    from canary.pixel_math import MEAN

    may, changed, blob, tile = shot.changed * measured.counted, measured.changed, measured.blob, measured.tile
    if not measured.counted:
        return "its masks hide all of it"
    if blob.pixels > shot.blob:
        return f"{changed} pixels differ, {blob.pixels} of them in one piece ({blob}), of {shot.blob} that may"
    if changed > may:
        return f"{changed} of {measured.counted} pixels differ, of {int(may)} that may, most of them in {tile}"
    if tile.pixels > shot.blob * TILE_BLOBS:
        return f"{tile.pixels} pixels differ in {tile}, of {shot.blob * TILE_BLOBS} that may so close to each other"
    if measured.shift > MEAN:
        return f"the mean colour of {measured.pale} moved by {measured.shift:.1f} of 255, of {MEAN:g} that it may"
    return ""


def _untold(why: str) -> tuple[Finding, None]:
    return Finding("INCONCLUSIVE", f"the picture could not be compared: {why}"), None


def _decoded(png: bytes) -> Pixels:
    """Height x width x red, green, blue, alpha. Raises ValueError with half a sentence."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            width, height = image.size
            if width * height > PIXELS_MOST:
                raise ValueError(f"{width}x{height} pixels are more than {PIXELS_MOST // 1_000_000} million")
            return np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("one of the two is no PNG image") from error


def _drawn(seen: Pixels, measured: Measured) -> bytes:
    """What was seen, pale, with the pixels that differ in red and a frame around the largest piece."""
    import numpy as np
    from PIL import Image, ImageDraw

    grey = seen[:, :, :3].mean(axis=2, keepdims=True)
    shown = np.repeat(160 + grey * (95 / 255), 3, axis=2).astype(np.uint8)
    shown[measured.where] = (208, 0, 48)
    image = Image.fromarray(shown)
    place = measured.blob if measured.blob.pixels else measured.pale
    box = (place.x - 3, place.y - 3, place.x + place.w + 2, place.y + place.h + 2)
    ImageDraw.Draw(image).rectangle(box, outline=(0, 80, 200))
    into = io.BytesIO()
    image.save(into, "PNG")
    return into.getvalue()
