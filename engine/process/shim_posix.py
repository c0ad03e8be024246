"""The process tree on Linux and macOS: start a command, find all that came of it, kill all of it. macOS is untested.

On Linux the shim is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): a descendant that loses its parent, such as a
double-forked daemon, becomes the shim's child, and a walk over /proc finds it.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH110, PTH113, PTH117, PTH118, PTH123, PTH208

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from typing import Any

from engine.process.shim_records import NotStarted, write_all

KILL = 9
CHUNK = 65_536
PATIENCE_S = 5.0
"""How long a kill may take before the shim gives up and says what is left."""


@functools.cache
def become_reaper() -> bool:
    """Whether orphans of this process's descendants become its own children (Linux only)."""
    if sys.platform != "linux":
        return False
    import ctypes

    pr_set_child_subreaper = 36
    return ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0


def parents() -> dict[int, tuple[int, bool]]:
    """Every process: pid -> (pid of its parent, whether it is a zombie)."""
    table: dict[int, tuple[int, bool]] = {}
    if sys.platform == "linux":
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as stat:
                        state, parent = stat.read().rpartition(b")")[2].split()[:2]
                except OSError:
                    continue  # it ended meanwhile
                table[int(name)] = (int(parent), state in (b"Z", b"X"))
        return table
    import subprocess

    listing = subprocess.run(["/bin/ps", "-Axo", "pid=,ppid=,state="], capture_output=True, text=True, check=False)
    for line in listing.stdout.splitlines():
        pid, parent_pid, state_letters = line.split(None, 2)
        table[int(pid)] = (int(parent_pid), state_letters.startswith("Z"))
    return table


def descendants() -> list[int]:
    """Pids of all living descendants of the shim."""
    table = parents()
    children: dict[int, list[int]] = {}
    for pid, (parent, _zombie) in table.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    stack = [os.getpid()]
    while stack:
        for child in children.get(stack.pop(), ()):
            stack.append(child)
            if not table[child][1]:
                found.append(child)
    return found


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


class PosixTree:
    """Starts the command and kills all that came of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._child = 0
        self._status = -1
        self._reaped = threading.Event()
        self._reaper = False
        self._report = -1

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
        null = os.open(os.devnull, os.O_RDONLY)
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, output_w, 1),
            (os.POSIX_SPAWN_DUP2, output_w, 2),
        ]
        # Python ignores SIGPIPE (13) and SIGXFSZ (25 on Linux and macOS); a command must not inherit that.
        try:
            try:
                self._child = os.posix_spawn(program, argv, env, file_actions=actions, setsid=True, setsigdef=[13, 25])
            except NotImplementedError:
                self._child = os.posix_spawn(program, argv, env, file_actions=actions, setpgroup=0, setsigdef=[13, 25])
        except OSError as error:
            os.close(output)
            raise NotStarted(f"the program {argv[0]!r} cannot be run: {error.strerror}") from error
        finally:
            for descriptor in (null, output_w, *kept):
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
        options = os.memfd_create("options", 0)
        write_all(options, b"".join(os.fsencode(option) + b"\0" for option in order["options"]))
        os.lseek(options, 0, os.SEEK_SET)
        self._report, report_w = os.pipe()
        os.set_blocking(self._report, False)
        os.set_inheritable(options, True)
        os.set_inheritable(report_w, True)
        argv = [*order["head"], "--args", str(options), "--json-status-fd", str(report_w), "--", *order["command"]]
        return argv, {"SWARM_RUN": order["marker"]}, [options, report_w]

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
            if b'"exit-code"' not in said:
                return None
        return code if code >= 0 else 128 - code

    def kill(self) -> str:
        """Kill every process of the run; "" or one sentence about what could not be killed."""
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        if self._reaped.is_set() and self._is_over():
            return ""
        give_up = time.monotonic() + PATIENCE_S
        left: list[int] = []
        while time.monotonic() < give_up:
            if not self._reaped.is_set():
                try:
                    os.killpg(self._child, KILL)
                except OSError:
                    pass
            left = descendants()
            for pid in left:
                try:
                    os.kill(pid, KILL)
                except OSError:
                    pass
            if self._reaped.is_set():
                self._has_children()  # buries what was killed
                if not left:
                    return ""
            time.sleep(0.002)
        return f"{len(left)} processes could not be killed"

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
