"""The engine that a room works with: a process of its own, so that no terminal and no room can take the night with it.

A room never runs the engine of a repository inside itself. It looks whether one runs; if none does, it starts one that
belongs to nobody's terminal, waits until that has the instance lock and has written its start into the journal, and
then is a client like any other. Two rooms that start at the same moment get the same engine: the lock decides.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from engine.client import Client
from engine.errors import EngineBusyError, SwarmError, UserError
from engine.folders import StateFolder
from engine.lock import InstanceLock
from engine.state import State
from engine.status import status_of
from engine.text.sanitise import sanitise_line
from swarm_tui.place import Place
from swarm_tui.running import exit_code_of

POLL_S = 0.05
PATIENCE_S = 60.0
"""How long a start may take before a person is told that it does."""
WORDS_KEPT = 4
"""How many starts' last words stay in the state folder; more than rooms start at the same moment."""
_WORDS_READ_BYTES = 16_000
_WORDS_PREFIX = "swarm: "
_numbers = itertools.count(1)

Progress = Callable[[str], None]
"""Gets a few words for the person at each look, changed or not. What it raises ends the waiting; the engine goes on."""
EndOfEngine = Literal["idle", "deadline", "stopped", "drained", "died"]


@dataclass(frozen=True)
class Ending:
    """How an engine ended. `said` is its sentence on stderr: "" when it had none, or another room started it.

    exit_code: by the contract of `swarm --no-ui`; None for an engine that died without a word and was not ours.
    """

    reason: EndOfEngine
    exit_code: int | None
    said: str


@dataclass
class EngineProcess:
    """A ready engine of a state folder. `ours`: this room started it."""

    folders: StateFolder
    pid: int
    epoch: int
    """Which start of an engine on this state folder it is, counted from 1; the event `engine_started` has it too."""
    seq: int
    """An event before its end."""
    _started: _Start | None = None

    @property
    def ours(self) -> bool:
        return self._started is not None

    def ended(self) -> Ending | None:
        """None while it runs. Cheap: for a look each second or so. Raises UserError when the journal cannot be read."""
        code = self._started.exit_code() if self._started is not None else None
        if self._started is not None and code is None:
            return None
        if code is None and InstanceLock(self.folders.lock).holder() == self.pid:
            return None
        said = self._started.sentence() if self._started is not None else ""
        reason, status_code = _last_words(self.folders, self.epoch, self.seq)
        return Ending(reason, status_code if code is None else code, said)


def running_engine(folders: StateFolder) -> EngineProcess | None:
    """The engine that runs and is ready now, whoever started it. Raises UserError when its journal cannot be read."""
    pid = InstanceLock(folders.lock).holder()
    if not pid:
        return None
    client = Client.attach(folders)
    try:
        state = client.state
        return EngineProcess(folders, pid, state.epoch, state.seq) if state.running else None
    finally:
        client.close()


def start_engine(
    place: Place,
    *,
    until: str = "",
    log_levels: str = "",
    patience_s: float,
    progress: Progress = lambda words: None,
) -> EngineProcess:
    """The engine of a repository, ready: the one that runs already, or one started now, detached. Blocks its thread.

    An engine that ends while it starts raises UserError with exactly its own sentence and its exit code. One that is
    not ready in `patience_s` raises SwarmError, and goes on: a later look may find it ready.
    """
    place.folders.create()
    waiting = _Waiting(place.folders, progress)
    give_up = time.monotonic() + patience_s
    try:
        while True:
            if (found := waiting.look()) is not None:
                return found
            if (start := waiting.start) is not None and (code := start.exit_code()) is not None:
                if (found := waiting.ended_already()) is not None:
                    return found
                _refuse(start, code)
                waiting.start = None  # another room was faster: now its engine is waited for, or failed and we try
            elif start is None and InstanceLock(place.folders.lock).holder() is None:
                waiting.started(_spawn(place, until, log_levels))
            if time.monotonic() > give_up:
                raise waiting.too_long(patience_s)
            time.sleep(POLL_S)
    finally:
        waiting.close()


# -- waiting for the start -----------------------------------------------------------------------------------------


