"""One request on its way: which results stand, which gates run where, and what each of them said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import InfrastructureFault, SwarmError
from engine.git.slots import Slot
from engine.models.report import GateResult, TestOutcome
from engine.models.settings import Gate
from engine.ports import Emit, GateRequest
from gates.coverage_file import is_inside, read_coverage, remove_coverage
from gates.definitions import groups, needed_by
from gates.execution import Job, Ran, StartOver, conclude, forget, lease_of
from gates.flow_gate import run_flow
from gates.ground import Ground, result_of, run_folder, store_run, verdict_on, with_judgement, without_run
from gates.inventory import outcomes_of, passed
from gates.judge import Judgement, judge
from gates.proof.own import own_tests
from gates.ready import Ready, Unable
from gates.results.adapter import Seen
from gates.retry import Retry
from gates.reuse import Found, Reuse
from gates.seats import Lanes
from gates.threads import in_thread

Group = tuple[Gate, ...]
_TOLD = ("result", "reason", "executed", "passed", "failed", "skipped", "duration_s", "cached")


class _Ended(Exception):
    """A gate was not green, and nobody wants to know about the others."""


class _Absent(Exception):
    """The gate's program is to be a file of the tree, and is not."""


@dataclass
class Session:
    """`run` fills the rest. base: outcome per test id on the base, by gate. `seen`: what fresh runs and reused results
    showed. `reused_from`: trees of results that were seen on another tree. `notes`: what build caches had to say."""

    ground: Ground
    request: GateRequest
    emit: Emit
    folder: Path
    ready: Mapping[str, Ready | Unable]
    base: Mapping[str, Mapping[str, TestOutcome]]
    results: dict[str, GateResult] = field(default_factory=dict[str, GateResult])
    seen: dict[str, Seen] = field(default_factory=dict[str, Seen])
    reused_from: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])
    begun: set[Path] = field(default_factory=set[Path])
    by_chance: set[str] = field(default_factory=set[str])
    """Gates of which failed tests are all that is wrong."""
    planted: bool = False
    """The coverage report's path is a file of the tree, so nothing that lies there is of this run."""
    _storing: dict[str, asyncio.Task[dict[str, str]]] = field(default_factory=dict[str, "asyncio.Task[dict[str, str]]"])

    async def run(self, reuse: Reuse) -> None:
        """Every gate of the request gets its result. Raises UserError on a cycle, InfrastructureFault on a lost
        process or a full disk."""
        todo = groups(self.request.gates)
        await asyncio.to_thread(self._settle, reuse, todo)
        try:
            for gate in self.request.gates:
                if gate.name in self.results:
                    await self._tell(gate)
            await self._work([group for group in todo if any(gate.name not in self.results for gate in group)])
            for name, storing in self._storing.items():
                self.results[name] = self.results[name].model_copy(update=await storing)
        finally:
            for storing in self._storing.values():
                storing.cancel()
            await asyncio.gather(*self._storing.values(), return_exceptions=True)

    def conclude(self) -> None:
        """The report is signed: whoever asks again gets fresh runs."""
        for folder in self.begun:
            conclude(folder)

    def judge(self, gate: Gate, seen: Seen, *, touched: bool = False) -> Judgement:
        """The judgement on what a gate showed, held to today's base."""
        one = self.ready[gate.name]
        counts = isinstance(one, Ready) and one.adapter.counts
        inventory = passed(self.base.get(gate.name, {})) if counts else ()
        excused = self.not_its_own(gate, seen.outcomes, self.request.quarantined) if counts else ()
        return judge(
            seen,
            counts=counts,
            inventory=inventory,
            gone=self.request.tests_gone,
            touched=touched,
            quarantined=excused,
        )

    def not_its_own(self, gate: Gate, outcomes: Mapping[str, TestOutcome], tests: Sequence[str]) -> frozenset[str]:
        """Those of `tests` that failed and that the change neither adds nor touches. Blocking."""
        failed = frozenset(test for test in tests if outcomes.get(test) == "failed")
        return failed - own_tests(self.ground.hub, self.request, gate, self.base.get(gate.name), outcomes, failed)

    # ---- before anything runs

    def _settle(self, reuse: Reuse, todo: Sequence[Group]) -> None:
        """Results without a run: gates that cannot run, reused ones, and those that need what is not green."""
        wanted = self.request.coverage
        if wanted is not None and is_inside(wanted.report):
            self.planted = self.ground.hub.read_file(self.request.tree, wanted.report) is not None
        for group in todo:
            for gate in group:
                if isinstance(unable := self.ready[gate.name], Unable):
                    self.results[gate.name] = without_run(gate, unable.result, unable.reason)
            self._reuse(reuse, group)
            for gate in group:
                if gate.name not in self.results and (blocked := self._blocked(gate)):
                    self.results[gate.name] = blocked

    def _reuse(self, reuse: Reuse, group: Group) -> None:
        """Green results of this group that stand, less those of gates whose files a gate that has to run needs."""
        stand = reusable(reuse, self.ground, self.request, self.ready, group)
        for gate in group:
            if gate.name in stand:
                found, outcomes = stand[gate.name]
                said = self.judge(gate, Seen(outcomes))
                fresh = found.result.model_copy(update={"cached": True, "duration_s": 0.0})
                self.results[gate.name] = with_judgement(fresh, said)
                self.seen[gate.name] = Seen(outcomes, tripwire=found.result.tripwire)
                if found.tree != self.request.tree:
                    self.reused_from[gate.name] = found.tree

    def _blocked(self, gate: Gate) -> GateResult | None:
        for need in gate.needs:
            if need in self.results and self.results[need].result != "green":
                return without_run(gate, "skipped", f'it needs "{need}", which was {self.results[need].result}.')
        return None

    # ---- gates that run

    async def _work(self, todo: list[Group]) -> None:
        if not self.request.keep_going and any(result.result != "green" for result in self.results.values()):
            return await self._skip(todo)
        bound: dict[int, list[Group]] = {}
        for group in todo:
            if (number := self._lane_of(group)) is not None:
                bound.setdefault(number, []).append(group)
        taken = [group for groups in bound.values() for group in groups]
        lanes = Lanes(self.ground.seats, self._lane, self._weight, self._group)
        try:
            await lanes.run([group for group in todo if group not in taken], bound)
        except _Ended:
            await self._skip(todo)

    async def _skip(self, todo: Sequence[Group]) -> None:
        first = next((name for name, result in self.results.items() if result.result != "green"), "")
        for gate in (gate for group in todo for gate in group if gate.name not in self.results):
            reason = f'"{first}" was {self.results[first].result}, and the run was to end there.'
            self.results[gate.name] = without_run(gate, "skipped", reason)
            await self._tell(gate)

    @asynccontextmanager
    async def _lane(self, number: int) -> AsyncGenerator[Slot]:
        key = f"{self.request.key}#{number}" if number else self.request.key
        async with self.ground.slots.lease(key) as slot:
            yield slot

    def _lane_of(self, group: Group) -> int | None:
        """The lane in whose slot an earlier engine began this group, when it did."""
        for gate in group:
            if isinstance(ready := self.ready[gate.name], Ready) and (lease := lease_of(self._folder(ready))):
                number = lease.removeprefix(self.request.key).removeprefix("#")
                return int(number) if number.isdecimal() else 0
        return None

    def _weight(self, group: Group) -> int:
        return max(gate.slots for gate in group if gate.name not in self.results)

    async def _group(self, slot: Slot, group: Group) -> None:
        done = set(self.results)
        for _ in range(2):
            try:
                return await self._through(slot, group)
            except StartOver:
                for gate in group:
                    if gate.name not in done and isinstance(ready := self.ready[gate.name], Ready):
                        self.results.pop(gate.name, None)
                        if storing := self._storing.pop(gate.name, None):
                            await asyncio.gather(storing, return_exceptions=True)
                        await in_thread(forget, self._folder(ready))
        raise InfrastructureFault("a run of gates that an earlier engine began could not be started over")

    async def _through(self, slot: Slot, group: Group) -> None:
        fresh = False
        for at, gate in enumerate(group):
            if gate.name in self.results:
                continue
            ready = self.ready[gate.name]
            assert isinstance(ready, Ready)
            if (blocked := self._blocked(gate)) is not None:
                self.results[gate.name] = blocked
            elif ready.flow is not None:
                await self._started(gate)
                self.results[gate.name] = await run_flow(
                    self.ground, ready, self.request.tree, f"{self.folder.name}.{gate.name}"
                )
            else:
                await self._run(slot, ready, group, at, fresh=not fresh)
                fresh = True
            await self._tell(gate)
            if not self.request.keep_going and self.results[gate.name].result != "green":
                raise _Ended

    async def _run(self, slot: Slot, ready: Ready, group: Group, at: int, *, fresh: bool) -> None:
        """One gate in the slot as it is, or, when `fresh`, on a fresh checkout."""
        gate, program = ready.gate, ready.program
        assert program is not None
        wanted = self.request.coverage
        report = wanted.report if wanted is not None and wanted.gate == gate.name and not self.planted else ""

        def make_ready() -> None:
            if fresh:
                slot.checkout(self.request.tree)
            if not program.path.is_absolute() and not (slot.path / program.path).is_file():
                raise _Absent
            if report:
                remove_coverage(slot.path, report)

        await self._started(gate)
        try:
            ran = await self.ground.execute(slot, self.job(ready), make_ready)
        except _Absent:
            self.results[gate.name] = without_run(gate, "red", f"the program {program.path} is not in the tree.")
            return
        coverage = await in_thread(read_coverage, slot.path, report) if report else None
        said = verdict_on(ran, await in_thread(lambda: self.judge(gate, ran.seen, touched=ran.touched)))
        logs: tuple[Path, ...] = ()
        retried: tuple[str, ...] = ()
        flaky = await in_thread(self.not_its_own, gate, ran.seen.outcomes, self.request.flaky)
        if Retry.is_due(flaky, ran, said):
            again = Retry(self, slot, ready, group, at)
            tried = await again.run(said.failing, ran.seen.outcomes)
            logs = again.logs
            if tried is not None:
                retried, said = said.failing, await in_thread(self.judge, gate, tried.seen)
                both_s = ran.process.duration_s + tried.process.duration_s
                ran = replace(tried, process=replace(tried.process, log=ran.process.log, duration_s=both_s))
            else:
                said = replace(said, reason=f"{said.reason.rstrip('.')} (and again on a fresh checkout).")
        if ran.note:
            self.notes.append(ran.note)
        if said.failing and said.result == "red" and Retry.is_due(said.failing, ran, said):
            self.by_chance.add(gate.name)
        self.seen[gate.name] = ran.seen
        result = result_of(ready, ran, said)
        self.results[gate.name] = result.model_copy(update={"retried": list(retried)})
        # An fsync takes as long as a small gate: the next one need not wait for it, the signature does.
        self._storing[gate.name] = asyncio.create_task(asyncio.to_thread(self._store, ran, logs, coverage))

    def _store(self, ran: Ran, logs: tuple[Path, ...], coverage: bytes | None) -> dict[str, str]:
        found = store_run(self.ground.store, ran, *logs)
        return found | ({"coverage": self.ground.store.put(coverage)} if coverage is not None else {})

    def job(self, ready: Ready, purpose: str = "", scope: str = "gates") -> Job:
        """The run of a gate on the request's tree. purpose: one more run beside the gate's own."""
        assert ready.program is not None
        folder = self._folder(ready, purpose)
        self.begun.add(folder)
        return Job(
            ready.gate,
            self.request.tree,
            ready.program,
            ready.adapter,
            folder,
            self.folder / "progress.jsonl",
            f"{self.folder.name}.{folder.name}",
            self.request.nice,
            self.ground.leash,
            purpose,
            scope,
        )

    def _folder(self, ready: Ready, purpose: str = "") -> Path:
        identity = (ready.key.digest, purpose) if purpose else (ready.key.digest,)
        return run_folder(self.folder, ready.gate.name, *identity)

    def needs_of(self, gate: Gate) -> Group:
        """All that a gate needs, in order."""
        return needed_by(self.request.gates, gate.name)

    # ---- events

    async def _started(self, gate: Gate) -> None:
        fields = {"gate": gate.name, "tree": self.request.tree, "change": self.request.change}
        await self.emit("gate_started", fields)

    async def _tell(self, gate: Gate) -> None:
        fields: dict[str, Any] = {"gate": gate.name, "tree": self.request.tree, "change": self.request.change}
        fields |= {name: getattr(self.results[gate.name], name) for name in _TOLD}
        fields["lost"] = len(self.results[gate.name].lost)
        await self.emit("gate_finished", fields)


def reusable(
    reuse: Reuse,
    ground: Ground,
    request: GateRequest,
    ready: Mapping[str, Ready | Unable],
    group: Group,
) -> dict[str, tuple[Found, Mapping[str, TestOutcome]]]:
    """Gate name -> the result that stands, with its outcomes. A gate whose files another one needs that has to run is
    not among them."""
    stand: dict[str, tuple[Found, Mapping[str, TestOutcome]]] = {}
    wanted: set[str] = set()
    for gate in reversed(group) if not request.fresh else ():
        one = ready[gate.name]
        if isinstance(one, Ready) and gate.name not in wanted:
            found = reuse.find(one.key, gate, request.tree, request.flaky, request.quarantined)
            covers = request.coverage is None or request.coverage.gate != gate.name
            if found is not None and (covers or found.result.coverage):
                try:
                    stand[gate.name] = (found, outcomes_of(ground.store, found.result))
                    continue
                except SwarmError:
                    pass
        wanted.update(gate.needs)
    return stand
