"""What gates leave on the disk, and for how long: private folders of runs that died, old run folders, old notes."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from engine.git.removal import remove_tree
from gates.execution import clear, is_begun

MARK = "gates"
"""A file in the run folder of each request of an engine, which says whose it is. Its time is that of the request."""
KEPT_RUNS = 300
"""Run folders that stay for people who look at logs; what a report names is in the artifact store."""
KEPT_NOTES = 512
"""Notes that stay in each of the folders beside the pointers."""
_AT_ONCE = 50


def mark(folder: Path) -> None:
    """This run folder is an engine's, and of now."""
    (folder / MARK).touch()


def tidy_runs(runs: Path, keep: Collection[Path]) -> None:
    """Clear what runs that nobody will go on with have left, and remove the oldest folders. keep: run folders that
    will be gone on with. No gate may run but those in `keep`. Never raises."""
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for folder in runs.iterdir():
            with contextlib.suppress(OSError):
                found.append(((folder / MARK).stat().st_mtime, folder))
    others = [(at, folder) for at, folder in sorted(found) if folder not in keep]
    for _, folder in others:
        with contextlib.suppress(OSError):
            for run in folder.iterdir():
                if is_begun(run):
                    clear(run)
    for _, folder in others[:-KEPT_RUNS][:_AT_ONCE]:
        remove_tree(folder)


def tidy_notes(cache: Path) -> None:
    """Remove the oldest files of each folder in `cache`. Never raises."""
    with contextlib.suppress(OSError):
        for folder in cache.iterdir():
            if folder.is_dir() and not folder.is_symlink():
                _thin(folder)


def _thin(folder: Path) -> None:
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                found.append((path.lstat().st_mtime, path))
    for _, path in sorted(found)[:-KEPT_NOTES][:_AT_ONCE]:
        with contextlib.suppress(OSError):
            path.unlink()
