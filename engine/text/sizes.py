"""Sizes for people."""

from __future__ import annotations


def size_words(size_bytes: float) -> str:
    """Bytes as 512 B, 3.4 MB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes:g} B"
