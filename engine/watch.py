"""Watching the user's repository: the two files people edit, and where their main points."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE

STEP_MS = 100
POLL_S = 10.0
"""Look anyway after this time: some file systems report nothing."""


async def changes(repo: Path, common_git_dir: Path) -> AsyncIterator[None]:
    """Yields whenever something that matters may have changed, and every `POLL_S` seconds. Ends when cancelled."""
    files = {repo / SETTINGS_FILE, repo / ROADMAP_FILE, common_git_dir / "packed-refs", common_git_dir / "HEAD"}
    heads = common_git_dir / "refs" / "heads"

    def matters(_change: object, path: str) -> bool:
        at = Path(path)
        return at in files or heads in at.parents or at.parent == repo / FLOWS_FOLDER

    folders = [folder for folder in (repo, common_git_dir, heads) if folder.is_dir()]
    stop = asyncio.Event()
    try:
        async for _ in awatch(
            *folders,
            watch_filter=matters,
            recursive=False,
            step=STEP_MS,
            debounce=200,
            stop_event=stop,
            rust_timeout=int(POLL_S * 1000),
            yield_on_timeout=True,
        ):
            yield None
    finally:
        stop.set()
