"""Work orders of which a process needs only one each, however many look at the same journal in it."""

from __future__ import annotations

import hashlib
from weakref import WeakValueDictionary

from engine.models.roadmap import WorkOrder

_known: WeakValueDictionary[bytes, WorkOrder] = WeakValueDictionary()


def shared(spec: WorkOrder) -> WorkOrder:
    """An equal work order that somebody in this process has already, or this one. They are frozen, and weigh some 2 kB:
    the engine and the room or printer beside it would each have thousands."""
    raw = spec.model_dump_json(by_alias=True, exclude_defaults=True).encode("utf-8")
    return _known.setdefault(hashlib.blake2b(raw, digest_size=16).digest(), spec)
