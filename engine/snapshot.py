"""State to bytes and back. A snapshot of another shape is ignored: the state is folded again from the events."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable

from pydantic import TypeAdapter, ValidationError

from engine.models.event import Event
from engine.state import State, apply


@functools.cache
def _adapter() -> TypeAdapter[State]:
    return TypeAdapter(State)


@functools.cache
def shape() -> str:
    """A digest of the state's schema: snapshots of another shape are not read."""
    return hashlib.sha256(json.dumps(_adapter().json_schema(), sort_keys=True).encode("utf-8")).hexdigest()[:16]


def dump_state(state: State) -> bytes:
    return shape().encode("ascii") + b"\n" + _adapter().dump_json(state, by_alias=True)


def load_state(raw: bytes) -> State | None:
    """The state of a snapshot, or None if it was written by another version."""
    head, _, body = raw.partition(b"\n")
    if head.decode("ascii", "replace") != shape():
        return None
    try:
        return _adapter().validate_json(body)
    except ValidationError:
        return None


def fold(snapshot: tuple[int, bytes] | None, events_after: Callable[[int], Iterable[Event]]) -> State:
    """The state now: the newest snapshot that can be read, and the events after it."""
    state = load_state(snapshot[1]) if snapshot is not None else None
    if state is None:
        state = State()
    for event in events_after(state.seq):
        apply(state, event)
    return state
