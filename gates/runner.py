"""The local gate runner: guards on a change, gates on the merged tree, and a signed report of what was seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault, SwarmError
from engine.git.hub import Hub
from engine.git.names import safe_name
from engine.git.slots import Slots
from engine.models.proof import Proof
from engine.models.report import GuardResult, VerificationReport
from engine.ports import (
    Acceptance,
    AcceptanceRequest,
    CanaryRunner,
    Clock,
    Emit,
    Executor,
    GateRequest,
    GuardRequest,
    Sandbox,
    SignedReport,
)
from engine.process.programs import Programs
from engine.text.redact import Redactor
from gates.control import control
from gates.definitions import groups, in_order
from gates.execution import WarmCaches
from gates.explain import Explained
from gates.findings import MACHINE, TOOLS, report_on, utc
from gates.ground import Ground
from gates.guards.coverage import RULE, changed_lines, judge_coverage
from gates.guards.gitleaks import Gitleaks
from gates.guards.judging import guard_change
from gates.inventory import outcomes_by_gate
from gates.judge import printable
from gates.proof.joined import joined
from gates.proof.prove import accept, prove
from gates.proof.trials import Trial
from gates.ready import Meanings, Ready, Unable
from gates.report import Reports, require_green
from gates.results.adapter import Seen
from gates.reuse import Reuse
from gates.seats import Seats
from gates.session import Session, reusable
from gates.sign import Signer
from gates.tidying import mark, tidy_notes, tidy_runs
from gates.toolchain import machine
from gates.trials import HubTrees, KnownTrials, LocalTrials


class LocalGateRunner:
    """Implements `engine.ports.GateRunner` on this machine.

    runs: the folder of run folders. cache: a folder for notes on reusable results. sandbox: the one that the executor
    uses; it is asked only what it guarantees. caches: warm build caches; None: every build is cold. flows: runs gates
    with a flow. leash: gates die with this process (for runs by hand); otherwise the next engine goes on with them.
    gitleaks: looks for secrets too.
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
        caches: WarmCaches | None = None,
        flows: CanaryRunner | None = None,
        leash: bool = False,
        redactor: Redactor | None = None,
        gitleaks: Gitleaks | None = None,
    ) -> None:
        self._redactor, self._gitleaks = redactor or Redactor({}), gitleaks
        self._hub, self._sandbox, self._store, self._runs, self._clock = hub, sandbox, store, runs, clock
        self._ground = Ground(hub, slots, Seats(slots.count), executor, store, caches, flows, leash)
        self._reports = Reports(store, signer, self._redactor)
        self._reuse, self._cache = Reuse(cache, self._reports), cache
        self._known = KnownTrials(self._reuse)
        self._meanings = Meanings(hub, programs, sandbox.name, flows is not None)

    async def guard(self, request: GuardRequest) -> tuple[GuardResult, ...]:
        """Every guard's word on the change, from tree objects alone."""
        return await asyncio.to_thread(guard_change, self._hub, request, self._redactor, self._gitleaks)

    async def run(self, request: GateRequest, emit: Emit) -> SignedReport:
        """Run the gates and sign what was seen. Raises UserError on a cycle, InfrastructureFault on a lost process."""
        started = self._clock.now()
        with self._disk_trouble():
            session = await asyncio.to_thread(self._open, request, emit)
            await session.run(self._reuse)
            trials = self._trials(request.key, session.folder, request)
            await control(session, trials)
            proof = await self._prove(session, trials)
            return await asyncio.to_thread(self._sign, session, trials, proof, started)

    async def accept(self, request: AcceptanceRequest) -> Acceptance:
        """Run the order's acceptance and repro on main. Raises InfrastructureFault when nothing can be said."""
        with self._disk_trouble():
            folder = self._folder(request.key)
            base = await asyncio.to_thread(lambda: outcomes_by_gate(self._store, self._base(request.base_report)))
            trials = self._trials(request.key, folder)
            proof, tests = await accept(request, base, trials, HubTrees(self._hub))
            trials.conclude()
        return Acceptance(not proof.reasons, " ".join(proof.reasons), tuple(proof.commands), tests)

    async def landed(self, tree: str) -> None:
        """This tree is main now: what its gates built may be kept as a warm cache. Never raises."""
        if self._ground.caches is not None:
            with contextlib.suppress(Exception):  # a cache that is not kept costs time alone
                await asyncio.to_thread(self._ground.caches.promote, tree)

    async def tidy(self, keep: Collection[Path]) -> None:
        """See the port. Never raises."""
        await asyncio.to_thread(self._tidy, keep)

    def _tidy(self, keep: Collection[Path]) -> None:
        tidy_runs(self._runs, keep)
        tidy_notes(self._cache)
        self._reuse.tidy()

    async def close(self) -> None:
        """The engine ends: its signer goes with it."""
        await asyncio.to_thread(self._reports.close)

    def unfit(self, report: VerificationReport) -> str:
        """Why a report does not hold on this machine any more, as one sentence; "" when it holds. Blocking."""
        if (was := report.toolchain.get(MACHINE, machine())) != machine():
            return f"its gates ran on {was}, and this machine is {machine()}: run them again here."
        if report.sandbox_backend != self._sandbox.name:
            here = self._sandbox.name
            return f"its gates ran in the sandbox {report.sandbox_backend}, and it is {here} now: run them again."
        lost = [name for name, held in report.sandbox.items() if held and not self._sandbox.guarantees.get(name)]
        if lost:
            return f"the sandbox does not guarantee {', '.join(lost)} any more: run the gates again."
        tools: Any = report.extra.get(TOOLS)
        if isinstance(tools, dict):
            for name, now in self._meanings.stamps(tools).items():
                if now != tools[name]:
                    return f"{name} is another program now than when its gates ran: run them again."
        return ""

    async def restore(self, tree: str, previous: str, base_tree: str, base_commit: str, policy: str) -> SignedReport:
        """A fresh `restore` report for a tree whose `previous` report is green. Raises SwarmError when it is not."""
        return await asyncio.to_thread(self._restore, tree, previous, base_tree, base_commit, policy)

    def load(self, digest: str) -> VerificationReport:
        """The report of an envelope in the store, its signature verified with our own key. Raises SwarmError."""
        return self._reports.load(digest)

    def explain(self, request: GateRequest) -> list[Explained]:
        """Why each gate of the request would run, or why its earlier result stands. Nothing runs. Blocking.

        Raises UserError on a cycle.
        """
        ready = self._meanings.of(in_order(request.gates), request.tree, request.flows)
        found: dict[str, Explained] = {}
        for group in groups(request.gates):
            stand = reusable(self._reuse, self._ground, request, ready, group)
            for gate in group:
                one = ready[gate.name]
                if isinstance(one, Unable):
                    found[gate.name] = Explained(gate.name, False, "", f"it cannot run: {one.reason}")
                    continue
                parts, last = one.key.shown(), self._reuse.last(gate.name)
                differs = tuple(name for name in parts if last is not None and parts[name] != last.get(name, ""))
                if gate.name in stand:
                    tree = stand[gate.name][0].tree
                    where = "this tree" if tree == request.tree else f"the tree {tree[:12]}, whose inputs are the same"
                    why = f"it was green on {where} with all parts of the key the same."
                elif self._reuse.find(one.key, gate, request.tree, request.flaky, request.quarantined) is not None:
                    why = "its earlier result stands, but a gate that has to run needs the files that it makes."
                elif last is None:
                    why = "it has no earlier result here."
                elif differs:
                    why = f"since its last run, {', '.join(differs)} changed."
                else:
                    why = "its last result was not green."
                found[gate.name] = Explained(gate.name, gate.name in stand, one.key.digest, why, parts, differs)
        return [found[gate.name] for gate in request.gates]

    def trials(self, request: GateRequest) -> LocalTrials:
        """For sabotage: runs of the request's gates on other trees. Nothing of them is signed."""
        return self._trials(request.key, self._folder(request.key), request)

    # ---- one run

    def _open(self, request: GateRequest, emit: Emit) -> Session:
        base = outcomes_by_gate(self._store, self._base(request.base_report))
        ready = self._meanings.of(in_order(request.gates), request.tree, request.flows)
        return Session(self._ground, request, emit, self._folder(request.key), ready, base)

    def _folder(self, key: str) -> Path:
        folder = self._runs / safe_name(key)
        folder.mkdir(parents=True, exist_ok=True)
        if not self._ground.leash:
            mark(folder)
        return folder

    @contextlib.contextmanager
    def _disk_trouble(self) -> Generator[None]:
        """A full or broken disk says nothing about a tree."""
        try:
            yield
        except OSError as error:
            said = f"the gates cannot run, because of {error.filename or 'the disk'}: {error.strerror or error}"
            raise InfrastructureFault(f"{said}; make room or mend the disk of {self._runs}") from error

    def _base(self, digest: str) -> VerificationReport | None:
        if not digest:
            return None
        try:
            return self._reports.load(digest)
        except SwarmError as error:
            raise InfrastructureFault(f"the report of the base cannot be read: {error}") from error

    def _trials(self, key: str, folder: Path, request: GateRequest | None = None) -> LocalTrials:
        if request is None:
            return LocalTrials(self._ground, self._meanings, self._known, folder, key)
        more = (request.gates, request.nice, request.flows)
        return LocalTrials(self._ground, self._meanings, self._known, folder, key, *more)

    async def _prove(self, session: Session, trials: LocalTrials) -> Proof | None:
        request = session.request
        green = all(result.result == "green" for result in session.results.values())
        if request.kind != "land" or not green or not request.gates:
            return None
        head = {name: self._head(session, name) for name in session.results}
        trees = HubTrees(self._hub)
        if not request.members:
            return await prove(request, session.base, head, trials, trees) if request.order is not None else None
        proofs: dict[str, Proof] = {}
        for member in request.members:
            if member.order is None:
                continue
            # What it brings to the whole is proved against the whole without it.
            own = replace(
                request, order=member.order, base_tree=member.without, before=member.before, named=member.named
            )
            proofs[member.order.id] = await prove(own, session.base, head, trials, trees)
        return joined(proofs) if proofs else None

    def _head(self, session: Session, gate: str) -> Trial:
        seen = session.seen.get(gate, Seen())
        return Trial(session.results[gate], seen.outcomes, seen.how)

    def _sign(self, session: Session, trials: LocalTrials, proof: Proof | None, started: float) -> SignedReport:
        report = report_on(
            session,
            self._sandbox,
            proof=proof,
            guards=self._coverage(session),
            trials=trials.entries,
            started=started,
            finished=self._clock.now(),
        )
        signed = self._reports.sign(report)
        keys = {name: one.key for name, one in session.ready.items() if isinstance(one, Ready)}
        self._reuse.remember(keys, report.gates, signed.digest, trials.entries)
        session.conclude()
        trials.conclude()
        return signed

    def _coverage(self, session: Session) -> list[GuardResult]:
        """The guard that speaks after the gates, where the gate that it listens to was green."""
        request, wanted = session.request, session.request.coverage
        if wanted is None or wanted.gate not in session.results or session.results[wanted.gate].result != "green":
            return []
        if session.planted:
            reason = f"{wanted.report} is a file of the tree, so no coverage report may lie there: take it out of git."
            return [GuardResult(rule=RULE, ok=False, reason=printable(reason), paths=[wanted.report])]
        found = session.results[wanted.gate].coverage
        content = self._store.get(found) if found else None
        return [judge_coverage(wanted, content, changed_lines(self._hub, request.base_tree, request.tree))]

    def _restore(self, tree: str, previous: str, base_tree: str, base_commit: str, policy: str) -> SignedReport:
        proved = self._reports.load(previous)
        require_green(proved, tree)
        now = utc(self._clock.now())
        update: dict[str, Any] = {
            "kind": "restore",
            "base": base_tree,
            "base_commit": base_commit,
            "change": "",
            "work_order": "",
            "order": "",
            "policy": policy,
            "gates": [result.model_copy(update={"cached": True}) for result in proved.gates],
            "flags": [*proved.flags, *([] if proved.policy == policy else ["policy-changed-since"])],
            "previous": previous,
            "started_at": now,
            "finished_at": now,
        }
        return self._reports.sign(proved.model_copy(update=update))
