"""What runs right now, beyond what the journal says: last lines, progress, memory. Sampled, lossy, off the room's
thread."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from engine.client import Tail
from engine.folders import StateFolder
from engine.text.sanitise import sanitise_bytes, sanitise_line

SAMPLE_S = 0.4
MEMORY_EVERY = 5
"""Samples between two looks at processes, which cost more."""
MOST_ROWS = 500
"""Gates of one progress file that are kept."""
LAST_BYTES = 4_000
LAST_CHARS = 200
_NUMBERS = ("number", "flows", "step", "steps", "pair", "pairs", "stage")


@dataclass(frozen=True)
class RunPulse:
    """`rss_bytes` of the whole process tree; None when it is not known."""

    last_line: str = ""
    log_bytes: int = 0
    rss_bytes: int | None = None


@dataclass(frozen=True)
class GatePulse:
    done: int
    failed: int


@dataclass(frozen=True)
class CanaryPulse:
    """`said` is the runner's word for what it does; flow `number` of `flows`, step `step` of `steps`; of a comparison,
    pair `pair` of `pairs`, in its first or second `stage`."""

    said: str
    flow: str = ""
    number: int = 0
    flows: int = 0
    step: int = 0
    steps: int = 0
    pair: int = 0
    pairs: int = 0
    stage: int = 0

    @property
    def doing(self) -> str:
        """What it does, in a few words."""
        if not self.pairs:
            return self.said
        return f"{'fresh pair' if self.stage > 1 else 'pair'} {self.pair} of {self.pairs}"


@dataclass(frozen=True)
class Wanted:
    """What is worth a look: runs by id, gated changes ("" is main), canaried commits, and the engine's pid if known."""

    runs: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pulse:
    """One sample of everything that was wanted. `gates` by (change, gate)."""

    runs: Mapping[str, RunPulse] = field(default_factory=dict[str, RunPulse])
    gates: Mapping[tuple[str, str], GatePulse] = field(default_factory=dict[tuple[str, str], GatePulse])
    canaries: Mapping[str, CanaryPulse] = field(default_factory=dict[str, CanaryPulse])
    engine_rss_bytes: int | None = None


