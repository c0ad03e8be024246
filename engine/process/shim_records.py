"""What the shim writes: small records as JSON, by write, fsync and rename. By hand, because `json` imports slowly."""

# pathlib is too slow to import here.
# ruff: noqa: PTH105, PTH123

from __future__ import annotations

import os
import sys
import time


class NotStarted(Exception):
    """The command could not be started; the message is one sentence."""


def json_value(value: object) -> str:
    """JSON of a string, number, boolean or None; strings come out as pure ASCII."""
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    out: list[str] = []
    for char in str(value):
        code = ord(char)
        if 32 <= code < 127:
            out.append("\\" + char if char in '"\\' else char)
        elif code <= 0xFFFF:
            out.append(f"\\u{code:04x}")
        else:
            code -= 0x10000
            out.append(f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}")
    return '"' + "".join(out) + '"'


def json_object(fields: dict[str, object]) -> bytes:
    pairs = ", ".join(f"{json_value(key)}: {json_value(value)}" for key, value in fields.items())
    return f"{{{pairs}}}\n".encode("ascii")


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_durably(path: str, data: bytes) -> None:
    """Write, fsync, rename: a reader sees nothing or all of it, also after a power loss."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(path + ".new", path)


def create_time() -> float:
    """When this process was created, in seconds since the epoch, as psutil counts it."""
    if sys.platform == "linux":
        with open("/proc/self/stat", "rb") as stat:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as stat:
            boot = next(int(line.split()[1]) for line in stat if line.startswith(b"btime "))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    return time.time()
