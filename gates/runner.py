"""The local gate runner: guards on a change, gates on the merged tree, and a signed report of what was seen."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault, SwarmError, UserError
from engine.git.hub import Hub
from engine.git.names import GITLINK, safe_name
from engine.git.slots import Slot, Slots
from engine.models.report import GateResult, GuardResult, TestOutcome, VerificationReport
from engine.models.settings import Gate
from engine.ports import Clock, Emit, Executor, GateRequest, GuardRequest, Sandbox, SignedReport
from engine.process.programs import Program, Programs
from gates.definitions import gate_digest, groups, problems
from gates.execution import Job, Ran, StartOver, conclude, execute, gate_environment, is_begun
from gates.guards.guard import Judged, Row
from gates.guards.table import GUARDS
from gates.inventory import NO_BASE, inventories, outcomes_of
from gates.judge import Judgement, judge
from gates.report import Reports, require_green
from gates.results.adapter import ResultsAdapter, Seen
from gates.results.table import adapter
from gates.reuse import KEYS, Reuse, reuse_key
from gates.sign import Signer
from gates.threads import in_thread
from gates.toolchain import Toolchain, machine


@dataclass
class _Session:
    """One request on its way. `slot` is leased when the first gate has to run; `clean_for`: whose checkout it holds."""

    request: GateRequest
    emit: Emit
    folder: Path
    inventory: Mapping[str, Sequence[str]]
    stack: AsyncExitStack
    slot: Slot | None = None
    clean_for: int | None = None
    results: dict[str, GateResult] = field(default_factory=dict[str, GateResult])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    tools: dict[str, str] = field(default_factory=dict[str, str])
    begun: list[Path] = field(default_factory=list[Path])


@dataclass(frozen=True)
class _Ready:
    """A gate that can run: what it means on this machine."""

    gate: Gate
    program: Program
    adapter: ResultsAdapter
    key: str


class LocalGateRunner:
    """Implements `engine.ports.GateRunner` on this machine.

    runs: the folder of run folders. cache: a folder for notes on reusable green results. sandbox: the one that the
    executor uses; it is asked only what it guarantees.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        slots: Slots,
        executor: Executor,
        sandbox: Sandbox,
        store: ArtifactStore,
        runs: Path,
        cache: Path,
        signer: Signer,
        programs: Programs,
        clock: Clock,
    ) -> None:
        self._hub, self._slots, self._executor, self._sandbox = hub, slots, executor, sandbox
        self._store, self._runs, self._programs, self._clock = store, runs, programs, clock
        self._reports = Reports(store, signer)
        self._reuse = Reuse(cache, self._reports)
        self._toolchain = Toolchain()

    async def guard(self, request: GuardRequest) -> tuple[GuardResult, ...]:
        """Every guard's word on the change, from tree objects alone."""
        return await asyncio.to_thread(self._guard, request)

    async def run(self, request: GateRequest, emit: Emit) -> SignedReport:
        """Run the gates and sign what was seen. Raises UserError on a cycle, InfrastructureFault on a lost process."""
        started = self._clock.now()
        base = await asyncio.to_thread(self._base, request)
        folder = self._runs / safe_name(request.key)
        folder.mkdir(parents=True, exist_ok=True)
        inventory = await asyncio.to_thread(inventories, self._store, base)
        for _ in range(2):
            async with AsyncExitStack() as stack:
                session = _Session(request, emit, folder, inventory, stack)
                try:
                    await self._run_groups(session)
                except StartOver:
                    for begun in filter(Path.is_dir, folder.iterdir()):
                        conclude(begun)
                    continue
                return await asyncio.to_thread(self._sign, session, started)
        raise InfrastructureFault("a run of gates that an earlier engine began could not be started over")

    async def restore(self, tree: str, previous: str, base_tree: str, base_commit: str, policy: str) -> SignedReport:
        """A fresh `restore` report for a tree whose `previous` report is green. Raises SwarmError when it is not."""
        return await asyncio.to_thread(self._restore, tree, previous, base_tree, base_commit, policy)

    def load(self, digest: str) -> VerificationReport:
        """The report of an envelope in the store, its signature verified with our own key. Raises SwarmError."""
        return self._reports.load(digest)

    # ---- guards

    def _guard(self, request: GuardRequest) -> tuple[GuardResult, ...]:
        changes = self._hub.changed(request.base_tree, request.tree)
        sizes = self._hub.blob_sizes(
            {
                row.new_sha
                for row in changes
                if row.status != "D" and row.new_mode != GITLINK and set(row.new_sha) != {"0"}
            }
        )
        rows = [Row(row.path, row.old_mode, row.new_mode, sizes.get(row.new_sha, 0)) for row in changes]
        change = Judged(
            request, rows, self._hub.read_file, lambda: [entry.path for entry in self._hub.entries(request.tree)]
        )
        return tuple(guard.judge(change) for guard in GUARDS)

    # ---- gates

    def _base(self, request: GateRequest) -> VerificationReport | None:
        if not request.base_report:
            return None
        try:
            return self._reports.load(request.base_report)
        except SwarmError as error:
            raise InfrastructureFault(f"the report of the base cannot be read: {error}") from error

    async def _run_groups(self, session: _Session) -> None:
        for number, group in enumerate(groups(session.request.gates)):
            ready: dict[str, _Ready] = {}
            for gate in group:
                found = await asyncio.to_thread(self._ready, session, gate, ready)
                if isinstance(found, _Ready):
                    ready[gate.name] = found
                else:
                    session.results[gate.name] = found
            reused = await asyncio.to_thread(self._reusable, session, group, ready)
            for gate in group:
                if gate.name not in session.results:
                    session.results[gate.name] = await self._result(
                        session, number, ready[gate.name], reused.get(gate.name)
                    )
                await self._tell(session, session.results[gate.name])

    def _ready(self, session: _Session, gate: Gate, earlier: Mapping[str, _Ready]) -> _Ready | GateResult:
        """What the gate means here, or why it cannot run."""
        if wrong := next((problem for problem in problems(gate) if problem.level == "error"), None):
            return _without_run(gate, "error", f"{wrong.what}: {wrong.do}.")
        if absent := [name for name in gate.needs if name not in {other.name for other in session.request.gates}]:
            return _without_run(gate, "error", f'it needs "{absent[0]}", which is not among the gates of this run.')
        try:
            program, env = self._programs.resolve(gate.run[0]), gate_environment(gate)
        except UserError as error:
            return _without_run(gate, "error", f"{error}".rstrip(".") + ".")
        session.tools[program.name] = f"{program.path} {program.version}".strip()
        reading = adapter(gate.results)
        key = reuse_key(
            session.request.tree,
            gate,
            argv=(str(program.path), *gate.run[1:]),
            env=env,
            tools=[self._sandbox.name, *self._toolchain.stamp(program.path)],
            adapter=reading.version,
            needs=[earlier[need].key for need in gate.needs if need in earlier],
        )
        return _Ready(gate, program, reading, key)

    def _reusable(self, session: _Session, group: Sequence[Gate], ready: Mapping[str, _Ready]) -> dict[str, GateResult]:
        """Green results of this group that stand, less those of gates whose files a gate that has to run needs."""
        session.keys.update({name: one.key for name, one in ready.items()})
        found = {name: self._reuse.find(one.key, one.gate, session.request.tree) for name, one in ready.items()}
        wanted: set[str] = set()
        for gate in reversed(group):
            if gate.name in wanted or not found.get(gate.name):
                wanted.update(gate.needs)
        return {name: result for name, result in found.items() if result is not None and name not in wanted}

    async def _result(self, session: _Session, group: int, ready: _Ready, reused: GateResult | None) -> GateResult:
        gate = ready.gate
        for need in gate.needs:
            if session.results[need].result != "green":
                return _without_run(gate, "skipped", f'it needs "{need}", which was {session.results[need].result}.')
        if reused is not None and (again := await asyncio.to_thread(self._again, session, gate, reused)):
            return again
        if session.slot is None:
            session.slot = await session.stack.enter_async_context(self._slots.lease(session.request.key))
        slot = session.slot
        folder = session.folder / f"{gate.name}-{hashlib.sha256(ready.key.encode()).hexdigest()[:12]}"
        session.begun.append(folder)
        if session.clean_for != group:
            if not is_begun(folder):
                await in_thread(slot.checkout, session.request.tree)
            session.clean_for = group
        if not ready.program.path.is_absolute() and not (slot.path / ready.program.path).is_file():
            return _without_run(gate, "red", f"the program {ready.program.path} is not in the tree.")
        started = {"gate": gate.name, "tree": session.request.tree, "change": session.request.change}
        await session.emit("gate_started", started)
        job = Job(
            gate, session.request.tree, ready.program, ready.adapter, folder, session.folder / "progress.jsonl",
            f"{session.folder.name}.{folder.name}", session.request.nice,
        )  # fmt: skip
        ran = await execute(self._executor, slot, job)
        return await asyncio.to_thread(self._judged, session, ready, ran)

    def _again(self, session: _Session, gate: Gate, reused: GateResult) -> GateResult | None:
        """The reused run, judged against today's base; None when what it showed cannot be read any more."""
        try:
            outcomes = outcomes_of(self._store, reused)
        except SwarmError:
            return None
        said = self._judge(session, gate, Seen(outcomes))
        return _with_judgement(reused.model_copy(update={"cached": True, "duration_s": 0.0}), said)

    def _judge(self, session: _Session, gate: Gate, seen: Seen, *, touched: bool = False) -> Judgement:
        inventory = session.inventory.get(gate.name, ())
        counts = adapter(gate.results).counts
        return judge(seen, counts=counts, inventory=inventory, gone=session.request.tests_gone, touched=touched)

    def _judged(self, session: _Session, ready: _Ready, ran: Ran) -> GateResult:
        gate, process = ready.gate, ran.process
        if ran.timeout_s is not None:
            said = Judgement("timeout", f"it was stopped after {ran.timeout_s:g} s, its timeout.")
        elif process.end == "not_started":
            said = Judgement("error", f"{process.note or 'it could not be started'}: mend run in swarm.toml.")
        else:
            said = self._judge(session, gate, ran.seen, touched=ran.touched)
        tests: Mapping[str, TestOutcome] = ran.seen.outcomes
        result = GateResult(
            name=gate.name,
            result=said.result,
            duration_s=round(process.duration_s, 3),
            argv=[str(ready.program.path), *gate.run[1:]],
            program=str(ready.program.path),
            exit_code=process.exit_code,
            log=self._store.put_file(process.log) if process.log.exists() else "",
            tests=self._store.put_json(dict(tests)) if tests else "",
            env=sorted(gate_environment(gate)),
            definition=gate_digest(gate),
        )
        return _with_judgement(result, said)

    async def _tell(self, session: _Session, result: GateResult) -> None:
        told = {"result", "reason", "executed", "passed", "failed", "skipped", "duration_s", "cached"}
        fields: dict[str, Any] = {"gate": result.name, "tree": session.request.tree, "change": session.request.change}
        fields |= {name: value for name, value in result.model_dump().items() if name in told}
        await session.emit("gate_finished", fields)

    # ---- reports

    def _sign(self, session: _Session, started: float) -> SignedReport:
        request = session.request
        results = [session.results[gate.name] for gate in request.gates]
        reasons = [guard.reason for guard in request.guards if not guard.ok]
        reasons += [
            f"{result.name}: {result.reason}" for result in results if result.result not in ("green", "skipped")
        ]
        flags = [*request.flags, *(["shell"] if any(gate.shell for gate in request.gates) else [])]
        if request.kind == "land" and not request.base_report:
            flags.append(NO_BASE)
        if not results:
            reasons.append("no gate was run, so nothing is proved: add a [[gate]] to swarm.toml.")
        report = VerificationReport(
            kind=request.kind,
            result=_overall(results, request.guards),
            tree=request.tree,
            base=request.base_tree,
            base_commit=request.base_commit,
            repository=request.repository,
            change=request.change,
            work_order=request.work_order,
            policy=request.policy,
            gates=results,
            guards=list(request.guards),
            reasons=reasons,
            sandbox=dict(self._sandbox.guarantees),
            sandbox_backend=self._sandbox.name,
            toolchain={**session.tools, "machine": machine()},
            flags=list(dict.fromkeys(flags)),
            reproduce=_how_to_reproduce(request),
            started_at=_utc(started),
            finished_at=_utc(self._clock.now()),
            extra={KEYS: session.keys},
        )
        signed = self._reports.sign(report)
        self._reuse.remember(session.keys, results, signed.digest)
        for folder in session.begun:
            conclude(folder)
        return signed

    def _restore(self, tree: str, previous: str, base_tree: str, base_commit: str, policy: str) -> SignedReport:
        proved = self._reports.load(previous)
        require_green(proved, tree)
        now = _utc(self._clock.now())
        update: dict[str, Any] = {
            "kind": "restore",
            "base": base_tree,
            "base_commit": base_commit,
            "change": "",
            "work_order": "",
            "policy": policy,
            "gates": [result.model_copy(update={"cached": True}) for result in proved.gates],
            "flags": [*proved.flags, *([] if proved.policy == policy else ["policy-changed-since"])],
            "previous": previous,
            "started_at": now,
            "finished_at": now,
        }
        return self._reports.sign(proved.model_copy(update=update))


def _overall(results: Sequence[GateResult], guards: Sequence[GuardResult]) -> Literal["green", "red", "error"]:
    said = {result.result for result in results}
    if said & {"red", "timeout"} or not all(guard.ok for guard in guards) or not results:
        return "red"
    return "green" if said == {"green"} else "error"


def _without_run(gate: Gate, result: str, reason: str) -> GateResult:
    return GateResult.model_validate(
        {"name": gate.name, "result": result, "reason": reason, "argv": gate.run, "definition": gate_digest(gate)}
    )


def _with_judgement(result: GateResult, said: Judgement) -> GateResult:
    return result.model_copy(
        update={
            "result": said.result,
            "reason": said.reason,
            "executed": said.executed,
            "passed": said.passed,
            "failed": said.failed,
            "skipped": said.skipped,
            "lost": list(said.lost),
            "failing": list(said.failing),
        }
    )


def _how_to_reproduce(request: GateRequest) -> list[str]:
    lines = ['cd "$(mktemp -d)"', f"git -C REPOSITORY archive {request.tree} | tar -x"]
    return [*lines, *(shlex.join(gate.run) for gate in request.gates if gate.run)]


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
