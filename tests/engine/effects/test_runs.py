"""Runs at their edges: several that begin at once, an engine that died, files that cannot be taken."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.actions import StartRun
from engine.artifacts import ArtifactStore
from engine.commands import execute
from engine.effects import runs
from engine.effects.handoffs import contract_of
from engine.effects.watching import Watch, watched
from engine.errors import SwarmError
from engine.fold import apply
from engine.git.workspaces import Harvest
from engine.journal import Command
from engine.models.event import Event, NewEvent
from engine.models.handoffs import parse_handoff
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Budget, Limits, ProviderSettings, RoleName, Settings
from engine.models.usage import Usage
from engine.planner import plan
from engine.planner import roles as by_role
from engine.ports import AgentEnd, AgentResult, TaskRequest
from engine.state import Order, State
from roles.prompted import PromptedRoles

CLAUDE = AgentSettings(kind="acp", run=["claude-agent-acp"], network=["api.anthropic.com"], instead="local")
LOCAL = AgentSettings(kind="model", base_url="http://127.0.0.1:11434/v1", model="m")


class Halt(BaseException):
    """The test has seen enough of this run."""


@dataclass
class Engine:
    """The real fold, planner and effects; workspaces, hub and agents are stand-ins. `harvest`: what is found, or the
    reason why nothing can be taken."""

    root: Path
    settings: Settings
    harvest: str = "kept"
    halts: bool = False
    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write(NewEvent("repository_opened", {"commit": "c", "tree": "t", "repository": "r", "branch": "main"}))
        self.write(NewEvent("engine_started", {"epoch": 1, "version": "0", "pid": 1}))
        self.write(NewEvent("settings_read", {"policy": "p", "settings": "s", "bootstrap": False}))
        specs = [WorkOrder(id=ident, title="t").model_dump(mode="json", by_alias=True) for ident in ("one", "two")]
        self.write(NewEvent("roadmap_read", {"count": 2, "orders": specs, "gone": [], "items": []}))
        for ident in ("one", "two"):
            self.write(NewEvent("work_order_ready", {}, ident))

    def write(self, *drafts: NewEvent) -> list[Event]:
        written: list[Event] = []
        for draft in drafts:
            known = NewEvent(draft.kind, draft.fields)
            seq = len(self.events) + 1
            event = Event(seq, 1_000.0, draft.kind, draft.work_order, draft.run, dict(known.fields))
            self.events.append(event)
            refused = apply(self.state, event)
            assert refused is None, refused
            written.append(event)
        return written

    async def emit(self, *drafts: NewEvent) -> list[Event]:
        await asyncio.sleep(0.01)  # as a journal does: others that begin meanwhile have not seen it
        written = self.write(*drafts)
        if self.halts:
            raise Halt
        return written

    @property
    def world(self) -> Any:
        def harvest(_workspace: Any) -> Harvest:
            if self.harvest != "kept":
                raise SwarmError(self.harvest)
            return Harvest("tree", "kept", "c", [], [])

        def opened(run: str) -> Any:
            self.opened.append(run)
            return SimpleNamespace(path=self.root / run)

        workspaces = SimpleNamespace(
            open=opened, harvest=harvest, remove=lambda workspace: True, names=list, sweep=lambda: 0
        )
        return SimpleNamespace(
            emit=self.emit,
            state=lambda: self.state,
            settings=lambda: self.settings,
            workspaces=workspaces,
            hub=SimpleNamespace(kept=lambda run: None),
            folders=SimpleNamespace(runs=self.root / "runs"),
            ports=SimpleNamespace(clock=SimpleNamespace(now=lambda: 1_010.0)),
            log=SimpleNamespace(error=lambda *said, **more: None),
            artifacts=SimpleNamespace(write_manifest=lambda folder, entries: None),
        )

    def starts(self) -> list[StartRun]:
        return [action for action in plan(self.state, self.settings, 1_000.0).actions if isinstance(action, StartRun)]

    def begin(self, order: str) -> str:
        run, held = f"{order}.1", {"tokens": 100, "cost": 1.0}
        fields = {"attempt": 1, "role": "implementer", "agent": "claude", "provider": "anthropic", "base": "c"}
        self.write(NewEvent("run_started", fields | {"held": held}, order, run))
        return run

    def kinds(self, order: str) -> list[str]:
        return [event.kind for event in self.events if event.work_order == order]


def engine_of(root: Path, concurrency: int = 0, **more: Any) -> Engine:
    settings = Settings(
        roles={"implementer": "claude"},
        limits=Limits(implementers=4, attempts=9),
        agents={"claude": CLAUDE, "local": LOCAL},
        providers={"anthropic": ProviderSettings(concurrency=concurrency)},
    )
    return Engine(root, settings, **more)


@pytest.mark.parametrize(("concurrency", "agents"), [(1, ["claude", "local"]), (0, ["claude", "claude"])])
async def test_runs_that_begin_at_once_keep_to_what_a_provider_takes(
    tmp_path: Path, concurrency: int, agents: list[str]
) -> None:
    engine = engine_of(tmp_path, concurrency, halts=True)
    starts = engine.starts()
    assert [action.agent for action in starts] == agents
    begun = [runs.start_run(engine.world, action) for action in starts]
    ended = await asyncio.gather(*(_halted(run) for run in begun))
    assert ended == [True, True]
    assert [event.fields["agent"] for event in engine.events if event.kind == "run_started"] == agents


async def _halted(run: Any) -> bool:
    try:
        await run
    except Halt:
        return True
    return False


@pytest.mark.parametrize("ends", ["work_order_cancelled", "work_order_parked", ""])
async def test_what_is_held_for_a_run_is_freed_after_a_crash_whatever_became_of_its_order(
    tmp_path: Path, ends: str
) -> None:
    engine = engine_of(tmp_path)
    run = engine.begin("one")
    if ends:
        engine.write(NewEvent(ends, {"by": "a person"} if "cancelled" in ends else {"why": "w", "do": "d"}, "one"))
    assert list(engine.state.spending.held) == [run]
    await runs.recover_runs(engine.world)
    assert (engine.state.spending.held, engine.opened) == ({}, [run])
    assert engine.state.orders["one"].phase == (ends.removeprefix("work_order_") or "ready")
    finished = next(event for event in engine.events if event.kind == "run_finished")
    assert (finished.run, finished.fields["result"], finished.fields["kept"]) == (run, "interrupted", "kept")


@pytest.mark.parametrize("harvest", ["kept", "there are too many files"])
@pytest.mark.parametrize(("end", "phase", "attempts"), [("failed", "rejected", 1), ("limit", "ready", 0)])
async def test_a_run_is_charged_and_ends_alike_when_its_files_cannot_be_taken(
    tmp_path: Path, harvest: str, end: AgentEnd, phase: str, attempts: int
) -> None:
    engine = engine_of(tmp_path, harvest=harvest)
    run = engine.begin("one")
    result = AgentResult(end, 1, 60.0, usage=Usage(total=900, cost=0.5))
    order = engine.state.orders["one"]
    taken = runs._Taken("implementer", "claude")  # pyright: ignore[reportPrivateUsage]
    conclude = runs._conclude  # pyright: ignore[reportPrivateUsage]
    await conclude(engine.world, order, run, engine.world.workspaces.open(run), result, taken)
    assert (engine.state.tokens, engine.state.cost, order.attempts, order.phase) == (900, 0.5, attempts, phase)
    assert engine.state.spending.night.untold_tokens == 0
    assert ("provider_paused" in engine.kinds("one")) == (end == "limit")


@pytest.mark.parametrize(("asks", "said"), [(True, "resumed"), (False, "it was not paused")])
async def test_a_provider_that_waits_for_a_person_goes_on_when_he_says_so(
    tmp_path: Path, asks: bool, said: str
) -> None:
    engine = engine_of(tmp_path)
    paused = {"agent": "claude", "provider": "anthropic", "until": 9e9, "reason": "usage limit", "asks": asks}
    engine.write(NewEvent("provider_paused", paused))
    answer = await execute(Command(1, 0.0, "resume", {}), engine.state, engine.emit, lambda: None)
    assert answer["said"] == said
    assert engine.state.spending.providers["anthropic"].paused != asks


async def test_an_agent_does_not_outlive_a_look_at_it_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_watch: Watch) -> str:
        raise ValueError("nobody thought of that")

    monkeypatch.setattr(Watch, "look", look)
    ended: list[str] = []

    async def agent() -> AgentResult:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("killed")
        raise AssertionError

    run: Any = SimpleNamespace(folder=tmp_path, side=tmp_path, workspace=tmp_path, most=Budget())
    with pytest.raises(ValueError, match="nobody thought"):
        await watched(agent(), run, 5, 600.0, every_s=0.01)
    assert ended == ["killed"]


@pytest.mark.parametrize(
    ("most", "used", "left"),
    [
        (Budget(wall=60.0), AgentResult("done", 0, 20.0), Budget(wall=40.0)),
        (Budget(wall=60.0), AgentResult("done", 0, 61.0), None),
        (
            Budget(wall=60.0, tokens=1_000, turns=9),
            AgentResult("done", 0, 20.0, usage=Usage(total=900), turns=4),
            Budget(wall=40.0, tokens=100, turns=5),
        ),
        (Budget(wall=60.0, tokens=1_000), AgentResult("done", 0, 20.0, usage=Usage(total=1_000)), None),
        (Budget(wall=60.0, turns=9), AgentResult("done", 0, 20.0), Budget(wall=40.0, turns=9)),
    ],
)
def test_an_agent_that_is_started_again_has_what_is_left_of_its_runs_budget(
    most: Budget, used: AgentResult, left: Budget | None
) -> None:
    assert runs._after(most, used) == left  # pyright: ignore[reportPrivateUsage]


def test_orders_are_looked_at_in_a_thread_while_others_come(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    contract = WorkOrder(id="api", title="t", kind="contract", item="speed")

    class Coming(Order):
        """Looked at, it lets another order come, as the engine's thread may at that moment."""

        def __getattribute__(self, name: str) -> Any:
            if name in ("spec", "tests_for"):
                ident = f"more-{len(engine.state.orders)}"
                engine.state.orders[ident] = Order(WorkOrder(id=ident, title="t"))
            return super().__getattribute__(name)

    engine.state.orders["coming"] = Coming(WorkOrder(id="coming", title="t"))
    engine.state.orders["api"] = Order(contract, phase="healthy", handoff="sha256:0")
    found = by_role.contracts_of(engine.state, WorkOrder(id="one", title="t", item="speed"))
    assert [each.spec.id for each in found] == ["api"]
    assert by_role.tests_of(engine.state, "one") is None


@pytest.mark.parametrize("by", ["architect", "implementer"])
def test_an_order_stands_under_what_an_architect_handed_in_and_not_under_another_change(
    tmp_path: Path, by: RoleName
) -> None:
    """Where nobody is the architect, orders of kind contract are the implementer's."""
    said = {"summary": "words are a set"} | ({"interfaces": ["WORDS: set[str]"]} if by == "architect" else {})
    handoff = parse_handoff(json.dumps(said).encode("ascii"), by).model_dump(mode="json", by_alias=True)
    artifacts = ArtifactStore(tmp_path)
    engine = engine_of(tmp_path)
    contract = WorkOrder(id="api", title="t", kind="contract", item="speed")
    engine.state.orders["api"] = Order(contract, phase="healthy", handoff=artifacts.put_json(handoff))
    order = Order(WorkOrder(id="fast", title="t", item="speed"))
    world: Any = SimpleNamespace(state=lambda: engine.state, artifacts=artifacts)
    found = contract_of(world, order)
    assert list(found) == (["api"] if by == "architect" else [])
    prompt = PromptedRoles(list).task(TaskRequest("implementer", order.spec, 1, contract=found)).prompt
    assert ("words are a set" in prompt) == (by == "architect")
