"""State to bytes and back. A snapshot of another shape is ignored: the state is folded again from the events."""

from __future__ import annotations

import functools
import gc
import hashlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import engine.state as state_module
from engine.fold import FOLD_VERSION, apply
from engine.fold.specs import shared
from engine.models.event import Event
from engine.models.roadmap import Acceptance, Item, WorkOrder
from engine.state import State


@functools.cache
def _adapter() -> TypeAdapter[State]:
    return TypeAdapter(State)


@functools.cache
def shape() -> str:
    """A digest of the names, types and defaults of everything in the state: snapshots of another shape are not read,
    and what has its default value is not in them."""
    parts = [state_module.__name__, str(FOLD_VERSION)]
    for value in vars(state_module).values():
        if isinstance(value, type) and is_dataclass(value):
            parts += [value.__name__, *(f"{each.name}:{each.type}={_default(each)}" for each in fields(value))]
    for model in (WorkOrder, Item, Acceptance):
        parts += [f"{name}:{each.annotation}={_default(each)}" for name, each in model.model_fields.items()]
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:16]


def _default(field: Field[Any] | FieldInfo) -> str:
    made = field.default_factory
    if made is not None and made is not MISSING:
        return repr(cast("Callable[[], object]", made)())
    # What stands for "none" has its address in its representation, which every process has elsewhere.
    return "" if field.default in (MISSING, PydanticUndefined) else repr(field.default)


def dump_state(state: State) -> bytes:
    return shape().encode("ascii") + b"\n" + _adapter().dump_json(state, by_alias=True, exclude_defaults=True)


def load_state(raw: bytes) -> State | None:
    """The state of a snapshot, or None if it was written by another version."""
    head, _, body = raw.partition(b"\n")
    if head.decode("ascii", "replace") != shape():
        return None
    try:
        state = _adapter().validate_json(body)
    except ValidationError:
        return None
    for order in state.orders.values():
        order.spec = shared(order.spec)
    return state


@contextmanager
def _uncollected() -> Generator[None]:
    """The collector of cycles rests while much is made that stays: looking at all of it again and again takes longer
    than making it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def fold(snapshot: tuple[int, bytes] | None, events_after: Callable[[int], Iterable[Event]]) -> State:
    """The state now: the newest snapshot that can be read, and the events after it."""
    with _uncollected():
        state = load_state(snapshot[1]) if snapshot is not None else None
        if state is None:
            state = State()
        for event in events_after(state.seq):
            apply(state, event)
    return state
