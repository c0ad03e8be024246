"""What agents leave beside their workspaces, where nobody but them has put anything: a home, temporary files."""

from __future__ import annotations

import stat
from pathlib import Path

from engine.git.removal import remove_tree

MOST_FILES, MOST_BYTES = 20, 1_000_000
"""Of what stays of a side folder: the task, the handoff and the like, for people."""


def clear_leavings(run: Path) -> None:
    """Take away what a run has left in its folder, but for its records and the small files at the top of its side
    folder. Never raises; what cannot be removed now stays."""
    for folder in (run, *run.glob("returned-*")):
        _clear(folder)


def _clear(run: Path) -> None:
    remove_tree(run / "granted" / "home")
    side = run / "side"
    try:
        entries = sorted(side.iterdir()) if stat.S_ISDIR(side.lstat().st_mode) else []
    except OSError:
        return
    kept = 0
    for entry in entries:
        if kept < MOST_FILES and _is_small(entry):
            kept += 1
        else:
            remove_tree(entry)


def clear_all_leavings(runs: Path) -> None:
    """The same for every run below this folder; nothing may run."""
    for run in runs.iterdir() if runs.is_dir() else ():
        if any((run / name).is_dir() for name in ("side/home", "side/tmp", "granted/home")):
            clear_leavings(run)


def _is_small(path: Path) -> bool:
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_size <= MOST_BYTES
