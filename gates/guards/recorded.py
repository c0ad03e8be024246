"""What a person is shown of changed recorded truth: goldens and snapshots, old beside new."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence

from gates.guards.guard import Judged, printable

MOST_LINES = 30
"""Of the difference of one file; `MOST_FILES` are shown."""
MOST_FILES = 5
LOOKED_AT = 200_000
"""Bytes of each side that are compared."""


def fingerprint(change: Judged, paths: Sequence[str]) -> str:
    """Twelve hex digits that stand for exactly these files with exactly this content, as the change has them."""
    found = hashlib.sha256()
    for path in sorted(paths):
        content = change.new(path)
        said = "gone" if content is None else hashlib.sha256(content).hexdigest()
        found.update(f"{path}\0{said}\0".encode("utf-8", "backslashreplace"))
    return found.hexdigest()[:12]


def differences(change: Judged, paths: Sequence[str]) -> list[str]:
    """How the first few of these files change, a clean line each."""
    shown = [line for path in paths[:MOST_FILES] for line in _difference(change, path)]
    more = len(paths) - MOST_FILES
    return [*shown, *([f"… and {more} more files"] if more > 0 else [])]


def _difference(change: Judged, path: str) -> Iterator[str]:
    old, new = change.old(path), change.new(path)
    yield f"{printable(path)}: {_size(old)} before, {_size(new)} now"
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return
    # difflib takes quadratic time: only the neighbourhood of the first difference is compared.
    least = min(len(before), len(after))
    start = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), least)
    window = slice(max(0, start - 2), start + 500)
    rows = list(difflib.unified_diff(before[window], after[window], n=1, lineterm=""))[2:]
    rows = [row for row in rows if not row.startswith("@@")]
    yield from (printable(row) for row in rows[:MOST_LINES])
    if len(rows) > MOST_LINES:
        yield f"… {len(rows) - MOST_LINES} more lines"


def _size(content: bytes | None) -> str:
    return "none" if content is None else f"{len(content)} bytes"


def _lines(content: bytes | None) -> list[str] | None:
    """None for what is no text."""
    if content is None:
        return []
    head = content[:LOOKED_AT]
    return None if b"\0" in head else head.decode("utf-8", "replace").split("\n")
