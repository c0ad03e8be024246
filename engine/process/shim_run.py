"""One run under the shim: read the order, start the command, copy its output, wait for the end, leave nothing."""

# pathlib is too slow to import here.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import marshal
import os
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from engine.process.shim_records import NotStarted, create_time, json_object, write_all, write_durably

CHUNK = 65_536
CUT = b"\n[output cut here: the limit of %d bytes is reached]\n"
PATIENCE_S = 5.0


class Tree(Protocol):
    """The command and all that came of it, on one platform."""

    def start(self) -> int:
        """Start it and return the reading end of its output. Raises NotStarted."""
        ...

    def wait(self) -> None:
        """Block until the command itself has ended."""
        ...

    def exit_code(self) -> int | None:
        """The exit code once it has ended. None: it never ran."""
        ...

    def kill(self) -> str:
        """Kill every process of the run; "" or one sentence about what is left."""
        ...


def tree_for(order: dict[str, Any]) -> Tree:
    if sys.platform == "win32":
        from engine.process.shim_windows import WindowsTree

        return WindowsTree(order)
    from engine.process.shim_posix import PosixTree

    return PosixTree(order)


class Log:
    """Copies the command's output into the log, at most `cap` bytes of it, and remembers when it last grew."""

    def __init__(self, path: str, cap: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        self._cap = cap
        self.kept = 0
        self.dropped = 0
        self.trouble = ""
        self.grew_at = time.monotonic()

    def copy(self, source: int) -> None:
        """Until the last writer has closed the pipe. Reads on when the log is full: a full pipe would hang it."""
        while True:
            try:
                data = os.read(source, CHUNK)
            except OSError:
                return
            if not data:
                return
            self.grew_at = time.monotonic()
            keep = data[: max(0, self._cap - self.kept)]
            try:
                write_all(self._file, keep)
                if len(keep) < len(data) and not self.dropped:
                    write_all(self._file, CUT % self._cap)
            except OSError as error:
                self.trouble = f"the log could not be written: {error.strerror}"
                keep = b""
            self.kept += len(keep)
            self.dropped += len(data) - len(keep)


def read_order() -> dict[str, Any] | None:
    """The order from stdin (8 bytes of length, then marshal), or None if the engine died before it was complete."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = os.read(0, size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    try:
        return marshal.loads(exactly(int.from_bytes(exactly(8), "big")))
    except (EOFError, OSError):
        return None


def hold_leash(leash: bool, events: SimpleQueue[str]) -> None:
    """Tell the main thread when the engine cancels or, on a leash, is gone."""
    while True:
        try:
            data = os.read(0, 16)
        except OSError:
            data = b""
        if b"k" in data or (leash and not data):
            events.put("cancelled")
        if not data:
            return


def wait_for_end(order: dict[str, Any], log: Log, events: SimpleQueue[str], started: float) -> str:
    """How it ended: the first of the command's exit, a cancellation, and the two deadlines."""
    wall = started + order["wall_s"]
    while True:
        due, end = wall, "wall_timeout"
        if order["idle_s"] is not None and log.grew_at + order["idle_s"] < wall:
            due, end = log.grew_at + order["idle_s"], "idle_timeout"
        left = due - time.monotonic()
        if left <= 0:
            return end
        try:
            return events.get(timeout=min(left, 3600.0))
        except Empty:
            continue


def supervise(folder: str, order: dict[str, Any]) -> dict[str, object]:
    """Run the command to its end; the fields of result.json."""
    log = Log(os.path.join(folder, "log"), order["log_cap"])
    tree = tree_for(order)
    result: dict[str, object] = {"run_id": order["run_id"], "end": "not_started", "exit_code": None, "duration_s": 0.0}
    started = time.monotonic()
    events: SimpleQueue[str] = SimpleQueue()
    try:
        source = tree.start()
    except NotStarted as error:
        return result | {"log_bytes": 0, "dropped_bytes": 0, "note": str(error)}
    copier = threading.Thread(target=log.copy, args=(source,), daemon=True)
    copier.start()

    def wait() -> None:
        tree.wait()
        events.put("exited")

    threading.Thread(target=wait, daemon=True).start()
    threading.Thread(target=hold_leash, args=(order["leash"], events), daemon=True).start()
    end = wait_for_end(order, log, events, started)
    result["duration_s"] = round(time.monotonic() - started, 4)
    notes = [tree.kill()]
    copier.join(PATIENCE_S)
    if copier.is_alive():
        notes.append("a process that could not be killed still holds the output")
    result["end"] = end
    if end == "exited":
        result["exit_code"] = tree.exit_code()
        if result["exit_code"] is None:
            result["end"] = "not_started"
            notes.append("the sandbox could not start the command: " + first_line(os.path.join(folder, "log")))
    if log.dropped:
        notes.append(log.trouble or f"{log.dropped} bytes of output were dropped")
    note = "; ".join(part for part in notes if part)
    return result | {"log_bytes": log.kept, "dropped_bytes": log.dropped, "note": note}


def first_line(path: str) -> str:
    with open(path, "rb") as log:
        return log.readline(300).decode("utf-8", "replace").strip()


def main(folder: str) -> int:
    """Exit codes: 0 result written; 3 nothing was ordered; 4 another shim has this folder."""
    try:
        claim = os.open(os.path.join(folder, "shim.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return 4
    marker = os.environ.get("SWARM_RUN", "")
    write_all(claim, json_object({"pid": os.getpid(), "create_time": create_time(), "marker": marker}))
    os.close(claim)
    order = read_order()
    if order is None:
        return 3
    write_durably(os.path.join(folder, "result.json"), json_object(supervise(folder, order)))
    return 0
