"""Runs for proofs: one gate on any tree, in a freshly swept slot, under the same watch as a real gate.

What a trial showed is kept in memory, and in the signed report of the run that needed it. Notes on disk only point to
such reports, so nobody who can write files can forge a trial. Only what a gate said (green or red) is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from engine.errors import InfrastructureFault, SwarmError
from engine.git.hub import Hub
from engine.git.slots import Slot
from engine.git.trees import compose, write_blob
from engine.models.flow import Flow
from engine.models.report import GateResult
from engine.models.settings import Gate
from gates.definitions import in_order, needed_by
from gates.execution import Job, StartOver, conclude, forget, is_begun
from gates.flow_gate import run_flow
from gates.ground import Ground, result_of, run_folder, store_run, verdict_on, without_run
from gates.inventory import outcomes_of
from gates.judge import is_named, judge
from gates.proof.trials import Changed, Trial
from gates.ready import Meanings, Ready, Unable
from gates.results.adapter import FailedBy
from gates.reuse import Reuse
from gates.strict_json import digest
from gates.threads import in_thread

TRIALS = "trials"
"""Field of a report's `extra`: key -> what a trial showed (`result`, and `how` per failed test)."""
_IN_MEMORY = 512
_OUTPUT_BYTES = 8_000


@dataclass
class KnownTrials:
    """What trials showed, by key: in memory for as long as this object lives, and in signed reports."""

    reuse: Reuse
    _fresh: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def find(self, key: str) -> dict[str, Any] | None:
        """The entry of a key, or None."""
        if key in self._fresh:
            return self._fresh[key]
        report = self.reuse.report(key)
        entries: Any = report.extra.get(TRIALS) if report is not None else None
        found: Any = cast("dict[str, Any]", entries).get(key) if isinstance(entries, dict) else None
        return cast("dict[str, Any]", found) if isinstance(found, dict) else None

    def keep(self, key: str, entry: dict[str, Any]) -> None:
        while len(self._fresh) >= _IN_MEMORY:
            self._fresh.pop(next(iter(self._fresh)))
        self._fresh[key] = entry


