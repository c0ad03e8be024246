"""Run folders of gates that were asked for by hand: named after their process, and cleared when that was killed."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from engine.git.removal import remove_tree

_PREFIX = "hand."


def new_key() -> str:
    """The key of a run by this process."""
    return f"{_PREFIX}{os.getpid()}.{uuid.uuid4().hex[:12]}"


def clear_leftovers(runs: Path) -> None:
    """Remove what dead processes left, with the private folders of their gates. Blocking."""
    folders = list(runs.glob(f"{_PREFIX}*"))
    if not folders:
        return
    import psutil

    from gates.execution import forget

    for folder in folders:
        owner = folder.name.split(".")[1]
        if owner.isdecimal() and psutil.pid_exists(int(owner)):
            continue
        with contextlib.suppress(OSError):  # another process may be clearing it just now
            for inner in sorted(folder.iterdir()):
                forget(inner)
        remove_tree(folder)