@dataclass
class _Waiting:
    """One look after the other at lock and journal, and what the person is told about it."""

    folders: StateFolder
    progress: Progress
    client: Client | None = None
    unreadable: SwarmError | None = None
    start: _Start | None = None
    epoch_before: int = -1
    """The newest start that the journal told of while no engine ran; -1 when one has run all the time."""
    seq_before: int = 0

    def look(self) -> EngineProcess | None:
        """The engine, once it holds the lock and has written its start down."""
        pid = InstanceLock(self.folders.lock).holder()
        self._read()
        if pid and self._has_new_start() and self._state.running:
            ours = self.start if self.start is not None and self.start.is_process(pid) else None
            return EngineProcess(self.folders, pid, self._state.epoch, self._state.seq, ours)
        if pid is None:
            self.progress("starting the engine")
        elif self.start is None:
            self.progress("an engine is starting already: waiting for it")
        else:
            self.progress("the engine looks at what the last night left")
        return None

    def started(self, start: _Start) -> None:
        self.start = start
        self.epoch_before, self.seq_before = self._state.epoch, self._state.seq

    def ended_already(self) -> EngineProcess | None:
        """Our engine, when it had so little to do that it was never seen running."""
        self._read()
        if self.start is None or not self._has_new_start() or self._state.running or self.start.sentence():
            return None
        return EngineProcess(self.folders, self.start.process.pid, self._state.epoch, self.seq_before, self.start)

    @property
    def _state(self) -> State:
        return self.client.state if self.client is not None else State()

    def _has_new_start(self) -> bool:
        # A crash leaves the journal of the night before at `running`; only a newer start counts then.
        return self._state.epoch > self.epoch_before

    def _read(self) -> None:
        try:
            if self.client is None:
                self.client = Client.attach(self.folders)
            while self.client.catch_up():
                pass
            self.unreadable = None
        except SwarmError as error:  # not there yet, or nothing for this version: the engine itself says which
            self.unreadable = error

    def too_long(self, patience_s: float) -> SwarmError:
        if InstanceLock(self.folders.lock).holder() is not None and self.unreadable is not None:
            return self.unreadable
        return UserError(
            f"the engine is not ready after {patience_s:.0f} s and goes on starting: "
            f"run `swarm` again in a while, and look at {self.folders.log} if it stays so"
        )

    def close(self) -> None:
        if self.client is not None:
            self.client.close()


def _refuse(start: _Start, code: int) -> None:
    """Raise what an engine that ended while it started said, except that another one was faster."""
    if code == EngineBusyError.exit_code:
        return
    said = start.sentence()
    error = UserError(said or f"the engine died while it started ({_how(code)}): see {start.words}")
    error.exit_code = code if code > 0 else 1
    raise error


def _how(code: int) -> str:
    """An exit code for people. POSIX: negative numbers are signals."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# -- the process ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """An engine that this room has started, and the file with what it says on stderr."""

    process: subprocess.Popen[bytes]
    words: Path

    def is_process(self, pid: int) -> bool:
        """Whether this start became that process; on Windows a virtual environment puts a launcher in between."""
        return pid == self.process.pid or any(child.pid == pid for child in _children(self.process.pid))

    def exit_code(self) -> int | None:
        return self.process.poll()

    def sentence(self) -> str:
        """Its one-sentence error, or of anything else on stderr the last line; "" when it said nothing."""
        with suppress(OSError), self.words.open("rb") as file:
            file.seek(max(0, self.words.stat().st_size - _WORDS_READ_BYTES))
            lines = [line for line in file.read().decode("utf-8", errors="replace").splitlines() if line.strip()]
            ours = [line.removeprefix(_WORDS_PREFIX) for line in lines if line.startswith(_WORDS_PREFIX)]
            return sanitise_line((ours or lines or [""])[-1])
        return ""


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.Error:
        return []


def _spawn(place: Place, until: str, log_levels: str) -> _Start:
    """Start the headless command away from our terminal: a session of its own has none that could hang up.

    -P keeps the working folder off the import path: a repository may have packages of our packages' names. The words
    go to a file of this start alone, so that no other room's failure is taken for ours.
    """
    argv = [sys.executable, "-P", "-m", "swarm_tui.cli", "--no-ui"]
    argv += ["--repo", str(place.repository.root), "--state", str(place.folders.root)]
    argv += ["--until", until] if until else []
    argv += ["--log", log_levels] if log_levels else []
    words = _words_file(place.folders)
    try:
        with words.open("ab") as stderr:
            process = subprocess.Popen(
                argv,
                cwd=place.repository.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=sys.platform != "win32",
                creationflags=_windows_flags(),
            )
    except OSError as error:
        raise SwarmError(f"the engine cannot be started: {error}") from error
    return _Start(process, words)


def _windows_flags() -> int:
    """A console of its own that is not shown, so that closing ours does not end it, and Ctrl-C for ours stays here.

    Not DETACHED_PROCESS: without any console each git and each gate would open a window.
    """
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0


def _words_file(folders: StateFolder) -> Path:
    """A new, empty file for one start's stderr; the oldest ones go."""
    earlier = sorted(folders.root.glob("engine-*.stderr"), key=_changed_at)
    for path in earlier[: 1 - WORDS_KEPT]:
        with suppress(OSError):  # still in use, or another room was faster
            path.unlink()
    path = folders.root / f"engine-{time.time_ns()}-{os.getpid()}-{next(_numbers)}.stderr"
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): make its folder writable, or name another with --state"
        ) from error
    return path


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


# -- the end -------------------------------------------------------------------------------------------------------


def _last_words(folders: StateFolder, epoch: int, seq: int) -> tuple[EndOfEngine, int | None]:
    """Why the engine of this epoch ended, by the journal after `seq`, and the exit code that its state stands for."""
    client = Client.attach(folders)
    try:
        for event in client.reader.events(seq):
            if event.kind == "engine_started" and int(event.fields["epoch"]) > epoch:
                break
            if event.kind == "engine_stopped":
                status = status_of(client.state, time.time(), running=False)
                return event.fields["reason"], exit_code_of(status, interrupted=False)
        return "died", None
    finally:
        client.close()
