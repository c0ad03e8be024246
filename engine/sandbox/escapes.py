"""Tries to get out of the sandbox that it is run in. A program of its own: `python -I -S escapes.py TARGETS`.

TARGETS is a JSON object of what `engine.sandbox.attack` has set up outside. It prints, as a JSON object, which escapes
it saw succeed; those that change something are judged from outside, because a write may succeed and go nowhere.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEW_USER = 0x10000000
VSOCK = 40


def attempt(act: Callable[[], Any]) -> Any:
    """What `act` returned, or None if it was not let, or this platform has no such thing."""
    try:
        return act()
    except (OSError, AttributeError, ImportError, ValueError):
        return None


def connect(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)
    return True


def send(family: int, address: Any, said: bytes) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(said, address)


def opens(family: int, kind: int = socket.SOCK_STREAM) -> bool:
    socket.socket(family, kind).close()
    return True


def connect_one_of_a_pair(address: str) -> bool:
    """A datagram socket that was not made by socket(2)."""
    if sys.platform == "win32":
        return False
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        ends[0].connect(address)
    finally:
        for end in ends:
            end.close()
    return True


def in_a_child(act: Callable[[], bool]) -> bool:
    """Where `act` would change this process for good."""
    if sys.platform == "win32":
        return False
    if (child := os.fork()) == 0:
        os._exit(0 if attempt(act) else 1)
    return os.waitpid(child, 0)[1] == 0


def type_into_the_terminal() -> bool:
    """Keys into the controlling terminal, which is one of its own here: what is to be known is whether it is let."""
    if sys.platform == "win32":
        return False
    import fcntl
    import termios

    _, terminal = os.openpty()
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    return True


def call(number: int, *arguments: Any) -> bool:
    """One system call, by its number: whether it was let."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.syscall.restype = ctypes.c_long
    return libc.syscall(number, *arguments) >= 0


def write_shared(key: int, word: str) -> bool:
    """Into memory that a process outside shares (System V), found by its key."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    found = libc.shmget(key, 0, 0)
    at = libc.shmat(found, None, 0) if found >= 0 else None
    if at is None or at == ctypes.c_void_p(-1).value:
        return False
    ctypes.memmove(at, word.encode("ascii"), len(word))
    return True


def starve(victim: int) -> None:
    """Limits and priority of another process of the same user."""
    if sys.platform == "linux":
        import resource

        attempt(lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, (63, 63)))
    if sys.platform != "win32":
        attempt(lambda: os.setpriority(os.PRIO_PROCESS, victim, 19))


def linux(targets: dict[str, Any]) -> dict[str, Any]:
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    # Opened, never written: it names a program that the kernel runs outside of every sandbox.
    kernel = "/proc/sys/kernel/core_pattern"
    zeros = bytes(256)
    calls: dict[str, tuple[Any, ...]] = {
        "io_uring_setup": (1, zeros),
        "userfaultfd": (0,),
        "bpf": (0, zeros, 32),
        "perf_event_open": (zeros, 0, -1, -1, 0),
        "keyctl": (0, -3, 1),
    }
    numbers: dict[str, int] = targets["calls"]
    seen = {name: attempt(lambda n=name: call(numbers[n], *calls[n])) for name in calls if name in numbers}
    return seen | {
        "shared_memory": attempt(lambda: write_shared(targets["shared"], targets["word"])),
        "core_pattern": attempt(lambda: os.open(kernel, os.O_WRONLY)) is not None,
        "environ": targets["word"] in (attempt(lambda: _text(f"/proc/{targets['victim']}/environ")) or ""),
        "unix_path": attempt(lambda: connect(socket.AF_UNIX, targets["socket"])),
        "unix_abstract": attempt(lambda: connect(socket.AF_UNIX, "\0" + targets["abstract"])),
        "unix_pair": attempt(lambda: connect_one_of_a_pair(targets["datagrams"])),
        "vsock": attempt(lambda: opens(VSOCK)),
        "packet": attempt(lambda: opens(socket.AF_PACKET, socket.SOCK_RAW)),
        "user_namespace": in_a_child(lambda: call(numbers["unshare"], NEW_USER)) if "unshare" in numbers else False,
        "type_ahead": in_a_child(type_into_the_terminal),
    }


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


def main(targets: dict[str, Any]) -> None:
    outside, word = Path(targets["outside"]), targets["word"]
    attempt(lambda: (outside / "written").write_text("escaped", encoding="utf-8"))
    attempt(lambda: os.truncate(outside / "truncated", 0))
    attempt(lambda: (outside / "mode").chmod(0o777))
    attempt(lambda: os.utime(outside / "times", (1, 1)))
    attempt(lambda: (outside / "moved").rename("moved"))
    attempt(lambda: os.link(outside / "linked", "linked"))
    attempt(lambda: Path("own").rename(outside / "brought"))
    if sys.platform == "linux":
        attempt(lambda: os.setxattr(outside / "attribute", "user.escaped", b"x"))
    attempt(lambda: Path(targets["ref"]).write_text("escaped", encoding="utf-8"))
    attempt(lambda: Path(targets["object"]).write_text("escaped", encoding="utf-8"))
    attempt(lambda: send(socket.AF_INET, ("127.0.0.1", targets["udp"]), word.encode("ascii")))
    seen = {
        "read": attempt(lambda: Path(targets["secret"]).read_text(encoding="utf-8")) == word,
        "tcp": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", targets["tcp"]))),
    }
    if sys.platform == "linux":
        seen |= linux(targets)
    starve(targets["other"])
    attempt(lambda: os.kill(targets["victim"], 9))
    print(json.dumps([name for name, worked in seen.items() if worked]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
