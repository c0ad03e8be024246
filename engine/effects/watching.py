"""Whether a run still gets anywhere: no new word, no changed file, or the same tool calls over and over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from engine.effects.spending import left_usage
from engine.ports import AgentResult, AgentRun
from engine.text.sanitise import sanitise_line

LOOK_S = 10.0
READ_MAX = 1_000_000
"""Bytes of a log that are read in one look; more than that is new in any case."""
SEEN_MAX = 50_000
FILES_MAX = 50_000
SCAN_SHARE = 0.02
"""How much of its time a look may spend on the workspace."""
LONGEST_CYCLE = 3
SHOWN = 100


class Watch:
    """Looks after one run. repeats: so often the same tool call, or cycle of up to three of them, without a changed
    file (0: any number). still_s: so long without anything new (0: any time). clock: monotonic seconds."""

    def __init__(
        self, run: AgentRun, repeats: int, still_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tails = [Tail(run.folder / "log"), Tail(run.folder / "progress.jsonl"), Tail(run.side / "progress.jsonl")]
        self._workspace, self._repeats, self._still_s, self._clock = run.workspace, repeats, still_s, clock
        self._calls: deque[str] = deque(maxlen=max(1, repeats) * LONGEST_CYCLE)
        self._seen: set[bytes] = set()
        self._new_at = clock()
        self._files = b""
        self._scan_at = clock()

    def look(self) -> str:
        """Why it is stuck, as one clause; "" when it is not. Blocks for some milliseconds."""
        calls: list[str] = []
        for nth, tail in enumerate(self._tails):
            for line in tail.lines():
                row = _row(line) if nth else {}
                if row.get("kind") == "tool":
                    calls.append(_call(row))
                self._notice(_call(row) if row.get("kind") == "tool" else _text(row) if nth else line)
        if self._has_changed():
            self._new_at = self._clock()
            self._calls.clear()
        self._calls.extend(calls)
        if cycle := self._cycle():
            shown = ", ".join(sanitise_line(call.partition("\0")[0])[:SHOWN] for call in cycle)
            times = f"{self._repeats} times in a row"
            return f"it made the same tool call{'s' * (len(cycle) > 1)} {times} and changed no file: {shown}"
        still = self._clock() - self._new_at
        if self._still_s and still >= self._still_s:
            return f"for {still / 60:.0f} minutes it said nothing new and changed no file"
        return ""

    def _notice(self, text: str) -> None:
        """Numbers alone make nothing new: they count, and tell the time."""
        mark = hashlib.blake2b(re.sub(r"\d+", "0", text).encode("utf-8", "replace"), digest_size=8).digest()
        if mark in self._seen:
            return
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(mark)
        self._new_at = self._clock()

    def _cycle(self) -> list[str]:
        """The tool calls that it repeats, or nothing."""
        calls = list(self._calls)
        for length in range(1, LONGEST_CYCLE + 1) if self._repeats else ():
            last = calls[-length * self._repeats :]
            if len(last) == length * self._repeats and all(call == last[at % length] for at, call in enumerate(last)):
                return last[:length]
        return []

    def _has_changed(self) -> bool:
        began = self._clock()
        if began < self._scan_at:
            return False
        before, self._files = self._files, fingerprint(self._workspace)
        ended = self._clock()
        self._scan_at = ended + (ended - began) / SCAN_SHARE
        return bool(before) and before != self._files


class Tail:
    """What is added to a file, by whole lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""

    def lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if size - self._at > READ_MAX:
                    self._at, self._rest = size - READ_MAX, b""
                file.seek(self._at)
                data = file.read(READ_MAX)
        except OSError:
            return []
        self._at += len(data)
        *lines, self._rest = re.split(rb"[\r\n]", self._rest + data)
        self._rest = self._rest[-READ_MAX:]
        return [line.decode("utf-8", "replace") for line in lines if line.strip()]


def fingerprint(folder: Path) -> bytes:
    """Names, sizes and times of the files below, at most FILES_MAX of them; what git keeps for itself is left out."""
    digest, left, folders = hashlib.blake2b(digest_size=16), FILES_MAX, [str(folder)]
    while folders and left > 0:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in sorted(entries, key=lambda one: one.name):
                    if entry.name == ".git":
                        continue
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        found = entry.stat(follow_symlinks=False)
                        facts = f"{entry.path}\0{found.st_size}\0{found.st_mtime_ns}\0"
                        digest.update(facts.encode("utf-8", "replace"))
        except OSError:
            continue
    return digest.digest()


def over_budget(run: AgentRun) -> str:
    """What it has used up of what it may, as one clause, as far as that is told; "" while it has not."""
    used = left_usage(run.folder)
    for what, amount, most in (("cost", used.cost, run.most.cost), ("tokens", used.tokens, run.most.tokens)):
        if most and (amount or 0) > most:
            told = f"a cost of {amount:.2f} of {most:.2f}" if what == "cost" else f"{amount} tokens of {most}"
            return f"it used {told} that it may, and was stopped"
    return ""


async def watched(
    work: Coroutine[Any, Any, AgentResult], run: AgentRun, repeats: int, still_s: float, every_s: float = LOOK_S
) -> AgentResult:
    """The agent's result; or, once it is stuck, one with the end `stuck` after it was stopped with all that it started;
    or the end `failed`, once it has told that it used more than it may.

    Cancelling cancels the agent, and returns when it has ended.
    """
    watch, began = Watch(run, repeats, still_s), time.monotonic()
    agent = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait((agent,), timeout=every_s)
            if done:
                return agent.result()
            over, why = await asyncio.to_thread(over_budget, run), await asyncio.to_thread(watch.look)
            if over or why:
                break
        agent.cancel()
        await asyncio.wait((agent,))
        if not agent.cancelled() and agent.exception() is None:
            return agent.result()  # it ended at that very moment
        used = await asyncio.to_thread(left_usage, run.folder)
        return AgentResult("failed" if over else "stuck", None, time.monotonic() - began, note=over or why, usage=used)
    except BaseException:
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)
        raise


def _row(line: str) -> dict[str, Any]:
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _call(row: dict[str, Any]) -> str:
    """What a row of a tool call says: the tool, and what it was called with where the row tells that."""
    shown = " ".join(str(row[name]) for name in ("tool", "text") if row.get(name))
    return f"{shown}\0{row.get('call', '')}"


def _text(row: dict[str, Any]) -> str:
    return str(row.get("text", ""))
