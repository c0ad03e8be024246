"""From what a session saw to the report that is signed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from engine.models.proof import Proof
from engine.models.report import GateResult, GuardResult, VerificationReport
from engine.ports import GateRequest, Sandbox
from gates.inventory import NO_BASE
from gates.ready import Ready
from gates.report import order_digest
from gates.reuse import KEYS, REUSED_FROM
from gates.session import Session
from gates.strict_json import digest
from gates.toolchain import machine
from gates.trials import TRIALS

TOOLS = "tools"
"""Field of a report's `extra`: program name -> digest of what identified it."""
MACHINE = "machine"


def report_on(
    session: Session,
    sandbox: Sandbox,
    *,
    proof: Proof | None,
    guards: Sequence[GuardResult],
    trials: Mapping[str, Any],
    started: float,
    finished: float,
) -> VerificationReport:
    """The report, still unsigned. guards: those judged after the gates. trials: what proof runs showed, by key.
    started, finished: UTC seconds."""
    request = session.request
    results = [session.results[gate.name] for gate in request.gates]
    guards = [*request.guards, *guards]
    reasons = [guard.reason for guard in guards if not guard.ok]
    reasons += [f"{result.name}: {result.reason}" for result in results if result.result not in ("green", "skipped")]
    if not results:
        reasons.append("no gate was run, so nothing is proved: add a [[gate]] to swarm.toml.")
    if proof is not None:
        reasons += proof.reasons
    ready = [one for one in session.ready.values() if isinstance(one, Ready)]
    programs = {one.program.name: one for one in ready if one.program is not None}
    extra: dict[str, Any] = {
        KEYS: {one.gate.name: one.key.digest for one in ready},
        TOOLS: {name: digest(list(one.tools)) for name, one in programs.items()},
    }
    if session.reused_from:
        extra[REUSED_FROM] = dict(session.reused_from)
    if trials:
        extra[TRIALS] = dict(trials)
    toolchain = {
        name: f"{one.program.path} {one.program.version}".strip()
        for name, one in programs.items()
        if one.program is not None
    }
    return VerificationReport(
        kind=request.kind,
        result=_overall(results, guards, proof),
        tree=request.tree,
        base=request.base_tree,
        base_commit=request.base_commit,
        repository=request.repository,
        change=request.change,
        changes=[member.change for member in request.members],
        work_order=request.work_order,
        order=order_digest(request.order) if request.order is not None else "",
        policy=request.policy,
        gates=results,
        guards=guards,
        reasons=reasons,
        sandbox=dict(sandbox.guarantees),
        sandbox_backend=sandbox.name,
        toolchain={**toolchain, MACHINE: machine()},
        proof=proof,
        flags=_flags(session, results, proof),
        reproduce=_how_to_reproduce(request),
        started_at=utc(started),
        finished_at=utc(finished),
        extra=extra,
    )


def utc(seconds: float) -> str:
    """UTC seconds as ISO 8601 with milliseconds and Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _flags(session: Session, results: Sequence[GateResult], proof: Proof | None) -> list[str]:
    request = session.request
    flags = [*request.flags]
    if any(gate.shell for gate in request.gates):
        flags.append("shell")
    if any(result.retried for result in results):
        flags.append("flaky")
    if any(result.quarantined for result in results):
        flags.append("quarantined")
    if request.kind == "land" and not request.base_report:
        flags.append(NO_BASE)
    if request.coverage is not None and request.coverage.gate not in session.results:
        flags.append("no-coverage")
    flags += [note for note in session.notes if note]
    flags += proof.flags if proof is not None else []
    return list(dict.fromkeys(flags))


def _overall(
    results: Sequence[GateResult], guards: Sequence[GuardResult], proof: Proof | None
) -> Literal["green", "red", "error"]:
    said = {result.result for result in results}
    if said & {"red", "timeout"} or not all(guard.ok for guard in guards) or not results:
        return "red"
    if said != {"green"}:
        return "error"
    return "red" if proof is not None and proof.reasons else "green"


def _how_to_reproduce(request: GateRequest) -> list[str]:
    lines = ['cd "$(mktemp -d)"', f"git -C REPOSITORY archive {request.tree} | tar -x"]
    return [*lines, *(shlex.join(gate.run) for gate in request.gates if gate.run)]
