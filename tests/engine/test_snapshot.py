"""The state as bytes and back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields

import pytest

from engine import snapshot
from engine.models.roadmap import WorkOrder
from engine.snapshot import dump_state, load_state
from engine.state import Order, State


@pytest.fixture(autouse=True)
def fresh_shape() -> Iterator[None]:
    snapshot.shape.cache_clear()
    yield
    snapshot.shape.cache_clear()


def state() -> State:
    orders = [WorkOrder(id="a", title="A", allow=["src/**"]), WorkOrder(id="b", title="B", priority=2, draft=True)]
    made = State(main="c0", orders={order.id: Order(order, since=3.5) for order in orders})
    made.orders["a"].feedback.append("mend it")
    return made


def test_what_comes_back_is_what_was_written() -> None:
    assert load_state(dump_state(state())) == state()
    assert load_state(dump_state(State())) == State()


def test_another_process_reads_it() -> None:
    program = "import sys; from engine.snapshot import load_state; print(load_state(sys.stdin.buffer.read()).main)"
    done = subprocess.run([sys.executable, "-c", program], input=dump_state(state()), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "c0"


def test_what_has_its_default_value_is_not_written() -> None:
    raw = dump_state(state())
    assert b'"feedback":["mend it"]' in raw
    assert b"tests_removed" not in raw
    assert len(raw) < 400


def test_a_snapshot_from_before_a_default_or_a_field_changed_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = dump_state(state())
    assert load_state(raw) is not None
    attempts = next(each for each in fields(Order) if each.name == "attempts")
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "default", 1)
        snapshot.shape.cache_clear()
        assert load_state(raw) is None
    snapshot.shape.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(WorkOrder.model_fields["priority"], "default", 6)
        snapshot.shape.cache_clear()
        assert load_state(raw) is None


def test_those_who_look_at_the_same_orders_in_one_process_share_them() -> None:
    raw = dump_state(state())
    engine, room = load_state(raw), load_state(raw)
    assert engine is not None
    assert room is not None
    assert engine.orders["a"].spec is room.orders["a"].spec
    assert engine.orders["a"] is not room.orders["a"]
    assert engine.orders["a"].spec is not engine.orders["b"].spec