@dataclass
class Sampler:
    """A thread that samples what `want` asks for. `pulse` is replaced as a whole, so any thread may read it."""

    folders: StateFolder
    want: Wanted = Wanted()
    pulse: Pulse = Pulse()
    _tails: dict[Path, Tail] = field(default_factory=dict[Path, Tail])
    _rows: dict[Path, dict[str, dict[str, Any]]] = field(default_factory=dict[Path, dict[str, dict[str, Any]]])
    _followed: set[Path] = field(default_factory=set[Path])
    """Progress files of the last sample; the others are forgotten."""
    _rss: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    _engine_rss: int | None = None
    _count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            with suppress(OSError, psutil.Error):
                self.sample()

    def sample(self) -> None:
        """Take one sample now."""
        want = self.want
        if self._count % MEMORY_EVERY == 0:
            self._measure_memory(want.runs)
        self._count += 1
        self._followed.clear()
        self.pulse = Pulse(
            {run: self._run_pulse(run) for run in want.runs},
            self._gates(want.changes),
            self._canaries(want.canaries),
            self._engine_rss,
        )
        for path in self._tails.keys() - self._followed:
            del self._tails[path], self._rows[path]

    def _run_pulse(self, run: str) -> RunPulse:
        path = self.folders.runs / run / "log"
        line, size_bytes = last_line(path)
        progress = path.with_name("progress.jsonl")
        # A log for people, as of a session, may say more and later than its rows; one of a program's JSON does not.
        if not line or line.startswith("{") or _changed_ns(progress) >= _changed_ns(path):
            line = last_said(progress) or line
        return RunPulse(line, size_bytes, self._rss.get(run))

    def _measure_memory(self, runs: tuple[str, ...]) -> None:
        engine = _pid_in(self.folders.lock)
        roots = {run: pid for run in runs if (pid := self._pid_of(run)) is not None}
        below = _children() if roots else {}
        self._rss = {run: _rss_of(pid, below) for run, pid in roots.items()}
        self._engine_rss = _rss_of(engine, {}) if engine is not None else None

    def _pid_of(self, run: str) -> int | None:
        """The pid of a run's shim; None when it is gone, or its number belongs to another process by now."""
        try:
            shim = json.loads((self.folders.runs / run / "shim.json").read_text(encoding="utf-8"))
            pid, created = int(shim["pid"]), float(shim["create_time"])
            return pid if abs(psutil.Process(pid).create_time() - created) < 1.0 else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def _gates(self, changes: tuple[str, ...]) -> dict[tuple[str, str], GatePulse]:
        found: dict[tuple[str, str], GatePulse] = {}
        prefixes = {change: f"{change.replace('/', '-')}-" if change else "main-" for change in changes}
        for change, folder in self._newest(prefixes).items():
            for name, row in self._progress(folder, "gate").items():
                with suppress(KeyError, TypeError, ValueError, OverflowError):
                    found[change, name] = GatePulse(int(row["done"]), int(row["failed"]))
        return found

    def _canaries(self, commits: tuple[str, ...]) -> dict[str, CanaryPulse]:
        found: dict[str, CanaryPulse] = {}
        for commit, folder in self._newest({commit: f"canary.{commit[:16]}." for commit in commits}).items():
            row = self._progress(folder, "kind").get("canary", {})
            numbers = {name: row.get(name, 0) for name in _NUMBERS}
            if row and all(isinstance(number, int) for number in numbers.values()):
                found[commit] = CanaryPulse(
                    sanitise_line(str(row.get("said", ""))), sanitise_line(str(row.get("flow", ""))), **numbers
                )
        return found

    def _newest(self, prefixes: Mapping[str, str]) -> dict[str, Path]:
        """The newest run folder by prefix."""
        newest: dict[str, tuple[float, Path]] = {}
        if not prefixes:
            return {}
        with os.scandir(self.folders.runs) as entries:
            for entry in entries:
                for key, prefix in prefixes.items():
                    if entry.name.startswith(prefix):
                        at = entry.stat().st_mtime
                        if key not in newest or at >= newest[key][0]:
                            newest[key] = (at, Path(entry.path))
        return {key: path for key, (_, path) in newest.items()}

    def _progress(self, folder: Path, key: str) -> dict[str, dict[str, Any]]:
        """The newest row of a progress file by the value of `key`."""
        path = folder / "progress.jsonl"
        self._followed.add(path)
        rows = self._rows.setdefault(path, {})
        for row in self._tails.setdefault(path, Tail(path)).lines():
            name = str(row.get(key, ""))
            if name in rows or len(rows) < MOST_ROWS:
                rows[name] = row
        return rows


def last_line(path: Path, chars: int = LAST_CHARS) -> tuple[str, int]:
    """The last line of a log that says something, clean and capped, and the log's bytes."""
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - LAST_BYTES))
            lines = sanitise_bytes(file.read(LAST_BYTES)).splitlines()
    except OSError:
        return "", 0
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said[:chars], size_bytes


def last_said(path: Path) -> str:
    """What the last row of a run's progress says, clean and capped; "" where there is none."""
    last, _ = last_line(path, LAST_BYTES)
    try:
        row = json.loads(last)
        said = " ".join(part for part in (str(row.get("tool") or ""), str(row.get("text", ""))) if part)
    except (ValueError, RecursionError, AttributeError):
        return ""
    return sanitise_line(said)[:LAST_CHARS]


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _pid_in(lock: Path) -> int | None:
    try:
        return int(lock.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def _children() -> dict[int, list[int]]:
    """Pids by the pid of their parent: one walk over all processes, however many runs there are."""
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.setdefault(process.ppid(), []).append(process.pid)
    return found


def _rss_of(pid: int, below: Mapping[int, list[int]]) -> int | None:
    """Memory of a process and all below it; None when it is gone."""
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        waiting += below.get(each, [])
        try:
            total += psutil.Process(each).memory_info().rss
        except psutil.Error:
            if each == pid:
                return None
    return total
