"""The process tree on Linux and macOS: start a command, find all that came of it, kill all of it. macOS is untested.

Killing starts with stopping: what is stopped starts nothing new, and a parent that starts its children again when they
die does not see them die.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH110, PTH113, PTH117, PTH118

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from engine.process.child_limits import fasten, limited
from engine.process.relatives import Relative, become_reaper, descendants, relatives
from engine.process.shim_records import NotStarted, write_all

KILL = 9
STOP = 19 if sys.platform == "linux" else 17
CHUNK = 65_536
PATIENCE_S = 5.0
"""How long a kill may take without getting on before the shim gives up and says what is left."""
DYING_S = 60.0
"""How long those that are ending already may take: of ten thousand the kernel gets rid in seconds."""
STOP_ROUNDS = 20
"""How often what was started meanwhile is stopped too, before the killing begins all the same."""


def find_program(name: str, env: dict[str, str]) -> str:
    """The path that `name` means in the command's own PATH. Raises NotStarted. Never looks in the current folder."""
    if os.sep in name:
        if os.path.exists(name):
            return name
    else:
        for folder in env.get("PATH", "").split(os.pathsep):
            path = os.path.join(folder, name)
            if os.path.isabs(folder) and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    raise NotStarted(f"the program {name!r} was not found: install it or correct the command")


