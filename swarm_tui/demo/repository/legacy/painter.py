"""The first painter: one page, forty columns, no views. Nothing imports it any more."""

from __future__ import annotations

COLUMNS = 40


def paint(text: str) -> list[str]:
    """The text cut into lines of forty characters, in the middle of words if need be."""
    flat = " ".join(text.split())
    return [flat[at : at + COLUMNS].ljust(COLUMNS) for at in range(0, len(flat), COLUMNS)]
