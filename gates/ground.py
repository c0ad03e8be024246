"""What gates run on: the slots of this machine with their seats, the executor, the caches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault
from engine.git.hub import Hub
from engine.git.slots import Slot, Slots
from engine.models.report import GateResult
from engine.models.settings import Gate
from engine.ports import CanaryRunner, Executor
from gates.definitions import gate_digest
from gates.execution import Job, Ran, WarmCaches, execute, gate_environment
from gates.judge import Judgement
from gates.ready import Ready
from gates.seats import Seats


@dataclass(frozen=True)
class Ground:
    """Shared by all runs of one runner. leash: what runs dies with this process."""

    hub: Hub
    slots: Slots
    seats: Seats
    executor: Executor
    store: ArtifactStore
    caches: WarmCaches | None = None
    flows: CanaryRunner | None = None
    leash: bool = False

    async def execute(self, slot: Slot, job: Job, ready: Callable[[], None] | None = None) -> Ran:
        """Run a job. Raises like `gates.execution.execute`; a disk that is full is an InfrastructureFault too."""
        try:
            return await execute(self.executor, slot, job, self.caches, ready)
        except OSError as error:
            said = f"gate {job.gate.name} cannot run: {error.strerror or error}"
            raise InfrastructureFault(f"{said}: look at the disk of {job.folder.parent}") from error


def run_folder(session: Path, name: str, *identity: str) -> Path:
    """The folder of one gate's run: the same for the same identity."""
    return session / f"{name}-{hashlib.sha256(' '.join(identity).encode()).hexdigest()[:12]}"


def verdict_on(ran: Ran, judged: Judgement) -> Judgement:
    """The judgement, unless the process itself says more: a timeout, a quota, or a program that cannot be started."""
    if ran.timeout_s is not None:
        return Judgement("timeout", f"it was stopped after {ran.timeout_s:g} s, its timeout.")
    if ran.process.end == "quota":
        return Judgement("red", f"it was stopped: {ran.process.note}.")
    if ran.process.end == "not_started":
        return Judgement("error", f"{ran.process.note or 'it could not be started'}: mend run in swarm.toml.")
    return judged


def result_of(ready: Ready, ran: Ran, said: Judgement) -> GateResult:
    """The result of a gate that ran, still without its artifacts."""
    gate = ready.gate
    program = str(ready.program.path) if ready.program else ""
    result = GateResult(
        name=gate.name,
        result=said.result,
        duration_s=round(ran.process.duration_s, 3),
        argv=[program, *gate.run[1:]],
        program=program,
        exit_code=ran.process.exit_code,
        env=sorted(gate_environment(gate)),
        definition=gate_digest(gate),
        tripwire=ran.seen.tripwire,
    )
    return with_judgement(result, said)


def without_run(gate: Gate, result: str, reason: str) -> GateResult:
    """The result of a gate that did not run."""
    return GateResult.model_validate(
        {"name": gate.name, "result": result, "reason": reason, "argv": gate.run, "definition": gate_digest(gate)}
    )


def with_judgement(result: GateResult, said: Judgement) -> GateResult:
    """The result as it is judged now."""
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
            "quarantined": list(said.quarantined),
        }
    )


def store_run(store: ArtifactStore, ran: Ran, *more: Path) -> dict[str, str]:
    """The digests of the log (with the logs `more` behind it) and of the outcomes. Blocking: two fsyncs each."""
    found: dict[str, str] = {}
    log = ran.process.log
    if more:
        found["log"] = store.put(b"\n--- tried again on a fresh checkout ---\n".join(_content(p) for p in (log, *more)))
    elif log.exists():
        found["log"] = store.put_file(log)
    if ran.seen.outcomes:
        found["tests"] = store.put_json(dict(ran.seen.outcomes))
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
