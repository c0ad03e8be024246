"""What a sandbox really holds, found out by trying to break it.

Every escape is also tried without the sandbox. A guarantee is given when no escape got through, and those that are
tried on every machine were seen to work without it: a missing tool or a strange machine never counts as protection.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.ports import GUARANTEES, SandboxPolicy
from engine.sandbox import escapes
from engine.sandbox.syscalls import this_architecture

TIMEOUT_S = 20.0
SOCKET_FOLDER_BYTES = 60
"""An address has 107 bytes, and the probe's own folders need the rest."""
STARVED_FILES, STARVED_NICE = 63, 19
SHARE_ANEW, SHARE_NO_MORE = 0o3000, 0
"""IPC_CREAT | IPC_EXCL, IPC_RMID."""
CALLS = ("io_uring_setup", "userfaultfd", "bpf", "perf_event_open", "keyctl", "unshare")

ESCAPES: Mapping[str, tuple[str, ...]] = {
    "fs_write": (
        *("written", "truncated", "moved", "linked", "brought"),
        *("mode", "times", "attribute", "core_pattern"),
    ),
    "fs_read": ("read", "environ"),
    "git_meta": ("ref", "object"),
    "net": ("tcp", "udp", "vsock", "packet"),
    "pid_tree": ("kill", "limited", "priority"),
    "unix_sock": ("unix_path", "unix_abstract", "unix_pair"),
    "terminal": ("type_ahead",),
    "namespaces": ("user_namespace",),
    "keyrings": ("keyctl",),
    "shared": ("shared_memory",),
    "kernel": ("io_uring_setup", "userfaultfd", "bpf", "perf_event_open"),
}
"""Guarantee, or what else can be guarded -> the ways around it that are tried."""
MUST_WORK_OUTSIDE = frozenset(
    ["written", "truncated", "moved", "linked", "brought", "times", "read", "ref", "object", "tcp", "udp", "kill"]
    + (["mode"] if sys.platform != "win32" else [])
    + (["unix_path", "unix_abstract", "unix_pair", "environ", "limited"] if sys.platform == "linux" else [])
)
"""The others need a right or a part of the kernel that not every machine has."""

Wrap = Callable[[tuple[str, ...], Path, SandboxPolicy], tuple[tuple[str, ...], Mapping[str, str]]]
"""(argv, folder, policy) -> (argv to run, its environment)."""


class ProbeFailed(Exception):
    """The attacking program could not be run; the message is what the machine said."""


@dataclass(frozen=True)
class Held:
    """`guarantees` of `engine.ports`; `extras` beyond them. `broken`: the escapes that got through."""

    guarantees: Mapping[str, bool]
    extras: Mapping[str, bool]
    broken: tuple[str, ...] = ()


def judge(worked: frozenset[str], free: frozenset[str]) -> Held:
    """worked: the escapes that got through; free: those that do without a sandbox."""
    holds: dict[str, bool] = {}
    for name, tried in ESCAPES.items():
        shown = free.issuperset(MUST_WORK_OUTSIDE.intersection(tried)) and not free.isdisjoint(tried)
        holds[name] = shown and worked.isdisjoint(tried)
    guarantees = {name: holds.get(name, False) for name in GUARANTEES}
    extras = {
        name: held for name, held in holds.items() if name not in GUARANTEES and not free.isdisjoint(ESCAPES[name])
    }
    return Held(guarantees, extras, tuple(name for tried in ESCAPES.values() for name in tried if name in worked))


def unguarded(folder: Path) -> frozenset[str]:
    """Which escapes work without any sandbox: the positive control. Raises ProbeFailed, OSError."""
    return escaped(folder / "control", folder / "home", lambda argv, cwd, policy: (argv, {}))


def short_folder() -> str | None:
    """Where temporary files go, unless that name is too long for the address of a socket below it."""
    for each in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(each)) <= SOCKET_FOLDER_BYTES and os.access(each, os.W_OK):
            return each
    return None


