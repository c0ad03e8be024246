"""Events: what happened, in the order in which it became durable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RESERVED_FIELDS = frozenset({"seq", "at", "kind", "work_order", "run"})
"""Names that every event has; an event's own fields must not use them, because its JSON form is flat."""


def utc_text(at: float) -> str:
    """UTC seconds since the epoch as ISO-8601 with milliseconds and `Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Event:
    """One durable event. `seq` counts from 1 without gaps and is the only order; `at` is UTC seconds, for people."""

    seq: int
    at: float
    kind: str
    work_order: str
    run: str
    fields: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The flat JSON object that scripts rely on: seq, at, kind, work_order, run, then the event's own fields."""
        return {
            "seq": self.seq,
            "at": utc_text(self.at),
            "kind": self.kind,
            "work_order": self.work_order,
            "run": self.run,
            **self.fields,
        }


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is not in the journal yet. `fields` are JSON-ready and use none of the reserved names."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    work_order: str = ""
    run: str = ""
