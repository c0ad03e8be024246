"""What the launcher does: rules, restriction, filter, environment, command (landlock(7), seccomp(2)).

Only what imports fast. Nothing of the launcher is left when the command runs: it is the same process, without any
capability, without a way to new rights, with three descriptors.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH112, PTH113, PTH117, PTH118, PTH123

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it takes longer than the interpreter's start
    from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same numbers everywhere."""
VERSION, BENEATH, PORT = 1, 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
FIRST = (1 << 13) - 1
"""What the first version knows of files; later ones add a bit each."""
SINCE = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
NET, NET_SINCE = 0b11, 4
LISTEN, CONNECT = 0b01, 0b10
SCOPES, SCOPES_SINCE = 0b11, 6
"""Abstract Unix sockets and signals of processes outside."""
SET_NO_NEW_PRIVS, SET_SECCOMP, DROP_BOUNDING, CAP_AMBIENT, CLEAR_ALL = 38, 22, 24, 47, 4
FILTER = 2
CAPABILITIES = 64
CAPABILITY_VERSION = 0x20080522
TIOCNOTTY = 0x5422


class LaunchError(Exception):
    """The message is one sentence."""


def landlock_abi() -> int:
    """The kernel's version of Landlock; 0: it has none, or it is off."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION))


def main(words: list[str]) -> None:
    """Becomes the command, or ends: 1 when it was not started, 127 when it could not be executed."""
    options, command, status = parse(words)
    try:
        launch(options, command, status)
    except (LaunchError, OSError, ValueError) as error:
        _tell(status, b'{"not-started": true}\n')
        sys.stderr.write(f"landlock: {error}\n")
        sys.stderr.flush()
        os._exit(1)


def parse(words: list[str]) -> tuple[list[tuple[str, ...]], list[str], int]:
    """(options with their values, command, descriptor for the report or -1)."""
    given, status = list(words), -1
    options: list[tuple[str, ...]] = []
    while (flag := given.pop(0)) != "--":
        if flag == "--args":
            with open(int(given.pop(0)), "rb") as file:
                given[:0] = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
        elif flag == "--json-status-fd":
            status = int(given.pop(0))
        else:
            options.append((flag, *(given.pop(0) for _ in range(2 if flag == "--setenv" else 1))))
    return options, given, status


def launch(options: list[tuple[str, ...]], command: list[str], status: int) -> None:
    if sys.platform != "linux":
        raise AssertionError("Linux only")

    def all_of(flag: str) -> list[tuple[str, ...]]:
        return [option[1:] for option in options if option[0] == flag]

    libc = _libc()
    abi = min(int(all_of("--abi")[0][0]), landlock_abi())
    if abi < 1:
        raise LaunchError("this kernel has no Landlock")
    with open(all_of("--filter")[0][0], "rb") as file:
        program = file.read()
    ruleset = make_ruleset(libc, abi)
    read = EXECUTE | READ_FILE | READ_DIR
    write = handled(abi) & ~(MAKE_CHAR | MAKE_BLOCK)
    for flag, rights in (("--read", read), ("--device", OF_FILES & ~EXECUTE), ("--write", write)):
        for (path,) in all_of(flag):
            allow_path(libc, ruleset, path, rights & handled(abi), needed=flag == "--write")
    for flag, right in (("--connect", CONNECT), ("--listen", LISTEN)):
        for (port,) in all_of(flag):
            allow_port(libc, ruleset, int(port), right)
    os.chdir(all_of("--chdir")[0][0])
    _leave_terminal()
    drop_capabilities(libc)
    _check(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "rights could not be given up")
    _check(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock could not be switched on")
    install_filter(libc, program)
    become(command, {name: value for name, value in all_of("--setenv")}, status)  # noqa: C416


def handled(abi: int) -> int:
    """What this version governs of files."""
    return FIRST | sum(bit for since, bit in SINCE if abi >= since)


def make_ruleset(libc: Any, abi: int) -> int:
    words = [handled(abi)]
    if abi >= NET_SINCE:
        words.append(NET)
    if abi >= SCOPES_SINCE:
        words.append(SCOPES)
    attributes = (ctypes.c_uint64 * len(words))(*words)
    made = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(ctypes.sizeof(attributes)), 0)
    return _check(made, "Landlock has no such rules")


def allow_path(libc: Any, ruleset: int, path: str, rights: int, *, needed: bool) -> None:
    """The folder with all below it, or the file. One that is not there is left out unless it is needed."""
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if needed:
            raise LaunchError(f"{path} cannot be opened: {error.strerror}") from error
        return
    if not os.path.isdir(f"/proc/self/fd/{opened}"):
        rights &= OF_FILES
    rule = rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder)  # packed
    _check(libc.syscall(ADD_RULE, ruleset, BENEATH, rule, 0), f"Landlock does not take {path}")
    os.close(opened)


def allow_port(libc: Any, ruleset: int, port: int, right: int) -> None:
    rule = (ctypes.c_uint64 * 2)(right, port)
    _check(libc.syscall(ADD_RULE, ruleset, PORT, rule, 0), f"Landlock does not take the port {port}")


def drop_capabilities(libc: Any) -> None:
    """Of a process of root: Landlock does not bind the network's administrator, for one."""
    for number in range(CAPABILITIES):
        libc.prctl(DROP_BOUNDING, number, 0, 0, 0)
    libc.prctl(CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capabilities could not be dropped")


def install_filter(libc: Any, program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    given = Program(len(program) // 8, program)
    _check(libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(given), 0, 0), "the system-call filter was not taken")


def become(command: list[str], env: dict[str, str], status: int) -> None:
    """Execute it with exactly this environment and three descriptors. Raises LaunchError."""
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    program = _found(command[0], env.get("PATH", ""))
    if not os.access(program, os.X_OK) or os.path.isdir(program):
        raise LaunchError(f"{command[0]}: Permission denied")
    if os.access(program, os.R_OK):  # which does not ask Landlock; opening it does
        os.close(os.open(program, os.O_RDONLY))
    _tell(status, b'{"exit-code": "the command\'s own"}\n')
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        os.execve(program, command, env)
    except OSError as error:
        sys.stderr.write(f"landlock: {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _found(name: str, path: str) -> str:
    if os.sep in name:
        candidates = [name]
    else:
        candidates = [os.path.join(folder, name) for folder in path.split(os.pathsep) if os.path.isabs(folder)]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise LaunchError(f"{name}: No such file or directory")


def _leave_terminal() -> None:
    """A session of its own, or at least no controlling terminal."""
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    try:
        os.setsid()
    except OSError:
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        _libc().ioctl(terminal, ctypes.c_ulong(TIOCNOTTY), 0)
        os.close(terminal)


def _tell(status: int, line: bytes) -> None:
    if status >= 0:
        os.write(status, line)


def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _check(result: int, trouble: str) -> int:
    if result < 0:
        raise LaunchError(f"{trouble}: {os.strerror(ctypes.get_errno())}")
    return result
