"""How an event becomes a row: its JSON body and its place in the hash chain."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from engine.models.event import RESERVED_FIELDS, Event, NewEvent

BODY_VERSION = 1
MAX_BODY_BYTES = 1_000_000
GENESIS = bytes(32)
"""What the first event has as the hash before it."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as it waits for the writer: encoded and stamped, without a number. `at` and `monotonic` in seconds."""

    kind: str
    body: str
    at: float
    monotonic: float


def encode_body(event: NewEvent, redact: Callable[[str], str] | None) -> str:
    """The JSON body of a row. Raises ValueError or TypeError for what must not be in a journal, before it is queued."""
    if not _KIND.fullmatch(event.kind):
        raise ValueError(f"{event.kind!r} is not a kind of event: lower case letters, digits and underscores")
    if taken := RESERVED_FIELDS.intersection(event.fields):
        raise ValueError(f"event {event.kind}: {', '.join(sorted(taken))} cannot be among its own fields")
    fields = _redacted(dict(event.fields), redact) if redact else dict(event.fields)
    body = json.dumps(
        {"v": BODY_VERSION, "work_order": event.work_order, "run": event.run, "fields": fields},
        separators=(",", ":"),
        allow_nan=False,
    )
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"event {event.kind} has {len(body)} bytes, at most {MAX_BODY_BYTES}: put it into an artifact")
    return body


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {redact(key) if isinstance(key, str) else key: _redacted(inner, redact) for key, inner in pairs}
    if isinstance(value, (list, tuple)):
        return [_redacted(inner, redact) for inner in cast("list[Any]", value)]
    return value


def chain_hash(prev: bytes, seq: int, at: float, boot_id: bytes, monotonic: float, kind: bytes, body: bytes) -> bytes:
    """SHA-256 over the previous hash and every column of the row. No part but the last can hold a line feed."""
    head = b"%b\n%d\n%b\n%b\n%b\n%b\n" % (prev, seq, repr(at).encode(), boot_id, repr(monotonic).encode(), kind)
    return hashlib.sha256(head + body).digest()


def decode_event(seq: int, at: float, kind: str, body: str) -> Event:
    """The event of a row. Raises ValueError when the body is not what `encode_body` wrote."""
    data = json.loads(body)
    try:
        return Event(seq, at, kind, data["work_order"], data["run"], data["fields"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"event {seq} has no usable body") from error
