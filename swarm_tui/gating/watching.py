"""`swarm gates --watch`: each new commit, and the working tree as it changes, until ctrl+c.

What is newer supersedes what runs: its gates are cancelled, and nothing of it is signed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from engine.errors import SwarmError, UserError
from engine.git.publish import Repository
from engine.loading import ROADMAP_FILE, SETTINGS_FILE
from engine.text.sanitise import sanitise_line
from swarm_tui.ending import finished
from swarm_tui.gating.asked import Asked
from swarm_tui.gating.command import Subject, gate, request_of, subject_of, tell_ending
from swarm_tui.gating.leftovers import clear_leftovers
from swarm_tui.gating.working_tree import Working, working_tree
from swarm_tui.proving import Bench, open_bench

DEBOUNCE_MS = 300
"""How long the files have to be still."""


def run_watch(asked: Asked) -> int:
    """Ends by KeyboardInterrupt only. Raises UserError for what is wrong at the start; later it is said, and waited."""
    if asked.revision:
        raise UserError("--watch gates HEAD and the working tree as they change: leave out the revision")
    if asked.sabotage:
        raise UserError("--watch has no end, and --sabotage tells a share at the end: leave out one of them")
    return finished(_watch(asked), "no longer watching")


async def _watch(asked: Asked) -> int:
    benches = _Benches(asked)
    bench = await asyncio.to_thread(benches.current)
    await asyncio.to_thread(clear_leftovers, bench.site.folders.runs)
    seen: Working | None = None
    running: asyncio.Task[None] | None = None
    try:
        async for _ in _changes(bench.site.repository):
            try:
                now = await asyncio.to_thread(working_tree, bench.site.hub, bench.site.repository.root)
            except SwarmError as error:  # in the middle of a rebase, or of a file that is being written
                _say(asked, f"cannot look yet: {sanitise_line(str(error))}")
                continue
            if seen is not None and (now.tree, now.commit) == (seen.tree, seen.commit):
                continue
            seen = now
            if running is not None and not running.done():
                _say(asked, "superseded")
            await _end(running)
            running = asyncio.create_task(_gate(benches, asked, now))
    finally:
        try:
            await _end(running)
        finally:
            await benches.close()
    return 0


class _Benches:
    """The bench of the settings in the working copy, opened again when they change."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._bench: Bench | None = None
        self._texts: list[bytes] = []

    def current(self) -> Bench:
        """Blocking. Raises UserError when the settings do not read."""
        if self._bench is None or self._read(self._bench) != self._texts:
            self._bench = open_bench(self._asked.repo, self._asked.state)
            self._texts = self._read(self._bench)
        return self._bench

    async def close(self) -> None:
        """Nothing more is to be run."""
        if self._bench is not None:
            await self._bench.wings.ports.close()

    def _read(self, bench: Bench) -> list[bytes]:
        paths = [bench.site.repository.root / name for name in (SETTINGS_FILE, ROADMAP_FILE)]
        return [path.read_bytes() if path.is_file() else b"" for path in paths]


async def _changes(repository: Repository) -> AsyncIterator[None]:
    """At once, and then whenever HEAD, a branch, or a file of the working tree may have changed."""
    from watchfiles import Change, DefaultFilter, awatch

    ours = {repository.git_dir.resolve(), repository.common_dir.resolve()}

    def counts(change: Change, path: str) -> bool:
        where = Path(path)
        for folder in ours:
            if where.is_relative_to(folder):
                inside = where.relative_to(folder).as_posix()
                return inside in ("HEAD", "packed-refs") or (
                    inside.startswith("refs/heads/") and not inside.endswith(".lock")
                )
        return ordinary(change, path)

    ordinary = DefaultFilter()
    yield
    folders = {repository.root, *(folder for folder in ours if not folder.is_relative_to(repository.root.resolve()))}
    async for _ in awatch(*folders, watch_filter=counts, debounce=DEBOUNCE_MS, step=50):
        yield


async def _gate(benches: _Benches, asked: Asked, now: Working) -> None:
    """One round. What is wrong is said, and waited for."""
    try:
        bench = await asyncio.to_thread(benches.current)
        subject = await asyncio.to_thread(_subject, bench, asked, now)
        _say(asked, f"\n── {time.strftime('%H:%M:%S')} ──")
        request = await asyncio.to_thread(request_of, bench, asked, subject)
        tell_ending(bench.site, asked, await gate(bench, asked, subject, request))
        _say(asked, "\nwaiting for a change; ctrl+c ends this")
    except SwarmError as error:
        _say(asked, f"swarm: {error}")


def _subject(bench: Bench, asked: Asked, now: Working) -> Subject:
    subject = subject_of(bench, asked)
    if not now.files:
        return subject
    files = "1 file" if now.files == 1 else f"{now.files} files"
    called = f"the working tree, {files} beyond {now.commit[:12]}"
    return Subject(now.tree, "", called, subject.base_tree, subject.base_commit, subject.settings)


async def _end(running: asyncio.Task[None] | None) -> None:
    """Cancel it, if it runs, and wait for its end. Raises what it raised, and CancelledError only for ourselves."""
    if running is None:
        return
    running.cancel()
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


def _say(asked: Asked, line: str) -> None:
    """Beside --json, which has one object a line on standard output."""
    stream = sys.stderr if asked.as_json else sys.stdout
    stream.write(line + "\n")
    stream.flush()
