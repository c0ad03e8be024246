"""Starts a command with a token of low integrity and ends with its exit code: `engine.sandbox.windows` for Windows.

    python -I -S windows_launch.py --write FOLDER… --chdir FOLDER -- COMMAND…

Untested on this platform. The calls are those of "Designing Applications to Run at a Low Integrity Level": a duplicate
of the own token, a lower label on it, CreateProcessAsUser, which needs no privilege for such a token.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

LOW = "S-1-16-4096"
LABEL = "S:(ML;OICI;NW;;;LW)"
"""For files and folders below too: whoever is lower may not write."""
TOKEN_ACCESS = 0x0001 | 0x0002 | 0x0008 | 0x0080
"""Assign primary, duplicate, query, adjust default."""
PRIMARY, IMPERSONATION_LEVEL, INTEGRITY = 1, 2, 25
GROUP_INTEGRITY = 0x20
FILE_OBJECT, LABEL_INFORMATION = 1, 0x10
UNICODE_ENVIRONMENT, NO_WINDOW = 0x0400, 0x08000000
USE_HANDLES = 0x100
INFINITE = 0xFFFFFFFF


class LaunchError(Exception):
    """The message is one sentence."""


class SidAndAttributes(ctypes.Structure):
    _fields_ = (("sid", ctypes.c_void_p), ("attributes", ctypes.c_uint32))


class StartupInfo(ctypes.Structure):
    """STARTUPINFOW."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_wchar_p),
        ("desktop", ctypes.c_wchar_p),
        ("title", ctypes.c_wchar_p),
        ("place", ctypes.c_uint32 * 7),
        ("flags", ctypes.c_uint32),
        ("show", ctypes.c_uint16),
        ("reserved_size", ctypes.c_uint16),
        ("reserved_bytes", ctypes.c_void_p),
        ("stdin", ctypes.c_void_p),
        ("stdout", ctypes.c_void_p),
        ("stderr", ctypes.c_void_p),
    )


class ProcessInformation(ctypes.Structure):
    _fields_ = (
        ("process", ctypes.c_void_p),
        ("thread", ctypes.c_void_p),
        ("pid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
    )


def main(words: list[str]) -> int:
    """The command's exit code; 1 with one sentence on stderr when it could not be started."""
    if sys.platform != "win32":
        raise AssertionError("Windows only")
    folders, folder, command = parse(words)
    try:
        for each in folders:
            _label(each)
        return _run(command, folder)
    except LaunchError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 1


def parse(words: list[str]) -> tuple[list[str], str, list[str]]:
    """(writable folders, working folder, command)."""
    given, writable, folder = list(words), list[str](), ""
    while (flag := given.pop(0)) != "--":
        value = given.pop(0)
        if flag == "--write":
            writable.append(value)
        else:
            folder = value
    return writable, folder, given


def _label(path: str) -> None:
    """Let processes of low integrity write below this folder."""
    advapi, kernel = _library("advapi32"), _library("kernel32")
    descriptor, acl = ctypes.c_void_p(), ctypes.c_void_p()
    present, defaulted = ctypes.c_int(), ctypes.c_int()
    made = advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(LABEL, 1, ctypes.byref(descriptor), None)
    _check(made, "the label could not be made")
    try:
        got = advapi.GetSecurityDescriptorSacl(
            descriptor, ctypes.byref(present), ctypes.byref(acl), ctypes.byref(defaulted)
        )
        _check(got, "the label could not be read")
        advapi.SetNamedSecurityInfoW.argtypes = [
            ctypes.c_wchar_p,
            ctypes.c_int,
            ctypes.c_uint32,
            *[ctypes.c_void_p] * 4,
        ]
        failed = advapi.SetNamedSecurityInfoW(path, FILE_OBJECT, LABEL_INFORMATION, None, None, None, acl)
        if failed:
            raise LaunchError(f"{path} could not be made writable: error {failed}")
    finally:
        kernel.LocalFree(descriptor)


def _run(command: list[str], folder: str) -> int:
    kernel, advapi = _library("kernel32"), _library("advapi32")
    kernel.GetStdHandle.restype = ctypes.c_void_p
    token = _low_token(kernel, advapi)
    start = StartupInfo(size=ctypes.sizeof(StartupInfo), flags=USE_HANDLES)
    start.stdin, start.stdout, start.stderr = (
        kernel.GetStdHandle(ctypes.c_uint32(-n & INFINITE)) for n in (10, 11, 12)
    )
    for handle in (start.stdin, start.stdout, start.stderr):
        kernel.SetHandleInformation(ctypes.c_void_p(handle), 1, 1)  # to be inherited
    made = ProcessInformation()
    line = ctypes.create_unicode_buffer(subprocess.list2cmdline(command))
    started = advapi.CreateProcessAsUserW(
        token,
        None,
        line,
        None,
        None,
        True,
        UNICODE_ENVIRONMENT | NO_WINDOW,
        None,
        ctypes.c_wchar_p(folder),
        ctypes.byref(start),
        ctypes.byref(made),
    )
    _check(started, f"{command[0]} cannot be run")
    code = ctypes.c_uint32()
    process = ctypes.c_void_p(made.process)
    kernel.WaitForSingleObject(process, ctypes.c_uint32(INFINITE))
    _check(kernel.GetExitCodeProcess(process, ctypes.byref(code)), "its exit code is unknown")
    return code.value


def _low_token(kernel: Any, advapi: Any) -> ctypes.c_void_p:
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    own, low, sid = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    current = ctypes.c_void_p(kernel.GetCurrentProcess())
    _check(advapi.OpenProcessToken(current, TOKEN_ACCESS, ctypes.byref(own)), "the own token cannot be opened")
    doubled = advapi.DuplicateTokenEx(own, 0, None, IMPERSONATION_LEVEL, PRIMARY, ctypes.byref(low))
    _check(doubled, "the own token cannot be doubled")
    _check(advapi.ConvertStringSidToSidW(LOW, ctypes.byref(sid)), "there is no low integrity here")
    label = SidAndAttributes(sid, GROUP_INTEGRITY)
    size = ctypes.sizeof(label) + advapi.GetLengthSid(sid)
    lowered = advapi.SetTokenInformation(low, INTEGRITY, ctypes.byref(label), size)
    _check(lowered, "the token's integrity cannot be lowered")
    return low


def _library(name: str) -> Any:
    if sys.platform != "win32":
        raise AssertionError("Windows only")
    return ctypes.WinDLL(name, use_last_error=True)


def _check(done: Any, trouble: str) -> None:
    if sys.platform != "win32":
        raise AssertionError("Windows only")
    if not done:
        raise LaunchError(f"{trouble}: error {ctypes.get_last_error()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
