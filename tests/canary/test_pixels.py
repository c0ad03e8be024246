"""Pictures against their goldens: what is gone is found, and what nobody sees is not."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from canary.drivers.driver import Picture
from canary.pixel_math import CHANNEL, largest_blob, measure
from canary.pixels import hold_pixels
from canary.verdicts import Finding
from engine.models.flow import Shot

W, H = 160, 120
PLAIN = Shot(name="start")


def png(pixels: np.ndarray) -> bytes:
    into = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(into, "PNG")
    return into.getvalue()


def page(seed: int = 0, w: int = W, h: int = H) -> np.ndarray:
    """Something like a page: boxes on a light ground."""
    image = Image.new("RGB", (w, h), (240, 240, 240))
    draw, random = ImageDraw.Draw(image), np.random.default_rng(seed)
    for _ in range(6):
        x, y = int(random.integers(0, w - 20)), int(random.integers(0, h - 20))
        draw.rectangle((x, y, x + 15, y + 12), fill=tuple(int(each) for each in random.integers(40, 210, 3)))
    return np.asarray(image).copy()


def held(golden: np.ndarray, seen: np.ndarray, shot: Shot = PLAIN) -> tuple[Finding | None, Picture | None]:
    return hold_pixels(shot, png(golden), png(seen))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_same_picture_does_not_differ(seed: int) -> None:
    assert held(page(seed), page(seed)) == (None, None)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_an_element_that_is_gone_is_always_found(data: st.DataObject) -> None:
    w, h = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    if w * h <= PLAIN.blob:
        w = PLAIN.blob + 1
    x, y = data.draw(st.integers(0, W - w)), data.draw(st.integers(0, H - h))
    contrast = data.draw(st.integers(CHANNEL + 1, 255))
    golden = np.zeros((H, W, 3))
    golden[y : y + h, x : x + w, data.draw(st.integers(0, 2))] = contrast
    finding, picture = held(golden, np.zeros((H, W, 3)))
    assert finding is not None
    assert finding.verdict == "FAIL"
    assert f"{w * h} of them in one piece ({w}x{h} at {x}, {y})" in finding.reason
    assert picture is not None
    assert Image.open(io.BytesIO(picture.content)).size == (W, H)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_noise_below_the_tolerance_passes(seed: int) -> None:
    golden = page(seed).astype(int).clip(CHANNEL, 255 - CHANNEL)
    noise = np.random.default_rng(seed).integers(-CHANNEL, CHANNEL + 1, golden.shape)
    assert held(golden, golden + noise) == (None, None)
    strong = held(golden, golden + np.where(noise > 0, 2 * CHANNEL, 0).clip(0, 255))
    assert strong[0] is not None


def test_a_pale_element_that_is_gone_is_found_by_its_colour() -> None:
    golden = np.full((H, W, 3), 250)
    golden[20:60, 20:100] = 238
    finding, _ = held(golden, np.full((H, W, 3), 250))
    assert finding is not None
    assert "mean colour" in finding.reason


def test_small_letters_that_are_gone_are_found_though_none_of_them_is_large() -> None:
    golden = np.full((480, 640, 3), 255)
    for letter in range(6):
        golden[200:206, 100 + 4 * letter : 102 + 4 * letter] = 0
    finding, _ = held(golden, np.full((480, 640, 3), 255))
    assert finding is not None
    assert "72 pixels differ in 32x32" in finding.reason
    one = np.full((480, 640, 3), 255)
    one[200:206, 100:102] = 0
    assert held(one, np.full((480, 640, 3), 255)) == (None, None)


def test_many_single_pixels_all_over_are_counted() -> None:
    golden, seen = page(w=320, h=240), page(w=320, h=240)
    seen[::20, ::20] = 255 - golden[::20, ::20] // 2
    finding, _ = held(golden, seen)
    assert finding is not None
    assert "of 76800 pixels differ, of 76 that may" in finding.reason
    assert held(golden, seen, Shot(name="start", changed=0.01)) == (None, None)


def test_what_a_mask_hides_does_not_count() -> None:
    golden, seen = page(), page()
    seen[30:50, 40:80] = 0
    assert held(golden, seen)[0] is not None
    assert held(golden, seen, Shot(name="start", mask=[(40, 30, 40, 20)])) == (None, None)
    assert held(golden, seen, Shot(name="start", mask=[(40, 30, 40, 19)]))[0] is not None
    nothing, _ = held(golden, seen, Shot(name="start", mask=[(0, 0, W, H)]))
    assert nothing is not None


def test_another_size_fails() -> None:
    finding, _ = held(page(), page()[:-1])
    assert finding == Finding("FAIL", f"it is {W}x{H - 1} pixels large instead of {W}x{H}")


def test_what_is_no_image_is_no_verdict() -> None:
    for pair in ((b"no image", png(page())), (png(page()), b""), (png(page())[:200], png(page()))):
        finding, _ = hold_pixels(PLAIN, *pair)
        assert finding is not None
        assert finding.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("missing", ["numpy", "PIL.Image"])
def test_without_the_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = png(page())
    monkeypatch.setitem(sys.modules, missing, None)
    finding, _ = hold_pixels(PLAIN, picture, picture)
    assert finding is not None
    assert finding.verdict == "INCONCLUSIVE"
    assert "swarm-tui[pixels]" in finding.reason


def labelled(where: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """(labels, the size of each blob), 8-connected."""
    labels = np.asarray(scipy.ndimage.label(where, structure=np.ones((3, 3)))[0])  # pyright: ignore[reportIndexIssue]
    return labels, np.bincount(labels.ravel())[1:].tolist()


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)))
@settings(max_examples=100, deadline=None)
def test_the_largest_blob_is_that_of_scipy(where: np.ndarray) -> None:
    labels, sizes = labelled(where)
    blob = largest_blob(where)
    assert blob.pixels == max(sizes, default=0)
    if sizes:
        boxes = scipy.ndimage.find_objects(labels)
        best = {(b[1].start, b[0].start, b[1].stop - b[1].start, b[0].stop - b[0].start)
                for b, size in zip(boxes, sizes, strict=True) if size == max(sizes)}  # fmt: skip
        assert (blob.x, blob.y, blob.w, blob.h) in best


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_blobs_of_a_large_picture_too(density: float) -> None:
    where = np.random.default_rng(7).random((400, 600)) < density
    assert largest_blob(where).pixels == max(labelled(where)[1])


@given(arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3))))
@settings(max_examples=30, deadline=None)
def test_the_worst_window_never_has_more_than_there_is(golden: np.ndarray) -> None:
    measured = measure(golden, 255 - golden)
    assert 0 <= measured.blob.pixels <= measured.changed <= measured.counted
    tile = measured.tile
    assert tile.pixels == int(measured.where[tile.y : tile.y + tile.h, tile.x : tile.x + tile.w].sum())
