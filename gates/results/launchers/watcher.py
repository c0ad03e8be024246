"""Loaded from source by the launchers that watch from outside: the tested code runs in children of this process.

Stands alone: only the standard library, of the engine's own Python. What the children cannot do: read this process's
memory (on Linux it is not dumpable, so ptrace and /proc/PID/mem are refused to other processes of the same user) or
inherit the results descriptor. A child that puts another results file in place does not know the key, which is red.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_CHUNK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 1 << 18
_LONGEST_LINE_BYTES = 1 << 24
_GRACE_S = 2.0
_PR_SET_DUMPABLE = 4
_NOT_FOR_CHILDREN = ("RUSTC_BOOTSTRAP",)
_NOT_FOR_CHILDREN_PREFIXES = ("RUST_TEST_", "NEXTEST")
_LOG_LOCK = threading.Lock()


def protect():
    """Take this process's memory out of the reach of its children. To be called before the nonce is read."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def source(name):
    """A neighbour, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name(name)
    module = type(sys)("swarm_" + path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def recorder(exchange):
    """The Recorder of this run, with the nonce taken."""
    return source("recorder.py").Recorder(exchange)


def main(run):
    """The whole of a launcher `EXCHANGE TREE PLAN`: ends with the status of `run(exchange, tree, plan)`."""
    protect()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    exchange, tree, plan = sys.argv[1:]
    sys.exit(run(exchange, Path(tree), json.loads(plan)))


class Report:
    """What a launcher says of its run: records for the engine, lines for people. `ok`: nothing was wrong so far."""

    def __init__(self, exchange, runner):
        self.ok = True
        self._results = recorder(exchange)
        self._results.record({"kind": "begin", "runner": runner})

    def planned(self, ids):
        """Each of these is to have a result."""
        self._results.record({"kind": "planned", "ids": ids})

    def test(self, name, outcome, how="error", *, shown=True):
        self.ok = self.ok and outcome != "failed"
        self._results.tests += 1
        self._results.record({"kind": "test", "id": name, "outcome": outcome, "how": how})
        if shown:
            say(f"test {name} ... {outcome}")

    def problem(self, text, name=""):
        """One clause. name: of what could not be built."""
        self.ok = False
        self._results.record({"kind": "problem", "text": text, "id": name})
        say(f"problem: {text}")

    def fault(self, text):
        """Nothing can be seen: one sentence with what to do."""
        self.ok = False
        self._results.record({"kind": "fault", "text": text})

    def tripwire(self, name, tripped):
        self.ok = self.ok and tripped
        self._results.record({"kind": "tripwire", "state": "tripped" if tripped else "silent", "id": name})

    def finish(self):
        """Everything that was to run has run; gives the status to end with."""
        status = 0 if self.ok else 1
        self._results.finish(status)
        return status


def environment(program):
    """This process's environment without what would change how tests are built, chosen or reported.

    The folder of a program that is not on PATH comes first there: it was found behind a version manager's proxy, and a
    toolchain's tools are to find each other.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_FOR_CHILDREN and not name.startswith(_NOT_FOR_CHILDREN_PREFIXES)
    }
    folders, own = [part for part in env.get("PATH", "").split(os.pathsep) if part], str(Path(program).parent)
    env["PATH"] = os.pathsep.join(folders if own in folders else [own, *folders])
    return env


def say(text):
    """A line for the log, whole also when several threads speak."""
    with _LOG_LOCK:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.buffer.flush()


class Aside:
    """`work()` in a thread of its own; `result()` waits for what it gave or raises what it raised."""

    def __init__(self, work):
        self._said, self._raised = None, None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        try:
            self._said = work()
        except BaseException as error:
            self._raised = error

    def result(self):
        self._thread.join()
        if self._raised is not None:
            raise self._raised
        return self._said


def each(work, items, at_once):
    """What `work` gives for each item, in their order, with so many at once. Each is there as soon as it is known."""
    items, slots, found = list(items), threading.Semaphore(at_once), []

    def one(item):
        try:
            return work(item)
        finally:
            slots.release()

    def start():
        for item in items:
            slots.acquire()
            found.append(Aside(lambda item=item: one(item)))
            begun.release()

    begun = threading.Semaphore(0)
    threading.Thread(target=start, daemon=True).start()
    for at in range(len(items)):
        begun.acquire()
        yield found[at].result()


class Capped:
    """Keeps the beginning and the end of an output."""

    def __init__(self):
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def feed(self, chunk):
        room = _HEAD_BYTES - len(self._head)
        self._head += chunk[: max(room, 0)]
        self._tail += chunk[max(room, 0) :]
        if len(self._tail) > 2 * _TAIL_BYTES:
            self._dropped += len(self._tail) - _TAIL_BYTES
            del self._tail[:-_TAIL_BYTES]

    def text(self):
        """What was kept. Line ends are those of this system's text files; bytes that are no UTF-8 are escaped."""
        marker = f"\n... {self._dropped} bytes left out ...\n".encode("ascii") if self._dropped else b""
        kept = bytes(self._head) + marker + bytes(self._tail)
        return kept.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


class Lines:
    """Cuts an output into lines for `take(line: bytes)`. Of a line beyond all bounds only the beginning is taken."""

    def __init__(self, take):
        self._take, self._rest = take, bytearray()

    def feed(self, chunk):
        *whole, last = chunk.split(b"\n")
        for line in whole:
            self._add(line)
            self._take(bytes(self._rest))
            self._rest.clear()
        self._add(last)

    def end(self):
        if self._rest:
            self._take(bytes(self._rest))
            self._rest.clear()

    def _add(self, part):
        self._rest += part[: max(_LONGEST_LINE_BYTES - len(self._rest), 0)]


def run(argv, cwd, env, feed, *, quiet=False):
    """Run a child and give its standard output to `feed(chunk: bytes)`; gives its exit status, negative for a signal.

    Standard error goes to the log, or nowhere when `quiet`. When the child has ended, what it left running in its
    process group is killed, and a background process that still holds the output is not waited for. Raises OSError when
    the child cannot be started.
    """
    child = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        start_new_session=os.name == "posix",
    )
    assert child.stdout is not None
    output, lock, open_for_more = child.stdout, threading.Lock(), [True]

    def drain():
        while chunk := os.read(output.fileno(), _CHUNK_BYTES):
            with lock:
                if not open_for_more[0]:
                    return
                feed(chunk)

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        status = child.wait()
    finally:
        _kill_group(child.pid)
    reader.join(_GRACE_S)
    with lock:
        open_for_more[0] = False
    if not reader.is_alive():
        output.close()
    return status


def captured(argv, cwd, env, *, quiet=False):
    """(status, output as text) of a child; the middle of a large output is left out."""
    kept = Capped()
    status = run(argv, cwd, env, kept.feed, quiet=quiet)
    return status, kept.text()


def complete(argv, cwd, env, *, most_bytes=1 << 28):
    """(status, whole output) of a child that is a tool and not tested code; None as output when it says too much."""
    kept = bytearray()

    def feed(chunk):
        kept.extend(chunk[: max(most_bytes + 1 - len(kept), 0)])

    status = run(argv, cwd, env, feed)
    return status, None if len(kept) > most_bytes else bytes(kept)


def _kill_group(leader):
    if sys.platform != "win32":
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
