"""No sequence of asks, answers, edits, expiries and crashes carries out what no unexpired approval of exactly that
allows, or carries it out twice. The real fold, planner and effect, on a world that fails wherever it likes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import Record, StartRun
from engine.commands import execute
from engine.effects.operations import ask, execute_granted, why_in_vain
from engine.errors import UserError
from engine.fold import apply
from engine.journal import Command
from engine.models.event import Event, NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import Approvals, Settings
from engine.models.task import Operation
from engine.planner import plan
from engine.ports import ProcessResult
from engine.state import State

ORDERS = ("one", "two")
EXPIRE_S = 100.0
OPERATIONS = (
    Operation(argv=["rm", "-rf", "legacy"]),
    Operation(argv=["rm", "-rf", "src"]),
    Operation(argv=["tool", "x"], env={"LEVEL": "1"}),
    Operation(argv=["tool", "x"], env={"LEVEL": "2"}),
    Operation(argv=["tool", "x"], cwd="src"),
)
TREES = ("a" * 40, "b" * 40)
BASE = "c" * 40
SETTINGS = Settings(roles={"implementer": "a"}, approvals=Approvals(expire=EXPIRE_S))

Content = tuple[str, tuple[str, ...], str, tuple[tuple[str, str], ...]]
"""What a person has seen: tree, argv, folder, environment."""


class Crash(BaseException):
    """The engine dies here."""


def content(operation: dict[str, Any], tree: str) -> Content:
    return tree, tuple(operation["argv"]), operation["cwd"], tuple(sorted(operation["env"].items()))


@dataclass
class Night:
    """A world in which operations are only counted. `dies_at`: the call at which the engine dies next."""

    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    now: float = 1_000.0
    dies_at: int = 0
    calls: int = 0
    ran: list[tuple[str, Content]] = field(default_factory=list)
    spent: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write(
            NewEvent("repository_opened", {"commit": BASE, "tree": TREES[0], "repository": "r", "branch": "main"})
        )
        self.write(NewEvent("engine_started", {"epoch": 1, "version": "0", "pid": 1}))
        self.write(NewEvent("settings_read", {"policy": "p", "settings": "s", "bootstrap": False}))
        specs = [WorkOrder(id=ident, title="t").model_dump(mode="json", by_alias=True) for ident in ORDERS]
        self.write(NewEvent("roadmap_read", {"count": 2, "orders": specs, "gone": [], "items": []}))
        self.plan()

    # -- the world ----------------------------------------------------------------------------------------------

    def write(self, *drafts: NewEvent) -> list[Event]:
        for draft in drafts:
            event = Event(len(self.events) + 1, self.now, draft.kind, draft.work_order, draft.run, dict(draft.fields))
            self.events.append(event)
            apply(self.state, event)
        return self.events[-len(drafts) :]

    def _may_die(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Crash

    async def emit(self, *drafts: NewEvent) -> list[Event]:
        self._may_die()
        written = self.write(*drafts)
        self._may_die()
        return written

    def world(self, order: str, tree: str) -> Any:
        async def run(spec: Any) -> ProcessResult:
            self._may_die()
            folder = spec.cwd.relative_to(spec.policy.writable[0]).as_posix()
            given = tuple(sorted((name, value) for name, value in spec.env.items() if name == "LEVEL"))
            self.executed(order, (tree, spec.argv, folder, given))
            self._may_die()
            return ProcessResult(spec.run_id, "exited", 0, 0.0, spec.folder / "log")

        harvest = SimpleNamespace(tree=TREES[1], commit=BASE)
        folders = SimpleNamespace(root=self.root / "state", runs=self.root / "state" / "runs")
        return SimpleNamespace(
            emit=self.emit,
            state=lambda: self.state,
            settings=lambda: SETTINGS,
            folders=folders,
            hub=SimpleNamespace(
                ids_at=lambda tree, paths: dict.fromkeys(paths, tree),
                entries=lambda tree: [],
                blob_sizes=lambda shas: {},
                changed=lambda old, new: [],
            ),
            workspaces=SimpleNamespace(harvest=lambda workspace: harvest),
            ports=SimpleNamespace(
                clock=SimpleNamespace(now=lambda: self.now),
                executor=SimpleNamespace(run=run),
                programs=SimpleNamespace(resolve=lambda name: SimpleNamespace(command=name, roots=())),
            ),
        )

    root: Any = None

    # -- the judge, which believes the journal alone ---------------------------------------------------------------

    def executed(self, order: str, what: Content) -> None:
        allowing: list[str] = []
        for asked in (e for e in self.events if e.kind == "approval_asked" and e.fields["tree"]):
            ident = asked.fields["approval"]
            askers = {asked.work_order}
            joined = [e for e in self.events if e.kind == "approval_joined" and e.fields["approval"] == ident]
            answers = [e for e in self.events if e.kind == "approval_answered" and e.fields["approval"] == ident]
            answers = [e for e in answers if e.fields.get("hash", asked.fields["hash"]) == asked.fields["hash"]]
            yes = bool(answers) and answers[0].fields["answer"] == "approved"
            askers |= {e.work_order for e in joined if not answers or e.seq < answers[0].seq}
            seen = content(asked.fields["operation"], asked.fields["tree"])
            if yes and order in askers and seen == what and self.now < asked.fields["expires_at"]:
                allowing.append(ident)
        fresh = [ident for ident in allowing if (order, ident) not in self.spent]
        if not fresh:
            self.violations.append(f"{order} ran {what} without an approval of its own")
        self.spent += [(order, ident) for ident in fresh[:1]]  # asked first, expires first
        self.ran.append((order, what))

    # -- what happens ----------------------------------------------------------------------------------------------

    def plan(self) -> list[StartRun]:
        for _ in range(30):
            made = plan(self.state, SETTINGS, self.now)
            records = [action for action in made.actions if isinstance(action, Record)]
            if not records:
                return [action for action in made.actions if isinstance(action, StartRun)]
            self.write(*(NewEvent(r.kind, r.fields, r.work_order) for r in records))
        self.violations.append("the planner never comes to rest")
        return []

    async def run(self, order: str, operation: Operation, tree: str, dies_in: int) -> None:
        """An attempt of this order: what was granted is carried out, then its agent asks for something."""
        action = next((one for one in self.plan() if one.order == order), None)
        if action is None:
            return
        self.dies_at = self.calls + dies_in if dies_in else 0
        it = self.state.orders[order]
        try:
            await self.emit(
                NewEvent("run_started", {"attempt": 1, "role": "i", "agent": "a", "base": BASE}, order, action.run)
            )
            start = it.resume.tree if it.resume else TREES[0]
            workspace: Any = SimpleNamespace(path=self.root / "ws", start_tree=start)
            await execute_granted(self.world(order, start), it, workspace, action.run)
            await self._asks(order, action.run, operation, tree, start)
        except (Crash, UserError):
            pass
        self.dies_at = 0
        if it.phase == "running":
            finished = {
                "result": "interrupted",
                "counted": False,
                "reason": "",
                "kept": "",
                "exit_code": None,
                "duration_s": 0.0,
            }
            self.write(
                NewEvent("run_finished", finished, order, action.run),
                NewEvent("run_interrupted", {"why": ""}, order, action.run),
            )

    async def _asks(self, order: str, run: str, operation: Operation, tree: str, start: str) -> None:
        it, world = self.state.orders[order], self.world(order, start)
        harvest: Any = SimpleNamespace(tree=tree, base_commit=BASE, commit=BASE)
        ended = {"counted": False, "reason": "", "kept": "k", "exit_code": 75, "duration_s": 1.0}
        rule, why = await why_in_vain(world, it, operation, harvest)
        if rule:
            drafts = [
                NewEvent("guardrail_denied", {"rule": rule, "reason": why}),
                NewEvent("run_finished", {**ended, "result": "failed", "counted": True}),
                NewEvent("change_rejected", {"change": "", "reasons": [why]}),
            ]
        else:
            drafts = [
                NewEvent("run_finished", {**ended, "result": "asked"}),
                *await ask(world, it, run, operation, harvest),
            ]
        await self.emit(*(NewEvent(d.kind, d.fields, order, run) for d in drafts))

    async def answer(self, name: str, nth: int, right: bool) -> None:
        everything = list(self.state.approvals.values())
        known = [one for one in everything if one.status == "pending"] * (nth < 8) or everything
        if known:
            one = known[nth % len(known)]
            args = {"id": one.id, "hash": one.hash if right else "0" * 64}
            await execute(Command(1, self.now, name, args), self.state, self._emit_now, lambda: None)

    async def _emit_now(self, *drafts: NewEvent) -> list[Event]:
        return self.write(*drafts)

    def edit(self, nth: int, operation: Operation, tree: str) -> None:
        """Something gets at the memory of the engine, between the answer and the run."""
        resumes = [order.resume for order in self.state.orders.values() if order.resume is not None]
        if resumes:
            resume = resumes[nth % len(resumes)]
            if nth % 2:
                resume.operation = operation.model_dump()
            else:
                resume.tree = tree

    def retry(self, order: str) -> None:
        if self.state.orders[order].phase in ("parked", "rejected"):
            self.write(NewEvent("work_order_ready", {"fresh": True, "by": "a person"}, order))


ORDER, OPERATION, TREE = st.sampled_from(ORDERS), st.sampled_from(OPERATIONS), st.sampled_from(TREES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), ORDER, OPERATION, TREE, st.integers(0, 8)),
        st.tuples(st.just("answer"), st.sampled_from(["approve", "deny"]), st.integers(0, 9), st.booleans()),
        st.tuples(
            st.just("agreed"), ORDER, OPERATION, TREE, st.integers(0, 12), st.sampled_from([0.0, 50.0, EXPIRE_S])
        ),
        st.tuples(st.just("edit"), st.integers(0, 3), OPERATION, TREE),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 60.0, EXPIRE_S])),
        st.tuples(st.just("retry"), ORDER),
    ),
    max_size=25,
)


def test_nothing_runs_without_an_unexpired_approval_of_exactly_that_and_nothing_runs_twice(
    tmp_path_factory: Any,
) -> None:
    root = tmp_path_factory.mktemp("night")
    for folder in ("ws/src", "state/runs"):
        (root / folder).mkdir(parents=True)
    ran: list[int] = []

    @settings(max_examples=300, deadline=None, database=None)
    @given(STEPS)
    def nights(steps: list[tuple[Any, ...]]) -> None:
        night = asyncio.run(played(steps, root))
        assert night.violations == []
        ran.append(len(night.ran))

    nights()
    assert sum(ran) > 20  # the control: approved operations are carried out


async def played(steps: list[tuple[Any, ...]], root: Any) -> Night:
    night = Night()
    night.root = root
    for step in steps:
        match step:
            case ("run", order, operation, tree, dies_in):
                await night.run(order, operation, tree, dies_in)
            case ("agreed", order, operation, tree, dies_in, seconds):
                await night.run(order, operation, tree, 0)
                await night.answer("approve", 0, True)
                night.now += seconds
                await night.run(order, operation, tree, dies_in)
            case ("answer", name, nth, right):
                await night.answer(name, nth, right)
            case ("edit", nth, operation, tree):
                night.edit(nth, operation, tree)
            case ("wait", seconds):
                night.now += seconds
            case ("retry", order):
                night.retry(order)
            case _:
                raise AssertionError(step)
        night.plan()
    return night


def test_an_approved_operation_runs_once_and_its_crash_is_not_a_second_chance(tmp_path: Any) -> None:
    for folder in ("ws/src", "state/runs"):
        (tmp_path / folder).mkdir(parents=True)
    asked = ("run", "one", OPERATIONS[0], TREES[0], 0)
    yes, again = ("answer", "approve", 0, True), ("run", "one", OPERATIONS[1], TREES[1], 0)
    honest = asyncio.run(played([asked, yes, again, again], tmp_path))
    assert (len(honest.ran), honest.violations) == (1, [])
    for dies_in in range(1, 10):
        dying = asyncio.run(
            played([asked, yes, ("run", "one", OPERATIONS[1], TREES[1], dies_in), again, again], tmp_path)
        )
        assert (len(dying.ran) <= 1, dying.violations) == (True, []), dies_in
    wrong = asyncio.run(played([asked, ("answer", "approve", 0, False), again], tmp_path))
    assert wrong.ran == []
    late = asyncio.run(played([asked, yes, ("wait", EXPIRE_S), again], tmp_path))
    assert late.ran == []
    edited = asyncio.run(played([asked, yes, ("edit", 1, OPERATIONS[1], TREES[0]), again], tmp_path))
    assert edited.ran == []
    assert [e.fields["rule"] for e in edited.events if e.kind == "guardrail_denied"] == ["approval"]


def test_what_two_orders_ask_to_the_letter_is_one_question_and_runs_once_for_each(tmp_path: Any) -> None:
    for folder in ("ws/src", "state/runs"):
        (tmp_path / folder).mkdir(parents=True)
    runs = [("run", order, OPERATIONS[0], TREES[0], 0) for order in ORDERS]
    other = [("run", order, OPERATIONS[1], TREES[1], 0) for order in ORDERS]
    night = asyncio.run(played([*runs, ("answer", "approve", 0, True), *other, *other], tmp_path))
    kinds = [event.kind for event in night.events]
    first = kinds.index("approval_answered")
    assert (kinds[:first].count("approval_asked"), kinds[:first].count("approval_joined")) == (1, 1)
    assert sorted(order for order, _ in night.ran) == ["one", "two"]
    assert night.violations == []
    denied = asyncio.run(played([*runs, ("answer", "deny", 0, True), *other], tmp_path))
    assert denied.ran == []
    assert [order.denied for order in denied.state.orders.values()] == [1, 1]