@contextmanager
def hurry() -> Generator[None]:
    """The calling thread goes before all others, where it may (as root): among thousands of processes that only fork,
    its turn would come too seldom to get rid of them."""
    if sys.platform != "linux":
        yield
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class PosixTree:
    """Starts the command and kills all that came of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._child = 0
        self._status = -1
        self._reaped = threading.Event()
        self._reaper = False
        self._report = -1
        self.talk: tuple[int, int] | None = None

    def start(self) -> int:
        """Start it and return the reading end of its output. Raises NotStarted."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        order = self._order
        try:
            os.chdir(order["cwd"])
        except OSError as error:
            raise NotStarted(f"the folder {order['cwd']} cannot be entered: {error.strerror}") from error
        argv, env, kept = order["head"] + order["command"], order["env"], []
        program = find_program(argv[0], env)
        if order["options"]:
            argv, env, kept = self._by_descriptor()
        else:
            self._reaper = become_reaper()
        output, output_w = os.pipe()
        if order.get("talk"):
            typed, typed_w = os.pipe()
            said, said_w = os.pipe()
            self.talk = typed_w, said
        else:
            typed, said_w = os.open(os.devnull, os.O_RDONLY), os.dup(output_w)
        actions = [
            (os.POSIX_SPAWN_DUP2, typed, 0),
            (os.POSIX_SPAWN_DUP2, said_w, 1),
            (os.POSIX_SPAWN_DUP2, output_w, 2),
        ]
        # Python ignores SIGPIPE (13) and SIGXFSZ (25 on Linux and macOS); a command must not inherit that.
        try:
            with limited(order["quota"]):
                try:
                    self._child = os.posix_spawn(
                        program, argv, env, file_actions=actions, setsid=True, setsigdef=[13, 25]
                    )
                except NotImplementedError:
                    self._child = os.posix_spawn(
                        program, argv, env, file_actions=actions, setpgroup=0, setsigdef=[13, 25]
                    )
            fasten(self._child, order["quota"])
        except OSError as error:
            for descriptor in (output, *(self.talk or ())):
                os.close(descriptor)
            raise NotStarted(f"the program {argv[0]!r} cannot be run: {error.strerror}") from error
        finally:
            for descriptor in (typed, said_w, output_w, *kept):
                os.close(descriptor)
        if order["options"]:
            # Its own pid namespace keeps it together, so this can wait until the sandbox is busy starting.
            self._reaper = become_reaper()
        return output

    def _by_descriptor(self) -> tuple[list[str], dict[str, str], list[int]]:
        """argv, environment and descriptors for a sandbox program that reads its options from a descriptor.

        The options hold the command's environment, and argv is world-readable. The sandbox program itself gets none of
        that environment: a library path in it would run code outside the sandbox.
        """
        if sys.platform != "linux":
            raise NotStarted("this sandbox runs on Linux only")
        order = self._order
        kept = [self._filter(order["filter"])] if order.get("filter") else []
        options = os.memfd_create("options", 0)
        write_all(options, b"".join(os.fsencode(option) + b"\0" for option in order["options"]))
        os.lseek(options, 0, os.SEEK_SET)
        self._report, report_w = os.pipe()
        os.set_blocking(self._report, False)
        os.set_inheritable(options, True)
        os.set_inheritable(report_w, True)
        filtered = ["--seccomp", str(kept[0])] if kept else []
        argv = [*order["head"], "--args", str(options), "--json-status-fd", str(report_w), *filtered]
        return [*argv, "--", *order["command"]], {"SWARM_RUN": order["marker"]}, [*kept, options, report_w]

    def _filter(self, path: str) -> int:
        """The system-call filter, opened for the sandbox program. Without it the command does not run."""
        try:
            opened = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise NotStarted(f"the sandbox's filter {path} cannot be read: {error.strerror}; start again") from error
        os.set_inheritable(opened, True)
        return opened

    def wait(self) -> None:
        """Block until the command itself has ended."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        try:
            self._status = os.waitpid(self._child, 0)[1]
        except ChildProcessError:
            self._status = -1
        self._reaped.set()

    def exit_code(self) -> int | None:
        """The exit code; 128 + n for a death by signal n, as shells and bubblewrap count. None: it never ran."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        code = os.waitstatus_to_exitcode(self._status) if self._status >= 0 else -KILL
        if self._order["options"] and code == 1:
            # bubblewrap's own failures exit 1 too, but it reports an exit code only of a command that it could execute.
            try:
                said = os.read(self._report, CHUNK)
            except BlockingIOError:
                said = b""
            if b'"exit-code"' not in said or b'"not-started"' in said:
                return None
        return code if code >= 0 else 128 - code

    def used(self) -> list[Relative]:
        """All processes of the run, or more of them than it may have. Buries the orphans that have ended, which nobody
        else does."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        own, most = os.getpid(), self._order["quota"]["processes"] or sys.maxsize
        found: list[Relative] = []
        for one in relatives(most):
            if one.over and one.parent == own and one.pid != self._child:
                try:
                    os.waitpid(one.pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            else:
                found.append(one)
        return found

    def kill(self) -> str:
        """Kill every process of the run; "" or one sentence about what could not be killed."""
        if self._reaped.is_set() and self._is_over():
            return ""
        with hurry():
            return self._kill_all()

    def _kill_all(self) -> str:
        give_up, fewest = time.monotonic() + PATIENCE_S, sys.maxsize
        while True:
            if not self._reaped.is_set():
                self._send(-self._child, KILL)  # of a sandbox with a pid namespace that is the end of all of it
            began = time.monotonic()
            left = self._stopped()
            for one in left:
                self._send(one.pid, KILL)
            # A walk may miss who loses his parent just then: of a reaper only having no child means that it is over.
            if self._reaped.is_set() and not (self._has_children() if self._reaper else left):
                return ""
            now = time.monotonic()
            if len(left) < fewest:
                give_up, fewest = now + (PATIENCE_S if left else DYING_S), len(left)
            elif now > give_up:
                return f"{len(left) or 'some'} processes could not be killed"
            time.sleep(max(0.002, (now - began) / 4))  # those that die need the processor, too

    def _stopped(self) -> list[Relative]:
        """All that is left of the run, the oldest first, stopped as far as that is possible."""
        stopped: set[int] = set()
        left: list[Relative] = []
        for _ in range(STOP_ROUNDS):
            left = descendants()
            fresh = [one.pid for one in left if one.pid not in stopped]
            if not fresh:
                break
            for pid in fresh:
                self._send(pid, STOP)
            stopped.update(fresh)
        return left

    def _send(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except OSError:
            pass  # it has ended

    def close(self) -> None:
        if self._report >= 0:
            os.close(self._report)
            self._report = -1

    def _is_over(self) -> bool:
        """Whether nothing is left. Of a sandbox with its own pid namespace the rest is dying already: that is awaited
        for a moment, because a walk over all processes takes longer."""
        looks = 20 if self._order["options"] else 1
        for _ in range(looks - 1):
            if not self._has_children():
                return True
            time.sleep(0.0001)
        return not self._has_children()

    def _has_children(self) -> bool:
        """Whether any descendant is left; with a reaper no child means none. Buries zombies on the way."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return not self._reaper
        return True
