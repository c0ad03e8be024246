"""The control run: a red test is run once more on main as it is. Green there, the change is guilty."""

from __future__ import annotations

from engine.models.report import GateResult
from gates.session import Session
from gates.trials import LocalTrials

MOST = 50
"""Failed tests of one gate: where more fail, chance is no explanation, and nothing is run again."""
_FIRST = 1


async def control(session: Session, trials: LocalTrials) -> None:
    """One run on `request.control` for each red gate whose failed tests are all that is wrong, and passed on main.

    What it shows goes into the gate's result, which stays red. Raises InfrastructureFault when the machine fails.
    """
    request = session.request
    if not request.control:
        return
    for gate in request.gates:
        result = session.results[gate.name]
        failing = result.failing
        if gate.name not in session.by_chance or not 0 < len(failing) <= MOST:
            continue
        base = session.base.get(gate.name, {})
        if request.control != request.tree and any(base.get(test) != "passed" for test in failing):
            continue  # new, or not green on main before
        trial = await trials(gate, request.control, purpose="control", only=tuple(failing), repeat=_FIRST)
        if trial.result.result not in ("green", "red"):
            continue  # it says nothing about them
        said = {test: outcome for test in failing if (outcome := trial.outcomes.get(test)) is not None}
        reason = f"{result.reason.rstrip('.')} ({_words(result, said, main=request.control == request.tree)})."
        session.results[gate.name] = result.model_copy(update={"control": said, "reason": reason})


def _words(result: GateResult, said: dict[str, str], *, main: bool) -> str:
    green = [test for test in result.failing if said.get(test) == "passed"]
    if main:
        return "and again" if not green else f"{len(green)} of them passed when run once more"
    if len(green) == len(result.failing):
        return "green on main as it is"
    return f"on main as it is, {len(result.failing) - len(green)} of them failed too"
