"""Runs under the shim, one after the other: take an order, start the command, copy its output, leave nothing, report.

What the engine says and what becomes of the command arrive in one inbox, so that neither can be missed between two
orders. Nothing of an order stays in the shim but its working folder, which is left, and its niceness, which cannot be
taken back: who orders takes care of that.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import marshal
import os
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from engine.process.shim_records import NotStarted, create_time, json_object, write_all, write_durably

if TYPE_CHECKING:
    from engine.process.quotas import Exceeded, Watch
    from engine.process.relatives import Relative

CHUNK = 65_536
CUT = b"\n[output cut here: the limit of %d bytes is reached]\n"
PACE_S = 0.002
"""The pause after each piece of output that nobody keeps: who floods us waits for its pipe, and we stay idle."""
PATIENCE_S = 5.0
IDLE_S = 30.0
"""How long a shim waits for its next order. One that comes at that very moment is given to another shim."""


class Tree(Protocol):
    """The command and all that came of it, on one platform."""

    talk: tuple[int, int] | None
    """With an order that says `talk`: the writing end of its stdin and the reading end of its stdout, once it runs.
    Its output is stderr alone then."""

    def start(self) -> int:
        """Start it and return the reading end of its output. Raises NotStarted."""
        ...

    def wait(self) -> None:
        """Block until the command itself has ended."""
        ...

    def exit_code(self) -> int | None:
        """The exit code once it has ended. None: it never ran."""
        ...

    def used(self) -> list[Relative]:
        """All processes of the run, as far as quotas are to be held by looking."""
        ...

    def kill(self) -> str:
        """Kill every process of the run; "" or one sentence about what is left."""
        ...

    def close(self) -> None:
        """Let go of what was opened for the run."""
        ...


def tree_for(order: dict[str, Any]) -> Tree:
    if sys.platform == "win32":
        from engine.process.shim_windows import WindowsTree

        return WindowsTree(order)
    from engine.process.shim_posix import PosixTree

    return PosixTree(order)


class Log:
    """Copies the command's output into the log, at most `cap` bytes of it, and remembers when it last grew.

    hidden: forms of secrets (see `Redactor.forms`), which never reach the disk; nor does what looks like a token.
    """

    def __init__(self, path: str, cap: int, hidden: list[tuple[bytes, str]]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        self._cap = cap
        self._hidden = hidden
        self.kept = 0
        self.dropped = 0
        self.said = 0
        """Bytes of the command's stdout that went to the engine instead."""
        self.trouble = ""
        self.grew_at = time.monotonic()

    def copy(self, source: int) -> None:
        """Until the last writer has closed the pipe. Reads on when the log is full: a full pipe would hang it."""
        redacting = None
        while data := self._read(source):
            self.grew_at = time.monotonic()
            if redacting is None:
                # Imported here: many commands say nothing, and this takes as long as the rest of the shim's start.
                from engine.text.redact import Redactor

                redacting = Redactor.of_forms(self._hidden).stream()
            self._keep(redacting.feed(data) if self.kept < self._cap else data)
            if self.dropped:
                time.sleep(PACE_S)
        if redacting is not None:
            self._keep(redacting.finish())

    def _read(self, source: int) -> bytes:
        try:
            return os.read(source, CHUNK)
        except OSError:
            return b""

    def _keep(self, data: bytes) -> None:
        if data:
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

    def close(self) -> None:
        os.close(self._file)


class Engine:
    """The other end of stdin and stdout. `inbox` takes (what, of which order): `order`, `cancelled`, `gone`, `exited`.

    stdin: `o`, 8 bytes of length and the marshalled order; `k`, which cancels; `i`, length and bytes for the stdin of
    the last order's command, which no bytes at all close. stdout: 8 bytes of length and the marshalled fields of the
    result for each order; before it, `{"said": bytes}` for what such a command writes, `{"began": True}` first.
    """

    def __init__(self) -> None:
        self.inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self.gone = False
        self._telling = threading.Lock()

    def listen(self) -> None:
        """Until the engine closes its end or dies; an order that it did not finish is none."""
        typed: SimpleQueue[bytes] = SimpleQueue()
        try:
            while word := os.read(0, 1):
                if word == b"k":
                    self.inbox.put(("cancelled", None))
                    continue
                data = exactly(int.from_bytes(exactly(8), "big"))
                if word == b"i":
                    typed.put(data)
                    continue
                # What comes late for one command never reaches the next.
                order = marshal.loads(data)
                order["typed"] = typed = SimpleQueue[bytes]()
                self.inbox.put(("order", order))
        except (EOFError, OSError):
            pass
        self.inbox.put(("gone", None))

    def next_order(self) -> dict[str, Any] | None:
        """None: there will be none any more, or there was none for long. A cancellation that came too late is
        forgotten."""
        while not self.gone:
            try:
                word, said = self.inbox.get(timeout=IDLE_S)
            except Empty:
                return None
            if word == "order":
                return said
            self.gone = word == "gone"
        return None

    def tell(self, fields: dict[str, object]) -> None:
        data = marshal.dumps(fields)
        try:
            with self._telling:
                write_all(1, len(data).to_bytes(8, "big") + data)
        except OSError:
            self.gone = True


def exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def wait_for_end(
    order: dict[str, Any], log: Log, engine: Engine, tree: Tree, started: float, watch: Watch | None
) -> str | Exceeded:
    """How it ended: the first of the command's exit, a cancellation, the two deadlines and the quotas."""
    wall = started + order["wall_s"]
    while True:
        due, end = wall, "wall_timeout"
        if order["idle_s"] is not None and log.grew_at + order["idle_s"] < wall:
            due, end = log.grew_at + order["idle_s"], "idle_timeout"
        left = due - time.monotonic()
        if left <= 0:
            return end
        left = min(left, 3600.0) if watch is None else min(left, watch.rest())
        try:
            word, said = engine.inbox.get(timeout=left)
        except Empty:
            if watch is not None and (exceeded := watch.look()):
                return exceeded
            continue
        if word == "exited" and said is tree:
            return "exited"
        engine.gone |= word == "gone"
        if word == "cancelled" or (word == "gone" and order["leash"]):
            return "cancelled"


def watch_for(order: dict[str, Any], tree: Tree, log: Log) -> Watch | None:
    """None when nothing is limited."""
    if not any(order["quota"].values()):
        return None
    from engine.process.quotas import Watch

    return Watch(order["quota"], tree.used, lambda: log.kept + log.dropped + log.said, order["watched"])


def talk(order: dict[str, Any], engine: Engine, tree: Tree, log: Log) -> list[threading.Thread]:
    """Carry what the engine and the command say to each other; the threads, the one that ends with its output last."""
    if tree.talk is None:
        return []
    theirs, ours = tree.talk

    def listen() -> None:
        while data := order["typed"].get():
            try:
                write_all(theirs, data)
            except OSError:
                break
        os.close(theirs)

    def tell() -> None:
        while True:
            try:
                data = os.read(ours, CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            log.grew_at = time.monotonic()
            log.said += len(data)
            engine.tell({"said": data})
        os.close(ours)

    engine.tell({"began": True})
    threads = [threading.Thread(target=each, daemon=True) for each in (listen, tell)]
    for thread in threads:
        thread.start()
    return threads


def supervise(order: dict[str, Any], engine: Engine) -> tuple[dict[str, object], bool]:
    """Run the command to its end: the fields of result.json, and whether nothing of it is left in this process."""
    folder = order["folder"]
    log = Log(os.path.join(folder, "log"), order["log_cap"], order["hidden"])
    tree = tree_for(order)
    result: dict[str, object] = {"run_id": order["run_id"], "end": "not_started", "exit_code": None, "duration_s": 0.0}
    started = time.monotonic()
    watch = watch_for(order, tree, log)
    try:
        source = tree.start()
    except NotStarted as error:
        log.close()
        tree.close()
        return result | {"log_bytes": 0, "dropped_bytes": 0, "note": str(error)}, True
    copier = threading.Thread(target=log.copy, args=(source,), daemon=True)
    copier.start()
    talking = talk(order, engine, tree, log)

    def wait() -> None:
        tree.wait()
        engine.inbox.put(("exited", tree))

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    end = wait_for_end(order, log, engine, tree, started, watch)
    result["duration_s"] = round(time.monotonic() - started, 4)
    notes = [tree.kill()]
    copier.join(PATIENCE_S)
    order["typed"].put(b"")
    for thread in talking:
        thread.join(PATIENCE_S)
    if copier.is_alive() or any(thread.is_alive() for thread in talking):
        notes.append("a process that could not be killed still holds the output")
    clean = not any(notes)
    code = tree.exit_code() if end == "exited" else None
    if watch is not None and (exceeded := watch.said_by(code)):
        end = exceeded
    if not isinstance(end, str):
        result |= {"end": "quota", "quota": end.quota}
        notes.insert(0, end.note)
    else:
        result |= {"end": end, "exit_code": code}
        if end == "exited" and code is None:
            result["end"] = "not_started"
            notes.append("the sandbox could not start the command: " + first_line(os.path.join(folder, "log")))
    if log.dropped:
        notes.append(log.trouble or f"{log.dropped} bytes of output were dropped")
    note = "; ".join(part for part in notes if part)
    result |= {"log_bytes": log.kept, "dropped_bytes": log.dropped, "note": note}
    if clean:
        waiter.join(PATIENCE_S)
        os.close(source)
        log.close()
        tree.close()
    return result, clean and not waiter.is_alive()


def first_line(path: str) -> str:
    with open(path, "rb") as log:
        return log.readline(300).decode("utf-8", "replace").strip()


def claim(order: dict[str, Any], created: float) -> bool:
    """Whether the run in this folder is ours: `shim.json` is created once."""
    try:
        file = os.open(os.path.join(order["folder"], "shim.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    own = os.environ.get("SWARM_RUN", "")
    fields: dict[str, object] = {"pid": os.getpid(), "create_time": created, "marker": order["marker"], "shim": own}
    write_all(file, json_object(fields))
    os.close(file)
    return True


def obey(order: dict[str, Any], engine: Engine, created: float) -> bool:
    """Carry it out and report; whether another order may follow. A folder that another shim has is reported as taken.

    A fault of ours ends the shim without a result; what went wrong is in the log.
    """
    if not claim(order, created):
        engine.tell({"taken": True})
        return True
    try:
        result, clean = supervise(order, engine)
        write_durably(os.path.join(order["folder"], "result.json"), json_object(result))
    except BaseException:
        import traceback

        with open(os.path.join(order["folder"], "log"), "a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        raise
    engine.tell({**result, "last": not clean or sys.platform == "win32"})
    return clean and sys.platform != "win32"


def main() -> int:
    """Exit codes: 0 the engine had no more orders; 3 what an order left behind cannot be got rid of."""
    created, nice, engine = create_time(), 0, Engine()
    threading.Thread(target=engine.listen, daemon=True).start()
    while (order := engine.next_order()) is not None:
        if sys.platform != "win32" and order["nice"] > nice:
            os.nice(order["nice"] - nice)
            nice = order["nice"]
        if not obey(order, engine, created):
            return 3
        os.chdir(os.sep)  # or the folder could not be removed everywhere
    return 0
