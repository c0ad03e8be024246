"""Paths that a commit or its build can bend by links. Nothing of ours follows them out."""

from __future__ import annotations

from pathlib import Path


def real_place(path: Path, root: Path) -> Path | None:
    """Where `path` really is, if that is below `root`; None when a link leads out of it, or round in circles. What is
    not there yet has a place too."""
    try:
        real = path.resolve()
        return real if real.is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None


def is_there(path: Path, root: Path) -> bool:
    """Whether there is something at `path`, below `root`."""
    real = real_place(path, root)
    try:
        return real is not None and real.exists()
    except OSError:  # a folder above it is locked
        return False
