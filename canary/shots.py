"""Pictures of what a program shows, held against their goldens: text by lines, images by pixels."""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections.abc import Sequence

from canary.against_golden import Held, ReadGolden
from canary.drivers.driver import Picture
from canary.golden_files import keyed, lookups
from canary.verdicts import Finding
from canary.wording import shown
from engine.errors import InfrastructureFault
from engine.models.flow import Shot

FOLDER = "canary/golden"
DIFF_LINES = 200

Mask = Sequence[tuple[int, int, int, int]]


def shot_path(flow: str, shot: str, kind: str) -> str:
    """Where its golden stands, for all systems; those for one system and renderer stand beside it."""
    return f"{FOLDER}/{flow}/{shot}.{'txt' if kind == 'text' else 'png'}"


def hold_shot(flow: str, shot: Shot, picture: Picture, renderer: str, read: ReadGolden) -> tuple[Held, Picture | None]:
    """Compare with the golden of this system; and what differs, to be looked at. Blocks."""
    plain = shot_path(flow, shot.name, picture.kind)
    own = keyed(plain, renderer)
    try:
        # What one system draws proves nothing about another: there is no golden for all of them.
        paths = [each for each in lookups(plain, renderer) if each != plain]
        found = next(((each, raw) for each in paths if (raw := read(each)) is not None), None)
    except InfrastructureFault as error:
        finding = Finding("ENVIRONMENT", f"the golden of the shot {shot.name} could not be read: {error}")
        return Held(finding, own, own), None
    if found is None:
        finding = Finding("INCONCLUSIVE", f"expected the golden {paths[-1]}, saw no such file")
        return Held(finding, paths[-1], own, asks=True), None
    path, raw = found
    was = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    finding, difference = _text(shot, raw, picture) if picture.kind == "text" else _pixels(shot, raw, picture)
    if finding is None:
        return Held(None, path, own, was), None
    told = Finding(finding.verdict, f"golden {path}: {finding.reason}")
    text = difference.content.decode("utf-8") if difference is not None and difference.kind == "text" else ""
    return Held(told, path, own, was, text, asks=told.verdict == "FAIL"), difference


def masked(text: str, mask: Mask) -> list[str]:
    """The lines, with a blank in each cell that does not count, and without spaces at their ends."""
    rows = [_cells(line) for line in text.rstrip("\n").split("\n")]
    for x, y, w, h in mask:
        for row in rows[y : y + h]:
            row[x : x + w] = [" "] * len(row[x : x + w])
    lines = ["".join(row).rstrip() for row in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _cells(line: str) -> list[str]:
    """What stands in each column: a wide character takes two, and what combines with another none."""
    cells: list[str] = []
    for char in line:
        if cells and unicodedata.combining(char):
            cells[-1] += char
        else:
            cells.append(char)
            if unicodedata.east_asian_width(char) in "WF":
                cells.append("")
    return cells


def _text(shot: Shot, raw: bytes, picture: Picture) -> tuple[Finding | None, Picture | None]:
    golden = masked(raw.decode("utf-8", errors="replace").replace("\r\n", "\n"), shot.mask)
    seen = masked(picture.content.decode("utf-8", errors="replace"), shot.mask)
    if golden == seen:
        return None, None
    pairs = enumerate(zip(golden, seen, strict=False), 1)
    first = next(((n, a, b) for n, (a, b) in pairs if a != b), None)
    if first is None:
        reason = f"it has {len(seen)} lines instead of {len(golden)}"
    else:
        reason = f"line {first[0]} is {shown(first[2])} instead of {shown(first[1])}"
    lines = list(difflib.unified_diff(golden, seen, "golden", "seen", n=2, lineterm=""))[:DIFF_LINES]
    return Finding("FAIL", reason), Picture("text", ("\n".join(lines) + "\n").encode("utf-8"))


def _pixels(shot: Shot, raw: bytes, picture: Picture) -> tuple[Finding | None, Picture | None]:
    from canary.pixels import hold_pixels  # numpy and Pillow take long to import, and are an extra

    return hold_pixels(shot, raw, picture.content)