def escaped(folder: Path, home: Path, wrap: Wrap) -> frozenset[str]:
    """The escapes that got through. folder: an empty one. home: one that the sandbox is to hide. Raises ProbeFailed,
    OSError."""
    workspace, objects, outside = folder / "workspace", folder / "objects", home / "outside"
    for made in (workspace, objects, outside):
        made.mkdir(parents=True)
    # In the same folder as the hidden home, and not below it, for the two ways in which a path can be out of reach.
    ref, packed, secret = folder / "hub-main", objects / "pack", home / "secret"
    own = [outside / name for name in ("truncated", "moved", "linked", "mode", "times", "attribute")]
    word = secrets.token_hex(8)
    for file in (ref, packed, secret, *own, workspace / "own"):
        file.write_text(word, encoding="utf-8")
    (outside / "mode").chmod(0o600)
    mode = (outside / "mode").stat().st_mode
    with ExitStack() as stack:
        victim, other = (stack.enter_context(_victim(word)) for _ in range(2))
        for each in (victim, other):
            stack.callback(each.kill)
        tcp = _listen(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = _listen(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        targets: dict[str, Any] = {
            "outside": str(outside),
            "ref": str(ref),
            "object": str(packed),
            "secret": str(secret),
            "victim": victim.pid,
            "other": other.pid,
            "word": word,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
        }
        if sys.platform == "linux":
            targets |= {"socket": str(folder / "s"), "datagrams": str(folder / "d"), "calls": _numbers()}
            targets |= {"abstract": f"swarm-probe-{word}", "shared": _share(stack)}
            _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, targets["socket"])
            _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, "\0" + targets["abstract"])
            _listen(stack, socket.AF_UNIX, socket.SOCK_DGRAM, targets["datagrams"])
        script = Path(escapes.__file__).resolve()
        policy = SandboxPolicy(writable=(workspace,), readable=(objects, script, *interpreter_roots()))
        argv, env = wrap(
            (str(Path(sys.executable).resolve()), "-I", "-S", str(script), json.dumps(targets)), workspace, policy
        )
        seen = _run(argv, workspace, env)
        changed = {
            "written": (outside / "written").exists(),
            "truncated": not _text(outside / "truncated"),
            "moved": not (outside / "moved").exists(),
            "linked": (outside / "linked").stat().st_nlink > 1,
            "brought": (outside / "brought").exists(),
            "mode": (outside / "mode").stat().st_mode != mode,
            "times": (outside / "times").stat().st_mtime == 1,
            "attribute": _has_attribute(outside / "attribute"),
            "ref": _text(ref) != word,
            "object": _text(packed) != word,
            "udp": _was_told(udp, word),
            "kill": _was_killed(victim),
            **_starved(other.pid),
        }
    return frozenset([*seen, *(name for name, done in changed.items() if done)])


def _run(argv: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> list[str]:
    if sys.platform == "win32":
        env = {"SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), **env}  # sockets do not work without it
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProbeFailed(str(error)) from error
    try:
        return cast("list[str]", json.loads(done.stdout))
    except ValueError as error:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProbeFailed(said[-1][:200] if said else f"exit code {done.returncode}") from error


def _numbers() -> dict[str, int]:
    if (architecture := this_architecture()) is None:
        return {}
    return {name: number for name in CALLS if (number := architecture.number(name)) is not None}


def _victim(word: str) -> subprocess.Popen[bytes]:
    """A process of ours that waits to be killed from inside, and has something to hide."""
    waits = (sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()")
    env = {**os.environ, "PROBED_SECRET": word}
    return subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)


def _was_killed(victim: subprocess.Popen[bytes]) -> bool:
    """The attacker has ended, so its signal has been sent: a victim that is not dead after a moment was not hit."""
    try:
        victim.wait(timeout=0.05)
    except subprocess.TimeoutExpired:
        return False
    return True


def _starved(pid: int) -> dict[str, bool]:
    """What was done to a process that still lives."""
    done: dict[str, bool] = {}
    if sys.platform == "linux":
        import resource

        done["limited"] = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == STARVED_FILES
    if sys.platform != "win32":
        done["priority"] = os.getpriority(os.PRIO_PROCESS, pid) == STARVED_NICE != os.getpriority(os.PRIO_PROCESS, 0)
    return done


def _share(stack: ExitStack) -> int:
    """The key of memory that this user's processes share for now (System V); 0: this machine has none."""
    if sys.platform != "linux":
        return 0
    import ctypes

    libc, key = ctypes.CDLL(None), secrets.randbelow(2**31 - 1) + 1
    made = libc.shmget(key, 4096, 0o600 | SHARE_ANEW)
    if made < 0:
        return 0
    stack.callback(libc.shmctl, made, SHARE_NO_MORE, None)
    return key


def _was_told(server: socket.socket, word: str) -> bool:
    """Whether a datagram has arrived: on the loopback interface that is at once."""
    server.setblocking(False)
    with contextlib.suppress(OSError):
        return server.recv(1024) == word.encode("ascii")
    return False


def _has_attribute(path: Path) -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError):
        return os.getxattr(path, "user.escaped") == b"x"
    return False


def _listen(stack: ExitStack, family: int, kind: int, address: Any) -> socket.socket:
    server = stack.enter_context(socket.socket(family, kind))
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def interpreter_roots() -> tuple[Path, ...]:
    """What this interpreter needs to be able to read."""
    return tuple({Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.executable).resolve().parent.parent})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
