"""The loop around the planner: what is started, cancelled and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.actions import Action, CheckAcceptance, GateMain, StartRun
from engine.errors import InfrastructureFault
from engine.journal import Journal
from engine.log import EngineLog
from engine.loop import Engine
from engine.models.event import NewEvent
from engine.models.settings import Settings
from engine.state import State
from engine.text.redact import Redactor


class Clock:
    """The machine's clock is not needed here."""

    def now(self) -> float:
        return 1_000.0

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def engine(tmp_path: Path):
    """An engine on main `c0`, whose own tree has to be gated; effects are put in by each test."""
    journal = Journal(tmp_path / "journal.db", clock=Clock())
    journal.open()
    log = EngineLog(tmp_path / "engine.log", Redactor({}))
    made = Engine(journal, State(), Settings, {}, Clock(), log)
    journal.start(asyncio.get_running_loop(), made.folded)
    await made.emit(NewEvent("repository_opened", {"commit": "c0", "tree": "t0", "repository": "r", "branch": "main"}))
    yield made
    journal.close()


def signed(tree: str) -> NewEvent:
    fields = {"report_kind": "gates", "result": "green", "report": "sha256:0", "tree": tree, "base": tree}
    return NewEvent("report_signed", {**fields, "base_commit": "c0", "policy": "", "change": "", "reasons": []})


def effects(engine: Engine, gate_main: Callable[[Action], object]) -> None:
    engine.effects = {GateMain: gate_main}  # type: ignore[dict-item]


async def test_it_is_idle_when_the_planner_wants_nothing_more(engine: Engine) -> None:
    async def gate_main(_action: Action) -> None:
        await engine.emit(signed("t0"))

    effects(engine, gate_main)
    async with asyncio.timeout(10):
        assert await engine.run(until_idle=True) == "idle"
    assert engine.state.base_verdict() is not None


async def test_what_is_asked_for_until_the_last_look_is_done_before_it_is_idle(engine: Engine) -> None:
    order = {"count": 1, "orders": [{"id": "w", "title": "w"}], "gone": [], "items": [], "limitations": []}
    begun: list[Action] = []

    async def gate_main(_action: Action) -> None:
        await engine.emit(signed("t0"))

    async def begin(action: Action) -> None:
        begun.append(action)
        await engine.emit(NewEvent("work_order_cancelled", {"by": "test"}, "w"))

    async def last_look() -> None:
        if engine.state.paused:  # as `swarm resume` in an inbox that is slow to read
            await engine.emit(NewEvent("engine_resumed", {}))

    engine.effects = {GateMain: gate_main, CheckAcceptance: begin, StartRun: begin}  # type: ignore[dict-item]
    await engine.emit(NewEvent("roadmap_read", order), NewEvent("engine_paused", {}))
    engine.last_look = last_look
    async with asyncio.timeout(10):
        assert await engine.run(until_idle=True) == "idle"
    assert not engine.state.paused
    assert len(begun) == 1


async def test_an_effect_that_is_superseded_before_its_first_step_does_not_keep_the_engine_waiting(
    engine: Engine,
) -> None:
    async def gate_main(_action: Action) -> None:
        await asyncio.Event().wait()

    effects(engine, gate_main)
    running = asyncio.create_task(engine.run(until_idle=True))
    # The report becomes known while the start of the effect is still waiting for its turn in the loop.
    await engine.emit(signed("t0"))
    async with asyncio.timeout(10):
        assert await running == "idle"


async def test_a_superseded_effect_is_cancelled_and_awaited(engine: Engine) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def gate_main(_action: Action) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    effects(engine, gate_main)
    running = asyncio.create_task(engine.run(until_idle=True))
    async with asyncio.timeout(10):
        await began.wait()
        await engine.emit(signed("t0"))
        await running
    assert cancelled.is_set()


async def test_an_effect_that_fails_is_journalled_and_does_not_end_the_engine(engine: Engine) -> None:
    async def gate_main(_action: Action) -> None:
        raise ValueError("a bug")

    effects(engine, gate_main)
    deadline = asyncio.get_running_loop().time() + 10
    running = asyncio.create_task(engine.run())
    while not engine.state.failures and asyncio.get_running_loop().time() < deadline:
        await engine.emit(NewEvent("user_main_seen", {"commit": "c0"}))
    engine.stop()
    assert await running == "stopped"
    failed = [event for event in engine.journal.events() if event.kind == "effect_failed"]
    assert "ValueError: a bug" in failed[0].fields["error"]
    assert "Traceback" in failed[0].fields["traceback"]


async def test_a_refused_transition_is_journalled(engine: Engine) -> None:
    order = {"count": 1, "orders": [{"id": "w", "title": "w"}], "gone": [], "items": []}
    await engine.emit(NewEvent("roadmap_read", order), NewEvent("work_order_healthy", {"commit": "c0"}, "w"))
    # The refusal was queued before this event, so it is durable when this one is.
    await engine.emit(NewEvent("user_main_seen", {"commit": "c0"}))
    refused = [event for event in engine.journal.events() if event.kind == "transition_refused"]
    assert refused[0].fields["reason"] == "w: work_order_healthy is not possible while it is draft"
    assert engine.state.orders["w"].phase == "draft"


async def test_a_journal_that_takes_nothing_more_ends_the_engine_with_one_fault(engine: Engine) -> None:
    connection = engine.journal._connection
    assert connection is not None

    async def gate_main(_action: Action) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        while True:  # until not even a small event fits
            await engine.emit(NewEvent("user_main_seen", {"commit": "c0"}))

    effects(engine, gate_main)
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureFault, match="disk"):
            await engine.run(until_idle=True)
