"""Files of a workspace that look empty to its agent: where people keep the secrets of a program beside its sources.

A mask keeps an agent, and every tool that loads such a file by itself, from reading it by the way. It does not take a
committed file out of git's history, which an agent may read: what must stay secret must not be committed. Gates see the
files as they are, since tests may need them; they have no network.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

SAMPLES = (".example", ".sample", ".template", ".dist", ".schema")
"""Endings of files that are there to be read."""


def is_masked(name: str) -> bool:
    """Whether a file of this name is hidden: `.env` and `.env.*`, in any case, but for samples."""
    folded = name.casefold()
    return folded in (".env", ".envrc") or (folded.startswith(".env.") and not folded.endswith(SAMPLES))


def masked_files(workspace: Path, named: Collection[str] = ()) -> tuple[Path, ...]:
    """Absolute paths of all files below `workspace` that are hidden, sorted. A link's target is hidden if it is there.

    named: paths relative to the workspace that a person has named in full for this order, with `/`: these stay open.
    """
    root = workspace.resolve()
    found = {path for path in _candidates(root) if path.relative_to(root).as_posix() not in named}
    targets = {target for path in found if (target := _target(path, root)) is not None}
    return tuple(sorted(targets))


def _candidates(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        yield from (Path(folder, name) for name in names if is_masked(name))


def _target(path: Path, root: Path) -> Path | None:
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return resolved if resolved.is_file() and resolved.is_relative_to(root) else None
