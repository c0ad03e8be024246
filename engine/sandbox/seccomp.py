"""Which system calls a sandbox does not let through: what guards against holes in the kernel, and what namespaces and
Landlock do not see.

A list of what is denied, not of what is allowed: honest programs are of every kind, and none of them needs these. A
call that programs try and can do without is answered with ENOSYS, as by an older kernel, and the others with EPERM.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.sandbox.bpf import ANY_BIT, ARCHITECTURE, AT_LEAST, EQUAL, NUMBER, Assembler, argument
from engine.sandbox.syscalls import Architecture

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT = 1, 38, 93, 97

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, DATAGRAM, RAW = 1, 2, 3
SOCKET_TYPE = 0xF
"""The rest of the word are flags such as SOCK_CLOEXEC."""
ROUTE, ANY_PROTOCOL, TCP = 0, 0, 6
NAMESPACES = 0x7E020080
"""CLONE_NEW*: cgroup, uts, ipc, user, pid, net (0x7E000000), mount (0x00020000) and time (0x00000080)."""
NAMESPACES_OF_CLONE = 0x7E020000
"""There the lowest byte is a signal."""
TIOCSTI, TIOCLINUX, TIOCCONS = 0x5412, 0x541C, 0x541D
CREATE = 0x40 | 0x400000
"""O_CREAT, __O_TMPFILE: only then does open(2) look at the mode."""
SET_UID, SET_IDS = 0o4000, 0o6000
FASTOPEN = 0x20000000
PRIO_USER, IOPRIO_WHO_USER = 2, 3
SET_LEASE = 1024

Variant = Literal["namespaces", "closed", "port"]
"""namespaces: beside bubblewrap, which has cut off network and sockets already. closed, port: beside Landlock, without
any network, and with TCP connections, whose ports Landlock sees to."""


@dataclass(frozen=True)
class If:
    """Whether the low word of an argument, masked, is (`wanted`) or is not one of `values`; without values: whether
    any bit of the mask is set."""

    index: int
    values: tuple[int, ...] = ()
    mask: int = 0xFFFFFFFF
    wanted: bool = True


@dataclass(frozen=True)
class Deny:
    """`error` for these calls when all of `when` hold."""

    names: tuple[str, ...]
    error: int = EPERM
    when: tuple[If, ...] = ()


def _bits(index: int, mask: int) -> tuple[If, ...]:
    return (If(index, mask=mask),)


def _created(flags: int, mode: int) -> tuple[If, ...]:
    return (If(flags, mask=CREATE), If(mode, mask=SET_IDS))


ALWAYS = (
    # Kernel interfaces with a history of holes, which no build and no test needs.
    Deny(("io_uring_setup", "io_uring_enter", "io_uring_register"), ENOSYS),
    Deny(("userfaultfd", "bpf", "perf_event_open", "fanotify_init", "lookup_dcookie", "syslog")),
    # Keyrings belong to the user, not to the namespace: a session's keys could be read.
    Deny(("add_key", "request_key", "keyctl")),
    # The machine itself.
    Deny(("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon")),
    Deny(("swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "sethostname")),
    Deny(("setdomainname", "iopl", "ioperm", "vhangup", "uselib", "nfsservctl")),
    # Mounts and new namespaces, in which a process would be root again. The flags of clone3 lie in memory, where a
    # filter cannot look; C libraries fall back on clone.
    Deny(("mount", "umount2", "pivot_root", "chroot", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick")),
    Deny(("open_tree", "open_tree_attr", "mount_setattr", "setns", "open_by_handle_at")),
    Deny(("unshare",), when=_bits(0, NAMESPACES)),
    Deny(("clone",), when=_bits(0, NAMESPACES_OF_CLONE)),
    Deny(("clone3",), ENOSYS),
    # Keys into a terminal, as if the person had typed them; the console's output.
    Deny(("ioctl",), when=(If(1, (TIOCSTI, TIOCLINUX, TIOCCONS)),)),
    # A lease on a file that can only be read makes everybody outside who opens it wait, up to 45 seconds.
    Deny(("fcntl",), when=(If(1, (SET_LEASE,)),)),
    # A program that runs as this user for whoever starts it. The mode of openat2 lies in memory.
    Deny(("chmod", "fchmod"), when=_bits(1, SET_UID)),
    Deny(("fchmodat", "fchmodat2"), when=_bits(2, SET_UID)),
    Deny(("creat", "mknod"), when=_bits(1, SET_IDS)),
    Deny(("mknodat",), when=_bits(2, SET_IDS)),
    Deny(("open",), when=_created(1, 2)),
    Deny(("openat",), when=_created(2, 3)),
    Deny(("openat2",), ENOSYS),
    # Raw packets, and netlink beyond what getaddrinfo and getifaddrs ask.
    Deny(("socket",), when=(If(0, (INET, INET6)), If(1, (STREAM, DATAGRAM), SOCKET_TYPE, wanted=False))),
    Deny(("socket",), EPROTONOSUPPORT, (If(0, (NETLINK,)), If(2, (ROUTE,), wanted=False))),
)
SOCKETS: Mapping[Variant, tuple[Deny, ...]] = {
    "namespaces": (Deny(("socket",), EAFNOSUPPORT, (If(0, (UNIX, INET, INET6, NETLINK), wanted=False),)),),
    "closed": (Deny(("socket",), EAFNOSUPPORT, (If(0, (NETLINK,), wanted=False),)),),
    "port": (
        Deny(("socket",), EAFNOSUPPORT, (If(0, (INET, INET6, NETLINK), wanted=False),)),
        # Landlock sees to TCP and to nothing else: not to UDP, nor to what only looks like TCP.
        Deny(("socket",), when=(If(0, (INET, INET6)), If(1, (STREAM,), SOCKET_TYPE, wanted=False))),
        Deny(
            ("socket",), EPROTONOSUPPORT, (If(0, (INET, INET6)), If(2, (ANY_PROTOCOL, TCP), wanted=False))
        ),
        # A connection that is made by sending is one that Landlock does not see.
        Deny(("sendto", "sendmmsg"), when=_bits(3, FASTOPEN)),
        Deny(("sendmsg",), when=_bits(2, FASTOPEN)),
    ),
}  # fmt: skip
ANY_IDENTITY = If(0, (0,), wanted=False)
SHARED = (
    # One end of a pair of datagram sockets can be connected anew, to a name in the file system. Not so a stream's.
    Deny(("socketpair",), when=(If(1, (DATAGRAM, RAW), SOCKET_TYPE),)),
    # Memory, queues and semaphores that processes of one user share, with no file that Landlock could see.
    Deny(("shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semctl"), ENOSYS),
    Deny(("semtimedop", "mq_open", "mq_unlink"), ENOSYS),
    # Limits, priority and processors of another process of this user: 0 is the caller.
    Deny(("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam"), when=(ANY_IDENTITY,)),
    Deny(("sched_setscheduler", "migrate_pages", "move_pages"), when=(ANY_IDENTITY,)),
    Deny(("setpriority", "ioprio_set"), when=(If(1, (0,), wanted=False),)),
    # Where 0 means all processes of this user.
    Deny(("setpriority",), when=(If(0, (PRIO_USER,)),)),
    Deny(("ioprio_set",), when=(If(0, (IOPRIO_WHO_USER,)),)),
    Deny(("process_mrelease",)),
)
"""Beside Landlock, where other processes and what they share are there; in namespaces of its own they are not."""


def rules_for(variant: Variant) -> tuple[Deny, ...]:
    return (*ALWAYS, *SOCKETS[variant], *(() if variant == "namespaces" else SHARED))


def compile_filter(rules: Sequence[Deny], architecture: Architecture) -> bytes:
    """The filter for the kernel. Calls of another architecture's interface end the process, x32 does not exist."""
    by_number: dict[int, list[Deny]] = {}
    for rule in rules:
        for name in rule.names:
            if (number := architecture.number(name)) is not None:
                by_number.setdefault(number, []).append(rule)
    asm = Assembler()
    asm.load(ARCHITECTURE)
    asm.compare(EQUAL, architecture.audit, yes="ours")
    asm.give(KILL)
    asm.label("ours")
    asm.load(NUMBER)
    if architecture.foreign is not None:
        asm.compare(AT_LEAST, architecture.foreign, no="listed")
        asm.give(ERRNO | ENOSYS)
        asm.label("listed")
    for number, denied in sorted(by_number.items()):
        following = asm.fresh()
        asm.compare(EQUAL, number, no=following)
        _body(asm, denied)
        asm.label(following)
    asm.give(ALLOW)
    return asm.assemble()


