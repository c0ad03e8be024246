"""A gate that is a flow of the canary: PASS is green, FAIL is red, and what could not be said is an error."""

from __future__ import annotations

from engine.models.report import GateResult
from engine.ports import CanaryRequest
from gates.definitions import gate_digest
from gates.ground import Ground, without_run
from gates.judge import printable
from gates.ready import Ready

_LOGS = ("log", "output", "trace")


async def run_flow(ground: Ground, ready: Ready, tree: str, key: str) -> GateResult:
    """Run the gate's flow on the tree, in a checkout of the canary's. Raises InfrastructureFault like the canary."""
    gate, flow = ready.gate, ready.flow
    if ground.flows is None or flow is None:
        return without_run(gate, "error", "canary flows cannot be run from here: start the engine with `swarm`.")
    outcome = await ground.flows.run(CanaryRequest(key=key, commit=tree, tree=tree, flows=(flow,)))
    said = next((one for one in outcome.flows if one.flow == flow.name), None)
    verdict = said.verdict if said is not None else outcome.verdict
    reason = (said.reason if said is not None else "") or outcome.reason
    artifacts = said.artifacts if said is not None else {}
    result = "green" if verdict == "PASS" else "red" if verdict == "FAIL" else "error"
    words = "" if result == "green" else printable(f'the flow "{flow.name}" said {verdict}: {reason or "no reason"}')
    return GateResult(
        name=gate.name,
        result=result,
        reason=words,
        duration_s=round(said.duration_s, 3) if said is not None else 0.0,
        argv=list(flow.argv),
        log=next((artifacts[name] for name in _LOGS if name in artifacts), next(iter(artifacts.values()), "")),
        definition=gate_digest(gate),
    )
