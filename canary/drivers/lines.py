"""Bytes of a program's output become lines, and lines become events: bounded, whatever the program prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

LINE_CAP_BYTES = 262_144
"""Longer lines are cut; a cut line is never an event."""
DEPTH_CAP = 32
"""JSON that is nested deeper is no event."""


class Lines:
    """Cuts a stream of chunks into lines, holding at most one capped line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that are complete now, without their ends."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._hold(chunk[start:end])
            yield self._take()
            start = end + 1
        self._hold(chunk[start:])

    def rest(self) -> Iterator[bytes]:
        """A last line without an end, if there is one."""
        if self._held:
            yield self._take()

    def _hold(self, piece: bytes) -> None:
        room = LINE_CAP_BYTES - len(self._held)
        self._held += piece[: max(room, 0)]
        if len(piece) > room and not self._skipping:
            self._skipping = True
            self._held += b" [line cut]"

    def _take(self) -> bytes:
        line = bytes(self._held).removesuffix(b"\r")
        self._held.clear()
        self._skipping = False
        return line


def event_of(line: bytes) -> dict[str, Any] | None:
    """The event in a line: a JSON object with a text `kind`, without NaN and not nested too deep. None: no event."""
    if not line.startswith(b"{"):
        return None
    try:
        data = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        return None
    # Counting brackets is cheap and never too small; only then is it worth a walk.
    if line.count(b"{") + line.count(b"[") > DEPTH_CAP and _depth(data) > DEPTH_CAP:
        return None
    return data


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _depth(data: Any) -> int:
    deepest, stack = 0, [(data, 1)]
    while stack:
        at, level = stack.pop()
        deepest = max(deepest, level)
        children = at.values() if isinstance(at, dict) else at if isinstance(at, list) else ()
        stack.extend((child, level + 1) for child in children)
    return deepest