@dataclass
class LocalTrials:
    """Implements `gates.proof.trials.Trials` for one request, whose gates are `gates`. `entries`: what has to go into
    the signed report so that it is known later. folder: the request's run folder; lease: its key."""

    ground: Ground
    meanings: Meanings
    known: KnownTrials
    folder: Path
    lease: str
    gates: Sequence[Gate] = ()
    nice: int = 0
    flows: Sequence[Flow] = ()
    entries: dict[str, Any] = field(default_factory=dict[str, Any])
    begun: set[Path] = field(default_factory=set[Path])
    _asked: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])

    async def __call__(
        self, gate: Gate, tree: str, *, purpose: str, only: Sequence[str] = (), repeat: int = 0
    ) -> Trial:
        """See the protocol. Raises InfrastructureFault when nothing can be said."""
        needs = self._needs(gate)
        ready = await asyncio.to_thread(self.meanings.of, (*needs, gate), tree, self.flows)
        this = ready[gate.name]
        if isinstance(this, Unable):
            return Trial(without_run(gate, this.result, this.reason))
        if this.flow is not None:
            return Trial(await run_flow(self.ground, this, tree, f"{self.folder.name}.{gate.name}.{tree[:12]}"))
        tests = tuple(sorted(dict.fromkeys(only)))
        key = digest({"trial": this.key.digest, "tree": tree, "only": list(tests)})
        chosen = [one for one in ready.values() if isinstance(one, Ready) and one.flow is None]
        folders = {one.gate.name: self._folder(one, tree, tests, repeat) for one in chosen}
        async with self._asked.setdefault(f"{key} {repeat}", asyncio.Lock()):
            if not repeat and (trial := await asyncio.to_thread(self._earlier, key, this.adapter.counts)) is not None:
                return trial
            for _ in range(2):
                try:
                    trial = await self._fresh(this, ready, tree, tests, purpose, folders)
                    break
                except StartOver:
                    for folder in folders.values():
                        await in_thread(forget, folder)
            else:
                raise InfrastructureFault(f"the run of gate {gate.name} for a proof could not be started over")
            if not repeat and trial.result.result in ("green", "red"):
                entry = {"result": trial.result.model_dump(mode="json"), "how": dict(trial.how)}
                self.known.keep(key, entry)
                self.entries[key] = entry
            return trial

    def conclude(self) -> None:
        """Whoever asks again gets fresh runs."""
        for folder in self.begun:
            conclude(folder)

    def _needs(self, gate: Gate) -> tuple[Gate, ...]:
        others = [other for other in self.gates if other.name != gate.name]
        return needed_by(in_order([*others, gate]), gate.name) if gate.needs else ()

    def _earlier(self, key: str, counts: bool) -> Trial | None:
        entry = self.known.find(key)
        if entry is None:
            return None
        try:
            result = GateResult.model_validate(entry["result"]).model_copy(update={"cached": True, "duration_s": 0.0})
            outcomes = outcomes_of(self.ground.store, result)
            output = "" if counts or not result.log else _end_of(self.ground.store.get(result.log))
        except (SwarmError, ValidationError, KeyError):
            return None
        self.entries[key] = entry
        return Trial(result, outcomes, _how(entry.get("how")), output)

    async def _fresh(
        self,
        this: Ready,
        ready: Mapping[str, Ready | Unable],
        tree: str,
        tests: tuple[str, ...],
        purpose: str,
        folders: Mapping[str, Path],
    ) -> Trial:
        """Run it, and before it, in the same checkout, what it needs. ready: in order, `this` last."""
        gate = this.gate
        if unable := next((one for one in ready.items() if isinstance(one[1], Unable)), None):
            return Trial(without_run(gate, "skipped", f'it needs "{unable[0]}", which cannot run.'))
        scope = f"trial-{folders[gate.name].name}"
        jobs = [
            self._job(one, tree, purpose, folders[name], scope)
            for name, one in ready.items()
            if isinstance(one, Ready) and one.flow is None
        ]
        weight = max(each.gate.slots for each in jobs)
        lease = f"{self.lease}/{folders[gate.name].name}"
        async with self.ground.seats.hold(weight), self.ground.slots.lease(lease) as slot:
            if not any(is_begun(each.folder) for each in jobs):
                await in_thread(slot.checkout, tree)
            for each in jobs[:-1]:
                ran = await self.ground.execute(slot, each)
                said = verdict_on(ran, judge(ran.seen, counts=each.adapter.counts, touched=ran.touched))
                if said.result != "green":
                    why = f'it needs "{each.gate.name}", which was {said.result}: {said.reason}'
                    return Trial(without_run(gate, "skipped", why))
            return await self._one(slot, this, jobs[-1], tests)

    async def _one(self, slot: Slot, this: Ready, job: Job, tests: tuple[str, ...]) -> Trial:
        program = this.program
        assert program is not None
        if not program.path.is_absolute() and not (slot.path / program.path).is_file():
            return Trial(without_run(this.gate, "red", f"the program {program.path} is not in the tree."))
        argv = this.adapter.only(tuple(this.gate.run), tests) if tests else None
        if argv is not None:
            job = replace(job, gate=this.gate.model_copy(update={"run": list(argv)}))
        ran = await self.ground.execute(slot, job)
        seen = ran.seen
        if tests and argv is None:
            wanted = {test: outcome for test, outcome in seen.outcomes.items() if is_named(test, tests)}
            seen = replace(seen, outcomes=wanted)
        said = verdict_on(ran, judge(seen, counts=this.adapter.counts, touched=ran.touched))
        stored = await asyncio.to_thread(store_run, self.ground.store, replace(ran, seen=seen))
        result = result_of(replace(this, gate=job.gate), ran, said).model_copy(update=stored)
        counts = this.adapter.counts
        output = "" if counts or not result.log else _end_of(await asyncio.to_thread(self.ground.store.get, result.log))
        return Trial(result, seen.outcomes, seen.how, output)

    def _job(self, ready: Ready, tree: str, purpose: str, folder: Path, scope: str) -> Job:
        assert ready.program is not None
        self.begun.add(folder)
        return Job(
            ready.gate,
            tree,
            ready.program,
            ready.adapter,
            folder,
            self.folder / "progress.jsonl",
            f"{self.folder.name}.{folder.name}",
            self.nice,
            self.ground.leash,
            purpose,
            scope,
        )

    def _folder(self, ready: Ready, tree: str, tests: Sequence[str], repeat: int) -> Path:
        return run_folder(self.folder, ready.gate.name, "trial", ready.key.digest, tree, str(repeat), *tests)


def _end_of(log: bytes) -> str:
    return log[-_OUTPUT_BYTES:].decode("utf-8", "replace")


def _how(said: object) -> dict[str, FailedBy]:
    if not isinstance(said, dict):
        return {}
    rows = cast("dict[str, object]", said).items()
    return {test: "assertion" if by == "assertion" else "error" for test, by in rows}


@dataclass(frozen=True)
class HubTrees:
    """Implements `gates.proof.trials.Trees` over the hub. Every call blocks."""

    hub: Hub

    def changed(self, base: str, head: str) -> Sequence[Changed]:
        rows = self.hub.changed(base, head)
        return [Changed(row.path, row.old_mode, row.new_mode, row.old_sha, row.new_sha) for row in rows]

    def read(self, tree: str, path: str) -> bytes | None:
        return self.hub.read_file(tree, path)

    def write(self, content: bytes) -> str:
        return write_blob(self.hub, content)

    def compose(self, tree: str, entries: Mapping[str, tuple[str, str] | None]) -> str:
        return compose(self.hub, tree, entries)