def _body(asm: Assembler, denied: Sequence[Deny]) -> None:
    """What becomes of one call: the first rule that holds decides."""
    for rule in denied:
        otherwise = asm.fresh()
        for condition in rule.when:
            _condition(asm, condition, otherwise)
        asm.give(ERRNO | rule.error)
        if not rule.when:
            return
        asm.label(otherwise)
    asm.give(ALLOW)


def _condition(asm: Assembler, condition: If, otherwise: str) -> None:
    holds = asm.fresh()
    asm.load(argument(condition.index))
    if not condition.values:
        asm.compare(ANY_BIT, condition.mask, no=otherwise)
        return
    if condition.mask != 0xFFFFFFFF:
        asm.mask(condition.mask)
    hit = holds if condition.wanted else otherwise
    for value in condition.values:
        asm.compare(EQUAL, value, yes=hit)
    if condition.wanted:
        asm.jump(otherwise)
    asm.label(holds)


def write_filter(folder: Path, variant: Variant, architecture: Architecture) -> Path:
    """The compiled filter as a file of this folder, whose name tells its content. Raises OSError."""
    program = compile_filter(rules_for(variant), architecture)
    path = folder / f"{variant}-{hashlib.sha256(program).hexdigest()[:16]}.bpf"
    if not path.is_file() or path.read_bytes() != program:
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_bytes(program)
        new.replace(path)
    return path
